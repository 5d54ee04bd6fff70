//! Deadlines, backoff, and how often trouble is told.

mod backoff;
mod deadline;
mod warned;

pub use backoff::{Backoff, jitter};
pub use deadline::Deadline;
pub use warned::Warned;

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do, and there is no other way to one"
)]
pub(crate) fn test_now() -> std::time::Instant {
    std::time::Instant::now()
}
