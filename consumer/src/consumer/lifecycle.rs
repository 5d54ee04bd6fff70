//! How a consumer ends.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::retry::Deadline;

use super::{Consumer, listening};
use crate::driver::Shared;
use crate::driver::group::GroupHandle;
use crate::error::ConsumerError;
use crate::machine::commit::CommitError;
use crate::machine::membership::OnClose;

/// Ends the polls of a consumer from elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ShutdownHandle(Arc<Shared>);

impl ShutdownHandle {
    /// Ends the current poll and all later ones, with `None`; of a batch that
    /// [`recv`](Consumer::recv) is in the middle of, the rest comes first. Never waits; close the
    /// consumer after that: until then it is a member of its group, with its partitions.
    pub fn shutdown(&self) {
        self.0.stop();
    }
}

impl Consumer {
    /// What ends the polls of this consumer from elsewhere: a signal handler, another task.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle(Arc::clone(&self.shared))
    }

    /// Commits what was processed, where commits are automatic, leaves the group, ends the fetch
    /// sessions and closes the connections. Later calls fail with [`ConsumerError::Closed`].
    ///
    /// # Errors
    ///
    /// [`ConsumerError`], when the last commit failed. The consumer is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves a consumer that may still be a member of its group, until it is dropped
    /// or closed again: that goes on where this was, and says what became of the last commit.
    ///
    /// # Kafka
    ///
    /// Java's `close(Duration)`.
    pub async fn close(&mut self, timeout: Duration) -> Result<(), ConsumerError> {
        self.close_with(timeout, OnClose::Default).await
    }

    /// As [`close`](Self::close), with a word on whether the member leaves its group: then others have
    /// its partitions at once, and otherwise when its session is over, unless it is back by then.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// As [`close`](Self::close).
    ///
    /// # Kafka
    ///
    /// Java's `close(CloseOptions)` (KIP-1092).
    pub async fn close_with(
        &mut self,
        timeout: Duration,
        on_close: OnClose,
    ) -> Result<(), ConsumerError> {
        if self.shared.is_closed() && self.group.is_none() {
            return Ok(());
        }
        self.store_returned();
        let uncommitted = self.why_uncommitted();
        let deadline = Deadline::after(self.shared.now(), timeout);
        // Nothing more is fetched; what was is returned to nobody, and no stream goes on.
        self.shared.close();
        let sessions = self.shared.end_sessions(deadline);
        let ((), left) = tokio::join!(sessions, self.leave_in_time(deadline, timeout, on_close));
        self.group = None;
        uncommitted.map_or(left, Err)
    }
}

impl Consumer {
    /// Why what was processed is not committed any more, if it is not: the client is closed, and the
    /// group's task has ended with it.
    fn why_uncommitted(&self) -> Option<ConsumerError> {
        let group = self.group.as_ref().filter(|_| self.shared.config().enable_auto_commit)?;
        let ended = self.shared.check_open().err().filter(|_| !self.shared.is_closed())?;
        group.has_uncommitted().then_some(ended)
    }

    async fn leave_in_time(
        &mut self,
        deadline: Deadline,
        timeout: Duration,
        on_close: OnClose,
    ) -> Result<(), ConsumerError> {
        let Some(group) = self.group.clone() else { return Ok(()) };
        let runtime = self.shared.client().runtime().clone();
        // The group's task ends at the deadline, and knows what the last commit waited for.
        let late = Deadline::after(deadline.instant(), GRACE).instant();
        tokio::select! {
            biased;
            left = self.leave(&group, deadline, on_close) => left,
            () = runtime.sleep_until(Some(late)) => Err(CommitError::DeadlineExceeded {
                within: timeout,
                last: None,
                cause: None,
            }
            .into()),
        }
    }

    /// Gives up what is owned, as in any other revocation, and leaves the group.
    async fn leave(
        &mut self,
        group: &GroupHandle,
        deadline: Deadline,
        on_close: OnClose,
    ) -> Result<(), ConsumerError> {
        let lost = self.heed_loss(group).await?;
        let owned = if self.subscribed { self.assignment() } else { Vec::new() };
        let told = if owned.is_empty() { Ok(()) } else { self.tell_revoking(&owned).await };
        // Who closes again, because this was dropped, is not told of them again.
        owned.iter().for_each(|partition| self.remove(partition));
        group.leave(on_close, deadline).await?;
        lost.and(told).map_err(listening::failed)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// How long the group's task has to say what became of the last commit, behind the deadline.
const GRACE: Duration = Duration::from_millis(100);
