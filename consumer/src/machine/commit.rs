//! Offsets on their way to the coordinator, and back.

mod error;
mod marks;
mod offset;

pub use error::CommitError;
pub use marks::{MarkedPartition, Marks};
pub use offset::{CommittedOffsets, Offset, Offsets};
