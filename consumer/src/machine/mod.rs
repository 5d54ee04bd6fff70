//! What decides in a consumer: plain structures that are told the time, with neither socket, clock
//! nor task of their own.

pub mod assignor;
pub mod commit;
pub mod fetch;
pub mod membership;
pub mod offsets;
mod position;
pub mod subscription;

pub use position::{OffsetSpec, Position};
