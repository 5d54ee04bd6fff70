//! Zstandard frames: by the C library, or by `ruzstd` when only `zstd-pure` is on.
//!
//! Decompression is one-shot into a buffer that grows from attempt to attempt. A streaming decoder
//! would allocate the window that a frame merely declares (up to 128 MiB for a few bytes of input)
//! and copy all it yields once more; one-shot has the output for its window. A batch that packs
//! more than eight times, and is large, costs a second attempt, unless the buffer has already grown
//! or the frame tells its size; a bomb costs a third more time than its limit allows.

#[cfg(feature = "zstd")]
mod native;
#[cfg(not(feature = "zstd"))]
mod pure;

#[cfg(feature = "zstd")]
use native as backend;
#[cfg(not(feature = "zstd"))]
use pure as backend;

pub(super) use backend::Encoder;

use super::{Compression, CompressionError, output::Output};

/// What the first attempt reserves for each byte of input: batches of JSON pack four to six times.
const USUAL_RATIO: usize = 8;

/// Why one attempt to decompress failed.
enum Attempt {
    /// The buffer was too small.
    TooSmall,
    /// No buffer would help.
    Refused(CompressionError),
}

/// Decompresses, keeping its context.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    context: backend::Context,
}

impl Decoder {
    /// Appends what the frames of `input` hold to the empty `out`.
    pub(super) fn decompress(
        &mut self,
        input: &[u8],
        out: &mut Output<'_>,
    ) -> Result<(), CompressionError> {
        if input.is_empty() {
            // Both backends would take this for zero frames.
            return Err(corrupt("no frame"));
        }
        let mut room = first_room(input, out)?;
        loop {
            let limit = out.left();
            room = room.min(limit);
            let buffer = out.with_room(room);
            match self.context.decompress(input, buffer) {
                Ok(()) => return Ok(()),
                Err(Attempt::Refused(error)) => return Err(error),
                Err(Attempt::TooSmall) if buffer.capacity() >= limit => {
                    return Err(out.too_large());
                }
                // The first frame may have declared no content at all.
                Err(Attempt::TooSmall) => {
                    room = buffer.capacity().saturating_mul(4).max(Output::FREE_ROOM);
                }
            }
        }
    }
}

fn first_room(input: &[u8], out: &Output<'_>) -> Result<usize, CompressionError> {
    let backed = input.len().saturating_mul(USUAL_RATIO).max(Output::FREE_ROOM);
    let Some(declared) = backend::declared_len(input) else { return Ok(backed) };
    let declared = usize::try_from(declared).unwrap_or(usize::MAX);
    if declared > out.left() {
        return Err(out.too_large());
    }
    Ok(declared.min(backed))
}

const fn corrupt(reason: &'static str) -> CompressionError {
    CompressionError::Corrupt { compression: Compression::Zstd, at: 0, reason }
}
