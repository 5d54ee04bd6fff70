//! How much memory records may take.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::pool::BatchPool;

/// How much memory records may take, in bytes of buffers: `buffer.memory`.
///
/// Asked once a batch, not once a record. Who finds no room waits in line: nobody takes what was
/// freed before those who came first, and a large request is not starved by small ones.
#[derive(Debug)]
pub(crate) struct ByteBudget {
    /// All there is.
    total: usize,
    /// Whether memory is short; read where taking the lock would cost too much.
    contended: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Below zero only while what cannot be refused, such as a batch being split, is taken.
    free: isize,
    line: VecDeque<Waiter>,
    next_id: u64,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    bytes: usize,
    granted: bool,
    waker: Option<Waker>,
}

impl ByteBudget {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        let state = State { free: signed(bytes), line: VecDeque::new(), next_id: 0 };
        let (contended, state) = (AtomicBool::new(false), Mutex::new(state));
        Arc::new(Self { total: bytes, contended, state })
    }

    /// The buffer for a batch of `len` bytes: of a usual size, unless that is more than all there is.
    pub(crate) fn buffer_for(&self, len: usize) -> usize {
        let class = BatchPool::class(len);
        if class <= self.total { class } else { len.min(self.total) }
    }

    /// Takes `bytes`, if they are free and nobody waits.
    pub(crate) fn try_charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let mut state = self.state.lock();
        if !state.line.is_empty() || state.free < signed(bytes) {
            self.contended.store(true, Ordering::Relaxed);
            return None;
        }
        state.free -= signed(bytes);
        Some(Charge { budget: Arc::clone(self), bytes })
    }

    /// Takes `bytes`, free or not: for what must go on, and gives back soon.
    pub(crate) fn force_charge(self: &Arc<Self>, bytes: usize) -> Charge {
        self.state.lock().free -= signed(bytes);
        Charge { budget: Arc::clone(self), bytes }
    }

    /// Waits in line for `bytes`. Dropping it leaves the line.
    pub(crate) fn wait(self: &Arc<Self>, bytes: usize) -> Waiting {
        let mut state = self.state.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.line.push_back(Waiter { id, bytes, granted: false, waker: None });
        self.contended.store(true, Ordering::Relaxed);
        let wakers = state.grant();
        drop(state);
        wake(wakers);
        Waiting { budget: Arc::clone(self), id: Some(id) }
    }

    /// Whether somebody waits, or was sent away and nothing has been given back since: what lingers
    /// should go.
    pub(crate) fn is_contended(&self) -> bool {
        self.contended.load(Ordering::Relaxed)
    }

    /// Bytes that are free; below zero while too much is taken.
    #[cfg(test)]
    pub(crate) fn free(&self) -> isize {
        self.state.lock().free
    }

    fn release(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.free += signed(bytes);
        let wakers = state.grant();
        self.settle(&state);
        drop(state);
        wake(wakers);
    }

    fn settle(&self, state: &State) {
        self.contended.store(!state.line.is_empty(), Ordering::Relaxed);
    }
}

impl State {
    /// Gives to those first in line what is free, and says whom to wake.
    fn grant(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for waiter in &mut self.line {
            if waiter.granted {
                continue;
            }
            if self.free < signed(waiter.bytes) {
                break;
            }
            self.free -= signed(waiter.bytes);
            waiter.granted = true;
            wakers.extend(waiter.waker.take());
        }
        wakers
    }
}

/// Somebody in line for memory.
#[derive(Debug)]
#[must_use = "a place in line is given up when it is dropped"]
pub(crate) struct Waiting {
    budget: Arc<ByteBudget>,
    /// `None` once it was served.
    id: Option<u64>,
}

impl Future for Waiting {
    type Output = Charge;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Charge> {
        let budget = Arc::clone(&self.budget);
        let mut state = budget.state.lock();
        let Some(index) = state.line.iter().position(|waiter| Some(waiter.id) == self.id) else {
            // Polled after it was served: nobody waits for that.
            return Poll::Pending;
        };
        match state.line.get_mut(index) {
            Some(waiter) if !waiter.granted => {
                waiter.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => {
                let bytes = state.line.remove(index).map_or(0, |waiter| waiter.bytes);
                budget.settle(&state);
                self.id = None;
                Poll::Ready(Charge { budget: Arc::clone(&self.budget), bytes })
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut state = self.budget.state.lock();
        let Some(index) = state.line.iter().position(|waiter| waiter.id == id) else { return };
        if let Some(waiter) = state.line.remove(index)
            && waiter.granted
        {
            state.free += signed(waiter.bytes);
        }
        let wakers = state.grant();
        self.budget.settle(&state);
        drop(state);
        wake(wakers);
    }
}

/// Memory that was taken. Given back when dropped.
#[must_use = "dropping it gives the memory back"]
pub(crate) struct Charge {
    budget: Arc<ByteBudget>,
    bytes: usize,
}

impl Charge {
    /// Bytes taken.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back all but `bytes`, or takes what is missing, free or not.
    pub(crate) fn resize(&mut self, bytes: usize) {
        if bytes < self.bytes {
            self.budget.release(self.bytes - bytes);
        } else {
            self.budget.state.lock().free -= signed(bytes - self.bytes);
        }
        self.bytes = bytes;
    }

    /// Takes the bytes of another charge over.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Charge({})", self.bytes)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.release(self.bytes);
        }
    }
}

fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

fn wake(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(waiting: &mut Waiting) -> Option<Charge> {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(waiting).poll(&mut cx) {
            Poll::Ready(charge) => Some(charge),
            Poll::Pending => None,
        }
    }

    #[test]
    fn what_is_charged_comes_back_when_dropped() {
        let budget = ByteBudget::new(100);
        let charge = budget.try_charge(60).unwrap();
        assert!(budget.try_charge(41).is_none());
        drop(charge);
        assert_eq!(budget.free(), 100);
    }

    #[test]
    fn nobody_overtakes_the_line() {
        let budget = ByteBudget::new(100);
        let held = budget.try_charge(80).unwrap();
        let mut large = budget.wait(50);
        assert!(poll(&mut large).is_none());
        assert!(budget.try_charge(10).is_none(), "20 are free, but somebody waits for 50");
        let mut small = budget.wait(10);
        assert!(poll(&mut small).is_none());
        drop(held);
        assert_eq!(poll(&mut large).unwrap().bytes(), 50);
        assert_eq!(poll(&mut small).unwrap().bytes(), 10);
        assert!(!budget.is_contended());
        assert_eq!(budget.free(), 100);
    }

    #[test]
    fn who_leaves_the_line_lets_the_next_one_in() {
        let budget = ByteBudget::new(100);
        let held = budget.try_charge(80).unwrap();
        let large = budget.wait(50);
        let mut small = budget.wait(10);
        assert!(poll(&mut small).is_none());
        drop(large);
        assert!(poll(&mut small).is_some());
        drop(held);
        assert_eq!(budget.free(), 100);
    }

    #[test]
    fn memory_that_was_granted_and_never_taken_comes_back() {
        let budget = ByteBudget::new(100);
        let held = budget.try_charge(100).unwrap();
        let waiting = budget.wait(70);
        drop(held);
        assert_eq!(budget.free(), 30, "granted before it was polled");
        drop(waiting);
        assert_eq!(budget.free(), 100);
        assert!(!budget.is_contended());
    }

    #[test]
    fn a_charge_can_shrink_and_grow() {
        let budget = ByteBudget::new(100);
        let mut charge = budget.try_charge(60).unwrap();
        charge.resize(10);
        assert_eq!(budget.free(), 90);
        charge.resize(120);
        assert_eq!(budget.free(), -20);
        charge.absorb(budget.force_charge(5));
        drop(charge);
        assert_eq!(budget.free(), 100);
    }
}
