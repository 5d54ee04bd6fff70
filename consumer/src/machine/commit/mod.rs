//! Offsets on their way to the coordinator, and back.
//!
//! | type | what it decides |
//! |---|---|
//! | [`OffsetStore`] | what was processed and is not committed yet |
//! | [`Cursor`] | what was processed of the batch that is being read record by record |
//! | [`Marks`] | what was processed, where that happens out of order |
//! | [`Commits`] | which offsets to commit next, and what became of them |
//! | [`Lookups`] | which committed offsets to look up next |

mod commits;
mod error;
mod jobs;
mod lookups;
mod marks;
mod offset;
mod store;
#[cfg(test)]
mod tests;
mod wire;

pub use commits::{CommitCall, CommitId, Commits, Outcome, Refusal, Seat};
pub use error::CommitError;
pub use lookups::{LookupCall, LookupId, Lookups, Wait};
pub use marks::{MarkedPartition, Marks};
pub use offset::{CommittedOffsets, LookedUpOffsets, Offset, Offsets};
pub use store::{Cursor, OffsetStore};
pub use wire::{
    LookedUp, PartitionCodes, TopicIds, commit_codes, commit_request, is_unknown_topic, looked_up,
    lookup_request,
};
