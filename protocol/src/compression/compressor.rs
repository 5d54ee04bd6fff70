//! Packs records, keeping each codec's context for the next time.

use super::{Codec, Compression, CompressionError};

/// Compresses one batch after another, reusing each codec's context and tables.
///
/// A context is built at its codec's first use, so an unused codec costs nothing; it is then kept,
/// and zstd's grows with the level. One compressor belongs to one thread at a time.
#[derive(Debug, Default)]
pub struct Compressor {
    #[cfg(feature = "gzip")]
    gzip: Option<super::gzip::Deflater>,
    #[cfg(feature = "snappy")]
    snappy: Option<super::snappy::Encoder>,
    #[cfg(feature = "lz4")]
    lz4: Option<super::lz4::Encoder>,
    #[cfg(any(feature = "zstd", feature = "zstd-pure"))]
    zstd: Option<super::zstd::Encoder>,
}

impl Compressor {
    /// A compressor without contexts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `input`, compressed, to `out`. After an error, what was appended is unspecified.
    ///
    /// # Errors
    ///
    /// [`CompressionError::Disabled`], when the codec is not part of this build;
    /// [`CompressionError::Failed`], when it gives up.
    pub fn compress(
        &mut self,
        codec: Codec,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CompressionError> {
        match codec.compression() {
            Compression::None => out.extend_from_slice(input),
            #[cfg(feature = "gzip")]
            Compression::Gzip => {
                self.gzip.get_or_insert_default().compress(codec.level(), input, out)?;
            }
            #[cfg(feature = "snappy")]
            Compression::Snappy => self.snappy.get_or_insert_default().compress(input, out)?,
            #[cfg(feature = "lz4")]
            Compression::Lz4 => self.lz4.get_or_insert_default().compress(input, out)?,
            #[cfg(any(feature = "zstd", feature = "zstd-pure"))]
            Compression::Zstd => {
                self.zstd.get_or_insert_default().compress(codec.level(), input, out)?;
            }
            #[cfg(not(feature = "gzip"))]
            Compression::Gzip => return Err(disabled(codec.compression())),
            #[cfg(not(feature = "snappy"))]
            Compression::Snappy => return Err(disabled(codec.compression())),
            #[cfg(not(feature = "lz4"))]
            Compression::Lz4 => return Err(disabled(codec.compression())),
            #[cfg(not(any(feature = "zstd", feature = "zstd-pure")))]
            Compression::Zstd => return Err(disabled(codec.compression())),
        }
        Ok(())
    }
}

/// A codec's Cargo feature has its Kafka name.
#[cfg_attr(
    all(
        feature = "gzip",
        feature = "snappy",
        feature = "lz4",
        any(feature = "zstd", feature = "zstd-pure")
    ),
    expect(dead_code, reason = "every codec is on")
)]
pub(super) const fn disabled(compression: Compression) -> CompressionError {
    CompressionError::Disabled { compression, feature: compression.name() }
}
