//! The shell: it moves bytes and time between the world and its clients, and decides nothing.

mod connection;
mod idle;
mod inbox;
mod transport;
pub(crate) mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, oneshot};

pub(crate) use connection::{Limits, Power, down, serve};
pub use transport::{BoxStream, Stream};
pub(crate) use transport::{Listener, Memory};

use crate::clock::{Clock, spawn, turns};
use crate::world::{Context, Flow, Now, Parked, Prepared, Ticket, Why, World};

/// The world behind its lock, with those who wait for it.
#[derive(Debug)]
pub(crate) struct Shell {
    /// Std, and never held across an await: a request holds it for microseconds. A panic under it
    /// does not poison it for others.
    inner: Mutex<Inner>,
    clock: Clock,
    /// Who may read records aside. What one request unpacks at a time has a bound; with this, so has
    /// what all of them do.
    readers: Arc<Semaphore>,
    /// The world's next deadline may have moved.
    deadline: Notify,
    /// Something happened; for those who wait for a fact.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    parked: HashMap<Ticket, oneshot::Sender<()>>,
    deadline: Option<Duration>,
    connections: u64,
}

/// What a connection does next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "almost every one is a reply")]
pub(crate) enum Step {
    /// This.
    Now(Flow),
    /// Wait: for the wake, or until the deadline.
    Wait(Box<Parked>, oneshot::Receiver<()>),
}

impl Shell {
    pub(crate) fn new(world: World, clock: Clock) -> Arc<Self> {
        let deadline = world.next_deadline();
        let inner = Inner { world, parked: HashMap::new(), deadline, connections: 0 };
        let (inner, deadline, changed) = (Mutex::new(inner), Notify::new(), watch::Sender::new(()));
        Arc::new(Self { inner, clock, readers: turns(), deadline, changed })
    }

    pub(crate) fn readers(&self) -> Arc<Semaphore> {
        Arc::clone(&self.readers)
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// Changes the world, then wakes whoever waits for what has changed.
    pub(crate) fn run<R>(&self, act: impl FnOnce(&mut World, Now) -> R) -> R {
        let mut inner = self.lock();
        let result = act(&mut inner.world, self.clock.now());
        self.settle(&mut inner);
        result
    }

    /// As [`run`](Self::run), for a request that may have to wait.
    pub(crate) fn step(&self, act: impl FnOnce(&mut World, Now) -> Flow) -> Step {
        let mut inner = self.lock();
        let flow = act(&mut inner.world, self.clock.now());
        let step = match flow {
            Flow::Park(parked) => {
                let (wake, woken) = oneshot::channel();
                inner.parked.insert(parked.ticket, wake);
                Step::Wait(parked, woken)
            }
            flow => Step::Now(flow),
        };
        self.settle(&mut inner);
        step
    }

    pub(crate) fn handle(&self, cx: &mut Context, request: Prepared) -> Step {
        self.step(|world, now| {
            cx.now = now;
            world.handle(cx, request)
        })
    }

    pub(crate) fn resume(&self, cx: &mut Context, mut parked: Parked, why: Why) -> Step {
        parked.read_records();
        self.lock().parked.remove(&parked.ticket);
        self.step(|world, now| {
            cx.now = now;
            world.resume(cx, parked, why)
        })
    }

    /// Forgets a parked request whose connection is gone.
    pub(crate) fn abandon(&self, parked: &Parked) {
        let mut inner = self.lock();
        inner.parked.remove(&parked.ticket);
        inner.world.abandon(parked);
    }

    /// As [`abandon`](Self::abandon), for a request that is lost itself and belonged to no group.
    pub(crate) fn forget(&self, ticket: Ticket) {
        let mut inner = self.lock();
        inner.parked.remove(&ticket);
        inner.world.forget(ticket);
    }

    /// A number that no other connection has.
    pub(crate) fn new_connection(&self) -> u64 {
        let mut inner = self.lock();
        inner.connections += 1;
        inner.connections
    }

    /// Waits until `fact` holds; looked at whenever the world may have changed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub(crate) async fn until<R>(&self, mut fact: impl FnMut(&mut World) -> Option<R>) -> R {
        let mut changes = self.changed.subscribe();
        loop {
            changes.take_note();
            if let Some(found) = fact(&mut self.lock().world) {
                return found;
            }
            // The sender lives as long as this shell.
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn settle(&self, inner: &mut Inner) {
        for ticket in inner.world.take_woken() {
            if let Some(wake) = inner.parked.remove(&ticket) {
                // Whoever waited may have gone.
                let _ = wake.send(());
            }
        }
        let deadline = inner.world.next_deadline();
        if deadline != inner.deadline {
            inner.deadline = deadline;
            self.deadline.notify_one();
        }
        self.changed.change(|()| Some(()));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the world's timers, for as long as anybody holds the shell.
    pub(crate) fn spawn_timers(self: &Arc<Self>, mut stop: watch::Receiver<()>) {
        let shell = Arc::clone(self);
        spawn(async move {
            loop {
                let deadline = shell.lock().deadline;
                tokio::select! {
                    biased;
                    () = shell.clock.sleep_until(deadline) => {
                        shell.run(|world, now| world.tick(now));
                    }
                    () = shell.deadline.notified() => {}
                    _ = stop.changed() => return,
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Resume;
    use crate::world::config::Settings;

    #[tokio::test]
    async fn nothing_is_left_of_a_request_that_was_lost_while_its_records_were_read() {
        let shell = Shell::new(World::new(1, Settings::default()), Clock::start(None));
        let step = shell.step(|world, _| world.park(&[], None, Resume::Answer(None)));
        let Step::Wait(parked, woken) = step else { panic!("it is parked") };
        shell.forget(parked.ticket);
        assert!(woken.await.is_err(), "nobody can wake it any more");
        assert!(shell.lock().parked.is_empty());
    }
}
