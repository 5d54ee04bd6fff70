//! Why bytes could not be compressed or decompressed, and why a codec could not be configured.

use super::Compression;

/// Why bytes could not be compressed or decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompressionError {
    /// A batch names a codec that Kafka has not assigned (5 to 7).
    #[error("unknown compression codec id {id}")]
    UnknownCodec {
        /// The three bits found in the attributes.
        id: u8,
    },
    /// The codec is not part of this build.
    #[error("{compression} needs the Cargo feature `{feature}` of `ottla-protocol`")]
    Disabled {
        /// The codec asked for.
        compression: Compression,
        /// The Cargo feature that would bring it.
        feature: &'static str,
    },
    /// The bytes unpack to more than the caller allowed.
    #[error("the decompressed size is above the limit of {limit} bytes")]
    OutputTooLarge {
        /// The caller's limit, in bytes.
        limit: usize,
    },
    /// The bytes are not what the codec writes.
    #[error("corrupt {compression} data at byte {at}: {reason}")]
    Corrupt {
        /// The codec that refused them.
        compression: Compression,
        /// Where the refused member, frame or block begins, counted from the first compressed byte.
        at: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The bytes refer further back than `zstd-pure` can; the C library can read them.
    #[error(
        "zstd data with a window of {window} bytes, and the Cargo feature `zstd-pure` of \
         `ottla-protocol` keeps {max}: build with the feature `zstd`"
    )]
    WindowTooLarge {
        /// How far back the bytes may refer, in bytes.
        window: u64,
        /// How far back this build can, in bytes.
        max: u64,
    },
    /// The codec could not compress; out of memory is the only cause we know of.
    #[error("{compression} could not compress: {reason}")]
    Failed {
        /// The codec that gave up.
        compression: Compression,
        /// The codec's own words.
        reason: &'static str,
    },
}

/// Why a codec cannot be configured as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Not one of Kafka's names.
    #[error("unknown compression type `{name}`: expected none, gzip, snappy, lz4 or zstd")]
    UnknownName {
        /// The name given.
        name: String,
    },
    /// The codec has levels, but not this one (KIP-390).
    #[error("{compression} has no level {level}: expected {min} to {max}")]
    LevelOutOfRange {
        /// The codec.
        compression: Compression,
        /// The level asked for.
        level: i32,
        /// Its lowest level.
        min: i32,
        /// Its highest level.
        max: i32,
    },
    /// The codec has no levels at all.
    #[error("{compression} has no levels")]
    NoLevels {
        /// The codec.
        compression: Compression,
    },
}
