//! Producer, consumer and admin on the embedded brokers, in memory and on paused time: what takes
//! seconds, or a broker that no real one can be made to be.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test bed that does not stand up is a failed test, and its clock is a paused one"
)]

mod bad_input;
mod bed;
mod members;
mod stranger;
mod truncation;
