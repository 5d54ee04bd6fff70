//! Record batches: what a producer sends, a broker stores and a consumer fetches.
//!
//! **Writing.** A [`BatchBuilder`] encodes each record at append into one buffer, behind a hole for
//! the header; sealing fills the hole, with or without compression. The [`SealedBatch`] can be
//! stamped again with another sequence, offset or epoch without touching its records.
//!
//! **Reading.** [`Batches`] walks the batches of a fetched partition by their headers alone. What
//! costs something is done when it is asked for: [`RecordBatch::verify_crc`] hashes, and a
//! [`BatchDecoder`] decompresses and lends [`Record`] views, or gives [`OwnedRecord`]s that hold
//! one refcount each. The bytes are hostile until proven otherwise: nothing here panics, loops or
//! allocates on their word alone, and every error says what is wrong and where.
//!
//! ```text
//! Batches ──> Batch::V2(RecordBatch)       ──BatchDecoder──> Records / OwnedRecords
//!         └─> Batch::Legacy(LegacyMessage) ──BatchDecoder──> LegacyRecords / OwnedLegacyRecords
//! ```
//!
//! Batches of magic 2 (KIP-98) are read and written; message sets of magic 0 and 1 are only read.

mod attributes;
mod batch;
mod batches;
mod builder;
mod control;
mod crc;
mod cursor;
mod decoder;
mod encode;
mod error;
mod fields;
mod header;
mod legacy;
mod owned;
mod record;
mod sealed;

#[cfg(test)]
mod tests;

pub use attributes::{Attributes, TimestampType};
pub use batch::RecordBatch;
pub use batches::{Batch, Batches};
pub use builder::{BatchBuilder, SealOptions};
pub use control::{ControlRecordKey, ControlRecordType, EndTransactionMarker};
pub use cursor::Records;
pub use decoder::BatchDecoder;
pub use encode::NewRecord;
pub use error::{AppendError, BatchFault, RecordFault, RecordsError, SealError};
pub use header::{BatchHeader, ProducerStamp};
pub use legacy::{LegacyMessage, LegacyRecords};
pub use owned::{OwnedLegacyRecords, OwnedRecord, OwnedRecords, Section};
pub use record::{Header, Headers, HeadersIter, Record};
pub use sealed::SealedBatch;
