//! The codecs of record batches, with a bound on what they may unpack.
//!
//! Compressing and decompressing are done by [`Compressor`] and [`Decompressor`], which keep
//! contexts and tables for reuse: hold one of each per thread that packs or unpacks batches. What
//! is compressed is our own and trusted; what is decompressed is hostile until proven otherwise,
//! so every call states how many bytes it may yield, and no size that the bytes declare buys
//! memory on its own.
//!
//! Each codec is a Cargo feature (`gzip`, `snappy`, `lz4`, `zstd` or `zstd-pure`); one that is off
//! is a [`CompressionError::Disabled`] that names the feature.

mod codec;
mod compressor;
mod decompressor;
mod error;
mod output;

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "lz4")]
mod lz4_header;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(any(feature = "zstd", feature = "zstd-pure"))]
mod zstd;

#[cfg(test)]
mod tests;

pub use codec::{Codec, Compression};
pub use compressor::Compressor;
pub use decompressor::Decompressor;
pub(crate) use decompressor::HeaderChecksum;
pub use error::{CodecError, CompressionError};
