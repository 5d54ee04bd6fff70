//! The harness of the suites in `tests/`: one handle for a cluster, whatever it is made of.
//!
//! A test is an `async fn name(cluster: &TestCluster)`, written once. [`run`] gives it a cluster:
//! the embedded reference broker, Apache Kafka in containers (feature `containers`), or a cluster
//! that runs elsewhere (feature `external`).
//!
//! What the harness knows of a cluster, it asks with [`Probe`], which shares nothing but the bytes
//! with the client under test: a bug of the client cannot hide itself.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a harness that cannot go on fails its test, and lives on real time"
)]

mod backend;
mod cluster;
#[cfg(feature = "containers")]
mod containers;
mod probe;
mod run;
#[cfg(feature = "containers")]
pub mod tools;
mod topics;

pub use backend::{Backend, rack_of};
pub use cluster::TestCluster;
pub use probe::Probe;
pub use run::{Access, run};
