//! Transactions, of both protocols.

use bytes::Bytes;
use ottla_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::write_txn_markers::{WritableTxnMarker, WritableTxnMarkerTopic};
use ottla_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest,
    DescribeTransactionsResponse, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
    InitProducerIdResponse, ListOffsetsRequest, ListTransactionsRequest, ProduceRequest,
    TxnOffsetCommitRequest, WriteTxnMarkersRequest,
};
use ottla_protocol::records::ProducerStamp;
use ottla_protocol::{ByteString, Uuid};

use super::malformed::cases::{Batch, SOUND, TWO, transactional};
use super::records::produced;
use super::{create, every, stamped};
use crate::twin::{Side, Twin};

pub(super) async fn play(twin: &mut Twin) {
    create(twin, "ledger", 1, &[]).await;
    identities(twin).await;
    first_protocol(twin).await;
    offsets(twin).await;
    second_protocol(twin).await;
    times(twin).await;
    malformed(twin).await;
    verification(twin).await;
    inspection(twin).await;
    markers(twin).await;
}

fn init(id: Option<&str>) -> InitProducerIdRequest {
    let transactional_id = id.map(Into::into);
    InitProducerIdRequest { transactional_id, transaction_timeout_ms: 60_000, ..Default::default() }
}

fn initialised(side: &mut Side, answer: &InitProducerIdResponse) -> bool {
    if answer.error_code == 0 {
        side.producer = (answer.producer_id, answer.producer_epoch);
    }
    true
}

async fn begin(twin: &mut Twin, id: &str) {
    twin.learn(&format!("of {id}"), 4, |_| init(Some(id)), initialised).await;
}

async fn identities(twin: &mut Twin) {
    for version in every::<InitProducerIdRequest>() {
        twin.learn("of an idempotent one", version, |_| init(None), initialised).await;
        let id = format!("x{version}");
        twin.learn("of a transactional one", version, |_| init(Some(&id)), initialised).await;
        twin.learn("of it again", version, |_| init(Some(&id)), initialised).await;
    }
    let own = |side: &Side, epoch: i16| InitProducerIdRequest {
        producer_id: side.producer.0,
        producer_epoch: side.producer.1 + epoch,
        ..init(Some("x5"))
    };
    twin.ask("of a later epoch", 5, |side| own(side, 5)).await;
    twin.learn("of its epoch", 5, |side| own(side, 0), initialised).await;
    twin.ask("of an earlier epoch", 5, |side| own(side, -2)).await;
    twin.ask("of an empty id", 4, |_| init(Some(""))).await;
    let timed = |transaction_timeout_ms| InitProducerIdRequest {
        transaction_timeout_ms,
        ..init(Some("x0"))
    };
    for timeout in [0, -1, i32::MAX] {
        twin.ask(&format!("for {timeout} ms"), 4, |_| timed(timeout)).await;
    }
    twin.ask("of an epoch without an id", 3, |_| InitProducerIdRequest {
        producer_epoch: 3,
        ..init(Some("x0"))
    })
    .await;
}

fn add(side: &Side, version: i16, id: &str, topics: &[&str]) -> AddPartitionsToTxnRequest {
    let topic = |name: &&str| AddPartitionsToTxnTopic {
        name: (*name).into(),
        partitions: [0].into_iter().collect(),
        ..Default::default()
    };
    let topics = topics.iter().map(topic).collect();
    let (producer_id, producer_epoch) = side.producer;
    if version < 4 {
        return AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: id.into(),
            v3_and_below_producer_id: producer_id,
            v3_and_below_producer_epoch: producer_epoch,
            v3_and_below_topics: topics,
            ..Default::default()
        };
    }
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: id.into(),
        producer_id,
        producer_epoch,
        topics,
        ..Default::default()
    };
    AddPartitionsToTxnRequest { transactions: vec![transaction], ..Default::default() }
}

fn write(side: &Side, version: i16, id: &str, sequence: i32) -> ProduceRequest {
    let (producer_id, producer_epoch) = side.producer;
    let stamp = ProducerStamp { producer_id, producer_epoch, base_sequence: sequence };
    let records = Some(stamped(stamp, true));
    let topic = TopicProduceData {
        name: "ledger".into(),
        partition_data: vec![PartitionProduceData { records, ..Default::default() }],
        ..Default::default()
    };
    let by_id = version >= 13;
    let topic = if by_id {
        TopicProduceData { name: ByteString::new(), topic_id: side.topic("ledger"), ..topic }
    } else {
        topic
    };
    ProduceRequest {
        transactional_id: Some(id.into()),
        acks: -1,
        timeout_ms: 5000,
        topic_data: vec![topic],
        ..Default::default()
    }
}

fn end(side: &Side, id: &str, committed: bool) -> EndTxnRequest {
    let (producer_id, producer_epoch) = side.producer;
    EndTxnRequest {
        transactional_id: id.into(),
        producer_id,
        producer_epoch,
        committed,
        ..Default::default()
    }
}

fn ended(side: &mut Side, answer: &EndTxnResponse) -> bool {
    if answer.error_code == 0 && answer.producer_id >= 0 {
        side.producer = (answer.producer_id, answer.producer_epoch);
    }
    true
}

async fn first_protocol(twin: &mut Twin) {
    for version in 0..=3 {
        let id = format!("one{version}");
        begin(twin, &id).await;
        twin.ask("before it is begun", version, |side| end(side, &id, true)).await;
        twin.ask("to a transaction without it", 9, |side| write(side, 9, &id, 0)).await;
        twin.ask("", version, |side| add(side, version, &id, &["ledger"])).await;
        twin.ask("again", version, |side| add(side, version, &id, &["ledger"])).await;
        twin.ask("with one that is unknown", version, |side| {
            add(side, version, &id, &["twin", "nope"])
        })
        .await;
        let produced = 9 + version.min(2);
        twin.ask("in a transaction", produced, |side| write(side, produced, &id, 0)).await;
        let committed = version % 2 == 0;
        twin.learn("", version, |side| end(side, &id, committed), ended).await;
        twin.learn("again", version, |side| end(side, &id, committed), ended).await;
        twin.learn("the other way", version, |side| end(side, &id, !committed), ended).await;
        let older = |side: &Side| EndTxnRequest {
            producer_epoch: side.producer.1 - 1,
            ..end(side, &id, true)
        };
        twin.ask("of an older epoch", version, older).await;
    }
    twin.ask("of an unknown id", 3, |side| end(side, "nope", true)).await;
    twin.ask("of an unknown id", 3, |side| add(side, 3, "nope", &["ledger"])).await;
    twin.ask("of an empty id", 3, |side| end(side, "", true)).await;
    let other = |side: &Side| EndTxnRequest { producer_id: 999_999, ..end(side, "one3", true) };
    twin.ask("of another producer", 3, other).await;
    twin.ask("of no id", 9, |side| ProduceRequest {
        transactional_id: None,
        ..write(side, 9, "one3", 0)
    })
    .await;
}

fn add_offsets(side: &Side, id: &str) -> AddOffsetsToTxnRequest {
    let (producer_id, producer_epoch) = side.producer;
    AddOffsetsToTxnRequest {
        transactional_id: id.into(),
        producer_id,
        producer_epoch,
        group_id: "offsets".into(),
        ..Default::default()
    }
}

fn commit_offsets(side: &Side, version: i16, id: &str, topic: &str) -> TxnOffsetCommitRequest {
    let (producer_id, producer_epoch) = side.producer;
    let by_id = version >= 6;
    let partition = TxnOffsetCommitRequestPartition { committed_offset: 5, ..Default::default() };
    let topic = TxnOffsetCommitRequestTopic {
        name: if by_id { ByteString::new() } else { topic.into() },
        topic_id: if by_id {
            side.topics.get(topic).copied().unwrap_or_else(|| Uuid::from(9_u128))
        } else {
            Uuid::ZERO
        },
        partitions: vec![partition],
        ..Default::default()
    };
    TxnOffsetCommitRequest {
        transactional_id: id.into(),
        group_id: "offsets".into(),
        producer_id,
        producer_epoch,
        topics: vec![topic],
        ..Default::default()
    }
}

async fn offsets(twin: &mut Twin) {
    begin(twin, "offsets").await;
    for version in every::<AddOffsetsToTxnRequest>() {
        twin.ask("", version, |side| add_offsets(side, "offsets")).await;
    }
    twin.ask("of an unknown id", 3, |side| add_offsets(side, "nope")).await;
    for version in every::<TxnOffsetCommitRequest>() {
        twin.ask("", version, |side| commit_offsets(side, version, "offsets", "twin")).await;
    }
    twin.ask("of nothing known", 4, |side| commit_offsets(side, 4, "offsets", "nope")).await;
    let stranger = |side: &Side| TxnOffsetCommitRequest {
        member_id: "nobody".into(),
        generation_id_or_member_epoch: 3,
        ..commit_offsets(side, 3, "offsets", "twin")
    };
    twin.ask("by nobody known", 3, stranger).await;
    twin.learn("with offsets", 3, |side| end(side, "offsets", true), ended).await;
}

async fn second_protocol(twin: &mut Twin) {
    begin(twin, "two").await;
    for (at, (version, committed)) in [(4, true), (5, true), (5, false)].into_iter().enumerate() {
        let case = format!("by the second protocol {at}");
        twin.ask(&case, 12, |side| write(side, 12, "two", 0)).await;
        twin.learn(&case, version, |side| end(side, "two", committed), ended).await;
        settle(twin, &case, "two").await;
    }
    let before = |side: &Side| EndTxnRequest {
        producer_epoch: side.producer.1 - 1,
        ..end(side, "two", false)
    };
    twin.ask("again, in the epoch before", 5, before).await;
    let turned = |side: &Side| EndTxnRequest {
        producer_epoch: side.producer.1 - 1,
        ..end(side, "two", true)
    };
    twin.ask("the other way, in the epoch before", 5, turned).await;
    twin.learn("of an empty one", 5, |side| end(side, "two", false), ended).await;
    twin.ask("that commits an empty one", 5, |side| end(side, "two", true)).await;
    twin.ask("by id in a transaction", 13, |side| write(side, 13, "two", 0)).await;
}

/// Offsets by time, of a record in a transaction that is open and then is not.
async fn times(twin: &mut Twin) {
    create(twin, "timed", 1, &[]).await;
    begin(twin, "timer").await;
    twin.ask("of a record with a time", 12, |side| {
        let (producer_id, producer_epoch) = side.producer;
        let stamp = ProducerStamp { producer_id, producer_epoch, base_sequence: 0 };
        let transactional_id = Some("timer".into());
        ProduceRequest { transactional_id, ..produced(side, 12, "timed", stamped(stamp, true)) }
    })
    .await;
    let listed = |timestamp, isolation_level| {
        let partition =
            ListOffsetsPartition { timestamp, current_leader_epoch: -1, ..Default::default() };
        let name = "timed".into();
        let topics =
            vec![ListOffsetsTopic { name, partitions: vec![partition], ..Default::default() }];
        ListOffsetsRequest { replica_id: -1, isolation_level, topics, ..Default::default() }
    };
    for (timestamp, isolation_level) in [(-3, 0), (-3, 1), (0, 0), (0, 1), (-1, 1)] {
        let case = format!("at {timestamp}, in one that is open, at level {isolation_level}");
        twin.ask(&case, 7, |_| listed(timestamp, isolation_level)).await;
    }
    twin.learn("of a time", 5, |side| end(side, "timer", true), ended).await;
    settle(twin, "of a time", "timer").await;
    // Not -3: that is the time of the marker, now.
    for (timestamp, isolation_level) in [(0, 0), (0, 1), (-1, 1)] {
        let case = format!("at {timestamp}, in one that has ended, at level {isolation_level}");
        twin.ask(&case, 7, |_| listed(timestamp, isolation_level)).await;
    }
}

/// The coordinator is asked before anybody looks at the records, or at `acks`.
async fn malformed(twin: &mut Twin) {
    for (at, (name, _, code)) in transactional((0, 0)).into_iter().enumerate() {
        let torn = |side: &Side, id: &str, acks: i16| {
            let (_, bytes, _) = transactional(side.producer).swap_remove(at);
            let mut request = write(side, 9, id, 0);
            let row = &mut request.topic_data[0].partition_data[0];
            row.records = Some(Bytes::from(bytes).into());
            ProduceRequest { acks, ..request }
        };
        for (protocol, version) in [("one", 9), ("two", 12)] {
            let id = format!("torn-{protocol}{at}");
            begin(twin, &id).await;
            for acks in [2, -1] {
                let case = format!("malformed: in a transaction, {name}, with acks of {acks}");
                twin.ask(&case, version, |side| torn(side, &id, acks)).await;
            }
            twin.ask(&format!("with a batch {name}"), 0, |_| describe(&id)).await;
        }
        let plain = |side: &Side| {
            let (producer_id, producer_epoch) = side.producer;
            let stamp = ProducerStamp { producer_id, producer_epoch, base_sequence: 2 };
            produced(side, 9, "ledger", stamped(stamp, false))
        };
        if code == 0 {
            twin.ask("malformed: outside of the transaction that is open", 9, plain).await;
        }
        let (id, case) = (format!("torn-two{at}"), format!("with a batch {name}"));
        twin.learn(&case, 5, |side| end(side, &id, false), ended).await;
        settle(twin, &format!("{case}, ended"), &id).await;
    }
    let nobodys = Bytes::from(Batch { bits: 0x10, ..SOUND }.of(TWO));
    for version in [9, 12] {
        twin.ask("malformed: in a transaction, by no producer", version, |side| ProduceRequest {
            transactional_id: Some("torn-two0".into()),
            ..produced(side, version, "ledger", nobodys.clone().into())
        })
        .await;
    }
}

/// What brokers ask one another: whether a partition is in a transaction.
async fn verification(twin: &mut Twin) {
    let verify = |side: &Side, version, topics: &[&str]| {
        let mut request = add(side, version, "two", topics);
        request.transactions[0].verify_only = true;
        request
    };
    for version in [4, 5] {
        twin.ask("that verifies", version, |side| verify(side, version, &["ledger"])).await;
        twin.ask("that verifies what is not in it", version, |side| {
            verify(side, version, &["twin"])
        })
        .await;
        twin.ask("that adds", version, |side| add(side, version, "two", &["twin"])).await;
    }
}

fn describe(id: &str) -> DescribeTransactionsRequest {
    DescribeTransactionsRequest { transactional_ids: vec![id.into()], ..Default::default() }
}

/// Waits until the markers of an end are written. Kafka answers before: what is produced in between
/// may count as part of the transaction that has ended.
async fn settle(twin: &mut Twin, case: &str, id: &str) {
    let settled = |_: &mut Side, answer: &DescribeTransactionsResponse| {
        !answer.transaction_states[0].transaction_state.starts_with("Prepare")
    };
    twin.learn(case, 0, |_| describe(id), settled).await;
}

async fn inspection(twin: &mut Twin) {
    twin.ask("that is open", 0, |_| describe("two")).await;
    settle(twin, "that was committed", "one0").await;
    settle(twin, "that was aborted", "one1").await;
    twin.ask("that is empty", 0, |_| describe("x0")).await;
    twin.ask("that is unknown", 0, |_| describe("nope")).await;
    twin.ask("without a name", 0, |_| describe("")).await;
    for version in every::<ListTransactionsRequest>() {
        twin.ask("", version, |_| ListTransactionsRequest::default()).await;
    }
    let in_state = |state: &str| ListTransactionsRequest {
        state_filters: vec![state.into()],
        ..Default::default()
    };
    for state in ["Ongoing", "Nope"] {
        twin.ask(&format!("that are {state}"), 1, |_| in_state(state)).await;
    }
    let matching = |pattern: &str| ListTransactionsRequest {
        transactional_id_pattern: Some(pattern.into()),
        ..Default::default()
    };
    twin.ask("like o.*", 2, |_| matching("o.*")).await;
    twin.ask("like (", 2, |_| matching("(")).await;
    let since = |duration_filter| ListTransactionsRequest { duration_filter, ..Default::default() };
    twin.ask("since an hour", 1, |_| since(3_600_000)).await;
}

/// How an operator ends the transaction that is still open.
async fn markers(twin: &mut Twin) {
    let marker = |side: &Side, topic: &str, index: i32, coordinator_epoch| {
        let topic = WritableTxnMarkerTopic {
            name: topic.into(),
            partition_indexes: [index].into_iter().collect(),
            ..Default::default()
        };
        let marker = WritableTxnMarker {
            producer_id: side.producer.0,
            producer_epoch: side.producer.1,
            topics: vec![topic],
            coordinator_epoch,
            ..Default::default()
        };
        WriteTxnMarkersRequest { markers: vec![marker], ..Default::default() }
    };
    twin.ask("of nothing known", 1, |side| marker(side, "nope", 0, 9)).await;
    twin.ask("of no partition known", 1, |side| marker(side, "ledger", 7, 9)).await;
    let older = |side: &Side| {
        let mut request = marker(side, "ledger", 0, 9);
        request.markers[0].producer_epoch -= 1;
        request
    };
    twin.ask("of an older epoch", 1, older).await;
    twin.ask("", 1, |side| marker(side, "ledger", 0, 9)).await;
    twin.ask("again", 2, |side| marker(side, "ledger", 0, 9)).await;
    twin.ask("of an older coordinator", 1, |side| marker(side, "ledger", 0, 3)).await;
}
