//! LZ4 frames, written and read by hand around `lz4_flex`'s block coder. Its frame coder was slower
//! in every measurement of batches of 250 KiB, and cannot ignore a header's checksum.
//!
//! We write what Java writes: independent blocks of 64 KiB, no checksums, no content size. We read
//! more than Java does: linked blocks, every checksum, concatenated frames. As Java, we pass over what
//! follows a frame and begins no other.

use lz4_flex::block::{self, CompressTable, DecompressError};
use twox_hash::XxHash32;

use super::{
    Compression, CompressionError,
    decompressor::HeaderChecksum,
    lz4_header::{self, FrameHeader},
    output::Output,
};

const BLOCK_LEN: usize = 64 * 1024;
/// The bit of a block's length that marks its bytes as stored, not compressed.
const STORED: u32 = 1 << 31;
const END_MARK: [u8; 4] = [0; 4];

/// How far back a linked block may refer.
const WINDOW_LEN: usize = 64 * 1024;
/// A length byte of a sequence yields at most 255 bytes.
const MAX_RATIO: usize = 255;

/// Compresses, keeping its hash table.
#[derive(Debug)]
pub(super) struct Encoder {
    table: Table,
}

/// `CompressTable` has no `Debug` of its own.
struct Table(CompressTable);

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CompressTable")
    }
}

impl Default for Encoder {
    fn default() -> Self {
        // A full block is one byte too long for the small table.
        Self { table: Table(CompressTable::large()) }
    }
}

impl Encoder {
    /// Appends one frame.
    pub(super) fn compress(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CompressionError> {
        out.extend_from_slice(&lz4_header::ours());
        input.chunks(BLOCK_LEN).try_for_each(|block| self.block(block, out))?;
        out.extend_from_slice(&END_MARK);
        Ok(())
    }

    fn block(&mut self, block: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
        let start = out.len();
        out.resize(start + 4 + block::get_maximum_output_size(block.len()), 0);
        let Some((header, body)) =
            out.get_mut(start..).and_then(|bytes| bytes.split_first_chunk_mut::<4>())
        else {
            return Err(failed("no room for a block"));
        };
        let written = block::compress_into_with_table(block, body, &mut self.table.0)
            .map_err(|_| failed("block refused"))?;
        let stored = written >= block.len();
        let len = if stored { block.len() } else { written };
        let mark = if stored { STORED } else { 0 };
        *header = (u32::try_from(len).map_err(|_| failed("block too large"))? | mark).to_le_bytes();
        out.truncate(start + 4 + if stored { 0 } else { written });
        if stored {
            out.extend_from_slice(block);
        }
        Ok(())
    }
}

/// Appends what the frames of `input` hold.
pub(super) fn decompress(
    input: &[u8],
    out: &mut Output<'_>,
    header_checksum: HeaderChecksum,
) -> Result<(), CompressionError> {
    let mut rest = input;
    loop {
        let at = input.len() - rest.len();
        let (header, blocks) = FrameHeader::parse(rest, at, header_checksum)?;
        let mut frame = Frame { header, input, start: out.len() };
        rest = frame.decompress(blocks, out)?;
        if !rest.starts_with(&lz4_header::MAGIC) {
            return Ok(());
        }
    }
}

/// One frame on its way into the output.
struct Frame<'i> {
    header: FrameHeader,
    /// All that was compressed, to say where something is wrong.
    input: &'i [u8],
    /// Where its content begins in the output.
    start: usize,
}

impl<'i> Frame<'i> {
    /// Appends blocks up to the end mark; returns what follows the frame.
    fn decompress(
        &mut self,
        blocks: &'i [u8],
        out: &mut Output<'_>,
    ) -> Result<&'i [u8], CompressionError> {
        let mut rest = blocks;
        loop {
            let (len, after) = self.read_u32(rest)?;
            if len == 0 {
                return self.verify_content(after, out);
            }
            let at = self.at(rest);
            let body_len = usize::try_from(len & !STORED).unwrap_or(usize::MAX);
            let (body, after) = after
                .split_at_checked(body_len)
                .ok_or_else(|| corrupt(at, "a block is longer than what is left"))?;
            rest = self.verify_block(body, after)?;
            self.block(body, len & STORED != 0, at, out)?;
        }
    }

    fn block(
        &self,
        body: &[u8],
        stored: bool,
        at: usize,
        out: &mut Output<'_>,
    ) -> Result<(), CompressionError> {
        if body.len() > self.header.max_block_len {
            return Err(corrupt(at, "a block is longer than the frame allows"));
        }
        if stored {
            return out.extend(body);
        }
        let room = self.header.max_block_len.min(body.len().saturating_mul(MAX_RATIO));
        let allowed = room.min(out.left());
        let frame_start = self.start;
        let filled = out.fill(allowed, |before, fresh| {
            if !self.header.linked_blocks {
                return block::decompress_into(body, fresh);
            }
            let from = frame_start.max(before.len().saturating_sub(WINDOW_LEN));
            block::decompress_into_with_dict(body, fresh, before.get(from..).unwrap_or_default())
        });
        filled.map_err(|error| match error {
            DecompressError::OutputTooSmall { .. } if allowed < room => out.too_large(),
            _ => corrupt(at, "invalid lz4 block"),
        })
    }

    fn verify_block(&self, body: &[u8], after: &'i [u8]) -> Result<&'i [u8], CompressionError> {
        if !self.header.block_checksums {
            return Ok(after);
        }
        let (stored, rest) = self.read_u32(after)?;
        if stored != XxHash32::oneshot(0, body) {
            return Err(corrupt(self.at(after), "a block's checksum does not match"));
        }
        Ok(rest)
    }

    fn verify_content(
        &self,
        after: &'i [u8],
        out: &Output<'_>,
    ) -> Result<&'i [u8], CompressionError> {
        if !self.header.content_checksum {
            return Ok(after);
        }
        let (stored, rest) = self.read_u32(after)?;
        let content = out.bytes().get(self.start..).unwrap_or_default();
        if stored != XxHash32::oneshot(0, content) {
            return Err(corrupt(self.at(after), "the content's checksum does not match"));
        }
        Ok(rest)
    }

    fn read_u32(&self, rest: &'i [u8]) -> Result<(u32, &'i [u8]), CompressionError> {
        let (bytes, after) = rest
            .split_first_chunk()
            .ok_or_else(|| corrupt(self.at(rest), "the frame ends early"))?;
        Ok((u32::from_le_bytes(*bytes), after))
    }

    fn at(&self, rest: &[u8]) -> usize {
        self.input.len() - rest.len()
    }
}

const fn corrupt(at: usize, reason: &'static str) -> CompressionError {
    CompressionError::Corrupt { compression: Compression::Lz4, at, reason }
}

const fn failed(reason: &'static str) -> CompressionError {
    CompressionError::Failed { compression: Compression::Lz4, reason }
}
