//! Batches with a sound CRC of which something else is not, and what Apache Kafka 4.4.0 answers to
//! each: the same table for the broker alone and for both of them side by side.

use ottla_protocol::compression::{Codec, Compression, Compressor};

/// A batch, and what comes of it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// The error code, and the start of the log: −1 where nobody has looked at it.
    pub(crate) answer: (i16, i64),
}

/// Everything there is in the table.
pub(crate) fn cases() -> Vec<Case> {
    let sections = SECTIONS.iter().flat_map(|section| {
        let (name, bytes, count, plain, packed) = section;
        let of = move |codec: Compression, code: i16| Case {
            name: format!("{name}, {}", codec.name()),
            bytes: Batch { codec: codec.id(), count: *count, ..SOUND }.of(&compress(codec, bytes)),
            answer: (code, 0),
        };
        let packed = Compression::ALL.into_iter().skip(1).map(move |codec| of(codec, *packed));
        std::iter::once(of(Compression::None, *plain)).chain(packed)
    });
    sections.chain(headers()).chain(checksums()).chain(packings()).chain(frames()).collect()
}

/// What the header says, as far as a case may have it otherwise.
pub(crate) struct Batch {
    pub(crate) base_offset: i64,
    pub(crate) magic: i8,
    pub(crate) codec: u8,
    /// Other attributes.
    pub(crate) bits: u8,
    pub(crate) count: i32,
    /// The last offset delta, less what it should be.
    pub(crate) excess: i32,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
}

/// Two sound records.
pub(crate) const SOUND: Batch = Batch {
    base_offset: 0,
    magic: 2,
    codec: 0,
    bits: 0,
    count: 2,
    excess: 0,
    max_timestamp: START,
    producer_id: -1,
    producer_epoch: -1,
    base_sequence: -1,
};

impl Batch {
    /// The batch with these bytes for its records.
    pub(crate) fn of(&self, records: &[u8]) -> Vec<u8> {
        let mut hashed = i16::from(self.codec | self.bits).to_be_bytes().to_vec();
        hashed.extend((self.count.wrapping_sub(1).wrapping_add(self.excess)).to_be_bytes());
        hashed.extend(START.to_be_bytes());
        hashed.extend(self.max_timestamp.to_be_bytes());
        hashed.extend(self.producer_id.to_be_bytes());
        hashed.extend(self.producer_epoch.to_be_bytes());
        hashed.extend(self.base_sequence.to_be_bytes());
        hashed.extend(self.count.to_be_bytes());
        hashed.extend(records);
        let mut batch = self.base_offset.to_be_bytes().to_vec();
        let length = u32::try_from(hashed.len() + 9).unwrap_or(u32::MAX);
        batch.extend(length.to_be_bytes());
        batch.extend([0, 0, 0, 0, self.magic.cast_unsigned()]);
        batch.extend(crc32c(&hashed).to_be_bytes());
        batch.extend(hashed);
        batch
    }
}

/// Two records of one byte for a key and one for a value: the length, the attributes, the deltas of
/// timestamp and offset, the lengths and bytes of key and value, and the number of headers.
pub(crate) const TWO: &[u8] = b"\x10\0\0\0\x02k\x02v\0\x10\0\0\x02\x02k\x02v\0";

/// Records, how many the header counts, and the codes: as they are, and compressed.
const SECTIONS: &[(&str, &[u8], i32, i16, i16)] = &[
    ("sound", TWO, 2, 0, 0),
    ("fewer than there are", TWO, 1, 87, 87),
    ("more than there are", TWO, 3, 87, 87),
    ("many more than there are", TWO, i32::MAX, 87, 87),
    ("none but counted", b"", 1, 87, 87),
    ("cut off within a value", b"\x10\0\0\0\x02k\x02", 1, 87, 87),
    ("cut off within a length", b"\x10\0\0\0\x02k\x02v\0\x80", 2, 87, 87),
    ("a length below 0", b"\x01\0\0\0\x02k\x02v\0", 1, 87, 87),
    ("a length of 0", b"\0\0\0\0\x02k\x02v\0", 1, 87, 0),
    ("a length too small", b"\x0a\0\0\0\x02k\x02v\0", 1, 87, 0),
    ("a length too large", b"\x12\0\0\0\x02k\x02v\0", 1, 87, 0),
    ("a length without an end", b"\xff\xff\xff\xff\xff\x01\0\0\0\x02k\x02v\0", 1, -1, 87),
    ("a byte after the last field", b"\x12\0\0\0\x02k\x02v\0\0", 1, 87, 87),
    ("a byte between records", b"\x12\0\0\0\x02k\x02v\0\0\x10\0\0\x02\x02k\x02v\0", 2, 87, 87),
    (
        "a timestamp without an end",
        b"\x24\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\x02k\x02v\0",
        1,
        87,
        87,
    ),
    ("an offset without an end", b"\x1a\0\0\xff\xff\xff\xff\xff\x01\x02k\x02v\0", 1, 87, 87),
    ("a key beyond the end", b"\x10\0\0\0\x64k\x02v\0", 1, 87, 87),
    ("a key length of -2", b"\x0e\0\0\0\x03\x02v\0", 1, 0, 0),
    ("a value beyond the end", b"\x10\0\0\0\x02k\x64v\0", 1, 87, 87),
    ("a value length of -2", b"\x0e\0\0\0\x02k\x03\0", 1, 0, 0),
    ("headers below 0", b"\x10\0\0\0\x02k\x02v\x01", 1, 87, 87),
    ("headers that are not there", b"\x10\0\0\0\x02k\x02v\x02", 1, 87, 87),
    ("2^31 headers", b"\x18\0\0\0\x02k\x02v\xfe\xff\xff\xff\x0f", 1, 87, 87),
    ("a header", b"\x18\0\0\0\x02k\x02v\x02\x02a\x02b", 1, 0, 0),
    ("a header without a key", b"\x16\0\0\0\x02k\x02v\x02\x01\x02b", 1, 87, 87),
    ("a header without a value", b"\x16\0\0\0\x02k\x02v\x02\x02a\x01", 1, 0, 0),
    ("a header's key beyond the end", b"\x18\0\0\0\x02k\x02v\x02\x64a\x02b", 1, 87, 87),
    ("a header's key that is no text", b"\x16\0\0\0\x02k\x02v\x02\x02\xff\x01", 1, 0, 0),
    ("an offset twice", b"\x10\0\0\0\x02k\x02v\0\x10\0\0\0\x02k\x02v\0", 2, 0, -1),
    ("an offset left out", b"\x10\0\0\0\x02k\x02v\0\x10\0\0\x04\x02k\x02v\0", 2, 0, -1),
    ("offsets that descend", b"\x10\0\0\x02\x02k\x02v\0\x10\0\0\0\x02k\x02v\0", 2, 0, -1),
    ("an offset below 0", b"\x10\0\0\x01\x02k\x02v\0\x10\0\0\0\x02k\x02v\0", 2, 0, -1),
    ("attributes", b"\x10\x01\0\0\x02k\x02v\0", 1, 0, 0),
];

/// What only the header gets wrong.
fn headers() -> impl Iterator<Item = Case> {
    let case = |(name, batch, code): (&str, Batch, i16)| Case {
        name: name.to_owned(),
        bytes: batch.of(TWO),
        answer: (code, 0),
    };
    [
        ("no records", Batch { count: 0, ..SOUND }, 87),
        ("no records and a last offset", Batch { count: 0, excess: 2, ..SOUND }, 87),
        ("records below 0", Batch { count: -1, ..SOUND }, 87),
        ("a last offset too large", Batch { excess: 1, ..SOUND }, 87),
        ("a base offset", Batch { base_offset: 1, ..SOUND }, 87),
        ("a base offset below 0", Batch { base_offset: -1, ..SOUND }, 87),
        ("control records", Batch { bits: 0x20, ..SOUND }, 87),
        ("a producer without a sequence", Batch { producer_id: 1, ..SOUND }, 87),
        ("codec 5", Batch { codec: 5, ..SOUND }, -1),
        ("codec 6", Batch { codec: 6, ..SOUND }, -1),
        ("codec 7 and a last offset too large", Batch { codec: 7, excess: 1, ..SOUND }, -1),
        ("codec 7 and records below 0", Batch { codec: 7, count: -1, ..SOUND }, -1),
        ("a latest timestamp too early", Batch { max_timestamp: 5, ..SOUND }, 0),
        ("a latest timestamp too late", Batch { max_timestamp: START + 9, ..SOUND }, 0),
        ("a broker's timestamp", Batch { bits: 0x08, max_timestamp: START + 9, ..SOUND }, 0),
        ("a broker's timestamp that is none", Batch { bits: 0x08, max_timestamp: -1, ..SOUND }, 32),
        ("a delete horizon", Batch { bits: 0x40, ..SOUND }, 0),
        ("an attribute that means nothing", Batch { bits: 0x80, ..SOUND }, 0),
    ]
    .into_iter()
    .map(case)
}

/// What the header gets wrong besides its checksum.
fn checksums() -> impl Iterator<Item = Case> {
    let case = |(name, batch, answer): (&str, Batch, (i16, i64))| {
        let mut bytes = batch.of(TWO);
        bytes[17] ^= 1;
        Case { name: format!("another checksum and {name}"), bytes, answer }
    };
    [
        ("nothing else", SOUND, (2, -1)),
        ("no records", Batch { count: 0, ..SOUND }, (2, -1)),
        ("records below 0", Batch { count: -1, ..SOUND }, (2, -1)),
        ("a last offset too small", Batch { excess: -1, ..SOUND }, (2, -1)),
        ("codec 5", Batch { codec: 5, ..SOUND }, (2, -1)),
        ("a base offset", Batch { base_offset: 1, ..SOUND }, (87, 0)),
        ("a base offset below 0", Batch { base_offset: -1, ..SOUND }, (87, 0)),
    ]
    .into_iter()
    .map(case)
}

/// What cannot be unpacked.
fn packings() -> impl Iterator<Item = Case> {
    let case = |(name, codec, records, code): (&str, Compression, &[u8], i16)| Case {
        name: format!("{name}, {}", codec.name()),
        bytes: Batch { codec: codec.id(), ..SOUND }.of(records),
        answer: (code, 0),
    };
    let packed = Compression::ALL.into_iter().skip(1).flat_map(move |codec| {
        let sound = compress(codec, TWO);
        // To Kafka no frames are a sound zstd stream, which ends early.
        let nothing = if codec == Compression::Zstd { 87 } else { -1 };
        let cases = [("not packed", TWO, -1), ("of no bytes", &[], nothing)];
        cases
            .map(|(name, records, code)| case((name, codec, records, code)))
            .into_iter()
            .chain([case(("cut off", codec, &sound[..12], -1))])
            .collect::<Vec<_>>()
    });
    let gzip = compress(Compression::Gzip, TWO);
    let halves = [&TWO[..9], &TWO[9..]].map(|record| compress(Compression::Gzip, record)).concat();
    let garbage = [&gzip[..], b"zzzz"].concat();
    let mut damaged = gzip;
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    packed.chain([
        case(("of two members", Compression::Gzip, &halves, 0)),
        case(("with bytes behind it", Compression::Gzip, &garbage, 0)),
        case(("with another checksum", Compression::Gzip, &damaged, -1)),
    ])
}

/// What is not, or not only, a batch.
fn frames() -> impl Iterator<Item = Case> {
    let sound = SOUND.of(TWO);
    let then = |bytes: &[u8]| [&sound[..], bytes].concat();
    let mut short = SOUND.of(TWO)[..55].to_vec();
    short[8..12].copy_from_slice(&43_u32.to_be_bytes());
    let mut below = SOUND.of(TWO);
    below[8..12].copy_from_slice(&[0xff; 4]);
    let magic = |magic: i8| Batch { magic, ..SOUND }.of(TWO);
    [
        ("eleven bytes", vec![0; 11], 87),
        ("zeros", vec![0; 100], 2),
        ("a batch length below 0", below, 2),
        ("smaller than its header", short, 2),
        ("of magic -1", magic(-1), 2),
        ("of magic 0", magic(0), 87),
        ("of magic 3", magic(3), 2),
        ("then five bytes", then(&[0; 5]), 0),
        ("then twelve zeros", then(&[0; 12]), 2),
        ("then half a batch", then(&sound[..40]), 0),
        ("then one of magic 1", then(&magic(1)), 87),
        ("then one of magic 9", then(&magic(9)), 2),
    ]
    .map(|(name, bytes, code)| Case {
        name: name.to_owned(),
        bytes,
        answer: (code, if code == 0 { 0 } else { -1 }),
    })
    .into_iter()
}

/// Batches of a transaction by this producer, and the code of each once its partition is in it.
pub(crate) fn transactional(producer: (i64, i16)) -> Vec<(&'static str, Vec<u8>, i16)> {
    let (producer_id, producer_epoch) = producer;
    let sound = || Batch { bits: 0x10, producer_id, producer_epoch, base_sequence: 0, ..SOUND };
    let mut damaged = sound().of(TWO);
    damaged[17] ^= 1;
    vec![
        ("cut off", sound().of(&TWO[..9]), 87),
        ("of another checksum", damaged, 2),
        ("of no records", Batch { count: 0, ..sound() }.of(TWO), 87),
        ("of a base offset", Batch { base_offset: 1, ..sound() }.of(TWO), 87),
        ("without a sequence", Batch { base_sequence: -1, ..sound() }.of(TWO), 87),
        ("from the middle", Batch { base_sequence: 5, ..sound() }.of(TWO), 45),
        ("from the middle, cut off", Batch { base_sequence: 5, ..sound() }.of(&TWO[..9]), 87),
        ("that is sound", sound().of(TWO), 0),
    ]
}

/// What is sent beside a sound batch for another partition, and its code.
pub(crate) fn beside() -> Vec<(&'static str, Vec<u8>, i16)> {
    let sound = SOUND.of(TWO);
    let then = |bytes: &[u8]| [&sound[..], bytes].concat();
    vec![
        ("malformed", SOUND.of(&TWO[..9]), 87),
        ("zeros", vec![0; 100], 2),
        ("then twelve zeros", then(&[0; 12]), 2),
        ("then one of magic 9", then(&Batch { magic: 9, ..SOUND }.of(TWO)), 2),
        ("then another", then(&sound), 87),
    ]
}

pub(crate) fn compress(codec: Compression, records: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let done = Compressor::new().compress(Codec::new(codec), records, &mut packed);
    assert_eq!(done, Ok(()), "every codec is there");
    packed
}

/// Bit by bit: the protocol crate's own is not to judge itself.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    })
}

/// The base timestamp, in milliseconds since 1970.
const START: i64 = 1_700_000_000_000;
