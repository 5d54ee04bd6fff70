//! The shell: [`Admin`], and what its methods return until they are awaited.

mod admin;
mod cluster;
mod configs;
mod drive;
mod groups;
mod offsets;
mod pending;
mod racing;
mod topics;

pub use admin::Admin;
pub use pending::{AdminFuture, Operation, Pending};
