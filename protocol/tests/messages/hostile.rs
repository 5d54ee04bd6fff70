//! Bytes that lie: cut short, with false lengths and counts, with text that is none.
//!
//! Whatever they are, decoding must end, without a panic, in a message that can be encoded again
//! or in an error that says what is wrong and where.

use bytes::Bytes;
use ottla_codegen::sample::{Counts, Fill, Length, LengthForm, Random, Sample, length_bytes};
use ottla_codegen::schema::Message;
use ottla_protocol::DecodeError;
use ottla_protocol::wire::{DecodeErrorKind, varint};

use crate::support::{AnyMessage, every_schema, message, path};

#[test]
fn no_prefix_of_a_message_is_a_message() {
    for_each_sample(|case, sample| {
        let whole = Bytes::copy_from_slice(&sample.bytes);
        for end in 0..whole.len() {
            let refused = case.decode(&whole.slice(..end));
            assert!(refused.is_err(), "{case}: {end} of {} bytes are accepted", whole.len());
        }
    });
}

#[test]
fn a_length_that_lies_is_refused_or_harmless() {
    for_each_sample(|case, sample| {
        for length in &sample.lengths {
            let remaining = sample.bytes.len() - length.offset - length.width;
            for lie in lies(length.form, remaining) {
                let decoded = case.decode(&with_length(sample, length, &lie.bytes));
                let must_fail = lie.always && (length.counts != Counts::Tag || lie.overflows);
                assert!(decoded.is_err() || !must_fail, "{case}: {length:?} as {:02x?}", lie.bytes);
            }
        }
    });
}

#[test]
fn text_that_is_not_utf_8_is_refused_where_it_stands() {
    for_each_sample(|case, sample| {
        for length in sample.lengths.iter().filter(|length| length.counts == Counts::Text) {
            let start = length.offset + length.width;
            // What follows an empty string or a null is not text.
            let null_or_empty = [length_bytes(length.form, -1), length_bytes(length.form, 0)];
            if null_or_empty.iter().any(|empty| sample.bytes[length.offset..start] == empty[..]) {
                continue;
            }
            let mut bytes = sample.bytes.clone();
            bytes[start] = 0xff;
            let error = case.decode(&Bytes::from(bytes)).unwrap_err();
            assert_eq!(error.kind(), DecodeErrorKind::InvalidUtf8 { valid_up_to: 0 }, "{case}");
            assert_eq!(error.offset(), start, "{case}");
        }
    });
}

#[test]
fn a_message_that_goes_on_after_its_end_is_refused() {
    for_each_sample(|case, sample| {
        let longer: Bytes = [&sample.bytes[..], &[0]].concat().into();
        let error = case.decode(&longer).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::TrailingBytes { count: 1 }, "{case}");
        assert_eq!((&error.path()[..], error.offset()), ("end", sample.bytes.len()), "{case}");
    });
}

#[test]
fn tags_that_do_not_ascend_are_refused_in_every_structure() {
    for_each_sample(|case, sample| {
        for length in sample.lengths.iter().filter(|length| length.counts == Counts::TaggedFields) {
            // Tags 1000 and then `second`, both empty, where there were none.
            for second in [1000, 999, 0] {
                let mut tags = length_bytes(LengthForm::Varint, 2);
                for number in [1000, 0, second, 0] {
                    tags.extend(length_bytes(LengthForm::Varint, number));
                }
                if sample.bytes[length.offset] != 0 || is_within_tagged_field(sample, length) {
                    continue;
                }
                let error = case.decode(&with_length(sample, length, &tags)).unwrap_err();
                let tag = u32::try_from(second).unwrap();
                assert_eq!(error.kind(), DecodeErrorKind::UnorderedTag { tag }, "{case}");
            }
        }
    });
}

/// A message in one version, as it is attacked.
struct Case {
    schema: &'static Message,
    version: i16,
    message: AnyMessage,
}

impl Case {
    /// Decodes `bytes`. What they say must survive a round trip; if they are refused, the error
    /// must name a field of the message and a place in the bytes.
    fn decode(&self, bytes: &Bytes) -> Result<(), DecodeError> {
        let recode = |bytes| (self.message.recode)(bytes, self.version);
        let said = recode(bytes).inspect_err(|error| {
            assert_eq!(error.message(), self.schema.name, "{error}");
            assert!(path::exists(self.schema, self.version, &error.path()), "no field: {error}");
            assert!(error.offset() <= bytes.len(), "{error}, in {} bytes", bytes.len());
        })?;
        let said = said.unwrap_or_else(|error| panic!("{self}: {error}, from {bytes:02x?}"));
        assert_eq!(recode(&said).as_ref(), Ok(&Ok(said.clone())), "{self}: {bytes:02x?}");
        Ok(())
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} version {}", self.schema.name, self.version)
    }
}

/// Hands samples of every message in every version to `attack`.
fn for_each_sample(attack: impl Fn(&Case, &Sample)) {
    for schema in every_schema() {
        let message = message(&schema.name);
        let mut case = Case { version: 0, message, schema };
        for version in case.schema.versions.iter() {
            case.version = version;
            let random = (0..2).map(|seed| Fill::Random(Random::new(seed)));
            for fill in random.chain([Fill::Numbered]) {
                attack(&case, &Sample::new(case.schema, version, fill));
            }
        }
    }
}

struct Lie {
    bytes: Vec<u8>,
    /// Whether it cannot be true of anything that is counted.
    always: bool,
    /// Whether it is not even a number.
    overflows: bool,
}

/// What a length with `remaining` bytes behind it may falsely be.
fn lies(form: LengthForm, remaining: usize) -> Vec<Lie> {
    let beyond = i64::try_from(remaining).unwrap() + 1;
    let max = match form {
        LengthForm::Int16 => i64::from(i16::MAX),
        LengthForm::Int32 => i64::from(i32::MAX),
        LengthForm::Compact => i64::from(u32::MAX) - 1,
        LengthForm::Varint => i64::from(u32::MAX),
    };
    let numbers = [(-1, form == LengthForm::Varint), (-2, true), (0, false), (beyond, true)];
    let numbers = numbers.into_iter().chain([(max, true), (max / 2 + 1, true)]);
    let lie =
        |(number, always)| Lie { bytes: length_bytes(form, number), always, overflows: false };
    let mut lies: Vec<Lie> = numbers.map(lie).collect();
    if matches!(form, LengthForm::Compact | LengthForm::Varint) {
        let five = [0xff, 0xff, 0xff, 0xff, 0x10];
        let ten = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
        let overflows = [five.to_vec(), ten.to_vec(), vec![0xff; 10]];
        let lie = |bytes| Lie { bytes, always: true, overflows: true };
        lies.extend(overflows.into_iter().map(lie));
    }
    lies
}

/// The sample with other bytes in place of one of its lengths.
fn with_length(sample: &Sample, length: &Length, bytes: &[u8]) -> Bytes {
    let (before, from) = sample.bytes.split_at(length.offset);
    [before, bytes, &from[length.width..]].concat().into()
}

/// Whether `length` lies within a tagged field, whose size counts what is put in its place.
fn is_within_tagged_field(sample: &Sample, length: &Length) -> bool {
    let mut sizes = sample.lengths.iter().filter(|other| other.counts == Counts::TaggedBytes);
    sizes.any(|size| {
        let start = size.offset + size.width;
        let (len, _) = varint::read_u32(&sample.bytes[size.offset..]).unwrap();
        (start..start + len as usize).contains(&length.offset)
    })
}
