//! Unpacks records, keeping each codec's context for the next time.

use super::{Compression, CompressionError, output::Output};

/// Decompresses one batch after another, reusing each codec's context.
///
/// A context is built at its codec's first use. One decompressor belongs to one thread at a time.
#[derive(Debug, Default)]
pub struct Decompressor {
    #[cfg(feature = "gzip")]
    gzip: Option<super::gzip::Inflater>,
    #[cfg(any(feature = "zstd", feature = "zstd-pure"))]
    zstd: Option<super::zstd::Decoder>,
}

/// Whether an lz4 frame's header checksum counts: Kafka's v0 message sets carry wrong ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderChecksum {
    Verified,
    Ignored,
}

impl Decompressor {
    /// A decompressor without contexts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the contents of `out` by `input`, decompressed: at most `max_len` bytes.
    ///
    /// Memory follows the bytes that are really there: `out` never grows past `max_len + 1` bytes,
    /// and a size that `input` merely declares reserves no more than a small multiple of `input`.
    /// The capacity of `out` is reused. After an error, its contents are unspecified.
    ///
    /// # Errors
    ///
    /// [`CompressionError`]: the codec is off, the bytes are corrupt, or there are more than
    /// `max_len` of them.
    pub fn decompress(
        &mut self,
        compression: Compression,
        input: &[u8],
        out: &mut Vec<u8>,
        max_len: usize,
    ) -> Result<(), CompressionError> {
        self.decompress_checking(compression, input, out, max_len, HeaderChecksum::Verified)
    }

    /// As [`Self::decompress`], for the legacy sets whose lz4 header checksums are wrong.
    #[cfg_attr(
        not(feature = "lz4"),
        expect(unused_variables, reason = "only lz4 has this checksum")
    )]
    pub(crate) fn decompress_checking(
        &mut self,
        compression: Compression,
        input: &[u8],
        out: &mut Vec<u8>,
        max_len: usize,
        header_checksum: HeaderChecksum,
    ) -> Result<(), CompressionError> {
        let mut out = Output::new(out, max_len);
        match compression {
            Compression::None => out.extend(input)?,
            #[cfg(feature = "gzip")]
            Compression::Gzip => self.gzip.get_or_insert_default().decompress(input, &mut out)?,
            #[cfg(feature = "snappy")]
            Compression::Snappy => super::snappy::decompress(input, &mut out)?,
            #[cfg(feature = "lz4")]
            Compression::Lz4 => super::lz4::decompress(input, &mut out, header_checksum)?,
            #[cfg(any(feature = "zstd", feature = "zstd-pure"))]
            Compression::Zstd => self.zstd.get_or_insert_default().decompress(input, &mut out)?,
            #[cfg(not(feature = "gzip"))]
            Compression::Gzip => return Err(super::compressor::disabled(compression)),
            #[cfg(not(feature = "snappy"))]
            Compression::Snappy => return Err(super::compressor::disabled(compression)),
            #[cfg(not(feature = "lz4"))]
            Compression::Lz4 => return Err(super::compressor::disabled(compression)),
            #[cfg(not(any(feature = "zstd", feature = "zstd-pure")))]
            Compression::Zstd => return Err(super::compressor::disabled(compression)),
        }
        out.finish()
    }
}
