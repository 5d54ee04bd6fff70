//! The administrative calls on the embedded broker, in memory and on paused time.
#![expect(clippy::unwrap_used, reason = "a suite says what failed by panicking")]

mod bed;
mod configs;
mod groups;
mod offsets;
mod topics;
mod trouble;
