//! The producer: batching, idempotence, retries.
//!
//! Users depend on the facade, `ottla`, which re-exports what they need from here.
//!
//! Everything that decides is a plain structure which is told the time. Only `net`, behind the
//! feature of that name, has tasks and clocks.

pub mod config;
