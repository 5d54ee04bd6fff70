//! Records, and where they lie.

use bytes::{Bytes, BytesMut};
use ottla_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_protocol::messages::describe_producers;
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic};
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::offset_for_leader_epoch::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    DeleteRecordsRequest, DescribeProducersRequest, FetchRequest, FetchResponse,
    ListOffsetsRequest, OffsetForLeaderEpochRequest, ProduceRequest,
};
use ottla_protocol::records::{ProducerStamp, SealOptions};
use ottla_protocol::wire::RecordChunks;
use ottla_protocol::{ByteString, Uuid};

use super::{batch, chunks, create, every, stamped};
use crate::twin::{Side, Twin};

pub(super) async fn play(twin: &mut Twin) {
    create(twin, "log", 1, &[]).await;
    create(twin, "small", 1, &[("max.message.bytes", "200")]).await;
    create(twin, "compacted", 1, &[("cleanup.policy", "compact")]).await;
    create(twin, "stamped", 1, &[("message.timestamp.type", "LogAppendTime")]).await;
    create(twin, "recent", 1, &[("message.timestamp.before.max.ms", "1000")]).await;
    produce(twin).await;
    refuse(twin).await;
    remember_producers(twin).await;
    list_offsets(twin).await;
    epoch_ends(twin).await;
    fetch(twin).await;
    fetch_wrongly(twin).await;
    sessions(twin).await;
    delete_records(twin).await;
}

/// A request of the version, which names the topic by its name or its id.
pub(super) fn produced(
    side: &Side,
    version: i16,
    topic: &str,
    records: RecordChunks,
) -> ProduceRequest {
    let by_id = version >= 13;
    let topic = TopicProduceData {
        name: if by_id { ByteString::new() } else { topic.into() },
        topic_id: if by_id {
            side.topics.get(topic).copied().unwrap_or_else(|| Uuid::from(9_u128))
        } else {
            Uuid::ZERO
        },
        partition_data: vec![PartitionProduceData { records: Some(records), ..Default::default() }],
        ..Default::default()
    };
    ProduceRequest { acks: -1, timeout_ms: 5000, topic_data: vec![topic], ..Default::default() }
}

async fn produce(twin: &mut Twin) {
    for version in every::<ProduceRequest>() {
        let records = || chunks(batch(&["a", "b"]));
        twin.ask("", version, |side| produced(side, version, "log", records())).await;
    }
    twin.ask("stamped with the time", 9, |side| {
        produced(side, 9, "stamped", chunks(batch(&["a"])))
    })
    .await;
    twin.ask("to the leader alone", 9, |side| ProduceRequest {
        acks: 1,
        ..produced(side, 9, "log", chunks(batch(&["l"])))
    })
    .await;
    twin.ask("with a key on a compacted topic", 9, |side| {
        produced(side, 9, "compacted", chunks(batch(&["a"])))
    })
    .await;
}

/// A sound batch with a byte changed, and the checksum as it was or made right again.
fn damaged(at: usize, value: u8) -> RecordChunks {
    let mut bytes = BytesMut::from(&*chunks(batch(&["a", "b"])).into_bytes());
    bytes[at] = value;
    RecordChunks::from(bytes.freeze())
}

async fn refuse(twin: &mut Twin) {
    for version in [3, 9, 12, 13] {
        twin.ask("to nothing known", version, |side| {
            produced(side, version, "nope", chunks(batch(&["a"])))
        })
        .await;
    }
    let elsewhere = |side: &Side| {
        let mut request = produced(side, 9, "log", chunks(batch(&["a"])));
        request.topic_data[0].partition_data[0].index = 7;
        request
    };
    twin.ask("to no partition known", 9, elsewhere).await;
    twin.ask("with acks of 5", 9, |side| ProduceRequest {
        acks: 5,
        ..produced(side, 9, "log", chunks(batch(&["a"])))
    })
    .await;
    twin.ask("too large", 9, |side| produced(side, 9, "small", chunks(batch(&["0123456789"; 50]))))
        .await;
    twin.ask("without a key on a compacted topic", 9, |side| {
        produced(side, 9, "compacted", keyless())
    })
    .await;
    twin.ask("from long ago", 9, |side| produced(side, 9, "recent", chunks(batch(&["a"])))).await;
    let two = || {
        RecordChunks::from(Bytes::from(
            [chunks(batch(&["a"])).into_bytes(), chunks(batch(&["b"])).into_bytes()].concat(),
        ))
    };
    let none = || RecordChunks::from(Bytes::new());
    for (case, records) in [
        ("two batches", two()),
        ("no batch", none()),
        ("with a bad checksum", damaged(70, 0xff)),
        ("of magic 1", damaged(16, 1)),
        ("of magic 9", damaged(16, 9)),
        ("cut off", RecordChunks::from(chunks(batch(&["a", "b"])).into_bytes().slice(..70))),
    ] {
        twin.ask(case, 9, |side| produced(side, 9, "log", records.clone())).await;
    }
    let null = |side: &Side| {
        let mut request = produced(side, 9, "log", none());
        request.topic_data[0].partition_data[0].records = None;
        request
    };
    twin.ask("null", 9, null).await;
}

fn keyless() -> RecordChunks {
    use ottla_protocol::records::{BatchBuilder, NewRecord};
    let mut builder = BatchBuilder::new();
    for value in ["a", "b"] {
        let record = NewRecord::new(super::START, None, Some(value.as_bytes()));
        builder.append(record).expect("there is room");
    }
    chunks(builder.seal(&SealOptions::default()))
}

async fn remember_producers(twin: &mut Twin) {
    let stamp = |producer_epoch, base_sequence| ProducerStamp {
        producer_id: 4000,
        producer_epoch,
        base_sequence,
    };
    for (case, producer) in [
        ("by a producer not known", stamp(0, 5)),
        ("by it again", stamp(0, 6)),
        ("that is a duplicate", stamp(0, 6)),
        ("that leaves one out", stamp(0, 9)),
        ("that is older", stamp(0, 2)),
        ("of a new epoch from the middle", stamp(2, 3)),
        ("of a new epoch", stamp(2, 0)),
        ("of an old epoch", stamp(1, 0)),
    ] {
        twin.ask(case, 9, |side| produced(side, 9, "log", stamped(producer, false))).await;
    }
    let describe = |topic: &str, index: i32| {
        let topic = describe_producers::TopicRequest {
            name: topic.into(),
            partition_indexes: [index].into_iter().collect(),
            ..Default::default()
        };
        DescribeProducersRequest { topics: vec![topic], ..Default::default() }
    };
    twin.ask("", 0, |_| describe("log", 0)).await;
    twin.ask("of no partition known", 0, |_| describe("log", 7)).await;
    twin.ask("of nothing known", 0, |_| describe("nope", 0)).await;
    twin.ask("of an impossible name", 0, |_| describe("a b", 0)).await;
}

async fn list_offsets(twin: &mut Twin) {
    let listed = |version: i16, topic: &str, timestamp: i64, epoch: i32| {
        let partition =
            ListOffsetsPartition { timestamp, current_leader_epoch: epoch, ..Default::default() };
        let topic = ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let isolation_level = i8::from(version >= 2);
        ListOffsetsRequest {
            replica_id: -1,
            isolation_level,
            topics: vec![topic],
            ..Default::default()
        }
    };
    for version in every::<ListOffsetsRequest>() {
        for timestamp in [-1, -2, super::START + 1] {
            twin.ask(&format!("at {timestamp}"), version, |_| {
                listed(version, "log", timestamp, -1)
            })
            .await;
        }
    }
    for (version, timestamp) in [
        (7, -3),
        (8, -4),
        (9, -5),
        (11, -6),
        (6, -3),
        (7, -4),
        (8, -5),
        (10, -6),
        (11, -7),
        (11, i64::MAX),
    ] {
        twin.ask(&format!("at {timestamp}"), version, |_| listed(version, "log", timestamp, -1))
            .await;
    }
    twin.ask("of an empty log", 7, |_| listed(7, "twin", -3, -1)).await;
    twin.ask("of nothing known", 7, |_| listed(7, "nope", -1, -1)).await;
    twin.ask("of one partition twice", 7, |_| {
        let mut request = listed(7, "log", -1, -1);
        let again = request.topics[0].partitions[0].clone();
        request.topics[0].partitions.push(again);
        request
    })
    .await;
    twin.ask("of the epoch", 7, |_| listed(7, "log", -1, 0)).await;
    twin.ask("of a later epoch", 7, |_| listed(7, "log", -1, 3)).await;
}

async fn epoch_ends(twin: &mut Twin) {
    let asked = |topic: &str, leader_epoch, current_leader_epoch| {
        let partition =
            OffsetForLeaderPartition { leader_epoch, current_leader_epoch, ..Default::default() };
        let topic = OffsetForLeaderTopic {
            topic: topic.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        OffsetForLeaderEpochRequest { topics: vec![topic], ..Default::default() }
    };
    for version in every::<OffsetForLeaderEpochRequest>() {
        twin.ask("", version, |_| asked("log", 0, -1)).await;
    }
    twin.ask("of a later one", 4, |_| asked("log", 3, -1)).await;
    twin.ask("asked in a later one", 4, |_| asked("log", 0, 3)).await;
    twin.ask("of nothing known", 4, |_| asked("nope", 0, -1)).await;
    twin.ask("of none", 4, |_| asked("log", -1, -1)).await;
}

pub(super) fn fetched(
    side: &Side,
    version: i16,
    topic: &str,
    partition: FetchPartition,
) -> FetchRequest {
    let by_id = version >= 13;
    let topic = FetchTopic {
        topic: if by_id { ByteString::new() } else { topic.into() },
        topic_id: if by_id {
            side.topics.get(topic).copied().unwrap_or_else(|| Uuid::from(9_u128))
        } else {
            Uuid::ZERO
        },
        partitions: vec![partition],
        ..Default::default()
    };
    FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..Default::default() }
}

fn from(fetch_offset: i64) -> FetchPartition {
    FetchPartition { fetch_offset, partition_max_bytes: 1 << 20, ..Default::default() }
}

async fn fetch(twin: &mut Twin) {
    for version in every::<FetchRequest>() {
        twin.ask("", version, |side| fetched(side, version, "log", from(0))).await;
    }
    twin.ask("of what is committed", 12, |side| FetchRequest {
        isolation_level: 1,
        ..fetched(side, 12, "log", from(0))
    })
    .await;
    twin.ask("within a batch", 12, |side| fetched(side, 12, "log", from(1))).await;
    twin.ask("of a byte", 12, |side| FetchRequest {
        max_bytes: 1,
        ..fetched(side, 12, "log", from(0))
    })
    .await;
    let tight = FetchPartition { partition_max_bytes: 100, ..from(0) };
    twin.ask("of a hundred bytes", 12, |side| fetched(side, 12, "log", tight.clone())).await;
    twin.ask("of what was stamped", 12, |side| fetched(side, 12, "stamped", from(1))).await;
    twin.ask("from a rack", 12, |side| FetchRequest {
        rack_id: "rack-1".into(),
        ..fetched(side, 12, "log", from(0))
    })
    .await;
    let empty =
        |side: &Side| FetchRequest { topics: Vec::new(), ..fetched(side, 12, "log", from(0)) };
    twin.ask("of nothing", 12, empty).await;
}

async fn fetch_wrongly(twin: &mut Twin) {
    for version in [4, 11, 12, 13, 18] {
        twin.ask("of nothing known", version, |side| fetched(side, version, "nope", from(0))).await;
    }
    twin.ask("of nothing known beside an empty log", 12, |side| {
        let mut request = fetched(side, 12, "nope", from(0));
        request.topics.extend(fetched(side, 12, "twin", from(0)).topics);
        FetchRequest { max_wait_ms: 100, min_bytes: 1, ..request }
    })
    .await;
    for offset in [-1, 1000] {
        twin.ask(&format!("at {offset}"), 12, |side| fetched(side, 12, "log", from(offset))).await;
    }
    let partition = FetchPartition { partition: 7, ..from(0) };
    twin.ask("of no partition known", 12, |side| fetched(side, 12, "log", partition.clone())).await;
    twin.ask("of no partition known", 13, |side| fetched(side, 13, "log", partition.clone())).await;
    let later = FetchPartition { current_leader_epoch: 3, ..from(0) };
    twin.ask("in a later epoch", 12, |side| fetched(side, 12, "log", later.clone())).await;
    let diverged = FetchPartition { last_fetched_epoch: 3, ..from(0) };
    twin.ask("after a later epoch", 12, |side| fetched(side, 12, "log", diverged.clone())).await;
}

async fn sessions(twin: &mut Twin) {
    let learn = |side: &mut Side, answer: &FetchResponse| {
        side.session = answer.session_id;
        true
    };
    let full =
        |side: &Side| FetchRequest { session_epoch: 0, ..fetched(side, 12, "log", from(1000)) };
    twin.learn("that begins a session with an error", 12, full, learn).await;
    let full =
        |side: &Side| FetchRequest { session_epoch: 0, ..fetched(side, 12, "twin", from(0)) };
    twin.learn("that begins a session", 12, full, learn).await;
    let next = |side: &Side, session_epoch| FetchRequest {
        session_id: side.session,
        session_epoch,
        topics: Vec::new(),
        ..fetched(side, 12, "twin", from(0))
    };
    twin.ask("that goes on with it", 12, |side| next(side, 1)).await;
    twin.ask("that says the same again", 12, |side| next(side, 1)).await;
    twin.ask("of a later one", 12, |side| next(side, 5)).await;
    twin.ask("by ids in one by names", 13, |side| next(side, 2)).await;
    let more = |side: &Side| FetchRequest {
        topics: fetched(side, 12, "log", from(0)).topics,
        ..next(side, 2)
    };
    twin.ask("that adds to it", 12, more).await;
    let forgotten = |name: &str| ForgottenTopic {
        topic: name.into(),
        partitions: [0].into_iter().collect(),
        ..Default::default()
    };
    let fewer = |side: &Side| FetchRequest {
        forgotten_topics_data: vec![forgotten("log"), forgotten("twin")],
        ..next(side, 3)
    };
    twin.ask("that empties it", 12, fewer).await;
    twin.ask("of one that is closed", 12, |side| next(side, 4)).await;
    let nothing =
        |side: &Side| FetchRequest { session_epoch: 0, topics: Vec::new(), ..next(side, 0) };
    twin.learn("that begins a session with nothing", 12, nothing, learn).await;
    twin.ask("of an epoch that none has", 12, |side| next(side, -2)).await;
    twin.ask("that adds to nothing", 12, |side| FetchRequest {
        topics: fetched(side, 12, "log", from(0)).topics,
        ..next(side, 1)
    })
    .await;
    twin.ask("of one that never was", 12, |side| FetchRequest { session_id: 7, ..next(side, 4) })
        .await;
}

async fn delete_records(twin: &mut Twin) {
    let deleted = |topic: &str, index: i32, offset: i64| {
        let partition =
            DeleteRecordsPartition { partition_index: index, offset, ..Default::default() };
        let topic = DeleteRecordsTopic {
            name: topic.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        DeleteRecordsRequest { topics: vec![topic], timeout_ms: 5000, ..Default::default() }
    };
    for version in every::<DeleteRecordsRequest>() {
        twin.ask("", version, |_| deleted("log", 0, 2 + i64::from(version))).await;
    }
    for (case, topic, index, offset) in [
        ("of what is gone", "log", 0, 1),
        ("behind the end", "log", 0, 1000),
        ("below -1", "log", 0, -2),
        ("of nothing known", "nope", 0, 0),
        ("of no partition known", "log", 7, 0),
        ("of a compacted topic", "compacted", 0, 0),
    ] {
        twin.ask(case, 2, |_| deleted(topic, index, offset)).await;
    }
    twin.ask("below the start", 12, |side| fetched(side, 12, "log", from(0))).await;
    twin.ask("of everything", 2, |_| deleted("stamped", 0, -1)).await;
    twin.ask("at the start", 12, |side| fetched(side, 12, "log", from(4))).await;
}
