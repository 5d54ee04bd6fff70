//! The codec beside `kafka-protocol` 0.18: record batches of 1,000 records, and control messages
//! of 1,000 partitions. `cargo run --bin ratios` reads what this measured.

mod control;

use criterion::{criterion_group, criterion_main};

criterion_group!(codec, control::metadata, control::fetch);
criterion_main!(codec);
