//! The spans of a consumer, with the names that OpenTelemetry gives their fields: all of them here,
//! because the conventions are still moving (these are those of 1.44). Never a key, a value or a
//! header.

use ottla_core::types::TopicPartition;
use tracing::Span;
use tracing::field::{Empty, display};

use crate::batch::Batch;
use crate::machine::commit::Offsets;

/// One poll of the application. What it brings is recorded by [`delivered`].
pub(crate) fn poll(group: Option<&str>) -> Span {
    tracing::debug_span!(
        "poll",
        "messaging.system" = "kafka",
        "messaging.operation.name" = "poll",
        "messaging.operation.type" = "receive",
        "messaging.consumer.group.name" = group,
        "messaging.destination.name" = Empty,
        "messaging.destination.partition.id" = Empty,
        "messaging.kafka.offset" = Empty,
    )
}

/// Records what a poll has brought.
pub(crate) fn delivered(span: &Span, batch: &Batch) {
    record_place(span, batch.topic_partition(), batch.first_offset());
}

/// One request that commits.
pub(crate) fn commit(group: &str, offsets: &Offsets) -> Span {
    let span = tracing::debug_span!(
        "commit",
        "messaging.system" = "kafka",
        "messaging.operation.name" = "commit",
        "messaging.operation.type" = "settle",
        "messaging.consumer.group.name" = group,
        "messaging.destination.name" = Empty,
        "messaging.destination.partition.id" = Empty,
        "messaging.kafka.offset" = Empty,
        partitions = offsets.len(),
    );
    // A field holds one value: of several partitions, how many there are has to do.
    if let (Some((partition, offset)), 1) = (offsets.first_key_value(), offsets.len()) {
        record_place(&span, partition, offset.offset);
    }
    span
}

/// What the application does about one change of its assignment; its listener runs within.
pub(crate) fn rebalance(group: Option<&str>) -> Span {
    tracing::info_span!(
        "rebalance",
        "messaging.system" = "kafka",
        "messaging.operation.name" = "rebalance",
        "messaging.consumer.group.name" = group,
    )
}

fn record_place(span: &Span, partition: &TopicPartition, offset: i64) {
    if span.is_disabled() {
        return;
    }
    span.record("messaging.destination.name", partition.topic.as_str());
    span.record("messaging.destination.partition.id", display(partition.partition));
    span.record("messaging.kafka.offset", offset);
}
