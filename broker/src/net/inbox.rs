//! What has come over a connection and was not taken yet.

use bytes::{Bytes, BytesMut};
use ottla_protocol::wire::{FrameError, take_frame};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes received, cut into frames where they lie: a log keeps the frame that its batch came in.
///
/// Memory is taken as bytes come; on the word of a length, only up to a bound. Who fills the room
/// that it is given gets more at a time, so that its frames lie side by side, few of them are moved
/// because only a part of them had room, and a read brings several.
#[derive(Debug)]
pub(super) struct Inbox {
    received: BytesMut,
    frame_limit: usize,
    /// Bytes of room to make at a time.
    room: usize,
    /// Bytes of the last frame with its length: the next is likely to be like it.
    last_frame: usize,
}

impl Inbox {
    /// Of a connection whose frames have up to `frame_limit` bytes.
    pub(super) fn new(frame_limit: usize) -> Self {
        Self { received: BytesMut::new(), frame_limit, room: LEAST_ROOM, last_frame: 0 }
    }

    /// Bytes received and not taken.
    pub(super) fn len(&self) -> usize {
        self.received.len()
    }

    /// The next frame, without its length; `None` before all of it is there.
    ///
    /// # Errors
    ///
    /// [`FrameError`], where a length cannot be true.
    pub(super) fn take_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let frame = take_frame(&mut self.received, self.frame_limit)?;
        if let Some(frame) = &frame {
            self.last_frame = PREFIX + frame.len();
        }
        Ok(frame)
    }

    /// Receives some bytes; returns how many, 0 at the end.
    ///
    /// # Errors
    ///
    /// Those of `stream`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was read is here, and nothing was read otherwise.
    pub(super) async fn read_from<S>(&mut self, stream: &mut S) -> std::io::Result<usize>
    where
        S: AsyncRead + Unpin,
    {
        self.make_room();
        let read = stream.read_buf(&mut self.received).await?;
        if self.spare() == 0 {
            self.room = (2 * self.room).min(MOST_ROOM);
        }
        Ok(read)
    }

    fn spare(&self) -> usize {
        self.received.capacity() - self.received.len()
    }

    /// Makes room for what is missing of the next frame, so that a large one is read to where it
    /// stays.
    fn make_room(&mut self) {
        let claimed = self.received.first_chunk::<PREFIX>().map(|len| i32::from_be_bytes(*len));
        let claimed = claimed.and_then(|len| usize::try_from(len).ok());
        let frame = claimed.map_or(self.last_frame, |len| len.saturating_add(PREFIX));
        let missing = frame.saturating_sub(self.received.len()).min(CLAIM);
        if self.spare() < missing.max(LEAST_READ) {
            self.received.reserve(missing.max(self.room));
        }
    }
}

/// Bytes of a frame's length.
const PREFIX: usize = size_of::<i32>();

/// Room to read into, in bytes, before a client has shown that it fills it.
const LEAST_ROOM: usize = 16 * 1024;

/// Room to read into, in bytes, at most, where no frame is larger.
const MOST_ROOM: usize = 256 * 1024;

/// A read of fewer bytes is not worth its system call.
const LEAST_READ: usize = 4 * 1024;

/// Room that a length alone buys, in bytes: the largest batch that topics accept by default, and what
/// goes around it.
const CLAIM: usize = (1 << 20) + LEAST_ROOM;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: usize) -> Vec<u8> {
        let mut frame = u32::try_from(len).unwrap().to_be_bytes().to_vec();
        frame.resize(PREFIX + len, b'f');
        frame
    }

    async fn read_all(inbox: &mut Inbox, mut bytes: &[u8]) -> Vec<Bytes> {
        let mut frames = Vec::new();
        while inbox.read_from(&mut bytes).await.unwrap() > 0 {
            while let Some(frame) = inbox.take_frame().unwrap() {
                frames.push(frame);
            }
        }
        frames
    }

    #[tokio::test]
    async fn frames_come_out_as_they_were_however_they_lay() {
        let mut inbox = Inbox::new(usize::MAX);
        let lens = [0, 1, 5_000, 16_384, 70_000, 3, 2_000_000, 16_000, 300_000, 9];
        let bytes: Vec<u8> = lens.iter().flat_map(|len| frame(*len)).collect();
        let frames = read_all(&mut inbox, &bytes).await;
        assert_eq!(frames.iter().map(Bytes::len).collect::<Vec<_>>(), lens);
        assert!(frames.iter().all(|frame| frame.iter().all(|byte| *byte == b'f')));
        assert_eq!(inbox.len(), 0);
    }

    #[tokio::test]
    async fn who_fills_its_room_is_given_more_up_to_a_bound() {
        let mut inbox = Inbox::new(usize::MAX);
        read_all(&mut inbox, &frame(100)).await;
        assert_eq!(inbox.room, LEAST_ROOM);
        read_all(&mut inbox, &frame(16_000).repeat(100)).await;
        assert_eq!(inbox.room, MOST_ROOM);
    }

    #[tokio::test]
    async fn a_length_alone_buys_no_more_than_a_bound() {
        let mut inbox = Inbox::new(usize::MAX);
        let mut bytes: &[u8] = &i32::MAX.to_be_bytes();
        inbox.read_from(&mut bytes).await.unwrap();
        inbox.make_room();
        assert!(inbox.received.capacity() <= CLAIM + LEAST_ROOM, "{}", inbox.received.capacity());
    }

    #[tokio::test]
    async fn a_frame_like_the_last_is_read_to_where_it_stays() {
        let mut inbox = Inbox::new(usize::MAX);
        let large = frame(1 << 20);
        read_all(&mut inbox, &large).await;
        inbox.make_room();
        let place = inbox.received.as_ptr();
        let frames = read_all(&mut inbox, &large).await;
        assert_eq!(frames[0].as_ptr(), place.wrapping_add(PREFIX));
    }
}
