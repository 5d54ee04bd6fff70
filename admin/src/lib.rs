//! The administrative calls.

pub mod config;
