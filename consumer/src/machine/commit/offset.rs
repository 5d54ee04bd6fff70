//! Offsets as groups keep them.

use std::collections::BTreeMap;

use ottla_core::types::TopicPartition;
pub use ottla_core::types::{Offset, Offsets};

/// Committed offsets as they were looked up; `None` of a partition that has none.
pub type CommittedOffsets = BTreeMap<TopicPartition, Option<Offset>>;
