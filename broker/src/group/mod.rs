//! The group coordinator: classic groups, and the offsets that any group commits.

mod classic;
mod member;
mod offsets;
mod subscription;

use std::time::Duration;

/// Names a parked join or sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WaitId(u64);

/// The settings of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupConfig {
    /// `group.initial.rebalance.delay.ms` (KIP-134).
    pub(crate) initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub(crate) min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub(crate) max_session_timeout: Duration,
    /// `group.max.size`, in members (KIP-389).
    pub(crate) max_size: usize,
    /// `offset.metadata.max.bytes`.
    pub(crate) offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes` (KIP-211).
    pub(crate) offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub(crate) offsets_retention_check_interval: Duration,
}

impl Default for GroupConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            initial_rebalance_delay: Duration::from_secs(3),
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_secs(30 * 60),
            max_size: i32::MAX.unsigned_abs() as usize,
            offset_metadata_max_bytes: 4096,
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            offsets_retention_check_interval: Duration::from_secs(10 * 60),
        }
    }
}
