//! Record batches, held against what Apache Kafka reads and writes: see `golden/README.md`.
#![expect(clippy::unwrap_used, reason = "a suite says what failed by panicking")]

mod index;
mod rebuild;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use bytes::Bytes;
use ottla_protocol::compression::Compression;
use ottla_protocol::records::{Batch, Batches};

#[test]
fn every_batch_of_kafka_says_what_kafka_reads_in_it() {
    let described = golden_index();
    assert!(described.len() > 70, "the index lists {} files", described.len());
    for (name, expected) in &described {
        assert_eq!(&index::describe(&golden(name)), expected, "{name}");
    }
}

#[test]
fn every_golden_file_is_in_the_index() {
    let described = golden_index();
    for entry in fs::read_dir(golden_folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "index.txt" || described.contains_key(&name), "{name}");
    }
}

#[test]
fn uncompressed_batches_are_rebuilt_byte_for_byte() {
    let mut rebuilt = 0;
    for name in golden_index().keys() {
        for batch in Batches::new(golden(name)) {
            let Batch::V2(batch) = batch.unwrap() else { continue };
            if batch.header().record_count == 0 {
                // Compaction left only the header, which no builder makes.
                assert_eq!(batch.header().encode(), &batch.bytes()[..], "{name}");
            } else if batch.header().compression() == Ok(Compression::None) {
                let again = rebuild::uncompressed(&batch);
                assert_eq!(again.as_bytes(), &batch.bytes()[..], "{name}");
                rebuilt += 1;
            }
        }
    }
    assert!(rebuilt > 20, "only {rebuilt} were uncompressed");
}

/// Writes every golden batch again, in every codec, into the folder that `OTTLA_GOLDEN_OUT` names;
/// `golden/run verify` has Kafka read them. Without the variable only our own reader does.
#[test]
fn writes_batches_for_java() {
    let out = env::var_os("OTTLA_GOLDEN_OUT").map(PathBuf::from);
    let mut index = String::new();
    for name in golden_index().keys() {
        for compression in [
            Compression::None,
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ] {
            let Some(bytes) = rebuild::whole_file(golden(name), compression) else { continue };
            let name = format!("{}-as-{compression}.bin", name.trim_end_matches(".bin"));
            index += &format!("file {name}\n{}\n", index::describe(&bytes));
            if let Some(out) = &out {
                fs::write(out.join(name), &bytes).unwrap();
            }
        }
    }
    assert!(index.matches("file ").count() > 150, "{} files", index.matches("file ").count());
    if let Some(out) = &out {
        fs::write(out.join("index.txt"), index).unwrap();
    }
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/batches")
}

fn golden(name: &str) -> Bytes {
    fs::read(golden_folder().join(name)).unwrap().into()
}

/// The lines about each file, by its name.
fn golden_index() -> BTreeMap<String, String> {
    let text = fs::read_to_string(golden_folder().join("index.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut files = BTreeMap::new();
    let mut current = String::new();
    for line in lines {
        if let Some(name) = line.strip_prefix("file ") {
            name.clone_into(&mut current);
            files.insert(current.clone(), String::new());
        } else if let Some(described) = files.get_mut(&current) {
            *described += &format!("{line}\n");
        }
    }
    files
}
