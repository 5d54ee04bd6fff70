//! Why something failed, and what it may have done.

mod certainty;
mod request;

pub use certainty::Certainty;
pub use ottla_protocol::{ErrorClass, ErrorCode};
pub use request::{CloseReason, Peer, RequestError};
