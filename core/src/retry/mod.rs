//! Deadlines and backoff.

mod backoff;
mod deadline;

pub use backoff::{Backoff, jitter};
pub use deadline::Deadline;
