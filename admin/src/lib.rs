//! The administrative calls of the ottla Kafka client.
//!
//! Users depend on the facade, `ottla`, where `kafka.admin()` gives an `Admin`.
//!
//! What a call is (whom it asks, how, and what the answer means for each item) is plain data and
//! functions; what all calls share (grouping items by the broker that can answer for them, retrying
//! those that a retry can help, the deadline) is one plain machine. Only `net`, behind the feature
//! of that name, waits for anything.
//!
//! | module | what it is for |
//! |---|---|
//! | [`topics`] | creating, deleting, growing and describing topics |
//! | [`config`] | the settings of the admin client |
//! | [`configs`] | the settings of topics and brokers |
//! | [`groups`] | listing, describing and deleting groups |
//! | [`offsets`] | offsets of partitions and of groups, lag, deleting records |
//! | [`cluster`] | the cluster itself |
//! | `net` | `Admin`, and what its methods return until they are awaited |
#![cfg_attr(
    all(not(feature = "net"), not(test)),
    expect(dead_code, unused_imports, reason = "the shell asks what is decided here")
)]

mod call;
pub mod cluster;
pub mod config;
pub mod configs;
mod error;
pub mod groups;
#[cfg(feature = "net")]
pub mod net;
pub mod offsets;
mod results;
pub mod topics;

pub use error::AdminError;
#[cfg(feature = "net")]
pub use net::Admin;
pub use results::Results;
