//! Simulation: a client and a cluster in one process, on paused time, with faults from a seed.
//!
//! A run is decided by its seed alone: the same seed gives the same history, byte for byte. The
//! [`History`] is judged by [`check`], which knows nothing of the client, only what was promised
//! (A1, S1–S18 and L1–L3; each rule has its name where it is broken).
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a simulation says what failed by panicking"
)]

mod actor;
mod bed;
mod check;
mod consume;
mod draw;
mod hardship;
mod history;
mod member;
mod nemesis;
mod planted;
mod produce;
mod runs;
mod scene;
mod sender;
mod transactions;
mod wire;
