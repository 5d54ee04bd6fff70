//! The machine alone: every state and every event, and every code of every API.

use ottla_core::error::{ErrorCode, RequestError};
use ottla_core::types::{Offset, ProducerEpoch, ProducerId};

use super::*;
use crate::error::SendError;
use ottla_protocol::ApiKey;

const TIMEOUT: Duration = Duration::from_secs(60);
const EVEN: u64 = 20;

/// The states of the table, as [`in_state`] makes them.
const STATES: [&str; 7] =
    ["Initializing", "Ready", "Open", "Failed", "Committing", "Aborting", "Fatal"];

#[expect(clippy::disallowed_methods, reason = "any instant will do, and there is no other")]
fn start() -> Instant {
    Instant::now()
}

fn identity(epoch: i16) -> Identity {
    Identity {
        id: ProducerId::from_wire(7).unwrap(),
        epoch: ProducerEpoch::from_wire(epoch).unwrap(),
    }
}

fn place() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn group() -> ConsumerGroupMetadata {
    ConsumerGroupMetadata::standalone("g")
}

fn offsets() -> Offsets {
    [(place(), Offset::new(5))].into()
}

/// A machine and its time.
struct Fixture {
    machine: Transactions,
    now: Instant,
}

impl Fixture {
    fn new() -> Self {
        let machine = Transactions::new("id".into(), TIMEOUT, Duration::from_secs(10));
        Self { machine, now: start() }
    }

    /// One that has its identity.
    fn ready() -> Self {
        let mut fixture = Self::new();
        fixture.poll().unwrap();
        fixture.identify(Ok(Some(identity(0))));
        fixture
    }

    /// One with a partition in its transaction.
    fn open(protocol: Protocol) -> Self {
        let mut fixture = Self::ready();
        fixture.begin(protocol);
        fixture.machine.enlist(place());
        if protocol == Protocol::One {
            assert_eq!(fixture.poll().unwrap().api(), ApiKey::AddPartitionsToTxn);
            fixture.reply(Reply::Partitions([(place(), ErrorCode::None)].into()));
        }
        fixture
    }

    /// One whose commit is under way.
    fn ending(protocol: Protocol, decision: Decision) -> Self {
        let mut fixture = Self::open(protocol);
        match decision {
            Decision::Commit => fixture.machine.commit(1),
            Decision::Abort => fixture.machine.abort(1),
        }
        fixture.machine.handle_drained(false);
        assert_eq!(fixture.poll().unwrap().api(), ApiKey::EndTxn);
        fixture
    }

    fn begin(&mut self, protocol: Protocol) {
        assert!(matches!(self.machine.begin(protocol, self.now), Begun::Open(_)));
    }

    fn poll(&mut self) -> Option<Call> {
        self.machine.poll_call(self.now)
    }

    fn reply(&mut self, reply: Reply) -> Option<(Identity, Vec<TopicPartition>)> {
        self.machine.handle_reply(reply, self.now, EVEN)
    }

    fn identify(&mut self, given: Result<Option<Identity>, ErrorCode>) {
        assert_eq!(self.reply(Reply::Identity(given)), None);
    }

    /// The next request, once the wait before it is over, and how long that is.
    fn poll_later(&mut self) -> (Duration, Option<Call>) {
        let at = self.machine.next_timeout().unwrap_or(self.now);
        let wait = at - self.now;
        self.now = at;
        (wait, self.poll())
    }

    fn state(&self) -> &'static str {
        match &self.machine.state {
            State::Initializing => "Initializing",
            State::Ready => "Ready",
            State::Open(_) => "Open",
            State::Failed(..) => "Failed",
            State::Committing { .. } => "Committing",
            State::Aborting { .. } => "Aborting",
            State::Fatal(_) => "Fatal",
        }
    }
}

fn in_state(name: &str) -> Fixture {
    let mut fixture = match name {
        "Initializing" => Fixture::new(),
        "Ready" => Fixture::ready(),
        _ => Fixture::open(Protocol::Two),
    };
    let machine = &mut fixture.machine;
    match name {
        "Failed" => machine.fail(AbortCause::GivenUp),
        "Committing" => machine.commit(1),
        "Aborting" => machine.abort(1),
        "Fatal" => machine.end_for(FatalCause::Fenced { code: ErrorCode::ProducerFenced }),
        _ => {}
    }
    assert_eq!(fixture.state(), name);
    fixture
}

/// The state that an event leaves each of [`STATES`] in.
#[track_caller]
fn check(event: impl Fn(&mut Fixture), expected: [&str; 7]) {
    for (state, expected) in STATES.into_iter().zip(expected) {
        let mut fixture = in_state(state);
        event(&mut fixture);
        assert_eq!(fixture.state(), expected, "{state}");
    }
}

#[test]
fn a_transaction_begins_where_the_one_before_has_ended() {
    check(
        |fixture| drop(fixture.machine.begin(Protocol::Two, fixture.now)),
        ["Initializing", "Open", "Open", "Failed", "Committing", "Aborting", "Fatal"],
    );
}

#[test]
fn a_commit_is_for_what_is_open() {
    check(
        |fixture| fixture.machine.commit(1),
        ["Initializing", "Ready", "Committing", "Aborting", "Committing", "Aborting", "Fatal"],
    );
}

#[test]
fn an_abort_is_for_what_is_open_and_takes_no_commit_back() {
    check(
        |fixture| fixture.machine.abort(1),
        ["Initializing", "Ready", "Aborting", "Aborting", "Committing", "Aborting", "Fatal"],
    );
}

#[test]
fn an_end_of_another_transaction_changes_nothing() {
    check(
        |fixture| {
            fixture.machine.commit(9);
            fixture.machine.abort(9);
        },
        STATES,
    );
}

#[test]
fn a_failure_is_of_what_is_open_or_not_yet_committed() {
    check(
        |fixture| fixture.machine.fail(AbortCause::GivenUp),
        ["Initializing", "Ready", "Failed", "Failed", "Aborting", "Aborting", "Fatal"],
    );
}

#[test]
fn a_fenced_batch_ends_it_all_while_there_is_a_transaction() {
    check(
        |fixture| {
            fixture.machine.handle_failed_send(&SendError::Refused {
                partition: place(),
                code: ErrorCode::ProducerFenced,
                message: None,
                certainty: Certainty::NotWritten,
            });
        },
        ["Initializing", "Ready", "Fatal", "Fatal", "Fatal", "Fatal", "Fatal"],
    );
}

#[test]
fn partitions_are_taken_while_it_is_open() {
    for state in STATES {
        let enlisted = in_state(state).machine.enlist(TopicPartition::new("t", 1));
        let expected = match state {
            "Open" => Enlisted::Admitted(identity(0)),
            _ => Enlisted::Refused,
        };
        assert_eq!(enlisted, expected, "{state}");
    }
}

#[test]
fn offsets_are_taken_while_it_is_open() {
    for state in STATES {
        let mut fixture = in_state(state);
        let added = fixture.machine.add_offsets(group(), offsets(), fixture.now);
        assert_eq!(added.is_ok(), state == "Open", "{state}");
    }
}

#[test]
fn what_is_drained_is_heard_of_where_it_is_waited_for() {
    check(|fixture| fixture.machine.handle_drained(true), STATES);
    for state in STATES {
        let fixture = in_state(state);
        let waits = matches!(state, "Committing" | "Aborting");
        assert_eq!(fixture.machine.awaits_drain(), waits, "{state}");
    }
}

#[test]
fn a_reply_that_nobody_waits_for_changes_nothing() {
    check(
        |fixture| {
            fixture.reply(Reply::Code(ErrorCode::ProducerFenced));
        },
        STATES,
    );
}

/// The state that the answer `code` to `call` leaves behind, and whether the same is asked again.
#[track_caller]
fn check_code(mut fixture: Fixture, reply: Reply, code: ErrorCode, expected: &str) {
    let asked = fixture.machine.asked.clone().unwrap();
    fixture.reply(reply);
    let again = {
        let state = fixture.state();
        let (_, call) = fixture.poll_later();
        if call.as_ref() == Some(&asked) { "again" } else { state }
    };
    assert_eq!(again, expected, "{} {code}", asked.api());
}

/// What each code of an API leads to. Codes that are not listed lead to `otherwise`, or are asked
/// again where their class says so.
struct Codes<'a> {
    listed: &'a [(&'static str, &'a [ErrorCode])],
    otherwise: &'static str,
}

impl Codes<'_> {
    fn of(&self, code: ErrorCode) -> &'static str {
        let row = self.listed.iter().find(|(_, codes)| codes.contains(&code));
        match row {
            Some((expected, _)) => expected,
            None if code.is_retriable() => "again",
            None => self.otherwise,
        }
    }

    fn check(&self, case: impl Fn(ErrorCode) -> (Fixture, Reply)) {
        for code in ErrorCode::ALL.iter().copied().filter(|code| code.is_error()) {
            let (fixture, reply) = case(code);
            check_code(fixture, reply, code, self.of(code));
        }
    }
}

#[test]
fn every_answer_to_init_producer_id_means_what_the_table_says() {
    let codes =
        Codes { listed: &[("again", &[ErrorCode::TransactionAbortable])], otherwise: "Fatal" };
    codes.check(|code| {
        let mut fixture = Fixture::new();
        fixture.poll().unwrap();
        (fixture, Reply::Identity(Err(code)))
    });
}

#[test]
fn every_answer_to_add_partitions_to_txn_means_what_the_table_says() {
    let codes = Codes {
        listed: &[(
            "Fatal",
            &[
                ErrorCode::InvalidProducerEpoch,
                ErrorCode::ProducerFenced,
                ErrorCode::TransactionalIdAuthorizationFailed,
                ErrorCode::InvalidTxnState,
            ],
        )],
        otherwise: "Failed",
    };
    codes.check(|code| {
        let mut fixture = Fixture::ready();
        fixture.begin(Protocol::One);
        fixture.machine.enlist(place());
        fixture.poll().unwrap();
        (fixture, Reply::Partitions([(place(), code)].into()))
    });
}

#[test]
fn every_answer_to_add_offsets_to_txn_means_what_the_table_says() {
    let codes = Codes {
        listed: &[(
            "Failed",
            &[
                ErrorCode::UnknownProducerId,
                ErrorCode::InvalidProducerIdMapping,
                ErrorCode::GroupAuthorizationFailed,
                ErrorCode::TransactionAbortable,
            ],
        )],
        otherwise: "Fatal",
    };
    codes.check(|code| {
        let mut fixture = Fixture::ready();
        fixture.begin(Protocol::One);
        fixture.machine.add_offsets(group(), offsets(), fixture.now).unwrap();
        assert_eq!(fixture.poll().unwrap().api(), ApiKey::AddOffsetsToTxn);
        (fixture, Reply::Code(code))
    });
}

#[test]
fn every_answer_to_txn_offset_commit_means_what_the_table_says() {
    let codes = Codes {
        listed: &[(
            "Fatal",
            &[
                ErrorCode::InvalidProducerEpoch,
                ErrorCode::ProducerFenced,
                ErrorCode::TransactionalIdAuthorizationFailed,
                ErrorCode::UnsupportedForMessageFormat,
                ErrorCode::UnsupportedVersion,
            ],
        )],
        otherwise: "Failed",
    };
    codes.check(|code| {
        let mut fixture = Fixture::ready();
        fixture.begin(Protocol::Two);
        fixture.machine.add_offsets(group(), offsets(), fixture.now).unwrap();
        fixture.poll().unwrap();
        (fixture, Reply::Partitions([(place(), code)].into()))
    });
}

#[test]
fn every_answer_to_a_commit_means_what_the_table_says() {
    let aborts: &[ErrorCode] = &[
        ErrorCode::UnknownProducerId,
        ErrorCode::InvalidProducerIdMapping,
        ErrorCode::TransactionAbortable,
    ];
    let unknown: &[ErrorCode] = &[ErrorCode::UnknownServerError];
    let one = Codes { listed: &[("Aborting", aborts), ("again", unknown)], otherwise: "Fatal" };
    one.check(|code| {
        let fixture = Fixture::ending(Protocol::One, Decision::Commit);
        (fixture, Reply::Identity(Err(code)))
    });
    let two = Codes {
        listed: &[
            ("Aborting", aborts),
            ("Aborting", &[ErrorCode::InvalidTxnState]),
            ("again", unknown),
        ],
        otherwise: "Fatal",
    };
    two.check(|code| {
        let fixture = Fixture::ending(Protocol::Two, Decision::Commit);
        (fixture, Reply::Identity(Err(code)))
    });
}

#[test]
fn every_answer_to_an_abort_means_what_the_table_says() {
    for protocol in [Protocol::One, Protocol::Two] {
        let codes = Codes {
            listed: &[
                (
                    "Initializing",
                    &[
                        ErrorCode::UnknownProducerId,
                        ErrorCode::InvalidProducerIdMapping,
                        ErrorCode::InvalidTxnState,
                    ],
                ),
                ("again", &[ErrorCode::UnknownServerError, ErrorCode::TransactionAbortable]),
            ],
            otherwise: "Fatal",
        };
        codes.check(|code| {
            let fixture = Fixture::ending(protocol, Decision::Abort);
            (fixture, Reply::Identity(Err(code)))
        });
    }
}

#[test]
fn every_answer_to_find_coordinator_means_what_the_table_says() {
    let failed = |code| Reply::Failed(Arc::new(RequestError::Unroutable { code }));
    let transaction =
        Codes { listed: &[("Failed", &[ErrorCode::TransactionAbortable])], otherwise: "Fatal" };
    transaction.check(|code| {
        let mut fixture = Fixture::ready();
        fixture.begin(Protocol::One);
        fixture.machine.enlist(place());
        fixture.poll().unwrap();
        (fixture, failed(code))
    });
    let group_coordinator = Codes { listed: &[], otherwise: "Failed" };
    group_coordinator.check(|code| {
        let mut fixture = Fixture::ready();
        fixture.begin(Protocol::Two);
        fixture.machine.add_offsets(group(), offsets(), fixture.now).unwrap();
        fixture.poll().unwrap();
        (fixture, failed(code))
    });
}

#[test]
fn every_refusal_of_a_batch_means_what_the_table_says() {
    let fatal = [
        ErrorCode::ProducerFenced,
        ErrorCode::TransactionalIdAuthorizationFailed,
        ErrorCode::ClusterAuthorizationFailed,
        ErrorCode::UnsupportedVersion,
    ];
    for code in ErrorCode::ALL.iter().copied().filter(|code| code.is_error()) {
        let mut fixture = Fixture::open(Protocol::Two);
        fixture.machine.handle_failed_send(&SendError::Refused {
            partition: place(),
            code,
            message: None,
            certainty: Certainty::NotWritten,
        });
        let expected = if fatal.contains(&code) { "Fatal" } else { "Failed" };
        assert_eq!(fixture.state(), expected, "{code}");
    }
}

#[test]
fn a_commit_that_was_asked_for_is_never_aborted() {
    for protocol in [Protocol::One, Protocol::Two] {
        let mut fixture = Fixture::ending(protocol, Decision::Commit);
        for _ in 0..100 {
            fixture.reply(Reply::Moved);
            fixture.machine.abort(1);
            fixture.machine.fail(AbortCause::GivenUp);
            let (_, call) = fixture.poll_later();
            let Some(Call::End { decision, .. }) = call else { panic!("{call:?}") };
            assert_eq!(decision, Decision::Commit);
        }
        fixture.identify(Ok(None));
        assert!(matches!(fixture.machine.outcome(1), Some(Ok(Decision::Commit))));
    }
}

#[test]
fn a_commit_without_an_answer_and_a_newer_producer_leave_the_outcome_open() {
    for protocol in [Protocol::One, Protocol::Two] {
        let mut fixture = Fixture::ending(protocol, Decision::Commit);
        fixture.reply(Reply::Moved);
        fixture.poll_later();
        fixture.identify(Err(ErrorCode::ProducerFenced));
        let error = fixture.machine.outcome(1).unwrap().unwrap_err();
        assert_eq!(error.certainty(), Certainty::PossiblyWritten, "{error}");
        let mut fixture = Fixture::ending(protocol, Decision::Commit);
        fixture.identify(Err(ErrorCode::ProducerFenced));
        let error = fixture.machine.outcome(1).unwrap().unwrap_err();
        assert_eq!(error.certainty(), Certainty::NotWritten, "{error}");
    }
}

#[test]
fn what_may_arrive_late_costs_protocol_1_its_epoch() {
    let mut fixture = Fixture::ending(Protocol::One, Decision::Commit);
    fixture.identify(Ok(None));
    assert_eq!(fixture.state(), "Ready");
    let mut fixture = Fixture::ending(Protocol::One, Decision::Commit);
    fixture.reply(Reply::Moved);
    fixture.poll_later();
    fixture.identify(Ok(None));
    assert_eq!(fixture.poll(), Some(Call::Init { expected: Some(identity(0)) }));
    let mut fixture = Fixture::ending(Protocol::Two, Decision::Commit);
    fixture.reply(Reply::Moved);
    fixture.poll_later();
    fixture.identify(Ok(Some(identity(1))));
    assert_eq!((fixture.state(), fixture.machine.identity), ("Ready", Some(identity(1))));
}

#[test]
fn sequences_that_were_spent_cost_protocol_1_its_epoch() {
    for (protocol, expected) in [(Protocol::One, "Initializing"), (Protocol::Two, "Ready")] {
        let mut fixture = Fixture::open(protocol);
        fixture.machine.abort(1);
        fixture.machine.handle_drained(true);
        assert_eq!(fixture.poll().unwrap().api(), ApiKey::EndTxn);
        fixture.identify(Ok(Some(identity(1))));
        assert_eq!(fixture.state(), expected);
    }
}

#[test]
fn a_transaction_waits_for_its_batches_and_its_offsets() {
    let mut fixture = Fixture::open(Protocol::Two);
    let line = fixture.machine.add_offsets(group(), offsets(), fixture.now).unwrap();
    fixture.machine.commit(1);
    assert_eq!(fixture.poll().unwrap().api(), ApiKey::TxnOffsetCommit);
    fixture.machine.handle_drained(false);
    assert_eq!(fixture.poll(), None);
    fixture.reply(Reply::Partitions([(place(), ErrorCode::None)].into()));
    assert!(matches!(fixture.machine.offsets_outcome(1, line), Some(Ok(()))));
    assert_eq!(fixture.poll().unwrap().api(), ApiKey::EndTxn);
}

#[test]
fn offsets_that_were_taken_in_part_are_asked_for_in_part() {
    let mut fixture = Fixture::open(Protocol::Two);
    let other = TopicPartition::new("t", 1);
    let both: Offsets = [(place(), Offset::new(1)), (other.clone(), Offset::new(2))].into();
    fixture.machine.add_offsets(group(), both, fixture.now).unwrap();
    fixture.poll().unwrap();
    let codes = [(place(), ErrorCode::None), (other.clone(), ErrorCode::UnknownTopicOrPartition)];
    fixture.reply(Reply::Partitions(codes.into()));
    let (_, call) = fixture.poll_later();
    let Some(Call::CommitOffsets { offsets, .. }) = call else { panic!("{call:?}") };
    assert_eq!(offsets.into_keys().collect::<Vec<_>>(), [other]);
}

#[test]
fn what_a_coordinator_is_busy_with_is_asked_again_after_20_milliseconds() {
    let mut fixture = Fixture::new();
    fixture.poll().unwrap();
    for _ in 0..5 {
        fixture.identify(Err(ErrorCode::ConcurrentTransactions));
        let (wait, call) = fixture.poll_later();
        assert_eq!(wait, Duration::from_millis(20));
        assert!(call.is_some());
    }
}

#[test]
fn the_next_begins_once_the_partitions_are_let_go() {
    let mut fixture = Fixture::ending(Protocol::Two, Decision::Commit);
    fixture.identify(Ok(Some(identity(1))));
    assert!(fixture.machine.needs_release() && !fixture.machine.is_idle());
    assert!(matches!(fixture.machine.begin(Protocol::Two, fixture.now), Begun::NotYet));
    fixture.machine.handle_released();
    fixture.begin(Protocol::Two);
}

#[test]
fn a_commit_that_meets_the_end_of_its_time_was_aborted_and_the_epoch_is_claimed() {
    let mut fixture = Fixture::ending(Protocol::One, Decision::Commit);
    fixture.now += TIMEOUT;
    fixture.identify(Err(ErrorCode::ProducerFenced));
    let error = fixture.machine.outcome(1).unwrap().unwrap_err();
    assert!(error.may_run_again(), "{error}");
    assert_eq!(fixture.poll(), Some(Call::Init { expected: Some(identity(1)) }));
    fixture.identify(Err(ErrorCode::ProducerFenced));
    assert_eq!(fixture.state(), "Fatal");
}

#[test]
fn a_late_commit_of_protocol_2_is_aborted_for_its_epoch() {
    let mut fixture = Fixture::ending(Protocol::Two, Decision::Commit);
    fixture.identify(Err(ErrorCode::InvalidTxnState));
    let error = fixture.machine.outcome(1).unwrap().unwrap_err();
    assert!(error.may_run_again(), "{error}");
    let call = fixture.poll().unwrap();
    assert!(matches!(call, Call::End { decision: Decision::Abort, .. }), "{call:?}");
    fixture.identify(Ok(Some(identity(1))));
    assert_eq!((fixture.state(), fixture.machine.identity), ("Ready", Some(identity(1))));
}

#[test]
fn an_abort_waits_for_no_answer_that_cannot_matter() {
    for (protocol, expected) in [(Protocol::One, None), (Protocol::Two, Some(ApiKey::EndTxn))] {
        let mut fixture = Fixture::open(protocol);
        fixture.machine.add_offsets(group(), offsets(), fixture.now).unwrap();
        fixture.poll().unwrap();
        fixture.machine.abort(1);
        fixture.machine.handle_drained(false);
        assert_eq!(fixture.poll().map(|call| call.api()), expected, "{protocol:?}");
    }
}

#[test]
fn not_attempted_names_the_partition_that_has_the_reason() {
    let mut fixture = Fixture::ready();
    fixture.begin(Protocol::One);
    let bad = TopicPartition::new("a", 0);
    fixture.machine.enlist(bad.clone());
    fixture.machine.enlist(place());
    fixture.poll().unwrap();
    let codes = [
        (bad.clone(), ErrorCode::TopicAuthorizationFailed),
        (place(), ErrorCode::OperationNotAttempted),
    ];
    fixture.reply(Reply::Partitions(codes.into()));
    let Some(TransactionError::Aborted { cause, .. }) = fixture.machine.failure() else {
        panic!("not failed");
    };
    let AbortCause::Refused { partition, code, .. } = &*cause else { panic!("{cause}") };
    assert_eq!((partition, *code), (&Some(bad), ErrorCode::TopicAuthorizationFailed));
}

#[test]
fn who_closes_asks_for_no_identity() {
    let mut fixture = Fixture::new();
    fixture.machine.close();
    assert_eq!((fixture.poll(), fixture.machine.is_idle()), (None, true));
    let mut fixture = Fixture::open(Protocol::One);
    fixture.machine.close();
    fixture.machine.handle_drained(true);
    assert_eq!(fixture.poll().unwrap().api(), ApiKey::EndTxn);
    assert!(!fixture.machine.is_idle());
    fixture.identify(Ok(None));
    fixture.machine.handle_released();
    assert_eq!((fixture.poll(), fixture.machine.is_idle()), (None, true));
}

#[test]
fn an_empty_transaction_asks_nobody() {
    for protocol in [Protocol::One, Protocol::Two] {
        for decision in [Decision::Commit, Decision::Abort] {
            let mut fixture = Fixture::ready();
            fixture.begin(protocol);
            match decision {
                Decision::Commit => fixture.machine.commit(1),
                Decision::Abort => fixture.machine.abort(1),
            }
            fixture.machine.handle_drained(false);
            assert_eq!(fixture.poll(), None);
            assert!(fixture.machine.outcome(1).unwrap().is_ok());
        }
    }
}
