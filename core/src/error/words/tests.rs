use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::{CLIENT, Properties};
use crate::error::Certainty;
use crate::types::{NodeId, TopicPartition};

#[test]
fn nothing_is_listening() {
    check(
        Error::of_request("connect", late(refused(None, "localhost:9092"))),
        "connect: no bootstrap server could be reached: localhost:9092 refuses connections \
         (0.2 s). Is a broker running? `ottla-broker` starts one.",
    );
    check(
        Error::of_request("connect", late(refused(None, "kafka.example:9092"))),
        "connect: no bootstrap server could be reached: kafka.example:9092 refuses connections \
         (0.2 s). Check bootstrap.servers, and that the brokers are running.",
    );
}

#[test]
fn an_advertised_address_cannot_be_reached() {
    check(
        Error::of_request("connect", refused(Some(1), "localhost:9092")),
        "connect: the cluster advertises broker 1 at localhost:9092, which refuses connections \
         from here. If that broker is running, its advertised.listeners must name an address that \
         can be reached from here.",
    );
}

#[test]
fn plaintext_meets_tls() {
    check(
        Error::of_request("connect", closed(CloseReason::ClosedBeforeFirstAnswer)),
        "connect: bootstrap server kafka.example:9093 closed the connection before its first \
         answer. If port 9093 expects TLS: this version speaks only plaintext.",
    );
    check(
        Error::of_request("connect", closed(CloseReason::SpeaksTls)),
        "connect: bootstrap server kafka.example:9093 answers in TLS. Connect to its plaintext \
         port instead of 9093: this version speaks only plaintext.",
    );
}

#[test]
fn a_topic_is_missing() {
    check(
        Error::of_code("send", ErrorCode::UnknownTopicOrPartition).subject("orders"),
        "send orders: topic does not exist. Create it, or correct its name; with \
         allow.auto.create.topics=true, brokers that are set so create what is asked for.",
    );
}

#[test]
fn a_record_is_too_big() {
    let cause = "record is 1203441 bytes, limit max.request.size=1048576";
    let class = ErrorClass::InvalidConfiguration;
    check(
        Error::builder("send", ErrorKind::InvalidRecord, class, cause)
            .subject(TopicPartition::new("orders", 3)),
        "send orders-3: record is 1203441 bytes, limit max.request.size=1048576",
    );
}

#[test]
fn polls_are_too_far_apart() {
    let cause = "removed because poll was not called for 312 s (max.poll.interval.ms=300000)";
    let class = ErrorClass::ApplicationRecoverable;
    check(
        Error::builder("group", ErrorKind::GroupLost, class, cause).subject("billing"),
        "group billing: removed because poll was not called for 312 s \
         (max.poll.interval.ms=300000)",
    );
}

#[test]
fn a_setting_is_mistyped() {
    let mut properties = Properties::new();
    properties.set("client.idd", "x");
    let rows: Vec<_> = CLIENT.rows().collect();
    let error = ConfigError::check(properties.unknown(&rows).0).unwrap_err();
    let error = Error::from(error);
    let expected =
        "config: no property is called `client.idd` (set in code); did you mean `client.id`?";
    assert_eq!((error.to_string(), format!("{error:#}")), (expected.into(), expected.into()));
    let source: Option<&ConfigError> = error.source().and_then(|source| source.downcast_ref());
    assert_eq!(source.map(|source| source.problems().len()), Some(1));
}

#[test]
fn a_line_has_all_there_is_to_say() {
    check(
        Error::builder("send", ErrorKind::Timeout, ErrorClass::Retriable, "not acknowledged")
            .subject(TopicPartition::new("orders", 3))
            .broker("broker 2 at b:9092")
            .attempts(4)
            .elapsed(Duration::from_secs(120))
            .certainty(Certainty::PossiblyWritten)
            .hint("Look at the broker."),
        "send orders-3: not acknowledged (broker 2 at b:9092, 4 attempts, 120 s, possibly \
         written). Look at the broker.",
    );
}

#[test]
fn the_alternate_form_has_the_chain_of_causes() {
    let error = Error::of_request("connect", late(refused(None, "localhost:1"))).build();
    let shown = format!("{error:#}");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], error.to_string());
    assert_eq!(lines[1], "caused by: no answer from any broker within 0.2 s");
    assert!(lines[2].starts_with("caused by: bootstrap server localhost:1: cannot connect"));
    assert_eq!(lines.len(), 3, "{shown}");
    assert!(error.source().is_some());
}

#[test]
fn at_most_one_predicate_is_true() {
    let classes = [
        ErrorClass::Retriable,
        ErrorClass::RefreshRetriable,
        ErrorClass::Abortable,
        ErrorClass::ApplicationRecoverable,
        ErrorClass::InvalidConfiguration,
        ErrorClass::Fatal,
    ];
    let of_class = |class| Error::builder("x", ErrorKind::Refused, class, "y").build();
    let of_code = |code: &ErrorCode| Error::of_code("x", *code).build();
    for error in classes.map(of_class).into_iter().chain(ErrorCode::ALL.iter().map(of_code)) {
        let predicates = [error.is_retriable(), error.requires_abort(), error.is_fatal()];
        assert!(predicates.iter().filter(|it| **it).count() <= 1, "{error}");
    }
}

#[test]
fn what_was_on_its_way_may_be_written() {
    let lost = RequestError::Closed { certainty: Certainty::PossiblyWritten };
    assert!(Error::of_request("send", lost).build().possibly_written());
    let kept = RequestError::Closed { certainty: Certainty::NotWritten };
    assert!(!Error::of_request("send", kept).build().possibly_written());
}

#[test]
fn the_kind_is_that_of_what_stood_in_the_way_at_last() {
    let timeout = CloseReason::SetupTimeout(Duration::from_secs(10));
    let denied = ErrorCode::GroupAuthorizationFailed;
    let never = RequestError::DeadlineExceeded {
        within: Duration::from_secs(60),
        certainty: Certainty::NotWritten,
        last: None,
    };
    for (error, kind) in [
        (refused(None, "localhost:9092"), ErrorKind::Connect),
        (late(late(refused(Some(1), "localhost:9092"))), ErrorKind::Connect),
        (late(closed(timeout)), ErrorKind::Timeout),
        (closed(CloseReason::Refused(denied)), ErrorKind::Authorization),
        (RequestError::Unroutable { code: denied }, ErrorKind::Authorization),
        (RequestError::Closed { certainty: Certainty::NotWritten }, ErrorKind::Closed),
        (never, ErrorKind::Timeout),
    ] {
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(Error::of_request("send", error).build().kind(), kind);
    }
}

#[test]
fn an_error_is_small() {
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}

fn peer(node: Option<i32>, address: &str) -> Arc<Peer> {
    Arc::new(Peer { node: node.and_then(NodeId::from_wire), address: address.parse().unwrap() })
}

fn refused(node: Option<i32>, address: &str) -> RequestError {
    let error = Arc::new(io::Error::from(io::ErrorKind::ConnectionRefused));
    RequestError::Connection {
        peer: peer(node, address),
        reason: CloseReason::Connect(error),
        certainty: Certainty::NotWritten,
    }
}

fn closed(reason: CloseReason) -> RequestError {
    let peer = peer(None, "kafka.example:9093");
    RequestError::Connection { peer, reason, certainty: Certainty::NotWritten }
}

fn late(last: RequestError) -> RequestError {
    RequestError::DeadlineExceeded {
        within: Duration::from_millis(200),
        certainty: Certainty::NotWritten,
        last: Some(Arc::new(last)),
    }
}

#[track_caller]
fn check(error: ErrorBuilder, expected: &str) {
    assert_eq!(error.build().to_string(), expected);
}
