//! What each fuzz target does with its input, and what must hold then.
//!
//! The targets only call these functions, so that a test can call them too, without libFuzzer.
#![forbid(unsafe_code)]

mod batch;
mod codec;
mod frame;
mod message;

pub use batch::batch;
pub use codec::codec;
pub use frame::frame;
pub use message::{request, response};
