//! Buffers of batches, in a few sizes, used again.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::budget::Charge;

/// Buffers of batches, in a few sizes, used again.
///
/// A batch begins in a small one and moves up, so that ten thousand partitions with a trickle each
/// take kilobytes, not `batch.size` each. Its charge on the budget is the buffer's size, so the
/// bound is one on real memory.
#[derive(Debug)]
pub(crate) struct BatchPool {
    classes: [Mutex<Vec<Vec<u8>>>; CLASSES.len()],
    /// Bytes that may lie unused in each class.
    most_idle: usize,
}

impl BatchPool {
    /// A pool for at most `buffer_memory` bytes in use.
    pub(crate) fn new(buffer_memory: usize) -> Arc<Self> {
        let most_idle = (buffer_memory / 4 / CLASSES.len()).min(MOST_IDLE);
        Arc::new(Self { classes: Default::default(), most_idle })
    }

    /// The size of the buffer for a batch of `len` bytes.
    pub(crate) fn class(len: usize) -> usize {
        CLASSES.iter().copied().find(|class| *class >= len).unwrap_or(len)
    }

    /// An empty buffer with room for `len` bytes, a class or more.
    pub(crate) fn take(&self, len: usize) -> Vec<u8> {
        let free = self.of_class(len).and_then(|class| class.lock().pop());
        free.unwrap_or_else(|| Vec::with_capacity(len))
    }

    /// Takes a buffer back.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        let Some(class) = self.of_class(buffer.capacity()) else { return };
        buffer.clear();
        let mut idle = class.lock();
        if (idle.len() + 1) * buffer.capacity() <= self.most_idle.max(buffer.capacity()) {
            idle.push(buffer);
        }
    }

    /// The bytes of `buffer`, which comes back, and with it what it is charged, when nobody has
    /// them any more: neither the batch nor a request that is being written.
    pub(crate) fn freeze(self: &Arc<Self>, buffer: Vec<u8>, charge: Charge) -> Bytes {
        Bytes::from_owner(Pooled { buffer, _charge: charge, home: Arc::clone(self) })
    }

    fn of_class(&self, capacity: usize) -> Option<&Mutex<Vec<Vec<u8>>>> {
        let index = CLASSES.iter().position(|class| *class == capacity)?;
        self.classes.get(index)
    }
}

struct Pooled {
    buffer: Vec<u8>,
    _charge: Charge,
    home: Arc<BatchPool>,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl fmt::Debug for Pooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pooled({} bytes)", self.buffer.len())
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.buffer));
    }
}

/// Sizes of buffers: each four times the one before, so that moving up copies a third.
const CLASSES: [usize; 6] = [1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// Bytes that may lie unused in one class at most.
const MOST_IDLE: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::budget::ByteBudget;

    #[test]
    fn a_buffer_comes_back_with_its_charge_when_the_last_slice_is_dropped() {
        let (pool, budget) = (BatchPool::new(64 << 20), ByteBudget::new(1 << 20));
        let class = BatchPool::class(1_500);
        assert_eq!(class, 4 << 10);
        let buffer = pool.take(class);
        let place = buffer.as_ptr();
        let bytes = pool.freeze(buffer, budget.try_charge(class).unwrap());
        let on_the_wire = bytes.clone();
        drop(bytes);
        assert_eq!(budget.free(), (1 << 20) - (4 << 10), "the request still holds it");
        drop(on_the_wire);
        assert_eq!(budget.free(), 1 << 20);
        let again = pool.take(class);
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn a_batch_beyond_the_largest_class_gets_what_it_needs_and_is_not_kept() {
        let pool = BatchPool::new(64 << 20);
        assert_eq!(BatchPool::class(3_000_000), 3_000_000);
        pool.give_back(pool.take(3_000_000));
        assert!(pool.classes.iter().all(|class| class.lock().is_empty()));
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let pool = BatchPool::new(64 << 20);
        let buffers: Vec<_> = (0..20).map(|_| pool.take(1 << 20)).collect();
        buffers.into_iter().for_each(|buffer| pool.give_back(buffer));
        let idle: usize = pool.classes.iter().map(|class| class.lock().len()).sum();
        assert_eq!(idle, pool.most_idle >> 20);
    }
}
