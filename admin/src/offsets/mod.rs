//! Offsets of partitions, offsets of groups, and how far apart they are.

mod alter;
mod committed;
mod delete;
mod lag;
mod list;
mod names;
mod records;

pub use alter::{AlterGroupOffsets, NewOffset};
pub use committed::{CommittedOffset, ListGroupOffsets};
pub(crate) use committed::{FetchOffsets, FetchedOffset};
pub use delete::DeleteGroupOffsets;
pub use lag::{GroupLag, Lag, PartitionLag};
pub use list::{Isolation, ListOffsets, ListedOffset, OffsetSpec};
pub(crate) use names::TopicNames;
pub use records::{DeleteBefore, DeleteRecords};
