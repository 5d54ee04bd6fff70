//! Why something failed, and what it may have done.

mod causes;
mod certainty;
mod common;
mod kind;
mod request;
mod words;

pub use causes::WithCauses;
pub use certainty::Certainty;
pub use common::{Error, ErrorBuilder};
pub use kind::ErrorKind;
pub use ottla_protocol::{ErrorClass, ErrorCode};
pub use request::{CloseReason, Peer, RequestError};
