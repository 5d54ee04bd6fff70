//! Buffers that are used again.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Receive buffers that return when the last slice of them is dropped.
///
/// Fresh megabytes are mapped and faulted in page by page, which costs more than reading into them:
/// 0.4–1.2 µs a kilobyte where others do so.
#[derive(Clone, Default)]
pub struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl BufferPool {
    /// An empty buffer with room for `len` bytes.
    #[must_use]
    pub fn take(&self, len: usize) -> Vec<u8> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = free.iter().rposition(|buffer| buffer.capacity() >= len);
        let found = fits.map(|index| free.swap_remove(index));
        drop(free);
        found.unwrap_or_else(|| Vec::with_capacity(len))
    }

    /// The bytes of `buffer`, which comes back to this pool when nobody has a slice of them any
    /// more.
    #[must_use]
    pub fn freeze(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Pooled { buffer, home: self.clone() })
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = free.iter().map(Vec::capacity).sum();
        if free.len() < MOST_BUFFERS && kept + buffer.capacity() <= MOST_BYTES {
            free.push(buffer);
        }
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BufferPool")
    }
}

struct Pooled {
    buffer: Vec<u8>,
    home: BufferPool,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.buffer));
    }
}

/// Buffers that lie unused at most: more than one connection fills while an application reads.
const MOST_BUFFERS: usize = 8;

/// Bytes that lie unused at most.
const MOST_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_with_its_last_slice() {
        let pool = BufferPool::default();
        let mut buffer = pool.take(100);
        let place = buffer.as_ptr();
        buffer.extend_from_slice(&[7; 100]);
        let whole = pool.freeze(buffer);
        let slice = whole.slice(10..20);
        drop(whole);
        let other = pool.take(100);
        assert_ne!(other.as_ptr(), place, "somebody still reads it");
        drop(slice);
        let again = pool.take(100);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let pool = BufferPool::default();
        let buffers: Vec<Bytes> = (0..20).map(|_| pool.freeze(pool.take(4 << 20))).collect();
        drop(buffers);
        let kept: usize = pool.0.lock().unwrap().iter().map(Vec::capacity).sum();
        assert!((1..=MOST_BYTES).contains(&kept), "{kept}");
    }
}
