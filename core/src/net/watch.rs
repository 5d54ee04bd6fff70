//! A value that others wait on to change.
//!
//! Not tokio's `watch`: that one wakes those who wait in an order drawn by chance, from a generator
//! that nobody can seed, and a simulation would not replay. This one wakes whoever came first.

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use tokio::sync::Notify;

/// Changes the value.
#[derive(Debug)]
pub(super) struct Sender<T>(Arc<Shared<T>>);

/// Waits for it to change. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that was looked at last.
    seen: u64,
}

#[derive(Debug)]
struct Shared<T> {
    /// Std, and never held across an await: only to copy or replace the value.
    state: RwLock<State<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<T> {
    value: T,
    /// Counts the changes.
    version: u64,
}

impl<T: Clone + Send + Sync> Sender<T> {
    pub(super) fn new(value: T) -> Self {
        let state = RwLock::new(State { value, version: 0 });
        Self(Arc::new(Shared { state, changed: Notify::new() }))
    }

    pub(super) fn current(&self) -> T {
        self.0.look().0
    }

    /// Replaces the value, and returns the one before.
    pub(super) fn replace(&self, value: T) -> T {
        let mut state = self.0.write();
        state.version += 1;
        let before = std::mem::replace(&mut state.value, value);
        drop(state);
        self.0.changed.notify_waiters();
        before
    }

    /// Has everybody look again, although the value is the same.
    pub(super) fn nudge(&self) {
        self.0.write().version += 1;
        self.0.changed.notify_waiters();
    }

    /// Waits for changes from now on.
    pub(super) fn subscribe(&self) -> Receiver<T> {
        let (_, seen) = self.0.look();
        Receiver { shared: Arc::clone(&self.0), seen }
    }
}

impl<T: Clone + Send + Sync> Receiver<T> {
    /// The value. What it was changed to by now is not waited for any more.
    pub(super) fn current(&mut self) -> T {
        let (value, version) = self.shared.look();
        self.seen = version;
        value
    }

    /// Waits until it is another than the one looked at last.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub(super) async fn changed(&mut self) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            let (_, version) = self.shared.look();
            if version != self.seen {
                self.seen = version;
                return;
            }
            changed.await;
        }
    }
}

impl<T: Clone + Send + Sync> Shared<T> {
    fn look(&self) -> (T, u64) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        (state.value.clone(), state.version)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waited_first_is_woken_first() {
        let sender = Sender::new(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..20 {
            let (mut receiver, woken) = (sender.subscribe(), Arc::clone(&woken));
            waiting.spawn(async move {
                receiver.changed().await;
                woken.lock().unwrap().push(number);
            });
        }
        tokio::task::yield_now().await;
        assert_eq!(sender.replace(1), 0);
        waiting.join_all().await;
        assert_eq!(*woken.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_before_the_waiting_is_not_missed() {
        let sender = Sender::new(0);
        let mut receiver = sender.subscribe();
        sender.nudge();
        receiver.changed().await;
        sender.replace(2);
        assert_eq!(receiver.current(), 2);
        let none = tokio::time::timeout(std::time::Duration::from_secs(1), receiver.changed());
        assert!(none.await.is_err(), "it was looked at");
    }
}
