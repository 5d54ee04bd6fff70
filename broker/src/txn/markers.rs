//! The markers that end transactions: written for the coordinator, or by an operator with
//! `WriteTxnMarkers`.

use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
    WritableTxnMarkerTopic, WritableTxnMarkerTopicResult, WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
};
use ottla_protocol::records::{ControlRecordType, SealedBatch};

use super::{DueMarker, Marker, Producer, Target, WrittenMarker};
use crate::group::TransactionResult;
use crate::log::incoming::Incoming;
use crate::world::catalog::{CoordinatorType, TopicKey};
use crate::world::{
    Acknowledgements, Context, Flow, Now, Resume, Timer, Unacknowledged, Why, World,
};

impl World {
    /// Writes the markers that transactions owe, wherever there is a leader to take them; the
    /// others wait until there is one.
    pub(crate) fn write_markers(&mut self, now: Now) {
        for due in self.transactions.due_markers() {
            let progress = self.write_marker(&due, now);
            self.transactions.handle_marker(&due, progress, now);
        }
        if self.transactions.owes_markers() {
            self.schedule(now.mono + RETRY, Timer::Markers);
        }
    }

    /// How far the marker has come; `None` when its target has ended.
    fn write_marker(&mut self, due: &DueMarker, now: Now) -> Option<Marker> {
        match &due.target {
            Target::Partition(topic, index) => self.end_in_partition(due, topic, *index, now),
            Target::Offsets(group) => {
                let coordinator = self.catalog.coordinator(CoordinatorType::Group, group);
                if coordinator.is_none() {
                    return Some(Marker::Due);
                }
                self.groups.handle_transaction_end(group, due.producer.id, due.result);
                None
            }
        }
    }

    fn end_in_partition(
        &mut self,
        due: &DueMarker,
        topic: &str,
        index: i32,
        now: Now,
    ) -> Option<Marker> {
        // A topic that is gone has nothing to end; one that has its name now gets the marker.
        let id = self.catalog.topic(TopicKey::Name(topic)).ok()?.id;
        let written = match due.marker {
            Marker::Written(written) if self.is_led_since(written, index) => written,
            Marker::Due | Marker::Written(_) => {
                let text = MarkerText {
                    producer: due.producer,
                    result: due.result,
                    coordinator_epoch: due.coordinator_epoch,
                };
                match self.append_marker(topic, index, &text, now) {
                    Ok(Unacknowledged { last: offset, epoch: leader_epoch, .. }) => {
                        WrittenMarker { topic: id, leader_epoch, offset }
                    }
                    Err(ErrorCode::UnknownTopicOrPartition) => return None,
                    Err(_) => return Some(Marker::Due),
                }
            }
        };
        let partition = self.catalog.topic(TopicKey::Id(id)).ok()?.partition(index).ok()?;
        let committed = partition.leader_log().is_some_and(|l| l.high_watermark() > written.offset);
        (!committed).then_some(Marker::Written(written))
    }

    /// Whether the leader that took a marker still leads, so that it has it.
    fn is_led_since(&self, written: WrittenMarker, index: i32) -> bool {
        let leader = self.catalog.leader(TopicKey::Id(written.topic), index);
        leader.is_some_and(|(_, epoch)| epoch == written.leader_epoch)
    }

    /// Appends a marker to a partition, as with `acks = -1`.
    fn append_marker(
        &mut self,
        topic: &str,
        index: i32,
        text: &MarkerText,
        now: Now,
    ) -> Result<Unacknowledged, ErrorCode> {
        let key = TopicKey::Name(topic);
        let id = self.catalog.topic(key)?.id;
        let batch = text.batch(now)?;
        let (last, epoch, lagging) =
            self.catalog.with_partition(key, index, now, |partition, around| {
                let appended = partition.append_marker(&batch, around)?;
                Ok::<_, ErrorCode>((appended.last, partition.epoch(), partition.has_laggards()))
            })??;
        self.wake_partition(id, index);
        if lagging {
            self.watch_lag(now);
        }
        Ok(Unacknowledged { topic: id, partition: index, last, epoch })
    }
}

/// What a marker says.
#[derive(Debug, Clone, Copy)]
struct MarkerText {
    producer: Producer,
    result: TransactionResult,
    coordinator_epoch: i32,
}

impl MarkerText {
    fn batch(&self, now: Now) -> Result<Incoming, ErrorCode> {
        let kind = match self.result {
            TransactionResult::Commit => ControlRecordType::Commit,
            TransactionResult::Abort => ControlRecordType::Abort,
        };
        let Producer { id, epoch } = self.producer;
        let sealed =
            SealedBatch::end_transaction(kind, self.coordinator_epoch, id, epoch, now.wall_ms);
        let sealed = sealed.map_err(|_| ErrorCode::UnknownServerError)?;
        Ok(Incoming::trusted(sealed.freeze()))
    }
}

/// `WriteTxnMarkers` that waits for its markers to be committed.
#[derive(Debug)]
pub(crate) struct MarkerWait {
    response: WriteTxnMarkersResponse,
    /// By the marker, the topic and the partition within the response.
    acknowledgements: Acknowledgements<[usize; 3]>,
}

/// `WriteTxnMarkers`: how an operator ends a transaction that hangs (KIP-664). It is answered when
/// the in-sync replicas have every marker.
pub(super) fn write_txn_markers(
    world: &mut World,
    cx: &Context,
    request: WriteTxnMarkersRequest,
) -> Flow {
    let timeout = i32::try_from(world.settings.number("request.timeout.ms")).unwrap_or(0);
    let acknowledgements = Acknowledgements::new(cx.deadline(timeout));
    let mut wait = MarkerWait { response: WriteTxnMarkersResponse::default(), acknowledgements };
    for marker in &request.markers {
        let (producer_id, topics) = (marker.producer_id, Vec::with_capacity(marker.topics.len()));
        let result = WritableTxnMarkerResult { producer_id, topics, ..Default::default() };
        wait.response.markers.push(result);
        marker.topics.iter().for_each(|topic| wait.write_in_topic(world, cx, marker, topic));
    }
    wait.settle(world, cx, Why::Woken)
}

impl MarkerWait {
    fn write_in_topic(
        &mut self,
        world: &mut World,
        cx: &Context,
        marker: &WritableTxnMarker,
        topic: &WritableTxnMarkerTopic,
    ) {
        let at = self.response.markers.len().saturating_sub(1);
        let Some(result) = self.response.markers.last_mut() else { return };
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for index in topic.partition_indexes.iter().copied() {
            let outcome = write_in_partition(world, cx, marker, &topic.name, index);
            let place = [at, result.topics.len(), partitions.len()];
            let error = outcome.map(|append| self.acknowledgements.push(place, append)).err();
            partitions.push(WritableTxnMarkerPartitionResult {
                partition_index: index,
                error_code: error.unwrap_or(ErrorCode::None).code(),
                ..Default::default()
            });
        }
        let name = topic.name.clone();
        result.topics.push(WritableTxnMarkerTopicResult { name, partitions, ..Default::default() });
    }

    /// Answers if every marker is settled, and waits on if not.
    pub(crate) fn settle(mut self, world: &mut World, cx: &Context, why: Why) -> Flow {
        for (place, code) in self.acknowledgements.settle(world, cx, why) {
            if let Some(row) = self.row(place) {
                row.error_code = code.code();
            }
        }
        if self.acknowledgements.is_empty() {
            return self.response.into();
        }
        let (keys, until) = (self.acknowledgements.keys(), self.acknowledgements.until);
        world.park(&keys, Some(until), Resume::Markers(self))
    }

    fn row(&mut self, place: [usize; 3]) -> Option<&mut WritableTxnMarkerPartitionResult> {
        let [marker, topic, row] = place;
        let marker = self.response.markers.get_mut(marker)?;
        marker.topics.get_mut(topic)?.partitions.get_mut(row)
    }
}

fn write_in_partition(
    world: &mut World,
    cx: &Context,
    marker: &WritableTxnMarker,
    topic: &str,
    index: i32,
) -> Result<Unacknowledged, ErrorCode> {
    cx.item(topic, index)?;
    let partition = world.catalog.topic(TopicKey::Name(topic))?.partition(index)?;
    // Kafka looks among the replicas that it has, and knows of no other partition here.
    partition.log(cx.node).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let producers = partition.led_by(cx.node)?.producers();
    producers.check_marker(
        marker.producer_id,
        marker.producer_epoch,
        marker.coordinator_epoch,
        marker.transaction_version,
    )?;
    let result = if marker.transaction_result {
        TransactionResult::Commit
    } else {
        TransactionResult::Abort
    };
    let text = MarkerText {
        producer: Producer { id: marker.producer_id, epoch: marker.producer_epoch },
        result,
        coordinator_epoch: marker.coordinator_epoch,
    };
    world.append_marker(topic, index, &text, cx.now)
}

/// How long a marker waits that no leader takes, unless the cluster changes before.
const RETRY: Duration = Duration::from_millis(100);
