//! Kafka's own batches, cut short and with each byte made another.
//!
//! What must hold then is what the fuzz target `batch` demands.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite says what failed by panicking"
)]

#[path = "../../fuzz/src/batch.rs"]
#[expect(unreachable_pub, reason = "it is the fuzz workspace's")]
mod fuzz;

use std::fs;
use std::path::Path;

use bytes::Bytes;
use ottla_protocol::records::{Batch, Batches};

#[test]
fn a_partition_cut_at_any_byte_keeps_the_batches_before() {
    for whole in small_partitions() {
        let batches: Vec<Batch> = Batches::new(whole.clone()).collect::<Result<_, _>>().unwrap();
        for end in 0..whole.len() {
            let mut cut = Batches::new(whole.slice(..end));
            let kept: Vec<Batch> = cut.by_ref().collect::<Result<_, _>>().unwrap();
            assert_eq!(kept[..], batches[..kept.len()]);
            let kept: usize = kept.iter().map(len).sum();
            assert_eq!(cut.truncated_len(), end - kept);
        }
    }
}

#[test]
fn a_batch_with_any_byte_made_another_is_read_or_refused() {
    for whole in small_partitions() {
        // Beyond, there is only more of the same, which the fuzzer has time for.
        for at in 0..whole.len().min(400) {
            for byte in [0, 0x7f, 0xff] {
                let mut bytes = whole.to_vec();
                bytes[at] = byte;
                fuzz::batch(&bytes);
            }
        }
    }
}

fn len(batch: &Batch) -> usize {
    match batch {
        Batch::V2(batch) => batch.bytes().len(),
        Batch::Legacy(message) => message.bytes().len(),
    }
}

/// The records fields of the golden files that take little time.
fn small_partitions() -> Vec<Bytes> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/batches");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let batches = files.filter(|path| path.extension().is_some_and(|name| name == "bin"));
    let bytes = batches.map(|path| Bytes::from(fs::read(path).unwrap()));
    bytes.filter(|bytes| bytes.len() <= 1536).collect()
}
