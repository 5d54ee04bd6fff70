//! The consumer on the embedded broker, in memory and on paused time.
#![cfg(feature = "net")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite says what failed by panicking"
)]

mod bed;
mod closing;
mod faults;
mod groups;
mod offsets;
mod placing;
mod reading;
mod seeking;
mod skewed;
mod topics;
mod transactions;
mod unreadable;
