//! Frames: what goes over a connection, each behind its length in four bytes.

use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// The bytes of one message, ready for a vectored write.
///
/// A list of chunks: the message's own bytes, and between them the record batches it carries,
/// which are not copied. As a [`Buf`] it is read from the front; tokio's `write_all_buf` and
/// `write_buf` send it with `writev`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Not empty ones, in reverse: the last goes to the socket first, so that reading from the
    /// front moves nothing.
    reversed: Vec<Bytes>,
    len: usize,
}

impl Frame {
    /// Puts each of `records` into `message` behind as many of its bytes as its number says. The
    /// numbers ascend.
    pub(crate) fn interleave(mut message: Bytes, records: Vec<(usize, Bytes)>) -> Self {
        let mut frame = Self { reversed: Vec::with_capacity(2 * records.len() + 1), len: 0 };
        for (at, records) in records.into_iter().rev() {
            frame.push(message.split_off(at.min(message.len())));
            frame.push(records);
        }
        frame.push(message);
        frame
    }

    fn push(&mut self, chunk: Bytes) {
        self.len += chunk.len();
        if !chunk.is_empty() {
            self.reversed.push(chunk);
        }
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether every byte has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The chunks not read yet, in the order they go to the socket; none is empty.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        self.reversed.iter().rev()
    }

    /// All bytes in one piece. Copies unless there is only one chunk.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        self.copy_to_bytes(self.len)
    }
}

impl From<Bytes> for Frame {
    fn from(chunk: Bytes) -> Self {
        let mut frame = Self::default();
        frame.push(chunk);
        frame
    }
}

impl Buf for Frame {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.reversed.last().map_or(&[], |chunk| chunk)
    }

    fn chunks_vectored<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slot, chunk) in out.iter_mut().zip(self.chunks()) {
            *slot = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    /// Passes over `count` bytes; over all that are left where there are fewer.
    fn advance(&mut self, count: usize) {
        let mut count = count.min(self.len);
        self.len -= count;
        while let Some(chunk) = self.reversed.last_mut() {
            if count < chunk.len() {
                chunk.advance(count);
                return;
            }
            count -= chunk.len();
            self.reversed.pop();
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        let count = count.min(self.len);
        if let Some(chunk) = self.reversed.last_mut()
            && count <= chunk.len()
        {
            let front = chunk.slice(..count);
            self.advance(count);
            return front;
        }
        let mut whole = BytesMut::with_capacity(count);
        while whole.len() < count {
            let missing = count - whole.len();
            let front = self.chunk();
            let front = front.get(..missing).unwrap_or(front);
            let taken = front.len();
            whole.extend_from_slice(front);
            self.advance(taken);
        }
        whole.freeze()
    }
}

/// Takes the next frame off the front of what a connection has received, without its length.
///
/// `Ok(None)` means that more bytes are needed. Nothing is allocated for a frame that is not there
/// yet: the caller grows `received` as bytes come.
///
/// # Errors
///
/// [`FrameError`], when the length is negative or above `limit` bytes. The connection has lost its
/// framing then and can only be closed.
pub fn take_frame(received: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(prefix) = received.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*prefix);
    let size = usize::try_from(length).map_err(|_| FrameError { length, limit })?;
    if size > limit {
        return Err(FrameError { length, limit });
    }
    if received.len() - prefix.len() < size {
        return Ok(None);
    }
    received.advance(size_of::<i32>());
    Ok(Some(received.split_to(size).freeze()))
}

/// A frame length that cannot be true: the peer does not speak Kafka, or speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a frame of {length} bytes was announced, at most {limit} are accepted; \
     the peer may not speak Kafka, or expects TLS"
)]
pub struct FrameError {
    /// The length as it was read.
    pub length: i32,
    /// The most that is accepted, in bytes.
    pub limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stand_where_they_were_written() {
        let message = Bytes::from_static(b"abcd");
        let records = vec![
            (1, Bytes::from_static(b"11")),
            (1, Bytes::from_static(b"22")),
            (3, Bytes::from_static(b"")),
            (4, Bytes::from_static(b"33")),
        ];
        let frame = Frame::interleave(message, records);
        let chunks: Vec<&[u8]> = frame.chunks().map(|chunk| &chunk[..]).collect();
        assert_eq!(chunks, [&b"a"[..], b"11", b"22", b"bc", b"d", b"33"]);
        assert_eq!(frame.len(), 10);
        assert_eq!(frame.into_bytes(), &b"a1122bcd33"[..]);
    }

    #[test]
    fn a_frame_can_be_read_in_pieces_of_any_size() {
        let whole = b"a1122bcd33";
        for step in 1..=whole.len() + 1 {
            let records = vec![(1, Bytes::from_static(b"1122")), (4, Bytes::from_static(b"33"))];
            let mut frame = Frame::interleave(Bytes::from_static(b"abcd"), records);
            let mut read = Vec::new();
            while frame.has_remaining() {
                read.extend_from_slice(&frame.copy_to_bytes(step));
            }
            assert_eq!(read, whole, "in steps of {step}");
        }
    }

    #[test]
    fn a_vectored_write_sees_every_chunk() {
        let records = vec![(1, Bytes::from_static(b"1122"))];
        let frame = Frame::interleave(Bytes::from_static(b"abcd"), records);
        let mut slices = [IoSlice::new(&[]); 8];
        assert_eq!(frame.chunks_vectored(&mut slices), 3);
        assert_eq!(&*slices[1], b"1122");
        assert_eq!(frame.chunks_vectored(&mut slices[..2]), 2);
    }

    #[test]
    fn a_frame_is_taken_only_when_all_of_it_has_come() {
        let mut received = BytesMut::new();
        for byte in [0, 0, 0, 2, 7] {
            received.extend_from_slice(&[byte]);
            assert_eq!(take_frame(&mut received, 100), Ok(None));
        }
        received.extend_from_slice(&[8, 0, 0]);
        assert_eq!(take_frame(&mut received, 100), Ok(Some(Bytes::from_static(&[7, 8]))));
        assert_eq!(&received[..], [0, 0]);
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_come() {
        for (prefix, length) in [([0x7f, 0xff, 0xff, 0xff], i32::MAX), ([0xff; 4], -1)] {
            let refused = FrameError { length, limit: 100 };
            assert_eq!(take_frame(&mut BytesMut::from(&prefix[..]), 100), Err(refused));
        }
    }
}
