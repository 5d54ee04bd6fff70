//! Batches into a Produce request, and its answer apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ottla_core::cluster::{BrokerInfo, LeaderHint, LeaderHints};
use ottla_core::conn::Outbox;
use ottla_core::error::{Certainty, ErrorCode, RequestError};
use ottla_core::types::{HostPort, LeaderEpoch, NodeId, TopicName, TopicPartition, Uuid};
use ottla_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceData, TopicProduceResponse,
};
use ottla_protocol::wire::RecordChunks;
use ottla_protocol::{Message, VersionRange};
use tracing::{Span, field};

use super::partition::Partition;
use crate::config::ProducerConfig;
use crate::error::{SendError, Trouble};
use crate::machine::delivery::BatchFailure;
use crate::machine::outcome::{Verdict, classify};
use crate::machine::queue::{Answered, Sending};
use crate::machine::transaction::Protocol;

/// A request in the making: one batch of each partition.
#[derive(Debug)]
pub(super) struct Draft {
    room: usize,
    topics: Vec<DraftTopic>,
    /// Where in `topics` each topic is, by its number.
    places: BTreeMap<usize, usize>,
    entries: Vec<Entry>,
    records: i64,
}

#[derive(Debug)]
struct DraftTopic {
    name: TopicName,
    id: Option<Uuid>,
    partitions: Vec<(i32, Bytes)>,
}

/// One attempt in a request.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) partition: Arc<Partition>,
    pub(super) attempt: u64,
    topic_id: Option<Uuid>,
}

impl Draft {
    pub(super) fn new(room: usize) -> Self {
        Self { room, topics: Vec::new(), places: BTreeMap::new(), entries: Vec::new(), records: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that the next batch may have. The first may have any number: it must go somehow.
    pub(super) fn room(&self) -> usize {
        if self.is_empty() { usize::MAX } else { self.room }
    }

    pub(super) fn add(&mut self, partition: Arc<Partition>, sending: Sending) {
        let Sending { attempt, bytes, records } = sending;
        self.records += i64::from(records);
        self.room = self.room.saturating_sub(bytes.len());
        let shared = &partition.topic;
        let topics = &mut self.topics;
        let place = *self.places.entry(shared.number).or_insert_with(|| {
            let (name, id) = (shared.name.clone(), shared.id());
            topics.push(DraftTopic { name, id, partitions: Vec::new() });
            topics.len() - 1
        });
        let Some(topic) = topics.get_mut(place) else { return };
        topic.partitions.push((partition.index, bytes));
        self.entries.push(Entry { partition, attempt, topic_id: topic.id });
    }

    /// The newest version that both speak. From 13 on topics go by their ids, so all must have one;
    /// from 12 on leaders take partitions into transactions, which protocol 1 does by itself.
    pub(super) fn version(
        &self,
        outbox: &Outbox<'_>,
        protocol: Option<Protocol>,
    ) -> Result<i16, RequestError> {
        let known = self.topics.iter().all(|topic| topic.id.is_some());
        let newest = if known { ProduceRequest::VERSIONS.max } else { LAST_BY_NAME };
        let oldest = ProduceRequest::VERSIONS.min;
        let ours = match protocol {
            None => VersionRange::new(oldest, newest),
            Some(Protocol::One) => VersionRange::new(oldest, FIRST_THAT_ENLISTS - 1),
            Some(Protocol::Two) => VersionRange::new(FIRST_THAT_ENLISTS, newest),
        };
        outbox.version_within::<ProduceRequest>(ours)
    }

    pub(super) fn request(&self, config: &ProducerConfig) -> ProduceRequest {
        ProduceRequest {
            transactional_id: config.transactional_id.clone(),
            acks: config.acks.to_wire(),
            timeout_ms: i32::try_from(config.request_timeout.as_millis()).unwrap_or(i32::MAX),
            topic_data: self.topics.iter().map(DraftTopic::to_wire).collect(),
            ..ProduceRequest::default()
        }
    }

    /// What a trace shows of it, in OpenTelemetry's words for messaging.
    pub(super) fn span(&self, node: NodeId) -> Span {
        let span = tracing::debug_span!(
            "send",
            messaging.system = "kafka",
            messaging.operation.name = "send",
            messaging.operation.type = "send",
            messaging.batch.message_count = self.records,
            messaging.destination.name = field::Empty,
            messaging.destination.partition.id = field::Empty,
            error.type = field::Empty,
            %node,
        );
        if let [entry] = &*self.entries {
            span.record("messaging.destination.name", entry.partition.topic.name.as_str());
            span.record("messaging.destination.partition.id", entry.partition.index);
        }
        span
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

impl DraftTopic {
    fn to_wire(&self) -> TopicProduceData {
        let partitions = self.partitions.iter().map(|(index, bytes)| {
            let mut records = RecordChunks::new();
            records.push(bytes.clone());
            let records = Some(records);
            PartitionProduceData { index: *index, records, ..PartitionProduceData::default() }
        });
        TopicProduceData {
            name: self.name.to_wire(),
            topic_id: self.id.unwrap_or_default(),
            partition_data: partitions.collect(),
            ..TopicProduceData::default()
        }
    }
}

impl Entry {
    pub(super) fn place(&self) -> TopicPartition {
        TopicPartition::new(self.partition.name().clone(), self.partition.index)
    }

    /// What a request without an answer means for its attempt.
    pub(super) fn unanswered(&self, error: &Arc<RequestError>) -> Answered {
        let certainty = error.certainty();
        match &**error {
            RequestError::UnsupportedVersion { .. } | RequestError::Encode { .. } => {
                let source = Arc::clone(error);
                self.refused(SendError::Request { partition: self.place(), source, certainty })
            }
            _ => Answered::Retry { certainty, trouble: Trouble::Request(Arc::clone(error)) },
        }
    }

    fn refused(&self, error: SendError) -> Answered {
        let certainty = error.certainty();
        let failure = BatchFailure { error, refused: BTreeMap::new(), body: None };
        Answered::Refused { failure, certainty }
    }

    /// What an answer means for its attempt.
    fn answered(&self, answer: &PartitionProduceResponse) -> Answered {
        let code = ErrorCode::from_code(answer.error_code);
        let trouble = Trouble::Code(code);
        match classify(code) {
            Verdict::Acknowledged => Answered::Acknowledged {
                base_offset: known(answer.base_offset),
                log_append_time: known(answer.log_append_time_ms),
            },
            Verdict::Retry(certainty) | Verdict::RefreshAndRetry(certainty) => {
                Answered::Retry { certainty, trouble }
            }
            Verdict::Split => Answered::TooLarge,
            Verdict::OutOfOrder => Answered::OutOfOrder { trouble },
            // Where the broker cannot even tell where its log begins, the partition has just moved
            // away from it: the next answer will know more.
            Verdict::UnknownProducer => Answered::UnknownProducer {
                restart: known(answer.log_start_offset).is_some(),
                trouble,
            },
            Verdict::Refused(certainty) => self.refused_by(answer, code, certainty),
        }
    }

    fn refused_by(
        &self,
        answer: &PartitionProduceResponse,
        code: ErrorCode,
        certainty: Certainty,
    ) -> Answered {
        let message = answer.error_message.clone();
        let error = SendError::Refused { partition: self.place(), code, message, certainty };
        let named = answer.record_errors.iter().filter_map(|record| {
            let index = u32::try_from(record.batch_index).ok()?;
            Some((index, record.batch_index_error_message.clone()))
        });
        let failure = BatchFailure { error, refused: named.collect(), body: None };
        Answered::Refused { failure, certainty }
    }

    fn is(&self, topic: &TopicProduceResponse, index: i32) -> bool {
        self.partition.index == index
            && if topic.name.is_empty() {
                self.topic_id == Some(topic.topic_id)
            } else {
                *self.partition.name() == *topic.name
            }
    }
}

/// The answer to a request, matched with its attempts.
#[derive(Debug)]
pub(super) struct Reading {
    entries: Vec<Entry>,
    response: ProduceResponse,
}

impl Reading {
    pub(super) fn new(entries: Vec<Entry>, response: ProduceResponse) -> Self {
        Self { entries, response }
    }

    /// What became of each attempt, what is said about leaders, and whether the metadata is stale.
    pub(super) fn finish(self) -> (Vec<(Entry, Answered)>, LeaderHints, bool) {
        let Self { entries, response } = self;
        let mut hints = LeaderHints { leaders: Vec::new(), endpoints: endpoints(&response) };
        let mut stale = false;
        let mut answers: Vec<Option<Answered>> = entries.iter().map(|_| None).collect();
        // Brokers answer in the order of the request, so the next entry is nearly always meant.
        let mut next = 0;
        for topic in &response.responses {
            for answer in &topic.partition_responses {
                let Some(place) = find(&entries, next, topic, answer.index) else { continue };
                let Some(entry) = entries.get(place) else { continue };
                next = place + 1;
                let code = ErrorCode::from_code(answer.error_code);
                stale |= matches!(classify(code), Verdict::RefreshAndRetry(_));
                hints.leaders.extend(hint(entry, answer));
                if let Some(slot) = answers.get_mut(place) {
                    *slot = Some(entry.answered(answer));
                }
            }
        }
        let answers = entries.into_iter().zip(answers);
        let answers = answers.map(|(entry, answer)| (entry, answer.unwrap_or_else(forgotten)));
        (answers.collect(), hints, stale)
    }
}

fn find(entries: &[Entry], next: usize, topic: &TopicProduceResponse, index: i32) -> Option<usize> {
    let is = |entry: &Entry| entry.is(topic, index);
    if entries.get(next).is_some_and(is) {
        return Some(next);
    }
    entries.iter().position(is)
}

/// What an answer means that says nothing about one of the batches.
fn forgotten() -> Answered {
    let trouble = Trouble::Code(ErrorCode::UnknownServerError);
    Answered::Retry { certainty: Certainty::PossiblyWritten, trouble }
}

fn hint(entry: &Entry, answer: &PartitionProduceResponse) -> Option<LeaderHint> {
    let current = answer.current_leader.as_ref()?;
    Some(LeaderHint {
        partition: entry.place(),
        topic_id: entry.topic_id,
        leader: NodeId::from_wire(current.leader_id)?,
        epoch: LeaderEpoch::from_wire(current.leader_epoch)?,
    })
}

fn endpoints(response: &ProduceResponse) -> Vec<BrokerInfo> {
    let known = response.node_endpoints.iter().filter_map(|endpoint| {
        let port = u16::try_from(endpoint.port).ok()?;
        Some(BrokerInfo {
            id: NodeId::from_wire(endpoint.node_id)?,
            address: HostPort::new(&*endpoint.host, port),
            rack: endpoint.rack.as_deref().map(Into::into),
        })
    });
    known.collect()
}

/// A number of which −1 says that it is not known.
fn known(number: i64) -> Option<i64> {
    (number >= 0).then_some(number)
}

/// The last version in which topics go by their names.
const LAST_BY_NAME: i16 = 12;

/// The first version whose partitions become part of the transaction by being written to (KIP-890).
const FIRST_THAT_ENLISTS: i16 = 12;
