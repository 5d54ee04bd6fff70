//! Writes the messages of `ottla-protocol` from the schema files.

use std::fs;
use std::io;

fn main() -> io::Result<()> {
    let files = ottla_codegen::generate(&ottla_codegen::read_schemas()?);
    let protocol = ottla_codegen::protocol();
    // A schema that was removed must not leave its messages behind.
    fs::remove_dir_all(protocol.join("src/messages"))?;
    fs::create_dir_all(protocol.join("src/messages"))?;
    for (path, text) in files {
        fs::write(protocol.join(path), text)?;
    }
    Ok(())
}
