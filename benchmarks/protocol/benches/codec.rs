//! The codec beside `kafka-protocol` 0.18: record batches of 1,000 records, and control messages
//! of 1,000 partitions. `cargo run --bin ratios` reads what this measured.

mod control;
mod records;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

criterion_group! {
    name = codec;
    config = many_short_samples();
    targets = records::crc32c, records::encode_100, records::encode_1024, records::decode_100,
        records::decode_1024, control::metadata, control::fetch
}
criterion_main!(codec);

/// A busy machine spoils some of many short samples, and their median forgets those.
fn many_short_samples() -> Criterion {
    Criterion::default()
        .sample_size(200)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}
