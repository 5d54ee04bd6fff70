//! A small Kafka broker: a whole cluster in one process, for tests and examples.
//!
//! [`World`](world::World) is all of it that decides anything: plain data that is told the time
//! and given requests, and says what becomes of them.

pub mod api;
pub mod fault;
pub mod log;
pub mod partition;
pub mod world;
