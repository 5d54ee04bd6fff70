//! A small Kafka broker: a whole cluster in one process, for tests and examples.

pub mod log;
