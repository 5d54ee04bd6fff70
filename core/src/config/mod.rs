//! The settings that all roles share.

mod client;

pub use client::{ClientConfig, MetadataRecovery, SecurityProtocol};
