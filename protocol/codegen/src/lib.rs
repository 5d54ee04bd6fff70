//! From the schema files to the messages of `ottla-protocol`, and to bytes that test them.
//!
//! [`generate`] writes the Rust that is committed in `protocol/src/messages`. [`sample`] writes
//! messages straight from the schema, without any of that Rust: the tests' independent opinion.
//! [`seeds`] are such messages, which the fuzzer starts from.

mod emit;
mod names;
pub mod sample;
pub mod schema;
mod seeds;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use emit::generate;
use schema::Schema;
pub use seeds::seeds;

/// Reads every schema file of the repository, ordered by module.
///
/// # Errors
///
/// Whatever keeps a file from being read, or [`schema::SchemaError`] as an [`io::Error`].
pub fn read_schemas() -> io::Result<Vec<Schema>> {
    let mut schemas = Vec::new();
    for entry in fs::read_dir(protocol().join("schemas"))? {
        let path = entry?.path();
        let Some(module) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let schema = Schema::parse(module, &fs::read_to_string(&path)?);
        schemas.push(schema.map_err(io::Error::other)?);
    }
    schemas.sort_by(|a, b| a.module.cmp(&b.module));
    Ok(schemas)
}

/// The folder of `ottla-protocol`, which the paths of [`generate`] and [`seeds`] start from.
#[must_use]
pub fn protocol() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
