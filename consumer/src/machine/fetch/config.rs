//! What a fetcher is told by settings.

use std::time::Duration;

use bytestring::ByteString;
use ottla_core::config::ClientConfig;
use ottla_core::retry::Backoff;

use super::Bounds;
use crate::config::{AutoOffsetReset, ConsumerConfig, IsolationLevel};

/// What a fetcher is told by settings.
#[derive(Debug, Clone)]
pub struct FetchConfig {
    /// Where to go on without an offset.
    pub reset: AutoOffsetReset,
    /// What is seen of transactions.
    pub isolation: IsolationLevel,
    /// Bytes that a broker waits for.
    pub min_bytes: u32,
    /// Bytes in one answer.
    pub max_bytes: u32,
    /// Bytes of one partition in one answer.
    pub max_partition_bytes: u32,
    /// How long a broker waits for the least bytes.
    pub max_wait: Duration,
    /// Bytes fetched and not delivered, over all brokers.
    pub buffer: usize,
    /// The rack of this client; empty for none.
    pub rack: ByteString,
    /// How long a nearer replica is read before the leader is asked again whether it still is.
    pub preferred_for: Duration,
    /// The first wait before asking again.
    pub retry_backoff: Duration,
    /// The longest wait before asking again.
    pub retry_backoff_max: Duration,
}

impl FetchConfig {
    /// Takes from the settings what a fetcher needs.
    #[must_use]
    pub fn new(client: &ClientConfig, consumer: &ConsumerConfig) -> Self {
        Self {
            reset: consumer.auto_offset_reset,
            isolation: consumer.isolation_level,
            min_bytes: consumer.fetch_min_bytes,
            max_bytes: consumer.fetch_max_bytes,
            max_partition_bytes: consumer.max_partition_fetch_bytes,
            max_wait: consumer.fetch_max_wait,
            buffer: consumer.fetch_buffer_memory,
            rack: client.client_rack.as_deref().unwrap_or_default().into(),
            preferred_for: client.metadata_max_age,
            retry_backoff: client.retry_backoff.max(Backoff::LEAST),
            retry_backoff_max: client.retry_backoff_max,
        }
    }

    /// Bytes of one partition that are enough for the moment: it is not asked again before some are
    /// delivered. One more answer may be under way by then, so that reading never waits for it.
    pub(super) fn enough(&self) -> usize {
        self.max_partition_bytes as usize
    }

    /// Where the records end for this consumer.
    pub(super) fn end_of(&self, bounds: &Bounds) -> Option<i64> {
        match self.isolation {
            IsolationLevel::ReadUncommitted => bounds.high_watermark,
            IsolationLevel::ReadCommitted => bounds.last_stable,
        }
    }
}
