//! A small Kafka broker: a whole cluster in one process, for tests and examples.
//!
//! [`World`](world::World) is all of it that decides anything: plain data that is told the time
//! and given requests, and says what becomes of them. With the feature `net`, on by default,
//! `Cluster` puts it behind TCP listeners or in-memory streams.

pub mod api;
pub mod fault;
mod group;
pub mod log;
pub mod partition;
mod txn;
pub mod world;

#[cfg(feature = "net")]
mod clock;
#[cfg(feature = "net")]
pub mod cluster;
#[cfg(feature = "net")]
pub mod net;

#[cfg(feature = "net")]
pub use cluster::{Cluster, ClusterBuilder};
