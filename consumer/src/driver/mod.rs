//! The shell: what connects the machines to brokers and to the application.

pub mod group;
mod link;
mod lookups;
pub(crate) mod offsets;
mod sessions;
mod shared;

pub(crate) use shared::Shared;
