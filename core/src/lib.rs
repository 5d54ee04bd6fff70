//! What every role of the ottla Kafka client shares: types, errors, settings, metadata, connections.
//!
//! Users depend on the facade, `ottla`; this crate is how its parts talk to one another.
//!
//! Everything that decides is a plain structure which is told the time. Only [`net`], behind the
//! feature of that name, has sockets, tasks and clocks.
//!
//! | module | what it is for |
//! |---|---|
//! | [`types`] | names, ids and epochs |
//! | [`error`] | why a request failed, and whether the broker may have acted on it |
//! | [`config`] | the settings that all roles share |
//! | [`retry`] | deadlines and backoff |
//! | [`cluster`] | what is known of the cluster |
//! | [`conn`] | one connection to one broker, and who sends over it |
//! | `net` | the shell: runtime, links, [`Client`](net::Client) |

pub mod cluster;
pub mod config;
pub mod conn;
pub mod error;
#[cfg(feature = "net")]
pub mod net;
pub mod retry;
pub mod types;
