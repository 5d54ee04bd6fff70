//! The codecs, one target each.

use std::cell::RefCell;

use ottla_protocol::compression::{Codec, Compression, CompressionError, Compressor, Decompressor};

/// Most bytes that may come out of one input.
const LIMIT: usize = 1 << 20;

thread_local! {
    /// Kept, because its tables cost more than most inputs. What is hostile is unpacked afresh, so
    /// that an input alone decides what happens.
    static COMPRESSOR: RefCell<Compressor> = RefCell::default();
}

/// Unpacks the input, and packs it and unpacks that.
pub fn codec(compression: Compression, data: &[u8]) {
    let mut decompressor = Decompressor::new();
    let mut unpacked = Vec::new();
    let mut unpack = |packed: &[u8], limit| {
        let result = decompressor.decompress(compression, packed, &mut unpacked, limit);
        assert!(unpacked.capacity() <= LIMIT + 1, "{} bytes reserved", unpacked.capacity());
        result.map(|()| unpacked.clone())
    };
    let pack = |plain: &[u8]| {
        let mut packed = Vec::new();
        let codec = Codec::new(compression);
        let packing = COMPRESSOR.with_borrow_mut(|kept| kept.compress(codec, plain, &mut packed));
        packing.expect("every input can be packed");
        packed
    };
    if let Ok(plain) = unpack(data, LIMIT) {
        assert!(plain.len() <= LIMIT);
        assert_eq!(unpack(data, plain.len()).as_ref(), Ok(&plain), "exactly the limit is allowed");
        if let Some(limit) = plain.len().checked_sub(1) {
            let refused = Err(CompressionError::OutputTooLarge { limit });
            assert_eq!(unpack(data, limit), refused, "one byte more is not");
        }
        assert_eq!(unpack(&pack(&plain), LIMIT), Ok(plain));
    }
    assert_eq!(unpack(&pack(data), data.len()).as_deref(), Ok(data));
}
