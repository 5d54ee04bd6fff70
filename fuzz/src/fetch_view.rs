//! The walk over a Fetch response, against the structures that are read of the same bytes.

use bytes::Bytes;
use ottla_protocol::messages::FetchResponse;
use ottla_protocol::messages::fetch::{NodeEndpoint, PartitionData};
use ottla_protocol::{DecodeError, FetchView, Message, PartitionView, Uuid};

/// The first byte is the version, the rest a Fetch response. The walk says what decoding says: the
/// same partitions, or the same error in the same place.
pub fn fetch_view(data: &[u8]) {
    let [version, body @ ..] = data else { return };
    let (frame, version) = (Bytes::copy_from_slice(body), i16::from(*version));
    assert_eq!(walked(&frame, version), decoded(&frame, version));
}

type Said = ([i32; 3], Vec<(String, Uuid, PartitionData)>, Vec<NodeEndpoint>);

fn walked(frame: &Bytes, version: i16) -> Result<Said, DecodeError> {
    let mut walk = FetchView::new(frame, version)?;
    let mut partitions = Vec::new();
    while let Some(partition) = walk.next()? {
        assert_eq!(partition.records(), partition.record_bytes());
        partitions.push((partition.topic.to_owned(), partition.topic_id, said_of(partition)));
    }
    assert!(matches!(walk.next(), Ok(None)), "the end is the end");
    let front = [walk.throttle_time_ms, i32::from(walk.error_code), walk.session_id];
    Ok((front, partitions, walk.node_endpoints().to_vec()))
}

fn said_of(partition: &PartitionView<'_>) -> PartitionData {
    let aborted: Vec<_> = partition.aborted_transactions().collect();
    PartitionData {
        partition_index: partition.partition_index,
        error_code: partition.error_code,
        high_watermark: partition.high_watermark,
        last_stable_offset: partition.last_stable_offset,
        log_start_offset: partition.log_start_offset,
        diverging_epoch: partition.diverging_epoch.clone(),
        current_leader: partition.current_leader.clone(),
        snapshot_id: partition.snapshot_id.clone(),
        aborted_transactions: Some(aborted),
        preferred_read_replica: partition.preferred_read_replica,
        records: Some(partition.records().into()),
        ..PartitionData::default()
    }
}

fn decoded(frame: &Bytes, version: i16) -> Result<Said, DecodeError> {
    let response = FetchResponse::decode(frame, version)?;
    let mut partitions = Vec::new();
    for topic in response.responses {
        for mut partition in topic.partitions {
            // What a view says alike, or leaves out.
            partition.aborted_transactions.get_or_insert_default();
            partition.records.get_or_insert_default();
            partition.unknown_tagged_fields = Default::default();
            partitions.push((topic.topic.to_string(), topic.topic_id, partition));
        }
    }
    let front = [response.throttle_time_ms, i32::from(response.error_code), response.session_id];
    Ok((front, partitions, response.node_endpoints))
}
