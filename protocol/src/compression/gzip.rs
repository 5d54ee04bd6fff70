//! gzip members (RFC 1952), written by hand around a deflate context that is reused.
//!
//! As Java's `GZIPInputStream` does, the reader joins concatenated members, and ignores bytes
//! after a complete member that do not begin another one.

use std::fmt;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Compression, CompressionError, output::Output};

const HEADER_LEN: usize = 10;
const TRAILER_LEN: usize = 8;
/// Magic, deflate, no flags, no time, no extra flags, unknown operating system.
const HEADER: [u8; HEADER_LEN] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;

/// Compresses; its context belongs to the level it was made for.
#[derive(Default)]
pub(super) struct Deflater {
    context: Option<(i32, Compress)>,
}

impl Deflater {
    /// Appends one gzip member.
    pub(super) fn compress(
        &mut self,
        level: i32,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CompressionError> {
        out.extend_from_slice(&HEADER);
        self.deflate(level, input, out)?;
        out.extend_from_slice(&crc_fast::crc32_iso_hdlc(input).to_le_bytes());
        out.extend_from_slice(&length_modulo_2_pow_32(input.len()));
        Ok(())
    }

    fn deflate(
        &mut self,
        level: i32,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CompressionError> {
        let context = self.context_for(level);
        let mut rest = input;
        loop {
            // Deflate's worst case is stored blocks: 5 bytes each, so the first round nearly
            // always suffices.
            out.reserve(rest.len() / 2 + 256);
            let before = context.total_in();
            let status = context
                .compress_vec(rest, out, FlushCompress::Finish)
                .map_err(|_| failed("invalid stream state"))?;
            rest = after(rest, context.total_in() - before);
            if status == Status::StreamEnd {
                return Ok(());
            }
        }
    }

    fn context_for(&mut self, level: i32) -> &mut Compress {
        if self.context.as_ref().is_some_and(|(made_for, _)| *made_for != level) {
            self.context = None;
        }
        let (_, context) = self.context.get_or_insert_with(|| {
            let clamped = u32::try_from(level).unwrap_or(6).min(9);
            (level, Compress::new(flate2::Compression::new(clamped), false))
        });
        context.reset();
        context
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").finish_non_exhaustive()
    }
}

/// Decompresses.
pub(super) struct Inflater {
    context: Decompress,
}

impl Default for Inflater {
    fn default() -> Self {
        Self { context: Decompress::new(false) }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

impl Inflater {
    /// Appends every member of `input`.
    pub(super) fn decompress(
        &mut self,
        input: &[u8],
        out: &mut Output<'_>,
    ) -> Result<(), CompressionError> {
        let mut rest = self.member(input, 0, out)?;
        while skip_header(rest).is_some() {
            rest = self.member(rest, input.len() - rest.len(), out)?;
        }
        Ok(())
    }

    /// Appends the member at the front of `input` and returns what follows it.
    fn member<'i>(
        &mut self,
        input: &'i [u8],
        at: usize,
        out: &mut Output<'_>,
    ) -> Result<&'i [u8], CompressionError> {
        let body = skip_header(input).ok_or_else(|| corrupt(at, "not a gzip header"))?;
        let start = out.len();
        let rest = self.inflate(body, at, out)?;
        let Some((trailer, rest)) = rest.split_first_chunk::<TRAILER_LEN>() else {
            return Err(corrupt(at, "the trailer is missing"));
        };
        let member = out.bytes().get(start..).unwrap_or_default();
        let crc = crc_fast::crc32_iso_hdlc(member).to_le_bytes();
        if !trailer.starts_with(&crc) || !trailer.ends_with(&length_modulo_2_pow_32(member.len())) {
            return Err(corrupt(at, "the checksum or length does not match"));
        }
        Ok(rest)
    }

    fn inflate<'i>(
        &mut self,
        input: &'i [u8],
        at: usize,
        out: &mut Output<'_>,
    ) -> Result<&'i [u8], CompressionError> {
        self.context.reset(false);
        let hint = input.len().saturating_mul(4).max(Output::FREE_ROOM);
        let mut rest = input;
        loop {
            let spare = out.spare(hint)?;
            let (read, written) = (self.context.total_in(), spare.len());
            let status = self
                .context
                .decompress_vec(rest, spare, FlushDecompress::None)
                .map_err(|_| corrupt(at, "invalid deflate data"))?;
            let wrote = spare.len() > written;
            let consumed = self.context.total_in() - read;
            rest = after(rest, consumed);
            if status == Status::StreamEnd {
                return Ok(rest);
            }
            if consumed == 0 && !wrote {
                return Err(corrupt(at, "the deflate data end early"));
            }
        }
    }
}

/// What follows a gzip header; `None` when `input` does not begin with a whole one.
fn skip_header(input: &[u8]) -> Option<&[u8]> {
    let ([0x1f, 0x8b, 8, flags, ..], mut rest) = input.split_first_chunk::<HEADER_LEN>()? else {
        return None;
    };
    if flags & FLAG_EXTRA != 0 {
        let (len, after) = rest.split_first_chunk::<2>()?;
        rest = after.get(usize::from(u16::from_le_bytes(*len))..)?;
    }
    for text in [FLAG_NAME, FLAG_COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & FLAG_HEADER_CRC != 0 { rest.get(2..) } else { Some(rest) }
}

fn after(input: &[u8], consumed: u64) -> &[u8] {
    usize::try_from(consumed).ok().and_then(|consumed| input.get(consumed..)).unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, reason = "the format asks for the low 32 bits")]
const fn length_modulo_2_pow_32(len: usize) -> [u8; 4] {
    (len as u32).to_le_bytes()
}

const fn corrupt(at: usize, reason: &'static str) -> CompressionError {
    CompressionError::Corrupt { compression: Compression::Gzip, at, reason }
}

const fn failed(reason: &'static str) -> CompressionError {
    CompressionError::Failed { compression: Compression::Gzip, reason }
}
