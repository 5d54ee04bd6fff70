//! Snappy in xerial's frames, as snappy-java's `SnappyOutputStream` writes them: a 16-byte header,
//! then blocks of at most 32 KiB, each a big-endian length and a raw snappy block.
//!
//! The reader also accepts a lone raw block, which some clients write instead, and frames that
//! were concatenated.

use super::{Compression, CompressionError, output::Output};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
/// Version 1, readable by version 1 and later.
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
const HEADER_LEN: usize = MAGIC.len() + VERSIONS.len();
const BLOCK_LEN: usize = 32 * 1024;

/// No snappy element yields more than 64 bytes from 3.
const MAX_RATIO: usize = 22;

/// Compresses, keeping its hash table.
#[derive(Debug)]
pub(super) struct Encoder {
    raw: snap::raw::Encoder,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { raw: snap::raw::Encoder::new() }
    }
}

impl Encoder {
    /// Appends one xerial frame.
    pub(super) fn compress(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CompressionError> {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSIONS);
        input.chunks(BLOCK_LEN).try_for_each(|block| self.block(block, out))
    }

    fn block(&mut self, block: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
        let start = out.len();
        out.resize(start + 4 + snap::raw::max_compress_len(block.len()), 0);
        let Some((len, body)) = out.get_mut(start..).and_then(|b| b.split_first_chunk_mut::<4>())
        else {
            return Err(failed("no room for a block"));
        };
        let written = self.raw.compress(block, body).map_err(|_| failed("block refused"))?;
        *len = u32::try_from(written).map_err(|_| failed("block too large"))?.to_be_bytes();
        out.truncate(start + 4 + written);
        Ok(())
    }
}

/// Appends what `input` holds.
pub(super) fn decompress(input: &[u8], out: &mut Output<'_>) -> Result<(), CompressionError> {
    if !input.starts_with(&MAGIC) {
        return block(input, 0, out);
    }
    let mut rest = input;
    while !rest.is_empty() {
        let at = input.len() - rest.len();
        if rest.starts_with(&MAGIC) {
            rest = rest.get(HEADER_LEN..).ok_or_else(|| corrupt(at, "truncated frame header"))?;
            continue;
        }
        let (body, after) = split_block(rest).ok_or_else(|| corrupt(at, "truncated block"))?;
        block(body, at, out)?;
        rest = after;
    }
    Ok(())
}

fn split_block(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = input.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)
}

fn block(input: &[u8], at: usize, out: &mut Output<'_>) -> Result<(), CompressionError> {
    let invalid = |_| corrupt(at, "invalid snappy block");
    let len = snap::raw::decompress_len(input).map_err(invalid)?;
    if len > out.left() {
        return Err(out.too_large());
    }
    if len > Output::FREE_ROOM && len / MAX_RATIO > input.len() {
        return Err(corrupt(at, "the declared length is beyond what snappy can pack"));
    }
    out.fill(len, |_, fresh| snap::raw::Decoder::new().decompress(input, fresh)).map_err(invalid)
}

const fn corrupt(at: usize, reason: &'static str) -> CompressionError {
    CompressionError::Corrupt { compression: Compression::Snappy, at, reason }
}

const fn failed(reason: &'static str) -> CompressionError {
    CompressionError::Failed { compression: Compression::Snappy, reason }
}
