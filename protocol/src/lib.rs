//! Apache Kafka's wire protocol: messages, record batches and compression.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod wire;
