//! Why something failed: one enum for each operation.

mod consumer;
mod fetch;

pub use consumer::ConsumerError;
pub use fetch::FetchError;
