//! The machine alone: every state and every request, as tables.

use super::transaction::Init;
use super::*;

use TransactionResult::{Abort, Commit};

const EPOCH: i16 = 5;
const TIMEOUT: Duration = Duration::from_secs(60);

/// A transaction of producer 7 in epoch 5, in the state that the table names.
fn in_state(name: &str, protocol: Protocol) -> Transaction {
    let mut transaction = Transaction::new(7, TIMEOUT, Now::default());
    for epoch in 0..EPOCH {
        let init = Init {
            expected: Some(Producer { id: 7, epoch }),
            timeout: TIMEOUT,
            protocol,
            new_id: &mut || 8,
        };
        transaction.init(init, Now::default()).unwrap();
    }
    let result = if name.ends_with("Commit") { Commit } else { Abort };
    if name != "Empty" {
        transaction.add(own(), [target()], Now::default()).unwrap();
    }
    if !["Empty", "Ongoing"].contains(&name) {
        transaction.end(own(), result, protocol, &mut || 8, Now::default()).unwrap();
    }
    if name.starts_with("Complete") {
        transaction.handle_marker(&target(), None, Now::default());
    }
    assert_eq!(transaction.state_name(), name);
    transaction
}

/// Who ends the transaction of [`in_state`].
fn own() -> Producer {
    Producer { id: 7, epoch: EPOCH }
}

fn target() -> Target {
    Target::Partition("t".into(), 0)
}

const STATES: [&str; 6] =
    ["Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"];

/// For each of [`STATES`], what a request answers and the state it leaves: `ok Ongoing` or
/// `INVALID_TXN_STATE Empty`.
#[track_caller]
fn check<R>(
    protocol: Protocol,
    act: impl Fn(&mut Transaction) -> Result<R, ErrorCode>,
    expected: [&str; 6],
) {
    for (state, expected) in STATES.into_iter().zip(expected) {
        let mut transaction = in_state(state, protocol);
        let answer = act(&mut transaction).err().map_or("ok", ErrorCode::name);
        let found = format!("{answer} {}", transaction.state_name());
        assert_eq!(found, expected, "{protocol:?} {state}");
    }
}

fn ends(
    protocol: Protocol,
    epoch: i16,
    result: TransactionResult,
) -> impl Fn(&mut Transaction) -> Result<Producer, ErrorCode> {
    let producer = Producer { id: 7, epoch };
    move |transaction| transaction.end(producer, result, protocol, &mut || 8, Now::default())
}

#[test]
fn protocol_1_ends_by_state() {
    check(
        Protocol::One,
        ends(Protocol::One, EPOCH, Commit),
        [
            "INVALID_TXN_STATE Empty",
            "ok PrepareCommit",
            "CONCURRENT_TRANSACTIONS PrepareCommit",
            "CONCURRENT_TRANSACTIONS PrepareAbort",
            "ok CompleteCommit",
            "INVALID_TXN_STATE CompleteAbort",
        ],
    );
    check(
        Protocol::One,
        ends(Protocol::One, EPOCH, Abort),
        [
            "INVALID_TXN_STATE Empty",
            "ok PrepareAbort",
            "CONCURRENT_TRANSACTIONS PrepareCommit",
            "CONCURRENT_TRANSACTIONS PrepareAbort",
            "INVALID_TXN_STATE CompleteCommit",
            "ok CompleteAbort",
        ],
    );
}

#[test]
fn protocol_2_tells_a_repeated_end_by_its_epoch() {
    check(
        Protocol::Two,
        ends(Protocol::Two, EPOCH, Commit),
        [
            "INVALID_TXN_STATE Empty",
            "ok PrepareCommit",
            "CONCURRENT_TRANSACTIONS PrepareCommit",
            "CONCURRENT_TRANSACTIONS PrepareAbort",
            "ok CompleteCommit",
            "INVALID_TXN_STATE CompleteAbort",
        ],
    );
    check(
        Protocol::Two,
        ends(Protocol::Two, EPOCH, Abort),
        [
            "ok CompleteAbort",
            "ok PrepareAbort",
            "CONCURRENT_TRANSACTIONS PrepareCommit",
            "CONCURRENT_TRANSACTIONS PrepareAbort",
            "INVALID_TXN_STATE CompleteCommit",
            "ok CompleteAbort",
        ],
    );
}

#[test]
fn protocol_2_ends_what_comes_next_with_the_next_epoch() {
    check(
        Protocol::Two,
        ends(Protocol::Two, EPOCH + 1, Commit),
        [
            "PRODUCER_FENCED Empty",
            "PRODUCER_FENCED Ongoing",
            "CONCURRENT_TRANSACTIONS PrepareCommit",
            "CONCURRENT_TRANSACTIONS PrepareAbort",
            "INVALID_TXN_STATE CompleteCommit",
            "INVALID_TXN_STATE CompleteAbort",
        ],
    );
    check(
        Protocol::Two,
        ends(Protocol::Two, EPOCH + 1, Abort),
        [
            "PRODUCER_FENCED Empty",
            "PRODUCER_FENCED Ongoing",
            "CONCURRENT_TRANSACTIONS PrepareCommit",
            "CONCURRENT_TRANSACTIONS PrepareAbort",
            "ok CompleteAbort",
            "ok CompleteAbort",
        ],
    );
}

#[test]
fn more_is_added_unless_an_end_is_under_way() {
    check(
        Protocol::One,
        |transaction| transaction.add(own(), [target()], Now::default()),
        [
            "ok Ongoing",
            "ok Ongoing",
            "CONCURRENT_TRANSACTIONS PrepareCommit",
            "CONCURRENT_TRANSACTIONS PrepareAbort",
            "ok Ongoing",
            "ok Ongoing",
        ],
    );
}

#[test]
fn only_what_takes_part_in_an_open_transaction_is_verified() {
    check(
        Protocol::One,
        |transaction| transaction.verify(own(), &target()),
        [
            "TRANSACTION_ABORTABLE Empty",
            "ok Ongoing",
            "CONCURRENT_TRANSACTIONS PrepareCommit",
            "CONCURRENT_TRANSACTIONS PrepareAbort",
            "TRANSACTION_ABORTABLE CompleteCommit",
            "TRANSACTION_ABORTABLE CompleteAbort",
        ],
    );
}

/// Kafka looks at what is pending first, but where protocol 1 ends and where it verifies.
#[test]
fn while_an_end_is_under_way_strangers_are_told_to_wait() {
    let strangers = [Producer { id: 9, epoch: 0 }, Producer { id: 7, epoch: EPOCH - 1 }];
    let known = [ErrorCode::InvalidProducerIdMapping, ErrorCode::ProducerFenced];
    let wait = Err(ErrorCode::ConcurrentTransactions);
    for (stranger, refused) in strangers.into_iter().zip(known) {
        for protocol in [Protocol::One, Protocol::Two] {
            let mut transaction = in_state("PrepareCommit", protocol);
            assert_eq!(transaction.add(stranger, [target()], Now::default()), wait);
            let init =
                Init { expected: Some(stranger), timeout: TIMEOUT, protocol, new_id: &mut || 8 };
            assert_eq!(transaction.init(init, Now::default()).map(drop), wait);
            assert_eq!(transaction.verify(stranger, &target()), Err(refused), "{protocol:?}");
            let now = Now::default();
            let mut end = |with| transaction.end(stranger, Abort, with, &mut || 8, now).map(drop);
            assert_eq!(end(Protocol::One), Err(refused), "{protocol:?}");
            assert_eq!(end(Protocol::Two), wait);
        }
    }
}

#[test]
fn an_init_waits_for_what_is_under_way_and_aborts_what_is_open() {
    for protocol in [Protocol::One, Protocol::Two] {
        check(
            protocol,
            |transaction| {
                let (expected, timeout) = (None, TIMEOUT);
                let init = Init { expected, timeout, protocol, new_id: &mut || 8 };
                transaction.init(init, Now::default())
            },
            [
                "ok Empty",
                "CONCURRENT_TRANSACTIONS PrepareAbort",
                "CONCURRENT_TRANSACTIONS PrepareCommit",
                "CONCURRENT_TRANSACTIONS PrepareAbort",
                "ok Empty",
                "ok Empty",
            ],
        );
    }
}

#[test]
fn a_fence_aborts_what_is_open_and_leaves_the_rest() {
    for protocol in [Protocol::One, Protocol::Two] {
        check(
            protocol,
            |transaction| {
                transaction.fence(protocol, &mut || 8, Now::default());
                Ok(())
            },
            [
                "ok Empty",
                "ok PrepareAbort",
                "ok PrepareCommit",
                "ok PrepareAbort",
                "ok CompleteCommit",
                "ok CompleteAbort",
            ],
        );
        let mut transaction = in_state("Ongoing", protocol);
        transaction.fence(protocol, &mut || 8, Now::default());
        assert_eq!(transaction.producer(), Producer { id: 7, epoch: EPOCH + 1 }, "once");
    }
}

#[test]
fn a_marker_for_what_does_not_take_part_changes_nothing() {
    let mut transaction = in_state("PrepareCommit", Protocol::Two);
    transaction.handle_marker(&Target::Offsets("t".into()), None, Now::default());
    assert_eq!(transaction.state_name(), "PrepareCommit");
}
