//! What errors say, by example.

use bytes::{Bytes, BytesMut};
use ottla_codegen::sample::{Fill, Sample};
use ottla_protocol::ApiKey;
use ottla_protocol::frames::{RequestFrame, ResponseFrame};
use ottla_protocol::wire::take_frame;

use crate::support::{every_schema, message, unhex};

#[test]
fn a_message_says_which_field_is_wrong_and_where() {
    check(
        "MetadataResponse",
        1,
        "00000000 00000007 7fffffff",
        "MetadataResponse.topics, byte 8: claims 2147483647 elements, but 0 bytes are left and \
         each takes 9 or more",
    );
    check(
        "MetadataResponse",
        1,
        "00000000 00000007 00000001 0000 0003 6f7264 00 0000",
        "MetadataResponse.topics[0].partitions, byte 20: needs 4 bytes, 2 are left",
    );
    check(
        "MetadataResponse",
        1,
        "fffffffe 00000007 00000000",
        "MetadataResponse.brokers, byte 0: -2 is no valid length",
    );
    check(
        "MetadataResponse",
        1,
        "00000000 00000007 00000001 0000 ffff 00 00000000",
        "MetadataResponse.topics[0].name, byte 14: is null, which this version does not allow",
    );
    check(
        "MetadataRequest",
        9,
        "02 0461ff62 00 01 00 00 00",
        "MetadataRequest.topics[0].name, byte 2: is not UTF-8 from byte 1 of the string on",
    );
    check(
        "MetadataRequest",
        9,
        "ffffffff1f 01 00 00 00",
        "MetadataRequest.topics, byte 0: a variable-length integer goes past its type",
    );
    check(
        "MetadataRequest",
        9,
        "01 01 00 00 02 0500 0500",
        "MetadataRequest.tagged_fields, byte 7: tag 5 does not ascend",
    );
    check(
        "MetadataRequest",
        9,
        "01 01 00 00 00 99",
        "MetadataRequest.end, byte 5: 1 bytes follow its end",
    );
    check(
        "FetchResponse",
        12,
        "00000000 0000 00000000 02 02 61 02 00000000 0000 0000000000000000 0000000000000000 \
         0000000000000000 01 ffffffff 01 01 00 08 0000000000000000 00 00",
        "FetchResponse.responses[0].partitions[0].diverging_epoch.end_offset, byte 57: \
         needs 8 bytes, 4 are left",
    );
}

#[test]
fn a_message_too_dense_for_its_length_says_what_it_would_cost() {
    let mut groups = unhex("00000000 0000 81a006");
    groups.extend([1, 1, 0].repeat(100 * 1024));
    groups.push(0);
    let refused = (message("ListGroupsResponse").recode)(&Bytes::from(groups), 3).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "ListGroupsResponse.groups, byte 6: would take 13926400 bytes of memory, \
         9863488 are left to so short a message"
    );
}

#[test]
fn a_version_that_is_not_known_is_refused_by_name() {
    check(
        "MetadataResponse",
        99,
        "00",
        "MetadataResponse.version, byte 0: version 99 is not one of 0–13",
    );
}

#[test]
fn a_frame_that_goes_on_after_its_message_names_the_message() {
    let frame = Bytes::from(unhex("0012 0000 00000007 ffff 99"));
    let refused = RequestFrame::decode(&frame).unwrap().request().unwrap_err();
    assert_eq!(refused.to_string(), "ApiVersionsRequest.end, byte 0: 1 bytes follow its end");

    let frame = Bytes::from(unhex("00000007 0000 00000000 99"));
    let response = ResponseFrame::decode(&frame, ApiKey::ApiVersions, 0).unwrap();
    let refused = response.response(ApiKey::ApiVersions, 0).unwrap_err();
    assert_eq!(refused.to_string(), "ApiVersionsResponse.end, byte 6: 1 bytes follow its end");
}

#[test]
fn an_api_that_is_not_known_is_refused_in_the_header() {
    let frame = Bytes::from(unhex("03e7 0000 00000007 ffff"));
    let refused = RequestFrame::decode(&frame).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "RequestHeader.request_api_key, byte 0: 999 is not a known API key or record type"
    );
}

#[test]
fn a_header_cut_at_any_byte_is_refused() {
    for schema in every_schema().iter().filter(|schema| schema.name == "RequestHeader") {
        let sample = Sample::new(schema, 2, Fill::Numbered);
        let mut whole = BytesMut::from(&sample.bytes[..]);
        // Metadata, version 12.
        whole[..4].copy_from_slice(&[0, 3, 0, 12]);
        let whole = whole.freeze();
        assert!(RequestFrame::decode(&whole).is_ok());
        for end in 0..whole.len() {
            let refused = RequestFrame::decode(&whole.slice(..end)).unwrap_err();
            assert_eq!(refused.message(), "RequestHeader", "{refused}");
        }
    }
}

#[test]
fn a_peer_that_speaks_tls_or_http_is_recognised() {
    for (first_bytes, length) in [("16030100 f4", 369_295_616), ("48545450 2f", 1_213_486_160)] {
        let mut received = BytesMut::from(&unhex(first_bytes)[..]);
        let refused = take_frame(&mut received, 100 << 20).unwrap_err();
        assert_eq!(refused.length, length);
        assert!(refused.to_string().contains("TLS"), "{refused}");
    }
}

#[track_caller]
fn check(name: &str, version: i16, hex: &str, expected: &str) {
    let refused = (message(name).recode)(&Bytes::from(unhex(hex)), version).unwrap_err();
    assert_eq!(refused.to_string(), expected);
}
