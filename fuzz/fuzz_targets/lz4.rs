#![no_main]

use ottla_protocol::compression::Compression;
libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla_fuzz::codec(Compression::Lz4, data));
