//! What sticky assignors tell one another, as Java encodes it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ottla_core::types::{TopicName, TopicPartition};
use ottla_protocol::ByteString;

use super::PreviousAssignment;

/// The last assignment of an eager member: an array of topics, each with an array of partitions,
/// then the generation. `None` before the first.
pub(super) fn encode_previous(previous: &PreviousAssignment<'_>) -> Option<Bytes> {
    let generation = previous.generation?;
    let topics: Vec<&[TopicPartition]> =
        previous.partitions.chunk_by(|left, right| left.topic == right.topic).collect();
    let mut out = BytesMut::new();
    out.put_i32(i32::try_from(topics.len()).ok()?);
    for partitions in topics {
        let topic = &partitions.first()?.topic;
        out.put_i16(i16::try_from(topic.len()).ok()?);
        out.put_slice(topic.as_bytes());
        out.put_i32(i32::try_from(partitions.len()).ok()?);
        for partition in partitions {
            out.put_i32(partition.partition);
        }
    }
    out.put_i32(generation);
    Some(out.freeze())
}

/// What [`encode_previous`] wrote, sorted and without repetition; nothing where it cannot be read.
/// Before KIP-341 there was no generation.
pub(super) fn decode_previous(user_data: &Bytes) -> (Vec<TopicPartition>, Option<i32>) {
    let mut rest = user_data.clone();
    let Some(mut partitions) = read_partitions(&mut rest) else { return (Vec::new(), None) };
    partitions.sort_unstable();
    partitions.dedup();
    let generation = rest.try_get_i32().ok().filter(|generation| *generation >= 0);
    (partitions, generation)
}

/// The generation of a cooperative member; −1 before the first.
pub(super) fn encode_generation(generation: Option<i32>) -> Bytes {
    Bytes::copy_from_slice(&generation.unwrap_or(-1).to_be_bytes())
}

/// What [`encode_generation`] wrote; `None` for −1 and for what cannot be read.
pub(super) fn decode_generation(user_data: &Bytes) -> Option<i32> {
    user_data.clone().try_get_i32().ok().filter(|generation| *generation >= 0)
}

/// Counts are claims: what is collected has been there as bytes.
fn read_partitions(rest: &mut Bytes) -> Option<Vec<TopicPartition>> {
    let mut partitions = Vec::new();
    for _ in 0..rest.try_get_i32().ok()? {
        let length = usize::try_from(rest.try_get_i16().ok()?).ok()?;
        if rest.len() < length {
            return None;
        }
        let topic = TopicName::from(ByteString::try_from(rest.split_to(length)).ok()?);
        for _ in 0..rest.try_get_i32().ok()? {
            partitions.push(TopicPartition::new(&topic, rest.try_get_i32().ok()?));
        }
    }
    Some(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_java_writes_is_read() {
        let bytes = b"\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\x07";
        let partitions = [TopicPartition::new("t", 0), TopicPartition::new("t", 3)];
        check(bytes, &partitions, Some(7));
        let previous = PreviousAssignment { partitions: &partitions, generation: Some(7) };
        assert_eq!(encode_previous(&previous).as_deref(), Some(&bytes[..]));
    }

    #[test]
    fn user_data_without_a_generation_is_read() {
        let bytes = b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0";
        check(bytes, &[TopicPartition::new("t", 0)], None);
    }

    #[test]
    fn user_data_that_lies_is_none() {
        check(b"", &[], None);
        check(b"\x7f\xff\xff\xff", &[], None);
        check(b"\0\0\0\x01\x7f\xfft", &[], None);
        check(b"\0\0\0\x01\0\x01t\x7f\xff\xff\xff\0\0\0\0", &[], None);
        check(b"\0\0\0\x01\0\x01\xff\0\0\0\0", &[], None);
        check(b"\0\0\0\x01\xff\xff", &[], None);
        assert_eq!(decode_generation(&Bytes::from_static(b"\0\0\0")), None);
        assert_eq!(decode_generation(&encode_generation(None)), None);
        assert_eq!(decode_generation(&encode_generation(Some(3))), Some(3));
    }

    #[track_caller]
    fn check(bytes: &'static [u8], partitions: &[TopicPartition], generation: Option<i32>) {
        let read = decode_previous(&Bytes::from_static(bytes));
        assert_eq!(read, (partitions.to_vec(), generation));
    }
}
