//! A fetch answer, taken apart without looking into its records.

use std::time::Duration;

use bytes::Bytes;
use ottla_core::types::{LeaderEpoch, NodeId, TopicName};
use ottla_protocol::messages::fetch::NodeEndpoint;
use ottla_protocol::records::{
    Batch, BatchDecoder, Batches, ControlRecordKey, ControlRecordType, RecordBatch, RecordsError,
};
use ottla_protocol::{DecodeError, ErrorCode, FetchView, PartitionView, Uuid};

use super::Filter;
use crate::config::IsolationLevel;
use crate::machine::Position;

/// A fetch answer: what each partition brought, its batches still as they came.
#[derive(Debug)]
pub struct FetchAnswer {
    /// What is wrong with the session or the request, if anything is.
    pub code: ErrorCode,
    /// The session; 0 for none.
    pub session_id: i32,
    /// How long the broker asks to be left alone.
    pub throttle: Duration,
    /// The partitions, in the broker's order.
    pub partitions: Vec<PartitionAnswer>,
    /// Where the leaders are that partitions name (KIP-951).
    pub endpoints: Vec<NodeEndpoint>,
}

/// What one partition brought.
#[derive(Debug)]
pub struct PartitionAnswer {
    /// The topic, by the name that the answer has, or by its id.
    pub topic: TopicKey,
    /// The partition.
    pub partition: i32,
    /// What is wrong with it, if anything is.
    pub code: ErrorCode,
    /// Behind the newest record that consumers may see; `None` where the broker does not say.
    pub high_watermark: Option<i64>,
    /// Behind the newest record that readers of committed records may see.
    pub last_stable_offset: Option<i64>,
    /// The oldest record that is left.
    pub log_start_offset: Option<i64>,
    /// The replica that should be read instead (KIP-392).
    pub preferred_replica: Option<NodeId>,
    /// Where the log parts from what was read before: the last offset in common, and its epoch.
    pub diverging: Option<Position>,
    /// The leader, where this broker is not.
    pub leader: Option<(NodeId, Option<LeaderEpoch>)>,
    /// The batches that may be delivered.
    pub batches: Vec<FetchedBatch>,
    /// Where to go on after all that was walked, delivered or not; `None` when nothing was.
    pub next: Option<Position>,
    /// Why the walk ended early.
    pub fault: Option<RecordsError>,
    /// Bytes of a last batch that did not fit.
    pub cut_off: usize,
}

/// How an answer names a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicKey {
    /// Before version 13.
    Name(TopicName),
    /// From version 13 on.
    Id(Uuid),
}

/// A batch that may be delivered: a slice of the answer it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedBatch {
    /// The batch: its header parsed, its records as they came.
    pub batch: Batch,
    /// Where to go on after it, and after what follows it and may not be delivered.
    pub next: Position,
}

impl FetchedBatch {
    /// Bytes that it keeps.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.batch {
            Batch::V2(batch) => batch.bytes().len(),
            Batch::Legacy(message) => message.bytes().len(),
        }
    }

    /// Whether it keeps none, which no batch does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FetchAnswer {
    /// Takes an answer apart.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when `body` is no fetch answer in `version`.
    pub fn read(
        body: &Bytes,
        version: i16,
        level: IsolationLevel,
        control: &mut ControlReader,
    ) -> Result<Self, DecodeError> {
        let mut view = FetchView::new(body, version)?;
        let millis = u64::try_from(view.throttle_time_ms).unwrap_or(0);
        let mut answer = Self {
            code: ErrorCode::from_code(view.error_code),
            session_id: view.session_id,
            throttle: Duration::from_millis(millis),
            partitions: Vec::new(),
            endpoints: Vec::new(),
        };
        while let Some(partition) = view.next()? {
            answer.partitions.push(PartitionAnswer::read(partition, version, level, control));
        }
        answer.endpoints.extend_from_slice(view.node_endpoints());
        Ok(answer)
    }
}

impl PartitionAnswer {
    fn read(
        view: &PartitionView<'_>,
        version: i16,
        level: IsolationLevel,
        control: &mut ControlReader,
    ) -> Self {
        let offset = |raw: i64| (raw >= 0).then_some(raw);
        let topic = match version {
            ..13 => TopicKey::Name(view.topic.into()),
            _ => TopicKey::Id(view.topic_id),
        };
        let mut answer = Self {
            topic,
            partition: view.partition_index,
            code: ErrorCode::from_code(view.error_code),
            high_watermark: offset(view.high_watermark),
            last_stable_offset: offset(view.last_stable_offset),
            log_start_offset: offset(view.log_start_offset),
            preferred_replica: NodeId::from_wire(view.preferred_read_replica),
            diverging: view.diverging_epoch.as_ref().map(|end| Position {
                offset: end.end_offset,
                leader_epoch: LeaderEpoch::from_wire(end.epoch),
            }),
            leader: view.current_leader.as_ref().and_then(|leader| {
                let node = NodeId::from_wire(leader.leader_id)?;
                Some((node, LeaderEpoch::from_wire(leader.leader_epoch)))
            }),
            batches: Vec::new(),
            next: None,
            fault: None,
            cut_off: 0,
        };
        if !view.record_bytes().is_empty() {
            let filter = Filter::new(level, view.aborted_transactions());
            answer.walk(Batches::new(view.records()), filter, control);
        }
        answer
    }

    /// Walks the batches by their headers.
    fn walk(&mut self, mut batches: Batches, mut filter: Filter, control: &mut ControlReader) {
        for batch in &mut batches {
            let batch = match batch {
                Ok(batch) => batch,
                Err(fault) => {
                    self.fault = Some(fault);
                    return;
                }
            };
            match admit(&batch, &mut filter, control) {
                Ok(admitted) => self.push(batch, admitted),
                Err(fault) => {
                    self.fault = Some(fault);
                    return;
                }
            }
        }
        self.cut_off = batches.truncated_len();
    }

    fn push(&mut self, batch: Batch, admitted: bool) {
        let next = Position { offset: batch.next_offset(), leader_epoch: epoch_of(&batch) };
        self.next = Some(next);
        if admitted {
            self.batches.push(FetchedBatch { batch, next });
        } else if let Some(before) = self.batches.last_mut() {
            before.next = next;
        }
    }
}

/// Whether a batch may be delivered.
fn admit(
    batch: &Batch,
    filter: &mut Filter,
    control: &mut ControlReader,
) -> Result<bool, RecordsError> {
    let Batch::V2(batch) = batch else { return Ok(true) };
    if batch.header().attributes.is_control() {
        filter.handle_control(batch.header(), control.marker(batch)?);
        return Ok(false);
    }
    // Compaction may leave the header of a batch alone.
    Ok(filter.admits(batch.header()) && batch.header().record_count > 0)
}

fn epoch_of(batch: &Batch) -> Option<LeaderEpoch> {
    match batch {
        Batch::V2(batch) => LeaderEpoch::from_wire(batch.header().partition_leader_epoch),
        Batch::Legacy(_) => None,
    }
}

/// Reads what control batches say. They are small, and what they say decides about others, so their
/// checksum is always verified.
#[derive(Debug)]
pub struct ControlReader(BatchDecoder);

impl Default for ControlReader {
    fn default() -> Self {
        Self(BatchDecoder::new(CONTROL_BATCH))
    }
}

/// Bytes that a control batch may unpack to: it has one record of some twenty bytes.
const CONTROL_BATCH: usize = 64 << 10;

impl ControlReader {
    /// What a control batch says; `None` when compaction emptied it.
    fn marker(&mut self, batch: &RecordBatch) -> Result<Option<ControlRecordType>, RecordsError> {
        batch.verify_crc()?;
        let Some(record) = self.0.records(batch)?.next() else { return Ok(None) };
        // A key that nobody can read is of a type that is not known here: passed over.
        Ok(ControlRecordKey::parse(&record?).ok().map(|key| key.record_type))
    }
}
