//! What is to be done, until it is awaited.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use ottla_core::retry::Deadline;

use super::Admin;

/// An administrative call, to be refined and then awaited.
///
/// # Cancel safety
///
/// Nothing is lost by dropping the future but the results: what was asked of a broker may be done.
#[must_use = "nothing is done until it is awaited"]
pub struct Pending<O> {
    admin: Admin,
    pub(super) operation: O,
    timeout: Option<Duration>,
}

/// The future of an administrative call.
pub type AdminFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Something that an [`Admin`] can do.
pub trait Operation: fmt::Debug + Send + Sized + 'static {
    /// What comes of it.
    type Output: Send;

    /// Does it, by the deadline.
    fn perform(self, admin: Admin, deadline: Deadline)
    -> impl Future<Output = Self::Output> + Send;
}

impl<O> Pending<O> {
    pub(super) fn new(admin: &Admin, operation: O) -> Self {
        Self { admin: admin.clone(), operation, timeout: None }
    }

    /// Lets the whole call, with all its retries, take so long; without this,
    /// `default.api.timeout.ms`.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    pub(super) fn with(mut self, refine: impl FnOnce(&mut O)) -> Self {
        refine(&mut self.operation);
        self
    }
}

impl<O: Operation> IntoFuture for Pending<O> {
    type Output = O::Output;
    type IntoFuture = AdminFuture<O::Output>;

    /// The deadline counts from here.
    fn into_future(self) -> Self::IntoFuture {
        let Self { admin, operation, timeout } = self;
        let timeout = timeout.unwrap_or_else(|| admin.client().config().default_api_timeout);
        let deadline = Deadline::after(admin.client().runtime().now(), timeout);
        Box::pin(operation.perform(admin, deadline))
    }
}

impl<O: fmt::Debug> fmt::Debug for Pending<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { admin: _, operation, timeout } = self;
        let mut pending = f.debug_struct("Pending");
        pending.field("operation", operation).field("timeout", timeout).finish()
    }
}
