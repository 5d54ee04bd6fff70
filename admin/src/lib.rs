//! The administrative calls.
