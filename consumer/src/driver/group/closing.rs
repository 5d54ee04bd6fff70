//! The way out: a last commit, then leaving.

use std::time::{Duration, Instant};

use ottla_core::retry::Deadline;
use tokio::sync::oneshot;

use super::task::GroupTask;
use crate::machine::commit::{CommitError, CommitId, Offsets};
use crate::machine::membership::OnClose;

/// The way out.
pub(super) struct Closing {
    pub(super) on_close: OnClose,
    pub(super) deadline: Deadline,
    pub(super) done: Option<oneshot::Sender<Result<(), CommitError>>>,
    pub(super) step: Step,
    pub(super) outcome: Result<(), CommitError>,
}

pub(super) enum Step {
    /// The last commit.
    Committing(CommitId),
    Leaving,
}

impl GroupTask {
    pub(super) fn close(
        &mut self,
        on_close: OnClose,
        deadline: Deadline,
        done: Option<oneshot::Sender<Result<(), CommitError>>>,
        now: Instant,
    ) {
        // What the application has done already counts: a partition that it was told of a moment ago, and
        // has read from, is its own.
        self.finish_notice(now);
        let offsets = match self.config.auto_commit_interval {
            Some(_) => self.uncommitted(),
            None => Offsets::new(),
        };
        // Half of the time at most, so that there is some left to leave in.
        let last = Deadline::after(now, (deadline.left(now) / 2).min(UNATTENDED));
        let commit = self.commits.commit(offsets, now, last);
        let step = Step::Committing(commit);
        self.closing = Some(Closing { on_close, deadline, done, step, outcome: Ok(()) });
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        let Some(closing) = &self.closing else { return self.client_is_closed };
        let left = matches!(closing.step, Step::Leaving) && self.membership.is_outside();
        left || closing.deadline.is_over(now) || self.client_is_closed
    }

    pub(super) fn end(mut self) {
        self.commits.fail_all(&CommitError::Closed);
        self.lookups.fail_all(&CommitError::Closed);
        let now = self.client.runtime().now();
        self.settle_done(now);
        let Some(Closing { done, outcome, .. }) = self.closing else { return };
        // Whoever waited may have stopped, and come back later.
        self.publisher.send_modify(|published| published.left.clone_from(&outcome));
        drop(done.map(|done| done.send(outcome)));
    }
}

/// How long leaving may take where nobody waits for it, and a last commit at most.
pub(super) const UNATTENDED: Duration = Duration::from_secs(5);
