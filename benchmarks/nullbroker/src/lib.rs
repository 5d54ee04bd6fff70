//! A broker that costs next to nothing, to measure clients with.
//!
//! It believes what it is told: a produced batch is counted and forgotten, a fetched one was encoded
//! before the first client came. What a client costs is then the client's, and the rate at which it
//! runs is its own.
//!
//! [`Broker`] decides and has no clock and no socket; [`net`] serves it. One thread serves
//! everybody, so that one core can be set aside for it.

mod broker;
mod canned;
pub mod control;
mod counts;
mod data;
mod directory;
pub mod net;
mod offsets;
mod trouble;
mod versions;

pub use broker::{Answer, Broker, Config, Refused};
pub use canned::{CannedLog, Payload, PayloadError};
pub use counts::{Counts, Flow};
pub use trouble::Trouble;
pub use versions::Versions;
