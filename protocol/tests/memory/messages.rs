//! Messages: arrays of arrays, tagged fields, and the densest structures.

use bytes::Bytes;
use ottla_codegen::sample::{Counts, Fill, Length, LengthForm, Sample, length_bytes};
use ottla_codegen::schema;
use ottla_protocol::messages::metadata::{MetadataResponsePartition, MetadataResponseTopic};
use ottla_protocol::messages::{ListGroupsResponse, MetadataResponse};
use ottla_protocol::wire::{DecodeError, DecodeErrorKind, Int32Array, Message};

use crate::{check, measure};

#[rustfmt::skip]
#[path = "../support/every_message.rs"]
mod every_message;

pub(crate) fn an_honest_array_is_one_allocation() {
    // The list of topics and that of partitions; replicas beyond four, three lists in each.
    check_allocations(3, 1 + 1);
    check_allocations(5, 1 + 1 + 3 * 1000);
}

/// Metadata of 1,000 partitions with so many replicas is decoded with so many allocations.
#[track_caller]
fn check_allocations(replicas: i32, expected: usize) {
    let nodes: Int32Array = (1..=replicas).collect();
    let partition = MetadataResponsePartition {
        replica_nodes: nodes.clone(),
        isr_nodes: nodes.clone(),
        offline_replicas: nodes,
        ..MetadataResponsePartition::default()
    };
    let partitions = vec![partition; 1000];
    let topic = MetadataResponseTopic { partitions, ..MetadataResponseTopic::default() };
    let response = MetadataResponse { topics: vec![topic], ..MetadataResponse::default() };
    let bytes = response.encode(12).unwrap().into_bytes();
    // The least of three, because the harness has a thread that allocates now and then.
    let allocations = (0..3).map(|_| {
        let (decoded, allocated) = measure(|| MetadataResponse::decode(&bytes, 12));
        assert_eq!(decoded.as_ref(), Ok(&response));
        allocated.allocations
    });
    assert_eq!(allocations.min(), Some(expected));
}

/// The structure that takes the most memory for its bytes: four strings, two of them not sent.
pub(crate) fn the_densest_message_is_refused() {
    let count = 0x0008_0000;
    let mut bytes = vec![0; 6];
    bytes.extend(length_bytes(LengthForm::Compact, count));
    for _ in 0..count {
        bytes.extend([1, 1, 0]);
    }
    bytes.push(0);
    let bytes = Bytes::from(bytes);
    let (decoded, allocated) = measure(|| ListGroupsResponse::decode(&bytes, 3));
    check(&"ListGroupsResponse", bytes.len(), allocated);
    let error = decoded.unwrap_err();
    assert!(matches!(error.kind(), DecodeErrorKind::MemoryLimit { .. }), "{error}");
}

/// Of each message, every array and every list of tagged fields in turn claims as much as the
/// bytes behind it allow; and once more with the next array behind it claiming likewise.
pub(crate) fn a_lying_count_buys_no_memory() {
    for schema in ottla_codegen::read_schemas().unwrap() {
        for message in &schema.messages {
            for version in message.versions.iter() {
                let sample = Sample::new(message, version, Fill::Numbered);
                let target = Target { message, version, decode: decoder(&message.name) };
                for filler in [0, 1, 2, 0xff] {
                    target.attack(&sample, filler);
                }
            }
        }
    }
}

/// Bytes of filler behind the lies.
const TAIL: usize = 8 * 1024;

type Decode = fn(&Bytes, i16) -> Option<DecodeError>;

struct Target<'a> {
    message: &'a schema::Message,
    version: i16,
    decode: Decode,
}

impl Target<'_> {
    fn attack(&self, sample: &Sample, filler: u8) {
        let counts =
            |length: &&Length| matches!(length.counts, Counts::Elements | Counts::TaggedFields);
        let counts: Vec<_> = sample.lengths.iter().filter(counts).collect();
        for (index, length) in counts.iter().enumerate() {
            let mut bytes = sample.bytes[..length.offset].to_vec();
            self.lie(&mut bytes, length.form, filler);
            let Some(next) = counts.get(index + 1) else { continue };
            let between = length.offset + length.width..next.offset;
            bytes.extend(&sample.bytes[between]);
            self.lie(&mut bytes, next.form, filler);
        }
    }

    /// Puts the highest count behind `bytes` that is believed with the filler behind it.
    fn lie(&self, bytes: &mut Vec<u8>, form: LengthForm, filler: u8) {
        let mut count = i64::from(i32::MAX);
        loop {
            let mut attack = bytes.clone();
            attack.extend(length_bytes(form, count));
            let believed = attack.clone();
            attack.resize(attack.len() + TAIL, filler);
            let attack = Bytes::from(attack);
            let (refused, allocated) = measure(|| (self.decode)(&attack, self.version));
            check(&format_args!("{} {}", self.message.name, self.version), attack.len(), allocated);
            match refused.map(|error| error.kind()) {
                Some(DecodeErrorKind::ArrayTooLong { remaining, each, .. })
                    if count == i64::from(i32::MAX) =>
                {
                    count = i64::try_from(remaining / each).unwrap();
                }
                _ => {
                    *bytes = believed;
                    return;
                }
            }
        }
    }
}

fn decoder(name: &str) -> Decode {
    macro_rules! find {
        ($($message:ident)*) => {
            match name {
                $(stringify!($message) => |bytes, version| {
                    ottla_protocol::messages::$message::decode(bytes, version).err()
                },)*
                _ => panic!("{name} has a schema but no generated message"),
            }
        };
    }
    every_message::every_message!(find)
}
