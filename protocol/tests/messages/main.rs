//! Every message in every version, held against other opinions of what its bytes are.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a suite says what failed by panicking")]

mod elements;
mod errors;
mod golden;
mod hostile;
mod kafka_protocol;
mod schema;
mod seeds;
#[path = "../support/mod.rs"]
mod support;
