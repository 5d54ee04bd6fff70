//! What a broker's answer means for a batch.

use ottla_core::error::{Certainty, ErrorCode};

/// What a broker's answer means for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is written, now or by an attempt before.
    Acknowledged,
    /// Send it again, with the same sequence.
    Retry(Certainty),
    /// Send it again, to whoever leads now.
    RefreshAndRetry(Certainty),
    /// Send its records in smaller batches.
    Split,
    /// Not what the leader has next of this producer: it is early, or one before it is lost.
    OutOfOrder,
    /// The leader knows nothing of this producer.
    UnknownProducer,
    /// Give up.
    Refused(Certainty),
}

/// What the answer to Produce means for the batch it is about.
///
/// Kafka says "not leader" also to a batch that was appended and then lost its leader before it was
/// replicated (`DelayedProduce`), so that and its likes leave open whether it is written.
///
/// # Kafka
///
/// Java's `Sender.canRetry`, `Sender.completeBatch`, `TransactionManager.canRetry`.
pub(crate) fn classify(code: ErrorCode) -> Verdict {
    use Certainty::{NotWritten, PossiblyWritten};
    match code {
        ErrorCode::None | ErrorCode::DuplicateSequenceNumber => Verdict::Acknowledged,
        ErrorCode::OutOfOrderSequenceNumber => Verdict::OutOfOrder,
        ErrorCode::UnknownProducerId => Verdict::UnknownProducer,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => Verdict::Split,
        ErrorCode::NotLeaderOrFollower
        | ErrorCode::UnknownTopicOrPartition
        | ErrorCode::LeaderNotAvailable
        | ErrorCode::ReplicaNotAvailable
        | ErrorCode::FencedLeaderEpoch
        | ErrorCode::UnknownLeaderEpoch
        | ErrorCode::ListenerNotFound
        | ErrorCode::NetworkException
        | ErrorCode::KafkaStorageError => Verdict::RefreshAndRetry(PossiblyWritten),
        ErrorCode::UnknownTopicId | ErrorCode::InconsistentTopicId => {
            Verdict::RefreshAndRetry(NotWritten)
        }
        ErrorCode::RequestTimedOut | ErrorCode::NotEnoughReplicasAfterAppend => {
            Verdict::Retry(PossiblyWritten)
        }
        ErrorCode::NotEnoughReplicas
        | ErrorCode::CorruptMessage
        | ErrorCode::ThrottlingQuotaExceeded
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator
        | ErrorCode::ConcurrentTransactions => Verdict::Retry(NotWritten),
        ErrorCode::UnknownServerError => Verdict::Refused(PossiblyWritten),
        code => other(code),
    }
}

/// Codes that no broker answers Produce with so far: as their class says, and nobody knows whether
/// the batch was written if its sender is told to try again.
fn other(code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::Unrecognized(_) => Verdict::Refused(Certainty::PossiblyWritten),
        code if code.is_retriable() => Verdict::Retry(Certainty::PossiblyWritten),
        _ => Verdict::Refused(Certainty::NotWritten),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code that is known, by what it means. Those that are not listed are refused, and not
    /// written.
    const TABLE: &[(Verdict, &[i16])] = &[
        (Verdict::Acknowledged, &[0, 46]),
        (Verdict::OutOfOrder, &[45]),
        (Verdict::UnknownProducer, &[59]),
        (Verdict::Split, &[10, 18]),
        (Verdict::RefreshAndRetry(Certainty::PossiblyWritten), &[3, 5, 6, 9, 13, 56, 72, 74, 75]),
        (Verdict::RefreshAndRetry(Certainty::NotWritten), &[100, 103]),
        (
            Verdict::Retry(Certainty::PossiblyWritten),
            &[
                7, 20, // and what no broker answers Produce with:
                41, 70, 71, 78, 80, 83, 84, 88, 106, 122, 123, 133,
            ],
        ),
        (Verdict::Retry(Certainty::NotWritten), &[2, 14, 15, 16, 19, 51, 89]),
        (Verdict::Refused(Certainty::PossiblyWritten), &[-1]),
    ];

    #[test]
    fn every_code_means_what_the_table_says() {
        for code in ErrorCode::ALL {
            let row = TABLE.iter().find(|(_, codes)| codes.contains(&code.code()));
            let expected =
                row.map_or(Verdict::Refused(Certainty::NotWritten), |(verdict, _)| *verdict);
            assert_eq!(classify(*code), expected, "{code}");
        }
    }

    #[test]
    fn a_code_from_the_future_is_refused_and_leaves_open_what_was_written() {
        let code = ErrorCode::Unrecognized(999);
        assert_eq!(classify(code), Verdict::Refused(Certainty::PossiblyWritten));
    }

    #[test]
    fn what_java_retries_is_retried_here() {
        let retried = |code: &ErrorCode| {
            !matches!(classify(*code), Verdict::Refused(_) | Verdict::Acknowledged)
        };
        for code in ErrorCode::ALL.iter().filter(|code| code.is_retriable()) {
            assert!(retried(code), "{code}");
        }
    }
}
