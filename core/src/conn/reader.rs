//! From what comes off a socket to frames.

use bytes::buf::Limit;
use bytes::{BufMut, Bytes, BytesMut};
use ottla_protocol::wire::{FrameError, take_frame};

use super::BufferPool;

/// Cuts what comes off a socket into frames.
///
/// Small frames share one buffer, so that many come with one read. A large one is read straight to
/// where it stays, in a buffer of the pool: its bytes are not copied, but for those that came with
/// its length.
#[derive(Debug)]
pub struct FrameReader {
    received: BytesMut,
    large: Option<Large>,
    limit: usize,
    pool: BufferPool,
}

#[derive(Debug)]
struct Large {
    frame: Vec<u8>,
    missing: usize,
}

/// Where the next bytes belong.
#[derive(Debug)]
pub enum ReadTarget<'a> {
    /// Behind what has been received.
    Received(&'a mut BytesMut),
    /// Into a large frame, no further than its end.
    Large(Limit<&'a mut Vec<u8>>),
}

impl FrameReader {
    /// A reader of frames of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize, pool: BufferPool) -> Self {
        Self { received: BytesMut::new(), large: None, limit, pool }
    }

    /// Where the next bytes belong; it has room for one at least.
    pub fn target(&mut self) -> ReadTarget<'_> {
        match &mut self.large {
            Some(Large { frame, missing }) => ReadTarget::Large(frame.limit(*missing)),
            None => {
                self.received.reserve(READ);
                ReadTarget::Received(&mut self.received)
            }
        }
    }

    /// Takes note that `count` bytes were put where [`target`](Self::target) said.
    pub fn handle_read(&mut self, count: usize) {
        if let Some(large) = &mut self.large {
            large.missing = large.missing.saturating_sub(count);
        }
    }

    /// The next frame that is complete, without its length.
    ///
    /// # Errors
    ///
    /// [`FrameError`], when the length is negative or above the limit.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        if let Some(large) = self.large.take_if(|large| large.missing == 0) {
            return Ok(Some(self.pool.freeze(large.frame)));
        }
        if self.large.is_some() {
            return Ok(None);
        }
        let frame = take_frame(&mut self.received, self.limit)?;
        if frame.is_none() {
            self.begin_large();
        }
        Ok(frame)
    }

    /// The first bytes that were received, to tell what speaks there when they are no frame.
    #[must_use]
    pub fn peek(&self) -> &[u8] {
        &self.received
    }

    fn begin_large(&mut self) {
        let Some(prefix) = self.received.first_chunk::<4>() else { return };
        // Negative lengths and those above the limit were refused by `take_frame`.
        let len = usize::try_from(i32::from_be_bytes(*prefix)).unwrap_or(0);
        if len < LARGE {
            return;
        }
        let mut frame = self.pool.take(len);
        let front = self.received.split_off(4);
        self.received.clear();
        frame.extend_from_slice(&front);
        self.large = Some(Large { missing: len - front.len(), frame });
    }
}

/// Bytes there is room for before a read.
const READ: usize = 16 << 10;

/// Frames of this size and more get a buffer of their own.
const LARGE: usize = 16 << 10;

impl ReadTarget<'_> {
    /// Puts `bytes` there, as far as they fit, and says how many did.
    pub fn put(self, bytes: &[u8]) -> usize {
        fn put(mut target: impl BufMut, bytes: &[u8]) -> usize {
            let count = bytes.len().min(target.remaining_mut());
            target.put_slice(bytes.get(..count).unwrap_or(bytes));
            count
        }
        match self {
            Self::Received(received) => put(received, bytes),
            Self::Large(frame) => put(frame, bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_torn() {
        let lens = [0, 1, 3, LARGE - 1, LARGE, LARGE + 1, 5, 3 * LARGE];
        let frames: Vec<Vec<u8>> = lens.map(|len| vec![len.to_le_bytes()[0]; len]).into();
        let stream: Vec<u8> = frames.iter().flat_map(|frame| framed(frame)).collect();
        for step in [1, 7, 4096, LARGE + 3, stream.len()] {
            let mut reader = FrameReader::new(1 << 20, BufferPool::default());
            let mut read = Vec::new();
            for piece in stream.chunks(step) {
                feed(&mut reader, piece, &mut read);
            }
            assert_eq!(read, frames, "in steps of {step}");
        }
    }

    #[test]
    fn a_length_above_the_limit_buys_no_memory() {
        let mut reader = FrameReader::new(1 << 20, BufferPool::default());
        let count = reader.target().put(&i32::MAX.to_be_bytes());
        reader.handle_read(count);
        assert_eq!(reader.next_frame().unwrap_err().length, i32::MAX);
        assert!(reader.large.is_none());
    }

    fn framed(frame: &[u8]) -> Vec<u8> {
        [&i32::try_from(frame.len()).unwrap().to_be_bytes(), frame].concat()
    }

    fn feed(reader: &mut FrameReader, mut bytes: &[u8], out: &mut Vec<Vec<u8>>) {
        while !bytes.is_empty() {
            let count = reader.target().put(bytes);
            reader.handle_read(count);
            bytes = &bytes[count..];
            while let Some(frame) = reader.next_frame().unwrap() {
                out.push(frame.to_vec());
            }
        }
    }
}
