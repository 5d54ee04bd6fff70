//! The consumer of the ottla Kafka client: fetching, groups, assignors, commits.
//!
//! Users depend on the facade, `ottla`. Everything that decides is in [`machine`]: plain structures
//! that are told the time.
//!
//! | module | what it is for |
//! |---|---|
//! | [`config`] | the settings of a consumer |
//! | [`error`] | why a poll, a commit or a membership failed |
//! | [`listener`] | what an application does when partitions come and go |
//! | [`machine`] | what decides: positions, fetching, membership, commits |

#[cfg(feature = "net")]
mod batch;
#[cfg(feature = "net")]
mod builder;
pub mod config;
#[cfg(feature = "net")]
mod consumer;
#[cfg(feature = "net")]
pub mod driver;
pub mod error;
pub mod listener;
pub mod machine;
#[cfg(feature = "net")]
mod partitions;
#[cfg(feature = "net")]
mod record;
#[cfg(feature = "net")]
mod spans;
#[cfg(feature = "net")]
mod stream;

#[cfg(feature = "net")]
pub use batch::{Batch, BatchRecords, OwnedBatchRecords};
#[cfg(feature = "net")]
pub use builder::ConsumerBuilder;
#[cfg(feature = "net")]
pub use consumer::{Consumer, ConsumerEvent, ShutdownHandle};
pub use machine::membership::OnClose;
pub use machine::offsets::OffsetAndTimestamp;
pub use ottla_protocol::records::{Headers, RecordsError, TimestampType};
#[cfg(feature = "net")]
pub use partitions::{PartitionStream, Partitions};
#[cfg(feature = "net")]
pub use record::{ConsumerRecord, RecordRef};
#[cfg(feature = "net")]
pub use stream::ConsumerStream;
