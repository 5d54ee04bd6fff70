//! The descriptor at the front of an LZ4 frame.

use twox_hash::XxHash32;

use super::{Compression, CompressionError, decompressor::HeaderChecksum};

pub(super) const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();

/// Version 1, independent blocks (all that Java's reader takes), no checksums, no content size.
const OUR_FLAGS: u8 = 0b0110_0000;
/// Blocks of at most 64 KiB, Java's size.
const OUR_BLOCK_DESCRIPTOR: u8 = 4 << 4;

const VERSION: u8 = 0b1100_0000;
const VERSION_1: u8 = 0b0100_0000;
const BLOCKS_INDEPENDENT: u8 = 1 << 5;
const BLOCK_CHECKSUM: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const RESERVED: u8 = 1 << 1;
const DICTIONARY_ID: u8 = 1;

/// What a frame says about itself, as far as it matters here: its declared content size buys
/// nothing, so it is skipped.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameHeader {
    pub(super) max_block_len: usize,
    pub(super) linked_blocks: bool,
    pub(super) block_checksums: bool,
    pub(super) content_checksum: bool,
}

/// The seven bytes that begin every frame of ours.
pub(super) fn ours() -> [u8; 7] {
    let [a, b, c, d] = MAGIC;
    let descriptor = [OUR_FLAGS, OUR_BLOCK_DESCRIPTOR];
    [a, b, c, d, OUR_FLAGS, OUR_BLOCK_DESCRIPTOR, checksum(&descriptor)]
}

impl FrameHeader {
    /// Reads the header at the front of `input`, which begins at byte `at` of the compressed
    /// bytes; returns it with what follows.
    pub(super) fn parse(
        input: &[u8],
        at: usize,
        header_checksum: HeaderChecksum,
    ) -> Result<(Self, &[u8]), CompressionError> {
        let truncated = || corrupt(at, "truncated frame header");
        let rest = input.strip_prefix(&MAGIC).ok_or_else(|| corrupt(at, "not an lz4 frame"))?;
        let &[flags, block_descriptor, ..] = rest else { return Err(truncated()) };
        let header = Self::from_flags(flags, block_descriptor).map_err(|why| corrupt(at, why))?;
        let descriptor_len = if flags & CONTENT_SIZE == 0 { 2 } else { 2 + 8 };
        let (descriptor, rest) = rest.split_at_checked(descriptor_len).ok_or_else(truncated)?;
        let (stored, rest) = rest.split_first().ok_or_else(truncated)?;
        if header_checksum == HeaderChecksum::Verified && *stored != checksum(descriptor) {
            return Err(corrupt(at, "the header checksum does not match"));
        }
        Ok((header, rest))
    }

    const fn from_flags(flags: u8, block_descriptor: u8) -> Result<Self, &'static str> {
        if flags & VERSION != VERSION_1 {
            return Err("unknown frame version");
        }
        if flags & (RESERVED | DICTIONARY_ID) != 0 {
            return Err("reserved flag or dictionary");
        }
        let max_block_len = match block_descriptor {
            0x40 => 64 << 10,
            0x50 => 256 << 10,
            0x60 => 1 << 20,
            0x70 => 4 << 20,
            _ => return Err("unknown block size"),
        };
        Ok(Self {
            max_block_len,
            linked_blocks: flags & BLOCKS_INDEPENDENT == 0,
            block_checksums: flags & BLOCK_CHECKSUM != 0,
            content_checksum: flags & CONTENT_CHECKSUM != 0,
        })
    }
}

/// The second byte of the descriptor's hash.
fn checksum(descriptor: &[u8]) -> u8 {
    let [_, second, ..] = XxHash32::oneshot(0, descriptor).to_le_bytes();
    second
}

const fn corrupt(at: usize, reason: &'static str) -> CompressionError {
    CompressionError::Corrupt { compression: Compression::Lz4, at, reason }
}
