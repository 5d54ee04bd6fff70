//! What the broker knows of the bytes that consumers exchange through it.
//!
//! The group protocol is opaque to a broker, with one exception: for the protocol type `consumer`
//! it reads the topics of a subscription, so that it does not expire or delete the offsets of a
//! topic that somebody consumes (KIP-496).

use bytes::Bytes;
use ottla_protocol::messages::consumer_protocol::ConsumerProtocolSubscription;
use ottla_protocol::wire::Reader;
use ottla_protocol::{ByteString, DecodeError, Message};

/// The protocol type of consumers; Java's `ConsumerProtocol.PROTOCOL_TYPE`.
pub(crate) const CONSUMER: &str = "consumer";

/// The topics that a member's metadata subscribes to.
///
/// Read as version 0 whatever the metadata says: each version begins with what version 0 has.
pub(crate) fn subscribed_topics(metadata: &Bytes) -> Result<Vec<ByteString>, DecodeError> {
    let after_version = metadata.slice(metadata.len().min(size_of::<i16>())..);
    let mut reader = Reader::new(&after_version, false);
    ConsumerProtocolSubscription::decode_from(&mut reader, 0)
        .map(|subscription| subscription.topics)
}

/// The assignment of a member that the leader left out.
///
/// Kafka sends no bytes at all, which some consumers cannot parse; for consumers this is a valid
/// assignment of nothing.
pub(crate) fn empty_assignment(protocol_type: Option<&str>) -> Bytes {
    match protocol_type {
        Some(CONSUMER) => Bytes::from_static(EMPTY_ASSIGNMENT),
        _ => Bytes::new(),
    }
}

/// Version 0, no topics, null user data.
const EMPTY_ASSIGNMENT: &[u8] = &[0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];

#[cfg(test)]
mod tests {
    use ottla_protocol::messages::consumer_protocol::ConsumerProtocolAssignment;

    use super::*;

    #[test]
    fn topics_are_read_whatever_follows_them() {
        let mut metadata = vec![0, 3, 0, 0, 0, 2, 0, 1, b'a', 0, 1, b'b'];
        metadata.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 9, 9, 9, 9]);
        assert_eq!(subscribed_topics(&metadata.into()).unwrap(), ["a", "b"]);
    }

    #[test]
    fn bytes_that_are_no_subscription_are_an_error() {
        assert!(subscribed_topics(&Bytes::from_static(b"")).is_err());
        assert!(subscribed_topics(&Bytes::from_static(&[0, 0, 0x7f, 0xff, 0xff, 0xff])).is_err());
    }

    #[test]
    fn the_empty_assignment_of_a_consumer_is_one() {
        let bytes = empty_assignment(Some(CONSUMER));
        let parsed = ConsumerProtocolAssignment::decode(&bytes.slice(2..), 0).unwrap();
        assert_eq!(parsed, ConsumerProtocolAssignment::default());
        assert!(empty_assignment(Some("connect")).is_empty());
    }
}
