//! Why record bytes were refused, and why a record could not be appended.

use crate::{compression::CompressionError, wire::varint::VarintError};

/// Why the bytes of a batch or message set were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// The frame or header of a batch is wrong.
    #[error("batch at byte {at}: {fault}")]
    Batch {
        /// Where the batch begins, counted from the first byte given.
        at: usize,
        /// What is wrong with it.
        fault: BatchFault,
    },
    /// The bytes are not those that were hashed: damage on the way or on disk.
    #[error("batch at offset {base_offset}: its CRC is {computed:#010x}, not {stored:#010x}")]
    CrcMismatch {
        /// The batch's base offset; for a legacy message, its offset.
        base_offset: i64,
        /// What the batch says.
        stored: u32,
        /// What its bytes say.
        computed: u32,
    },
    /// A record, or the way the records fill their section, is wrong.
    #[error("batch at offset {base_offset}, byte {at} of its records: {fault}")]
    Record {
        /// The batch's base offset; for a legacy message, its offset.
        base_offset: i64,
        /// Where the refused field begins, counted from the first byte of the records, once
        /// decompressed.
        at: usize,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// The records could not be decompressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

/// What is wrong with a batch's frame or header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchFault {
    /// There are fewer bytes than the batch says, where a whole one was promised.
    #[error("it needs {needed} bytes, {present} are present")]
    Truncated {
        /// Bytes that the batch, or its header, takes.
        needed: usize,
        /// Bytes there are.
        present: usize,
    },
    /// There are more bytes than the batch says, where exactly one was promised.
    #[error("{extra} bytes follow it")]
    TrailingBytes {
        /// Bytes after its end.
        extra: usize,
    },
    /// The length field is below what the header alone takes.
    #[error("length {length}")]
    Length {
        /// The field's value.
        length: i32,
    },
    /// The magic is not one that the caller, or anybody, reads.
    #[error("magic {magic}")]
    Magic {
        /// The field's value.
        magic: i8,
    },
    /// The offset is negative, or the last offset has no successor.
    #[error("base offset {base_offset} with last offset delta {last_offset_delta}")]
    Offsets {
        /// The base offset; for a legacy message, its offset.
        base_offset: i64,
        /// The last offset delta; for a legacy message, 0.
        last_offset_delta: i32,
    },
    /// The record count is negative.
    #[error("{count} records")]
    RecordCount {
        /// The count field.
        count: i32,
    },
}

/// What is wrong with a record or with the section that holds the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// A field goes on past the end of its record, or a record past the end of the section.
    #[error("the bytes end early")]
    Truncated,
    /// A varint that does not fit its type.
    #[error("a varint is too long")]
    VarintOverflow,
    /// A length or count below 0 where nothing can be null.
    #[error("length or count {length}")]
    NegativeLength {
        /// The field's value.
        length: i32,
    },
    /// A record is longer than its fields.
    #[error("{bytes} bytes after the record's last field")]
    LeftoverBytes {
        /// Bytes left over.
        bytes: usize,
    },
    /// The section cannot hold the records that the header counts, or ran out of them.
    #[error("{missing} more records were promised")]
    MissingRecords {
        /// Records that are not there.
        missing: u32,
    },
    /// The section goes on after the records that the header counts.
    #[error("{bytes} bytes after the last record")]
    TrailingBytes {
        /// Bytes left over.
        bytes: usize,
    },
    /// The offsets in a legacy wrapper must ascend, and stay within its own.
    #[error("offset {offset} after {previous}, in a batch that ends at {last}")]
    OffsetOrder {
        /// What the record's offset would be.
        offset: i64,
        /// The offset of the record before; −1 if there is none.
        previous: i64,
        /// The wrapper's offset.
        last: i64,
    },
    /// A message in a legacy wrapper is of another magic than the wrapper.
    #[error("magic {magic} within a wrapper of another")]
    InnerMagic {
        /// The inner message's magic.
        magic: i8,
    },
    /// A message in a legacy wrapper is a wrapper itself.
    #[error("a compressed message within a compressed message")]
    NestedCompression,
    /// A legacy wrapper holds nothing.
    #[error("a wrapper without messages")]
    EmptyWrapper,
    /// A control record's key or value is too short to say what it is.
    #[error("a control record of {len} bytes")]
    ControlRecord {
        /// Bytes of the key or value.
        len: usize,
    },
}

impl From<VarintError> for RecordFault {
    fn from(error: VarintError) -> Self {
        match error {
            VarintError::Truncated => Self::Truncated,
            VarintError::Overflow => Self::VarintOverflow,
        }
    }
}

/// Why a record could not be appended. The builder is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A key, a value, the headers or the whole record need more than `i32::MAX` bytes: no batch
    /// can hold it.
    #[error("the record is too large to encode")]
    RecordTooLarge,
    /// The record would take the batch beyond `i32::MAX` bytes: seal it and begin another.
    #[error("the batch cannot take another {size} bytes")]
    BatchFull {
        /// Bytes that the record needs.
        size: usize,
    },
    /// An offset delta must be above the one before; none is above `i32::MAX`.
    #[error("offset delta {offset_delta} after {previous}")]
    OffsetDelta {
        /// The delta asked for.
        offset_delta: i32,
        /// The last one appended; −1 when there is none.
        previous: i32,
    },
}

/// Why a batch could not be sealed with compression. The builder is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Compression made the batch larger than `i32::MAX` bytes.
    #[error("the compressed batch takes {len} bytes")]
    TooLarge {
        /// Bytes of the batch.
        len: usize,
    },
    /// The codec is off, or gave up.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}
