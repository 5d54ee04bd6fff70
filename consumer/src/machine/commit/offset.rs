//! Offsets as groups keep them.

use std::collections::BTreeMap;

use ottla_core::error::ErrorCode;
use ottla_core::types::TopicPartition;
pub use ottla_core::types::{Offset, Offsets};

/// Committed offsets as they were looked up; `None` of a partition that has none.
pub type CommittedOffsets = BTreeMap<TopicPartition, Option<Offset>>;

/// As [`CommittedOffsets`], with what the coordinator said of a partition in place of its offset.
pub type LookedUpOffsets = BTreeMap<TopicPartition, Result<Option<Offset>, ErrorCode>>;
