//! Produce and Fetch.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::fetch::{
    FetchPartition, FetchTopic, FetchableTopicResponse, PartitionData,
};
use ottla_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, TopicProduceData, TopicProduceResponse,
};
use ottla_protocol::messages::{FetchRequest, FetchResponse, ProduceRequest, ProduceResponse};
use ottla_protocol::records::{BatchHeader, RecordBatch};
use ottla_protocol::{ByteString, Uuid};

use crate::broker::Refused;
use crate::canned::CannedLog;
use crate::counts::Flow;

/// What is produced, which is counted, and what is fetched, which never changes.
#[derive(Debug)]
pub(crate) struct Data {
    log: CannedLog,
    delay: Duration,
    verify: bool,
    /// The next offset of each partition that was produced to, by topic: its name or its id, the
    /// other is empty.
    next_offsets: BTreeMap<(ByteString, Uuid), Vec<i64>>,
}

impl Data {
    pub(crate) fn new(log: CannedLog, delay: Duration, verify: bool) -> Self {
        Self { log, delay, verify, next_offsets: BTreeMap::new() }
    }

    /// The offset behind the last record that can be fetched.
    pub(crate) fn end(&self) -> i64 {
        self.log.end()
    }

    pub(crate) fn produce(
        &mut self,
        request: ProduceRequest,
        flow: &mut Flow,
    ) -> Result<(ProduceResponse, Duration), Refused> {
        flow.requests += 1;
        let topics = request.topic_data.into_iter().map(|topic| self.append_all(topic, flow));
        let responses = topics.collect::<Result<_, _>>()?;
        Ok((ProduceResponse { responses, ..Default::default() }, self.delay))
    }

    fn append_all(
        &mut self,
        topic: TopicProduceData,
        flow: &mut Flow,
    ) -> Result<TopicProduceResponse, Refused> {
        let TopicProduceData { name, topic_id, partition_data, .. } = topic;
        let verify = self.verify;
        let offsets = self.next_offsets.entry((name.clone(), topic_id)).or_default();
        let rows = partition_data.into_iter().map(|partition| {
            let index = usize::try_from(partition.index).unwrap_or(0);
            if offsets.len() <= index {
                offsets.resize(index + 1, 0);
            }
            append(partition, &mut offsets[index], verify, flow)
        });
        let partition_responses = rows.collect::<Result<_, _>>()?;
        Ok(TopicProduceResponse { name, topic_id, partition_responses, ..Default::default() })
    }

    pub(crate) fn fetch(
        &self,
        request: FetchRequest,
        flow: &mut Flow,
    ) -> (FetchResponse, Duration) {
        flow.requests += 1;
        let before = flow.bytes;
        let mut room = usize::try_from(request.max_bytes).unwrap_or(0);
        let topics = request.topics.into_iter().map(|topic| self.read_all(topic, &mut room, flow));
        let responses = topics.collect();
        let wait = Duration::from_millis(request.max_wait_ms.try_into().unwrap_or(0));
        let hold = if flow.bytes == before { wait.max(self.delay) } else { self.delay };
        (FetchResponse { responses, ..Default::default() }, hold)
    }

    fn read_all(
        &self,
        topic: FetchTopic,
        room: &mut usize,
        flow: &mut Flow,
    ) -> FetchableTopicResponse {
        let FetchTopic { topic, topic_id, partitions, .. } = topic;
        let whole = *room;
        let rows = partitions.iter().map(|asked| {
            let row = self.read(asked, *room, *room == whole, flow);
            *room = room.saturating_sub(row.records.as_ref().map_or(0, |records| records.len()));
            row
        });
        FetchableTopicResponse { topic, topic_id, partitions: rows.collect(), ..Default::default() }
    }

    fn read(
        &self,
        asked: &FetchPartition,
        room: usize,
        first: bool,
        flow: &mut Flow,
    ) -> PartitionData {
        let limit = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(room);
        PartitionData {
            partition_index: asked.partition,
            high_watermark: self.log.end(),
            last_stable_offset: self.log.end(),
            log_start_offset: 0,
            records: Some(self.log.read(asked.fetch_offset, limit, first, flow)),
            preferred_read_replica: -1,
            ..Default::default()
        }
    }
}

fn append(
    partition: PartitionProduceData,
    next_offset: &mut i64,
    verify: bool,
    flow: &mut Flow,
) -> Result<PartitionProduceResponse, Refused> {
    let base_offset = *next_offset;
    let mut rest = partition.records.unwrap_or_default().into_bytes();
    while !rest.is_empty() {
        let header = BatchHeader::parse(&rest)?;
        let batch = take_batch(&mut rest, &header);
        if verify {
            RecordBatch::parse(batch.clone())?.verify_crc()?;
        }
        let records = header.record_count.unsigned_abs();
        flow.add_batch(records.into(), batch.len() as u64);
        *next_offset += i64::from(records);
    }
    Ok(PartitionProduceResponse {
        index: partition.index,
        base_offset,
        log_start_offset: 0,
        ..Default::default()
    })
}

fn take_batch(rest: &mut Bytes, header: &BatchHeader) -> Bytes {
    let len = header.batch_len().unwrap_or(rest.len());
    rest.split_to(len.min(rest.len()))
}
