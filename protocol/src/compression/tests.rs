use super::*;

const LIMIT: usize = 1 << 20;

/// Compressible, but not trivially: words with a counter, longer than every codec's block.
fn text(len: usize) -> Vec<u8> {
    (0_u64..)
        .flat_map(|n| format!("offset {n} partition {} ", n % 7).into_bytes())
        .take(len)
        .collect()
}

/// Bytes that no codec can shrink.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(next).collect()
}

fn enabled() -> impl Iterator<Item = Compression> {
    Compression::ALL.into_iter().filter(|compression| compression.is_enabled())
}

fn packed(compression: Compression, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compressor::new().compress(compression.into(), input, &mut out).unwrap();
    out
}

fn unpacked(
    compression: Compression,
    input: &[u8],
    max_len: usize,
) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::new();
    Decompressor::new().decompress(compression, input, &mut out, max_len)?;
    Ok(out)
}

#[test]
fn every_codec_gives_back_what_it_was_given() {
    let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::new());
    for compression in enabled() {
        for len in [0, 1, 13, 1_000, 32_768, 65_535, 65_536, 65_537, 300_000] {
            for input in [text(len), noise(len)] {
                let mut packed = b"before".to_vec();
                compressor.compress(compression.into(), &input, &mut packed).unwrap();
                let packed = packed.strip_prefix(b"before").unwrap();
                let mut out = b"stale".to_vec();
                decompressor.decompress(compression, packed, &mut out, len).unwrap();
                assert!(out == input, "{compression} {len}");
            }
        }
    }
}

#[test]
fn every_level_is_readable() {
    for compression in enabled() {
        let levels = compression.levels().into_iter().flatten();
        for level in levels.filter(|level| *level >= -5 || *level == -131_072) {
            let codec = Codec::with_level(compression, level).unwrap();
            let mut out = Vec::new();
            Compressor::new().compress(codec, &text(5_000), &mut out).unwrap();
            assert_eq!(unpacked(compression, &out, LIMIT).unwrap(), text(5_000), "{codec:?}");
        }
    }
}

#[test]
fn output_of_exactly_the_limit_is_allowed_and_one_byte_more_is_not() {
    for compression in enabled() {
        for len in [1, 100, 65_536, 200_000] {
            let input = packed(compression, &text(len));
            assert_eq!(unpacked(compression, &input, len).unwrap().len(), len, "{compression}");
            let limit = len - 1;
            assert_eq!(
                unpacked(compression, &input, limit),
                Err(CompressionError::OutputTooLarge { limit }),
                "{compression} {len}"
            );
        }
    }
}

#[test]
fn a_bomb_stops_at_the_limit_and_takes_no_memory_beyond_it() {
    for compression in enabled().filter(|compression| *compression != Compression::None) {
        let bomb = packed(compression, &vec![0; 8 << 20]);
        let mut out = Vec::new();
        let refused = Decompressor::new().decompress(compression, &bomb, &mut out, LIMIT);
        assert_eq!(refused, Err(CompressionError::OutputTooLarge { limit: LIMIT }));
        assert!(out.capacity() <= LIMIT + 1, "{compression} {}", out.capacity());
    }
}

#[test]
fn truncated_input_is_refused_at_every_byte() {
    for compression in enabled().filter(|compression| *compression != Compression::None) {
        let input = packed(compression, &text(2_000));
        for len in 0..input.len() {
            let cut = &input[..len];
            // A xerial frame has no end mark: it may end after its header.
            if compression == Compression::Snappy && len == 16 {
                continue;
            }
            assert!(unpacked(compression, cut, LIMIT).is_err(), "{compression} {len}");
        }
    }
}

#[test]
fn flipped_bits_never_panic_or_pass_the_limit() {
    for compression in enabled() {
        let input = packed(compression, &text(600));
        for bit in 0..input.len() * 8 {
            let mut flipped = input.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(out) = unpacked(compression, &flipped, 4_000) {
                assert!(out.len() <= 4_000, "{compression} {bit}");
            }
        }
    }
}

#[test]
fn an_unassigned_codec_id_is_named() {
    for compression in Compression::ALL {
        assert_eq!(Compression::from_id(compression.id()), Ok(compression));
    }
    assert_eq!(Compression::from_id(5), Err(CompressionError::UnknownCodec { id: 5 }));
}

#[test]
fn a_codec_that_is_off_names_its_feature() {
    for compression in Compression::ALL.into_iter().filter(|compression| !compression.is_enabled())
    {
        let off = Err(CompressionError::Disabled { compression, feature: compression.name() });
        let mut out = Vec::new();
        assert_eq!(Compressor::new().compress(compression.into(), b"x", &mut out), off);
        assert_eq!(Decompressor::new().decompress(compression, b"x", &mut out, 9), off);
    }
}

#[test]
fn names_are_kafkas() {
    for compression in Compression::ALL {
        assert_eq!(compression.to_string().parse(), Ok(compression));
    }
    let refused = "LZO".parse::<Compression>().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "unknown compression type `LZO`: expected none, gzip, snappy, lz4 or zstd"
    );
}

#[test]
fn levels_are_those_of_kip_390() {
    assert_eq!(Codec::new(Compression::Gzip).level(), 6);
    assert_eq!(Codec::new(Compression::Zstd).level(), 3);
    assert_eq!(Codec::with_level(Compression::Lz4, 17).unwrap().level(), 17);
    for (compression, level) in
        [(Compression::Gzip, 0), (Compression::Lz4, 18), (Compression::Zstd, 23)]
    {
        let refused = Codec::with_level(compression, level).unwrap_err();
        assert!(matches!(refused, CodecError::LevelOutOfRange { .. }), "{refused}");
    }
    let none = Compression::Snappy;
    assert_eq!(Codec::with_level(none, 1), Err(CodecError::NoLevels { compression: none }));
}

#[cfg(feature = "gzip")]
mod gzip {
    use super::*;

    #[test]
    fn concatenated_members_are_joined_and_trailing_garbage_is_ignored_as_in_java() {
        let mut input = packed(Compression::Gzip, b"one ");
        input.extend(packed(Compression::Gzip, b"two"));
        input.extend(b"not a member");
        assert_eq!(unpacked(Compression::Gzip, &input, LIMIT).unwrap(), b"one two");
    }

    #[test]
    fn optional_header_fields_are_skipped() {
        let plain = packed(Compression::Gzip, b"value");
        let mut input = vec![0x1f, 0x8b, 8, 0b1_1110, 0, 0, 0, 0, 0, 3];
        input.extend(b"\x02\x00ex");
        input.extend(b"name\0comment\0");
        input.extend(b"cc");
        input.extend(&plain[10..]);
        assert_eq!(unpacked(Compression::Gzip, &input, LIMIT).unwrap(), b"value");
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let mut input = packed(Compression::Gzip, b"value");
        let crc = input.len() - 8;
        input[crc] ^= 1;
        assert!(unpacked(Compression::Gzip, &input, LIMIT).is_err());
    }
}

#[cfg(feature = "snappy")]
mod snappy {
    use super::*;

    #[test]
    fn frames_are_xerials_with_blocks_of_32_kib() {
        let input = packed(Compression::Snappy, &text(40_000));
        assert_eq!(&input[..16], b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
        let first = u32::from_be_bytes(input[16..20].try_into().unwrap()) as usize;
        assert_eq!(snap::raw::decompress_len(&input[20..20 + first]), Ok(32_768));
    }

    #[test]
    fn raw_blocks_and_concatenated_frames_are_accepted() {
        let raw = snap::raw::Encoder::new().compress_vec(&text(100_000)).unwrap();
        assert_eq!(unpacked(Compression::Snappy, &raw, LIMIT).unwrap(), text(100_000));

        let mut input = packed(Compression::Snappy, b"one ");
        input.extend(packed(Compression::Snappy, b"two"));
        assert_eq!(unpacked(Compression::Snappy, &input, LIMIT).unwrap(), b"one two");
    }

    #[test]
    fn a_lying_length_buys_no_memory() {
        // Claims 2 GiB in a five-byte varint.
        let lie = [0xff, 0xff, 0xff, 0xff, 0x07, 0, 0];
        let mut out = Vec::new();
        let refused =
            Decompressor::new().decompress(Compression::Snappy, &lie, &mut out, usize::MAX);
        assert!(matches!(refused, Err(CompressionError::Corrupt { .. })));
        assert_eq!(out.capacity(), 0);
    }
}

#[cfg(feature = "lz4")]
mod lz4 {
    use twox_hash::XxHash32;

    use super::*;

    /// A frame with the given flags around one block, with whatever checksums the flags ask for.
    fn frame(flags: u8, content_size: Option<u64>, content: &[u8]) -> Vec<u8> {
        let mut descriptor = vec![flags, 0x40];
        descriptor.extend(content_size.into_iter().flat_map(u64::to_le_bytes));
        let mut out = 0x184d_2204_u32.to_le_bytes().to_vec();
        out.extend(&descriptor);
        out.push(XxHash32::oneshot(0, &descriptor).to_le_bytes()[1]);
        let block = lz4_flex::block::compress(content);
        out.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
        out.extend(&block);
        if flags & 0x10 != 0 {
            out.extend(XxHash32::oneshot(0, &block).to_le_bytes());
        }
        out.extend([0; 4]);
        if flags & 0x04 != 0 {
            out.extend(XxHash32::oneshot(0, content).to_le_bytes());
        }
        out
    }

    #[test]
    fn frames_begin_as_javas_do() {
        let input = packed(Compression::Lz4, b"x");
        assert_eq!(&input[..7], &[0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
    }

    #[test]
    fn checksums_and_content_size_are_accepted_and_verified() {
        let content = text(3_000);
        let whole = frame(0b0111_1100, Some(3_000), &content);
        assert_eq!(unpacked(Compression::Lz4, &whole, LIMIT).unwrap(), content);
        for at in [14, 25, whole.len() - 1] {
            let mut broken = whole.clone();
            broken[at] ^= 1;
            assert!(unpacked(Compression::Lz4, &broken, LIMIT).is_err(), "{at}");
        }
    }

    #[test]
    fn a_lying_content_size_buys_no_memory() {
        let mut out = Vec::new();
        let input = frame(0b0110_1000, Some(u64::MAX), b"short");
        Decompressor::new().decompress(Compression::Lz4, &input, &mut out, LIMIT).unwrap();
        assert!(out.capacity() < 8_192, "{}", out.capacity());
    }

    #[test]
    fn linked_blocks_may_refer_to_the_block_before() {
        let mut input = frame(0b0100_0000, None, b"0123456789abcdef");
        input.truncate(input.len() - 4);
        // No literals, a match of 4 + 8 bytes that begins 16 back, then five closing literals.
        let block = [0x08, 16, 0, 0x50, b'v', b'w', b'x', b'y', b'z'];
        input.extend(9_u32.to_le_bytes());
        input.extend(block);
        input.extend([0; 4]);
        let out = unpacked(Compression::Lz4, &input, LIMIT).unwrap();
        assert_eq!(out, b"0123456789abcdef0123456789abvwxyz");
    }

    #[test]
    fn concatenated_frames_are_joined() {
        let mut input = packed(Compression::Lz4, b"one ");
        input.extend(packed(Compression::Lz4, b"two"));
        assert_eq!(unpacked(Compression::Lz4, &input, LIMIT).unwrap(), b"one two");
    }

    #[test]
    fn what_follows_a_frame_and_begins_no_other_is_passed_over_as_in_java() {
        let mut input = packed(Compression::Lz4, b"one");
        input.extend([0; 4]);
        assert_eq!(unpacked(Compression::Lz4, &input, LIMIT).unwrap(), b"one");
    }

    #[test]
    fn the_header_checksum_can_be_ignored_for_legacy_sets_only() {
        let mut input = packed(Compression::Lz4, b"value");
        input[6] ^= 1;
        assert!(unpacked(Compression::Lz4, &input, LIMIT).is_err());
        let mut out = Vec::new();
        Decompressor::new()
            .decompress_checking(Compression::Lz4, &input, &mut out, LIMIT, HeaderChecksum::Ignored)
            .unwrap();
        assert_eq!(out, b"value");
    }
}

#[cfg(any(feature = "zstd", feature = "zstd-pure"))]
mod zstd {
    use super::*;

    #[test]
    fn a_lying_content_size_buys_no_memory() {
        // A frame that claims 1 GiB of content and holds one raw block of one byte.
        let lie = [0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x40, 0x09, 0, 0, b'x'];
        let mut out = Vec::new();
        let refused = Decompressor::new().decompress(Compression::Zstd, &lie, &mut out, 2 << 30);
        assert!(out.capacity() <= 64 << 10, "{refused:?} {}", out.capacity());
    }

    #[test]
    fn concatenated_frames_are_joined() {
        let mut input = packed(Compression::Zstd, b"one ");
        input.extend(packed(Compression::Zstd, b"two"));
        assert_eq!(unpacked(Compression::Zstd, &input, LIMIT).unwrap(), b"one two");
    }

    #[test]
    fn a_frame_behind_one_that_declares_no_content_is_read() {
        // A frame of one empty block, whose header says that its content takes 0 bytes.
        let mut input = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0];
        assert_eq!(unpacked(Compression::Zstd, &input, LIMIT).unwrap(), b"");
        input.extend(packed(Compression::Zstd, b"behind"));
        assert_eq!(unpacked(Compression::Zstd, &input, LIMIT).unwrap(), b"behind");
    }

    /// A frame that declares a window of 128 MiB, as Java's level 22 does whatever it packs: blocks
    /// of 128 KiB, each of one letter, and behind them three letters from `back` bytes before.
    fn wide(letters: &[u8], back: u32) -> Vec<u8> {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3];
        for letter in letters {
            frame.extend([0b010, 0, 0x10, *letter]);
        }
        // The last block has nine bytes: no literals, and one sequence whose three codes stand for
        // themselves: none before it, that offset, three bytes. The offset's bits end the block.
        let offset = back + 3;
        let code = u8::try_from(offset.ilog2()).unwrap();
        frame.extend([0b101 | 9 << 3, 0, 0, 0, 1, 0b0101_0100, 0, code, 0]);
        frame.extend(&offset.to_le_bytes()[..3]);
        frame
    }

    #[test]
    fn a_frame_of_the_largest_window_is_read_where_it_is_not_used() {
        let mut expected = vec![b'a'; 128 << 10];
        expected.resize(1 << 20, b'b');
        let input = wide(b"abbbbbbb", (1 << 20) - 1);
        expected.extend(b"aaa");
        assert!(unpacked(Compression::Zstd, &input, 2 << 20).unwrap() == expected);
        let limit = expected.len() - 1;
        assert_eq!(
            unpacked(Compression::Zstd, &input, limit),
            Err(CompressionError::OutputTooLarge { limit })
        );
    }

    #[test]
    fn a_window_that_is_used_and_too_large_names_the_feature_that_reads_it() {
        let mut letters = [b'b'; 72];
        letters[..8].fill(b'a');
        let input = wide(&letters, (8 << 20) + 10);
        let read = unpacked(Compression::Zstd, &input, 16 << 20);
        if cfg!(feature = "zstd") {
            assert!(read.unwrap().ends_with(b"baaa"));
            return;
        }
        let refused = read.unwrap_err();
        let (window, max) = (128 << 20, 8 << 20);
        assert_eq!(refused, CompressionError::WindowTooLarge { window, max });
        assert!(refused.to_string().contains("build with the feature `zstd`"), "{refused}");
    }

    #[test]
    fn output_larger_than_the_first_guess_is_grown_into() {
        let input = packed(Compression::Zstd, &vec![7; 900_000]);
        assert!(input.len() < 1_000);
        assert_eq!(unpacked(Compression::Zstd, &input, LIMIT).unwrap().len(), 900_000);
    }
}
