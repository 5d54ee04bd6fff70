//! What an application does when partitions come and go.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use ottla_core::types::TopicPartition;

use crate::machine::commit::CommitError;
use crate::machine::membership::LossReason;

/// Why a listener failed: whatever it says.
pub type ListenerError = Box<dyn Error + Send + Sync>;

/// Told when partitions come and go.
///
/// Each method runs within the application's own poll, one at a time, and may be written as an
/// `async fn`. All together have `max.poll.interval.ms`: after that the group goes on without this
/// member.
///
/// # Cancel safety
///
/// A poll that is dropped while a method runs calls it again with the next poll.
///
/// # Kafka
///
/// Java's `ConsumerRebalanceListener`; KIP-429 brought `lost`.
pub trait RebalanceListener: Send + Sync + 'static {
    /// Partitions have come. Nothing of them has been delivered yet.
    ///
    /// # Errors
    ///
    /// Whatever it says; the poll that runs it fails with it.
    fn assigned(
        &self,
        assigned: &Assigned<'_>,
    ) -> impl Future<Output = Result<(), ListenerError>> + Send {
        let _ = assigned;
        async { Ok(()) }
    }

    /// Partitions have to be given up, and are still owned: the moment to finish what was begun and
    /// to commit.
    ///
    /// # Errors
    ///
    /// Whatever it says; the poll that runs it fails with it, and the partitions are given up all the
    /// same.
    fn revoking(
        &self,
        revoking: &Revoking<'_>,
    ) -> impl Future<Output = Result<(), ListenerError>> + Send {
        let _ = revoking;
        async { Ok(()) }
    }

    /// Partitions are gone: another member may have them by now, and commits are refused.
    ///
    /// # Errors
    ///
    /// Whatever it says; the poll that runs it fails with it.
    fn lost(&self, lost: &Lost<'_>) -> impl Future<Output = Result<(), ListenerError>> + Send {
        let _ = lost;
        async { Ok(()) }
    }
}

/// Partitions that have come.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Assigned<'a> {
    /// Those that are new, sorted.
    pub added: &'a [TopicPartition],
    /// All that the member owns now, sorted.
    pub owned: &'a [TopicPartition],
}

impl<'a> Assigned<'a> {
    /// `added` have come, and `owned` is all that the member has now: for tests of listeners.
    #[must_use]
    pub fn new(added: &'a [TopicPartition], owned: &'a [TopicPartition]) -> Self {
        Self { added, owned }
    }
}

/// Partitions that have to be given up.
#[derive(Clone, Copy)]
pub struct Revoking<'a> {
    /// The partitions, sorted.
    pub partitions: &'a [TopicPartition],
    committer: &'a dyn Committer,
}

impl<'a> Revoking<'a> {
    /// Partitions to be given up, whose processed offsets `committer` commits.
    pub fn new(partitions: &'a [TopicPartition], committer: &'a dyn Committer) -> Self {
        Self { partitions, committer }
    }

    /// Commits what was processed of these partitions.
    ///
    /// # Errors
    ///
    /// [`CommitError`]: others will get those records again.
    ///
    /// # Cancel safety
    ///
    /// A dropped future takes nothing back: the commit goes on.
    pub async fn commit(&self) -> Result<(), CommitError> {
        self.committer.commit(self.partitions).await
    }
}

impl fmt::Debug for Revoking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revoking").field("partitions", &self.partitions).finish_non_exhaustive()
    }
}

/// Partitions that are gone.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Lost<'a> {
    /// The partitions, sorted.
    pub partitions: &'a [TopicPartition],
    /// Why.
    pub reason: LossReason,
}

impl<'a> Lost<'a> {
    /// `partitions`, which are gone for a `reason`: for tests of listeners.
    #[must_use]
    pub fn new(partitions: &'a [TopicPartition], reason: LossReason) -> Self {
        Self { partitions, reason }
    }
}

/// A future whose type nobody names.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who commits for a [`Revoking`].
pub trait Committer: Send + Sync {
    /// Commits what was processed of `partitions`.
    fn commit<'a>(
        &'a self,
        partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, Result<(), CommitError>>;
}

/// A [`RebalanceListener`] whose type nobody names: how a consumer keeps one.
pub trait AnyListener: Send + Sync {
    /// As [`RebalanceListener::assigned`].
    fn assigned<'a>(&'a self, news: &'a Assigned<'a>) -> BoxFuture<'a, Result<(), ListenerError>>;
    /// As [`RebalanceListener::revoking`].
    fn revoking<'a>(&'a self, news: &'a Revoking<'a>) -> BoxFuture<'a, Result<(), ListenerError>>;
    /// As [`RebalanceListener::lost`].
    fn lost<'a>(&'a self, news: &'a Lost<'a>) -> BoxFuture<'a, Result<(), ListenerError>>;
}

impl<L: RebalanceListener> AnyListener for L {
    fn assigned<'a>(&'a self, news: &'a Assigned<'a>) -> BoxFuture<'a, Result<(), ListenerError>> {
        Box::pin(RebalanceListener::assigned(self, news))
    }

    fn revoking<'a>(&'a self, news: &'a Revoking<'a>) -> BoxFuture<'a, Result<(), ListenerError>> {
        Box::pin(RebalanceListener::revoking(self, news))
    }

    fn lost<'a>(&'a self, news: &'a Lost<'a>) -> BoxFuture<'a, Result<(), ListenerError>> {
        Box::pin(RebalanceListener::lost(self, news))
    }
}
