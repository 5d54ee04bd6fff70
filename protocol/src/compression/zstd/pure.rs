//! `ruzstd`: no C, several times slower, one level.

use std::fmt;

use ruzstd::{
    decoding::{FrameDecoder, errors::FrameDecoderError},
    encoding::{CompressionLevel, compress},
};

use super::{Attempt, CompressionError};

/// The largest window taken from a frame's word: what the format asks every decoder to support
/// (RFC 8878, 3.1.1.1.2), and the most that Java's default levels write.
const MAX_WINDOW_LEN: u64 = 8 << 20;

/// Compresses; `ruzstd` has no context worth keeping.
#[derive(Debug, Default)]
pub(in super::super) struct Encoder;

impl Encoder {
    /// Appends one frame.
    #[expect(clippy::unnecessary_wraps, reason = "the native encoder can fail")]
    pub(in super::super) fn compress(
        &mut self,
        _level: i32,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CompressionError> {
        compress(input, out, CompressionLevel::Fastest);
        Ok(())
    }
}

/// Decompresses.
pub(super) struct Context(FrameDecoder);

impl Default for Context {
    fn default() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW_LEN);
        Self(decoder)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

impl Context {
    /// Fills the empty `out`, within its capacity.
    pub(super) fn decompress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Attempt> {
        self.0.decode_all_to_vec(input, out).map_err(|error| match error {
            FrameDecoderError::TargetTooSmall => Attempt::TooSmall,
            _ => Attempt::Corrupt("invalid zstd frame"),
        })
    }
}

/// `ruzstd` tells a frame's declared size only once it decodes it.
pub(super) const fn declared_len(_input: &[u8]) -> Option<u64> {
    None
}
