//! A walk over a Fetch response says what decoding it says, and is wrong where it is wrong.
#![expect(clippy::unwrap_used, reason = "a suite says what failed by panicking")]

use bytes::Bytes;
use ottla_codegen::sample::{Fill, Random, Sample, length_bytes};
use ottla_protocol::messages::FetchResponse;
use ottla_protocol::messages::fetch::{
    AbortedTransaction, EpochEndOffset, LeaderIdAndEpoch, NodeEndpoint, SnapshotId,
};
use ottla_protocol::{DecodeError, FetchView, Message, PartitionView, Uuid};

#[test]
fn a_walk_sees_what_decoding_returns() {
    for_each_sample(|version, sample| {
        let frame = Bytes::from(sample.bytes.clone());
        assert!(owned(&frame, version).is_ok());
        check(&frame, version);
    });
}

#[test]
fn a_walk_fails_where_decoding_fails_when_bytes_are_missing_or_too_many() {
    for_each_sample(|version, sample| {
        let whole = Bytes::from(sample.bytes.clone());
        (0..whole.len()).for_each(|end| check(&whole.slice(..end), version));
        check(&[&whole[..], &[0]].concat().into(), version);
    });
}

#[test]
fn a_walk_fails_where_decoding_fails_when_lengths_lie() {
    for_each_sample(|version, sample| {
        for length in &sample.lengths {
            for lie in [-2, -1, 0, 1, 2, 3, 1 << 15, 1 << 20] {
                let (head, tail) = sample.bytes.split_at(length.offset);
                let lie = length_bytes(length.form, lie);
                check(&[head, &lie, &tail[length.width..]].concat().into(), version);
            }
        }
    });
}

#[test]
fn a_walk_fails_where_decoding_fails_when_any_byte_is_another() {
    for_each_sample(|version, sample| {
        for at in 0..sample.bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = sample.bytes.clone();
                bytes[at] ^= flip;
                check(&bytes.into(), version);
            }
        }
    });
}

#[test]
fn versions_that_are_not_known_are_refused_alike() {
    check(&Bytes::new(), 3);
    check(&Bytes::new(), 19);
}

#[test]
fn a_walk_is_over_after_an_error() {
    let frame = Bytes::from_static(&[0; 14]);
    let mut walk = FetchView::new(&frame, 7).unwrap();
    assert!(walk.next().unwrap().is_none());
    let frame = Bytes::from_static(&[0; 15]);
    let mut walk = FetchView::new(&frame, 7).unwrap();
    assert!(walk.next().is_err());
    assert!(walk.next().unwrap().is_none());
}

#[test]
fn records_share_the_memory_of_the_frame() {
    for_each_sample(|version, sample| {
        let frame = Bytes::from(sample.bytes.clone());
        let mut walk = FetchView::new(&frame, version).unwrap();
        while let Some(partition) = walk.next().unwrap() {
            let records = partition.records();
            assert_eq!(records, partition.record_bytes());
            assert!(records.is_empty() || frame.as_ptr_range().contains(&records.as_ptr()));
        }
    });
}

#[track_caller]
fn check(frame: &Bytes, version: i16) {
    assert_eq!(walked(frame, version), owned(frame, version), "version {version}: {frame:02x?}");
}

/// What both say: the fields in front, the partitions, and the fields behind.
type Said = (i32, i16, i32, Vec<Partition>, Vec<NodeEndpoint>);

#[derive(Debug, PartialEq)]
struct Partition {
    topic: String,
    topic_id: Uuid,
    numbers: [i64; 6],
    aborted: Vec<AbortedTransaction>,
    diverging_epoch: Option<Box<EpochEndOffset>>,
    current_leader: Option<Box<LeaderIdAndEpoch>>,
    snapshot_id: Option<Box<SnapshotId>>,
    records: Bytes,
}

fn walked(frame: &Bytes, version: i16) -> Result<Said, DecodeError> {
    let mut walk = FetchView::new(frame, version)?;
    let partition = |partition: PartitionView<'_>| Partition {
        topic: partition.topic.to_owned(),
        topic_id: partition.topic_id,
        numbers: [
            partition.partition_index.into(),
            partition.error_code.into(),
            partition.high_watermark,
            partition.last_stable_offset,
            partition.log_start_offset,
            partition.preferred_read_replica.into(),
        ],
        aborted: partition.aborted_transactions().collect(),
        records: partition.records(),
        diverging_epoch: partition.diverging_epoch,
        current_leader: partition.current_leader,
        snapshot_id: partition.snapshot_id,
    };
    let mut partitions = Vec::new();
    while let Some(lent) = walk.next()? {
        partitions.push(partition(lent.clone()));
    }
    let endpoints = walk.node_endpoints().to_vec();
    Ok((walk.throttle_time_ms, walk.error_code, walk.session_id, partitions, endpoints))
}

fn owned(frame: &Bytes, version: i16) -> Result<Said, DecodeError> {
    let response = FetchResponse::decode(frame, version)?;
    let mut partitions = Vec::new();
    for topic in response.responses {
        for partition in topic.partitions {
            partitions.push(Partition {
                topic: topic.topic.to_string(),
                topic_id: topic.topic_id,
                numbers: [
                    partition.partition_index.into(),
                    partition.error_code.into(),
                    partition.high_watermark,
                    partition.last_stable_offset,
                    partition.log_start_offset,
                    partition.preferred_read_replica.into(),
                ],
                aborted: partition.aborted_transactions.unwrap_or_default(),
                diverging_epoch: partition.diverging_epoch,
                current_leader: partition.current_leader,
                snapshot_id: partition.snapshot_id,
                records: partition.records.unwrap_or_default().into_bytes(),
            });
        }
    }
    let (error_code, session_id) = (response.error_code, response.session_id);
    Ok((response.throttle_time_ms, error_code, session_id, partitions, response.node_endpoints))
}

/// Random responses of every version.
fn for_each_sample(check: impl Fn(i16, &Sample)) {
    let schemas = ottla_codegen::read_schemas().unwrap();
    let messages = schemas.iter().flat_map(|schema| &schema.messages);
    let message = messages.into_iter().find(|message| message.name == FetchResponse::NAME).unwrap();
    for version in FetchResponse::VERSIONS.iter() {
        for seed in 0..SEEDS {
            check(version, &Sample::new(message, version, Fill::Random(Random::new(seed))));
        }
    }
}

const SEEDS: u64 = 12;
