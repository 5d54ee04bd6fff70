//! What each fuzz target does with its input, and what must hold then.
//!
//! The targets only call these functions, so that a test can call them too, without libFuzzer.
#![forbid(unsafe_code)]

mod batch;
mod broker;
mod codec;
mod fetch_view;
mod frame;
mod message;

pub use batch::batch;
pub use broker::{Bed, Step, broker, worn_broker};
pub use codec::codec;
pub use fetch_view::fetch_view;
pub use frame::frame;
pub use message::{request, response};
