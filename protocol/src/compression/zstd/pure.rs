//! `ruzstd`: no C, several times slower, one level.

use std::fmt;

use ruzstd::{
    decoding::{FrameDecoder, errors::FrameDecoderError},
    encoding::{CompressionLevel, compress},
};

use super::{Attempt, CompressionError, corrupt};

/// The largest window taken from a frame's word: what the format asks every decoder to support
/// (RFC 8878, 3.1.1.1.2), and the most that Java's levels up to 19 write. `ruzstd` allocates it.
const MAX_WINDOW_LEN: u64 = 8 << 20;

/// That window as a frame declares it: 2¹⁰ bytes, doubled so many times.
const MAX_WINDOW: u8 = 13 << 3;

/// The bit of a frame's descriptor that says that its content is its window.
const SINGLE_SEGMENT: u8 = 1 << 5;

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
        self.0.decode_all_to_vec(input, out).or_else(|error| match error {
            FrameDecoderError::TargetTooSmall => Err(Attempt::TooSmall),
            FrameDecoderError::WindowSizeTooBig { requested, .. } => {
                self.decompress_wide(input, requested, out)
            }
            _ => Err(Attempt::Refused(corrupt("invalid zstd frame"))),
        })
    }

    /// As [`Self::decompress`], for a frame that declares a larger window than is taken: Java's
    /// levels 20 to 22 declare up to 128 MiB, whatever they pack.
    ///
    /// Read with a smaller one, it comes out right if it nowhere refers back beyond that, which it
    /// cannot when its content is no larger; where it does, `ruzstd` gives up.
    fn decompress_wide(
        &mut self,
        input: &[u8],
        window: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Attempt> {
        let max = MAX_WINDOW_LEN;
        let refused = Attempt::Refused(CompressionError::WindowTooLarge { window, max });
        let mut narrowed = input.to_vec();
        match narrowed.first_chunk_mut::<6>() {
            Some([0x28, 0xb5, 0x2f, 0xfd, descriptor, declared])
                if *descriptor & SINGLE_SEGMENT == 0 =>
            {
                *declared = MAX_WINDOW;
            }
            _ => return Err(refused),
        }
        self.0.decode_all_to_vec(&narrowed, out).map_err(|error| match error {
            FrameDecoderError::TargetTooSmall => Attempt::TooSmall,
            _ => refused,
        })
    }
}

/// `ruzstd` tells a frame's declared size only once it decodes it.
pub(super) const fn declared_len(_input: &[u8]) -> Option<u64> {
    None
}
