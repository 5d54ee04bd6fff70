//! Applications that come and go.

use std::future::Future;

use ottla_core::net::Client;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// An application with a client of its own, in a task that can be told to stop.
pub(crate) struct Actor {
    client: Client,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Actor {
    /// Starts what `act` makes of the sign to stop.
    pub(crate) fn begin<F>(client: Client, act: impl FnOnce(watch::Receiver<bool>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        Self { client, stop, task: spawn(act(stopped)) }
    }

    /// Tells it to stop, and waits until it has. Its client is left.
    pub(crate) async fn stop(self) -> Client {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        self.client
    }

    /// Drops what it was doing; what was dropped may clean up behind itself.
    pub(crate) fn drop_task(self) {
        self.task.abort();
    }

    /// Like a process that is killed: nobody hears of it.
    pub(crate) async fn kill(self) {
        self.task.abort();
        self.client.close().await;
    }
}

#[expect(clippy::disallowed_methods, reason = "applications are tasks of the test")]
pub(crate) fn spawn(run: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(run)
}
