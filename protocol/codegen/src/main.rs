//! Writes the messages of `ottla-protocol`, and the fuzzer's seeds, from the schema files.

use std::fs;
use std::io;

fn main() -> io::Result<()> {
    let schemas = ottla_codegen::read_schemas()?;
    let protocol = ottla_codegen::protocol();
    // A schema that was removed must not leave its messages behind.
    for folder in ["src/messages", "../fuzz/seeds/request", "../fuzz/seeds/response"] {
        let folder = protocol.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
    }
    for (path, text) in ottla_codegen::generate(&schemas) {
        fs::write(protocol.join(path), text)?;
    }
    for (path, bytes) in ottla_codegen::seeds(&schemas) {
        fs::write(protocol.join(path), bytes)?;
    }
    Ok(())
}
