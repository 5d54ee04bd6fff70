use std::sync::Mutex;

use ottla_protocol::frames::encode_response;
use ottla_protocol::messages::api_versions::ApiVersion;
use ottla_protocol::messages::{ApiVersionsResponse, MetadataRequest, MetadataResponse};

use super::*;
use crate::conn::{AnswerFault, WakeCell};
use crate::types::HostPort;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn nothing_is_sent_before_the_broker_has_said_what_it_speaks() {
    let mut bed = Bed::new(5);
    bed.source.want(1);
    bed.poll();
    assert_eq!(bed.written(), 1, "only ApiVersions");
    bed.answer_versions();
    bed.poll();
    assert_eq!(bed.written(), 1);
}

#[test]
fn no_more_requests_are_under_way_than_settings_allow() {
    let mut bed = Bed::ready(2);
    bed.source.want(5);
    bed.poll();
    assert_eq!(bed.written(), 2);
    bed.answer(1);
    bed.poll();
    assert_eq!(bed.written(), 1);
}

#[test]
fn answers_go_to_the_requests_in_their_order() {
    let mut bed = Bed::ready(5);
    bed.source.want(2);
    bed.poll();
    bed.written();
    bed.answer(1);
    bed.answer(2);
    assert_eq!(bed.source.events(), ["answer 0", "answer 1"]);
}

#[test]
fn a_wrong_correlation_id_ends_the_connection_and_fails_what_is_under_way() {
    let mut bed = Bed::ready(5);
    bed.source.want(2);
    bed.poll();
    bed.written();
    let reason = bed.answer_with(2).unwrap_err();
    assert!(matches!(reason, CloseReason::WrongCorrelation { expected: 1, got: 2 }));
    assert_eq!(bed.fail(&reason), ["failure 0 possibly written", "failure 1 possibly written"]);
}

#[test]
fn a_request_of_which_no_byte_has_left_is_certainly_not_written() {
    let mut bed = Bed::ready(5);
    bed.source.want(3);
    bed.poll();
    let mut slices = [IoSlice::new(&[]); 1];
    assert_eq!(bed.connection.transmit_slices(&mut slices), 1);
    let first = slices[0].len();
    bed.connection.handle_written(first + 1, &bed.source, bed.now);
    let failed = bed.fail(&CloseReason::Closed);
    let expected =
        ["failure 0 possibly written", "failure 1 possibly written", "failure 2 not written"];
    assert_eq!(failed, expected);
}

#[test]
fn an_answer_that_cannot_be_read_fails_its_own_request_too() {
    let mut bed = Bed::ready(5);
    bed.source.want(1);
    bed.poll();
    bed.written();
    *bed.source.unreadable.lock().unwrap() = true;
    let reason = bed.answer_with(1).unwrap_err();
    assert!(matches!(reason, CloseReason::Decode(_)));
    assert_eq!(bed.fail(&reason), ["failure 0 possibly written"]);
}

#[test]
fn an_unanswered_request_closes_the_connection() {
    let mut bed = Bed::ready(5);
    bed.source.want(1);
    bed.poll();
    assert_eq!(bed.connection.next_timeout(), Some(bed.now + 30 * SECOND));
    assert!(bed.connection.handle_timeout(bed.now + 29 * SECOND).is_ok());
    let reason = bed.connection.handle_timeout(bed.now + 30 * SECOND).unwrap_err();
    assert!(matches!(reason, CloseReason::RequestTimeout { api: ApiKey::Metadata, .. }));
}

#[test]
fn a_broker_that_never_speaks_is_given_up_after_the_setup_timeout() {
    let mut bed = Bed::new(5);
    let reason = bed.connection.handle_timeout(bed.now + 10 * SECOND).unwrap_err();
    assert!(matches!(reason, CloseReason::SetupTimeout(_)));
}

#[test]
fn a_throttled_connection_sends_nothing_until_its_time_has_passed() {
    let mut bed = Bed::ready(5);
    *bed.source.throttle.lock().unwrap() = SECOND;
    bed.source.want(1);
    bed.poll();
    bed.written();
    bed.answer(1);
    bed.source.want(1);
    bed.poll();
    assert_eq!(bed.written(), 0);
    bed.now += SECOND;
    bed.poll();
    assert_eq!(bed.written(), 1);
}

#[test]
fn an_unused_connection_is_closed() {
    let mut bed = Bed::ready(5);
    assert!(matches!(
        bed.connection.handle_timeout(bed.now + 540 * SECOND),
        Err(CloseReason::Idle)
    ));
}

#[test]
fn an_unanswered_request_is_done_when_it_is_written() {
    let mut bed = Bed::ready(5);
    *bed.source.unanswered.lock().unwrap() = true;
    bed.source.want(1);
    bed.poll();
    bed.written();
    assert_eq!(bed.source.events(), ["written 0"]);
}

#[test]
fn a_request_without_an_answer_closes_the_connection_if_it_is_not_written() {
    let mut bed = Bed::ready(5);
    *bed.source.unanswered.lock().unwrap() = true;
    bed.source.want(2);
    bed.poll();
    assert_eq!(bed.connection.oldest_unanswered(), Some(bed.now), "it may be held suspect");
    assert_eq!(bed.connection.next_timeout(), Some(bed.now + 30 * SECOND));
    assert!(bed.connection.handle_timeout(bed.now + 29 * SECOND).is_ok());
    let reason = bed.connection.handle_timeout(bed.now + 30 * SECOND).unwrap_err();
    assert!(matches!(reason, CloseReason::RequestTimeout { api: ApiKey::Metadata, .. }));
    assert_eq!(bed.fail(&reason), ["failure 0 not written", "failure 1 not written"]);
}

#[test]
fn what_has_waited_longest_closes_the_connection_whether_or_not_it_is_answered() {
    for order in [[true, false], [false, true]] {
        let mut bed = Bed::ready(5);
        for unanswered in order {
            *bed.source.unanswered.lock().unwrap() = unanswered;
            bed.source.want(1);
            bed.poll();
            bed.now += SECOND;
        }
        assert_eq!(bed.connection.oldest_unanswered(), Some(bed.now - 2 * SECOND));
        assert_eq!(bed.connection.next_timeout(), Some(bed.now + 28 * SECOND));
        assert!(bed.connection.handle_timeout(bed.now + 28 * SECOND).is_err());
    }
}

#[test]
fn a_connection_is_unused_once_all_is_written() {
    let mut bed = Bed::with(|options| options.max_idle = SECOND);
    bed.written();
    bed.answer_versions();
    *bed.source.unanswered.lock().unwrap() = true;
    bed.source.want(1);
    bed.poll();
    bed.now += 2 * SECOND;
    assert!(bed.connection.handle_timeout(bed.now).is_ok());
    assert!(bed.connection.next_timeout() > Some(bed.now), "or its owner spins");
    bed.written();
    assert_eq!(bed.connection.oldest_unanswered(), None);
    assert_eq!(bed.connection.next_timeout(), Some(bed.now + SECOND));
}

#[test]
fn times_without_end_do_not_overflow() {
    let mut bed = Bed::with(|options| {
        options.setup_timeout = Duration::MAX;
        options.max_idle = Duration::MAX;
    });
    bed.written();
    bed.answer_versions();
    *bed.source.timeout.lock().unwrap() = Duration::MAX;
    *bed.source.throttle.lock().unwrap() = Duration::MAX;
    let far = bed.now + (1 << 30) * SECOND;
    assert!(
        bed.connection.next_timeout() > Some(far) && bed.connection.handle_timeout(far).is_ok()
    );
    bed.source.want(1);
    bed.poll();
    bed.written();
    assert!(
        bed.connection.next_timeout() > Some(far) && bed.connection.handle_timeout(far).is_ok()
    );
    bed.answer(1);
}

#[test]
fn what_speaks_there_is_named() {
    for (first, expected) in [
        (&[0x15, 0x03, 0x03, 0x00, 0x02][..], "its plaintext port"),
        (b"HTTP/1.1 400 Bad Request", "HTTP server"),
        (&[0xff; 8], "not a Kafka broker"),
    ] {
        let mut bed = Bed::new(5);
        let reason = bed.read(first).unwrap_err().to_string();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn a_stream_that_ends_before_the_first_answer_hints_at_tls() {
    let mut bed = Bed::new(5);
    let reason = bed.connection.handle_read(0, &bed.source, bed.now).unwrap_err();
    assert!(reason.to_string().contains("TLS"), "{reason}");
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let mut bed = Bed::ready(5);
    assert!(matches!(bed.answer_with(9), Err(CloseReason::NotKafka(_))));
}

/// A connection, its source, and the time.
struct Bed {
    connection: Connection,
    source: Source,
    now: Instant,
}

impl Bed {
    fn new(max_in_flight: usize) -> Self {
        Self::with(|options| options.max_in_flight = max_in_flight)
    }

    fn with(change: impl FnOnce(&mut ConnectionOptions)) -> Self {
        let now = crate::retry::test_now();
        let peer = Arc::new(Peer { node: None, address: HostPort::new("kafka", 9092) });
        let mut options = ConnectionOptions {
            client_id: "test".into(),
            max_in_flight: 5,
            max_response: 1 << 20,
            setup_timeout: 10 * SECOND,
            max_idle: 540 * SECOND,
        };
        change(&mut options);
        let pool = BufferPool::default();
        let connection = Connection::new(peer, Expected::default(), options, pool, now);
        Self { connection, source: Source::default(), now }
    }

    fn ready(max_in_flight: usize) -> Self {
        let mut bed = Self::new(max_in_flight);
        bed.written();
        bed.answer_versions();
        assert!(bed.connection.is_ready());
        bed
    }

    fn poll(&mut self) {
        self.connection.poll_source(&self.source, self.now);
    }

    /// Writes all there is, and counts the frames.
    fn written(&mut self) -> usize {
        let frames = self.connection.transmit_len();
        self.connection.handle_written(usize::MAX, &self.source, self.now);
        frames
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), CloseReason> {
        let count = self.connection.reader().target().put(bytes);
        assert_eq!(count, bytes.len());
        self.connection.handle_read(count, &self.source, self.now)
    }

    fn answer_versions(&mut self) {
        let api = |api_key, max_version| ApiVersion { api_key, max_version, ..Default::default() };
        let response = ApiVersionsResponse {
            api_keys: vec![api(18, 5), api(3, 13)],
            ..ApiVersionsResponse::default()
        };
        let version = ApiKey::ApiVersions.stable_versions().max;
        let frame = encode_response(&response, version, 0).unwrap().into_bytes();
        self.read(&frame).unwrap();
    }

    fn answer(&mut self, correlation_id: i32) {
        self.answer_with(correlation_id).unwrap();
    }

    fn answer_with(&mut self, correlation_id: i32) -> Result<(), CloseReason> {
        let frame = encode_response(&MetadataResponse::default(), 13, correlation_id).unwrap();
        self.read(&frame.into_bytes())
    }

    fn fail(self, reason: &CloseReason) -> Vec<String> {
        self.connection.fail(reason, &self.source, self.now);
        self.source.events()
    }
}

/// Sends as many requests for metadata as it is told to, and writes down what becomes of them.
#[derive(Debug)]
struct Source {
    wanted: Mutex<u64>,
    sent: Mutex<u64>,
    unanswered: Mutex<bool>,
    unreadable: Mutex<bool>,
    throttle: Mutex<Duration>,
    timeout: Mutex<Duration>,
    events: Mutex<Vec<String>>,
    wake: WakeCell,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            wanted: Mutex::default(),
            sent: Mutex::default(),
            unanswered: Mutex::default(),
            unreadable: Mutex::default(),
            throttle: Mutex::default(),
            timeout: Mutex::new(30 * SECOND),
            events: Mutex::default(),
            wake: WakeCell::default(),
        }
    }
}

impl Source {
    fn want(&self, count: u64) {
        *self.wanted.lock().unwrap() += count;
    }

    fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }

    fn note(&self, event: String) {
        self.events.lock().unwrap().push(event);
    }
}

impl RequestSource for Source {
    fn poll_requests(&self, _: Instant, outbox: &mut Outbox<'_>) {
        let (mut wanted, mut sent) = (self.wanted.lock().unwrap(), self.sent.lock().unwrap());
        while *wanted > 0 && outbox.room() > 0 {
            let request = MetadataRequest::default();
            let version = outbox.version::<MetadataRequest>().unwrap();
            let token = Token(*sent);
            let timeout = *self.timeout.lock().unwrap();
            if *self.unanswered.lock().unwrap() {
                outbox.send_unanswered(&request, version, token, timeout).unwrap();
            } else {
                outbox.send(&request, version, token, timeout).unwrap();
            }
            *wanted -= 1;
            *sent += 1;
        }
    }

    fn handle_answer(
        &self,
        _: Instant,
        token: Token,
        answer: &Answer,
    ) -> Result<Duration, AnswerFault> {
        answer.decode::<MetadataResponse>()?;
        if *self.unreadable.lock().unwrap() {
            answer.decode::<ApiVersionsResponse>()?;
        }
        self.note(format!("answer {}", token.0));
        Ok(*self.throttle.lock().unwrap())
    }

    fn handle_written(&self, _: Instant, token: Token) {
        self.note(format!("written {}", token.0));
    }

    fn handle_failure(&self, _: Instant, token: Token, error: &RequestError) {
        self.note(format!("failure {} {}", token.0, error.certainty()));
    }

    fn handle_disconnected(&self, _: Instant, _: &RequestError) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&self, _: Instant) {}

    fn wants_connection(&self) -> bool {
        *self.wanted.lock().unwrap() > 0
    }

    fn wake_cell(&self) -> &WakeCell {
        &self.wake
    }
}
