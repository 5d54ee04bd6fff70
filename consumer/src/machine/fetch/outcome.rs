//! What a broker's word about one partition means.

use ottla_protocol::ErrorCode;

/// What a broker's word about one partition means for the one who fetches it, or looks up offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is data, or none yet.
    Data,
    /// Another broker has it, or none has for the moment: look again who leads, and wait.
    Refresh,
    /// The same broker will be ready soon.
    Wait,
    /// The leader has no such offset.
    OutOfRange,
    /// The application must know; it is asked again all the same, with backoff.
    Report,
}

/// What a broker's word about one partition means.
///
/// # Kafka
///
/// Java's `FetchCollector.handleInitializeErrors` and `OffsetFetcherUtils`.
#[must_use]
pub fn classify(code: ErrorCode) -> Outcome {
    match code {
        ErrorCode::None => Outcome::Data,
        ErrorCode::OffsetOutOfRange => Outcome::OutOfRange,
        ErrorCode::NotLeaderOrFollower
        | ErrorCode::LeaderNotAvailable
        | ErrorCode::ReplicaNotAvailable
        | ErrorCode::FencedLeaderEpoch
        | ErrorCode::KafkaStorageError
        | ErrorCode::OffsetNotAvailable
        | ErrorCode::UnknownTopicOrPartition
        | ErrorCode::UnknownTopicId
        | ErrorCode::InconsistentTopicId
        | ErrorCode::ListenerNotFound => Outcome::Refresh,
        // The broker will catch up with the metadata that we have; a storm of refreshes would not
        // help it.
        ErrorCode::UnknownLeaderEpoch
        | ErrorCode::UnknownServerError
        | ErrorCode::RequestTimedOut
        | ErrorCode::NetworkException
        | ErrorCode::ThrottlingQuotaExceeded
        | ErrorCode::UnstableOffsetCommit => Outcome::Wait,
        // All others make no sense here, or ask for somebody's help. `ErrorCode` is open, so a new
        // one lands here, where it is seen.
        _ => Outcome::Report,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_decided() {
        use ErrorCode::*;
        let decided = [
            (Outcome::Data, vec![None]),
            (Outcome::OutOfRange, vec![OffsetOutOfRange]),
            (
                Outcome::Refresh,
                vec![
                    UnknownTopicOrPartition,
                    LeaderNotAvailable,
                    NotLeaderOrFollower,
                    ReplicaNotAvailable,
                    KafkaStorageError,
                    ListenerNotFound,
                    FencedLeaderEpoch,
                    OffsetNotAvailable,
                    UnknownTopicId,
                    InconsistentTopicId,
                ],
            ),
            (
                Outcome::Wait,
                vec![
                    UnknownServerError,
                    RequestTimedOut,
                    NetworkException,
                    UnknownLeaderEpoch,
                    UnstableOffsetCommit,
                    ThrottlingQuotaExceeded,
                ],
            ),
        ];
        for code in ErrorCode::ALL {
            let listed = decided.iter().find(|(_, codes)| codes.contains(code));
            let expected = listed.map_or(Outcome::Report, |(outcome, _)| *outcome);
            assert_eq!(classify(*code), expected, "{code}");
        }
        assert_eq!(classify(Unrecognized(999)), Outcome::Report);
    }

    #[test]
    fn what_is_reported_is_not_what_kafka_calls_retriable_for_reads() {
        for code in [ErrorCode::TopicAuthorizationFailed, ErrorCode::CorruptMessage] {
            assert_eq!(classify(code), Outcome::Report);
        }
    }
}
