//! Transactions on the embedded broker, in memory and on paused time, with both protocols.
#![expect(clippy::unwrap_used, reason = "a test bed that does not stand up is a failed test")]

mod bed;
mod cancelling;
mod ending;
mod failures;
mod offsets;
mod refusals;
