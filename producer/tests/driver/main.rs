//! The producer on the embedded broker, in memory and on paused time.
#![expect(clippy::unwrap_used, reason = "a test bed that does not stand up is a failed test")]

mod bed;
mod chaos;
mod closing;
mod failures;
mod leaders;
mod memory;
mod sending;
