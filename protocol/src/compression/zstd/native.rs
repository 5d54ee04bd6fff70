//! The C library, through `zstd-safe`.

use std::fmt;

use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, InBuffer, OutBuffer, ResetDirective, get_error_name,
    get_frame_content_size,
    zstd_sys::{ZSTD_EndDirective, ZSTD_ErrorCode},
};

use super::{Attempt, Compression, CompressionError, corrupt};

/// Compresses, keeping its context.
pub(in super::super) struct Encoder {
    context: CCtx<'static>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { context: CCtx::create() }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Encoder {
    /// Appends one frame.
    pub(in super::super) fn compress(
        &mut self,
        level: i32,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CompressionError> {
        let error = |code| CompressionError::Failed {
            compression: Compression::Zstd,
            reason: get_error_name(code),
        };
        self.context.reset(ResetDirective::SessionOnly).map_err(error)?;
        self.context.set_parameter(CParameter::CompressionLevel(level)).map_err(error)?;
        let mut source = InBuffer::around(input);
        // Beginning with `continue` leaves the size unknown. Told the size of 252 KiB of JSON,
        // level 3 was measured slower and less dense (0.60 against 0.66 GB/s, 4.70 against 5.04).
        let mut end = ZSTD_EndDirective::ZSTD_e_continue;
        loop {
            out.reserve(input.len() / 2 + 256);
            let filled = out.len();
            let mut sink = OutBuffer::around_pos(out, filled);
            let unflushed =
                self.context.compress_stream2(&mut sink, &mut source, end).map_err(error)?;
            if source.pos() < input.len() {
                continue;
            }
            if end == ZSTD_EndDirective::ZSTD_e_end && unflushed == 0 {
                return Ok(());
            }
            end = ZSTD_EndDirective::ZSTD_e_end;
        }
    }
}

/// Decompresses.
pub(super) struct Context(DCtx<'static>);

impl Default for Context {
    fn default() -> Self {
        Self(DCtx::create())
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
        self.0.decompress(out, input).map(drop).map_err(|code| {
            if code.wrapping_neg() == ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall as usize {
                Attempt::TooSmall
            } else {
                Attempt::Refused(corrupt(get_error_name(code)))
            }
        })
    }
}

/// The size that the first frame claims to unpack to.
pub(super) fn declared_len(input: &[u8]) -> Option<u64> {
    get_frame_content_size(input).ok().flatten()
}
