//! How values of the protocol become bytes.

pub mod varint;
