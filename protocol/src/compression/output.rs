//! A growing output that never grows past its limit.

use super::CompressionError;

/// What a decompressor appends to: the caller's buffer, and how many bytes it may come to hold.
#[derive(Debug)]
pub(super) struct Output<'a> {
    bytes: &'a mut Vec<u8>,
    limit: usize,
}

#[cfg_attr(
    not(all(
        feature = "gzip",
        any(feature = "snappy", feature = "lz4"),
        any(feature = "zstd", feature = "zstd-pure")
    )),
    expect(dead_code, reason = "each codec needs another part of this")
)]
impl<'a> Output<'a> {
    /// Room that may be taken for granted, whatever the input: one allocation, small next to a
    /// batch.
    pub(super) const FREE_ROOM: usize = 64 * 1024;

    /// An empty output over `bytes`, whose capacity is reused.
    pub(super) fn new(bytes: &'a mut Vec<u8>, limit: usize) -> Self {
        bytes.clear();
        Self { bytes, limit }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// How many bytes may still come.
    pub(super) fn left(&self) -> usize {
        self.limit - self.bytes.len().min(self.limit)
    }

    pub(super) fn too_large(&self) -> CompressionError {
        CompressionError::OutputTooLarge { limit: self.limit }
    }

    /// Appends bytes that need no unpacking.
    pub(super) fn extend(&mut self, raw: &[u8]) -> Result<(), CompressionError> {
        if raw.len() > self.left() {
            return Err(self.too_large());
        }
        self.bytes.extend_from_slice(raw);
        Ok(())
    }

    /// Lets `write` fill up to `room` bytes after what is there; it gets both, and returns how
    /// many it filled. The caller has checked that `room` is backed by input and within the limit.
    pub(super) fn fill<E>(
        &mut self,
        room: usize,
        write: impl FnOnce(&[u8], &mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        self.bytes.resize(start + room, 0);
        let (before, fresh) = self.bytes.split_at_mut(start);
        let filled = write(before, fresh);
        self.bytes.truncate(start + *filled.as_ref().unwrap_or(&0));
        filled.map(drop)
    }

    /// Makes sure there is spare capacity, then hands out the buffer for a codec that fills it.
    ///
    /// The first call takes `hint`, later ones double. One byte of room beyond the limit is given,
    /// so that an output of exactly the limit is told from a larger one.
    pub(super) fn spare(&mut self, hint: usize) -> Result<&mut Vec<u8>, CompressionError> {
        let len = self.bytes.len();
        if len > self.limit {
            return Err(self.too_large());
        }
        if len == self.bytes.capacity() {
            let target = hint.max(len.saturating_mul(2)).min(self.limit.saturating_add(1));
            self.bytes.reserve_exact(target.max(len + 1) - len);
        }
        Ok(self.bytes)
    }

    /// The emptied buffer with capacity for `room` bytes, for a codec that fills it in one go.
    pub(super) fn with_room(&mut self, room: usize) -> &mut Vec<u8> {
        self.bytes.clear();
        self.bytes.reserve_exact(room);
        self.bytes
    }

    /// The final check, for codecs that write through [`Self::spare`].
    pub(super) fn finish(self) -> Result<(), CompressionError> {
        if self.bytes.len() > self.limit { Err(self.too_large()) } else { Ok(()) }
    }
}
