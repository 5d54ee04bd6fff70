//! A value that others wait on to change.
//!
//! Not tokio's `watch`: that one wakes those who wait in an order drawn by chance, from a generator
//! that nobody can seed, and a seeded run would not replay. This one wakes whoever came first.

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use tokio::sync::Notify;

/// Changes the value. Dropping it ends all waiting.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Shared<T>>);

/// Waits for it to change. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that was looked at last.
    seen: u64,
}

/// The sender is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

#[derive(Debug)]
struct Shared<T> {
    /// Std, and never held across an await: only to copy or replace the value.
    state: RwLock<State<T>>,
    changed: Notify,
}

#[derive(Debug, Clone, Copy)]
struct State<T> {
    value: T,
    /// Counts the changes.
    version: u64,
    gone: bool,
}

impl<T: Copy + Send + Sync> Sender<T> {
    pub(crate) fn new(value: T) -> Self {
        let state = RwLock::new(State { value, version: 0, gone: false });
        Self(Arc::new(Shared { state, changed: Notify::new() }))
    }

    /// Makes of the value what `change` makes of it; where that is `None`, it stays.
    pub(crate) fn change(&self, change: impl FnOnce(T) -> Option<T>) {
        let mut state = self.0.write();
        let Some(value) = change(state.value) else { return };
        state.value = value;
        state.version += 1;
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// Waits for changes from now on.
    pub(crate) fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.look().version;
        Receiver { shared: Arc::clone(&self.0), seen }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.write().gone = true;
        self.0.changed.notify_waiters();
    }
}

impl<T: Copy + Send + Sync> Receiver<T> {
    /// What it is changed to from now on is waited for.
    pub(crate) fn take_note(&mut self) {
        self.seen = self.shared.look().version;
    }

    /// Waits until it is another than the one noted last.
    ///
    /// # Errors
    ///
    /// [`Gone`] when nobody will change it any more.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub(crate) async fn changed(&mut self) -> Result<(), Gone> {
        let seen = self.seen;
        let changed = self.until(|state| state.version != seen).await?;
        self.seen = changed.version;
        Ok(())
    }

    /// Waits until it is one that is wanted.
    ///
    /// # Errors
    ///
    /// [`Gone`] when nobody will change it any more.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub(crate) async fn wait_for(
        &mut self,
        wanted: impl Fn(T) -> bool + Send + Sync,
    ) -> Result<T, Gone> {
        Ok(self.until(|state| wanted(state.value)).await?.value)
    }

    async fn until(
        &self,
        wanted: impl Fn(State<T>) -> bool + Send + Sync,
    ) -> Result<State<T>, Gone> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            let state = self.shared.look();
            if wanted(state) {
                return Ok(state);
            }
            if state.gone {
                return Err(Gone);
            }
            changed.await;
        }
    }
}

impl<T: Copy + Send + Sync> Shared<T> {
    fn look(&self) -> State<T> {
        *self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Shared<T> {
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
                receiver.changed().await.unwrap();
                woken.lock().unwrap().push(number);
            });
        }
        tokio::task::yield_now().await;
        sender.change(|_| Some(1));
        waiting.join_all().await;
        assert_eq!(*woken.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_sender() {
        let sender = Sender::new(0);
        let mut receiver = sender.subscribe();
        sender.change(|_| None);
        drop(sender);
        assert_eq!(receiver.wait_for(|value| value == 0).await, Ok(0));
        assert_eq!(receiver.changed().await, Err(Gone));
    }
}
