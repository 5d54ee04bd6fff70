//! The shell: what connects the machines to brokers and to the application.

pub mod group;
mod link;
mod lookups;
pub(crate) mod offsets;
mod placing;
mod sessions;
mod shared;
mod troubles;

pub(crate) use placing::Unplaced;
pub(crate) use shared::Shared;
