//! The error codes of the protocol.

use std::fmt;

/// What an error asks of whoever meets it (KIP-1050).
///
/// The classes are those of the exceptions in Apache Kafka's own client, so far as it has them:
/// what an error means for one operation is for that operation to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The same request may succeed later.
    Retriable,
    /// The same request may succeed once the metadata, or the coordinator, has been looked up anew.
    RefreshRetriable,
    /// The transaction must be aborted; the producer can go on after that.
    Abortable,
    /// The application can recover, by starting a new producer or rejoining the group.
    ApplicationRecoverable,
    /// Settings, permissions or the request itself must change.
    InvalidConfiguration,
    /// None of these: trying again will not help.
    Fatal,
}

impl ErrorClass {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        matches!(self, Self::Retriable | Self::RefreshRetriable)
    }

    /// Whether the producer, consumer or client that met it must be given up: a new one may do better.
    #[must_use]
    pub const fn ends_client(self) -> bool {
        matches!(self, Self::ApplicationRecoverable | Self::Fatal)
    }
}

macro_rules! error_codes {
    ($($code:literal $name:ident $kafka:ident $class:ident $text:literal)*) => {
        /// What a broker says about a request, or about one item of it.
        ///
        /// Those of Apache Kafka 4.4.0, −1 to 136; Java's `Errors`. A code that is not known here is
        /// kept as it came.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = concat!("`", stringify!($kafka), "` (", stringify!($code), "): ", $text, ".")] $name,)*
            /// A code that is not known here.
            Unrecognized(
                /// The code as it came.
                i16,
            ),
        }

        impl ErrorCode {
            /// Every code that is known here, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The error whose number is `code`.
            #[must_use]
            pub const fn from_code(code: i16) -> Self {
                match code {
                    $($code => Self::$name,)*
                    unrecognized => Self::Unrecognized(unrecognized),
                }
            }

            /// Its number on the wire.
            #[must_use]
            pub const fn code(self) -> i16 {
                match self {
                    $(Self::$name => $code,)*
                    Self::Unrecognized(code) => code,
                }
            }

            /// Kafka's name for it, such as `NOT_LEADER_OR_FOLLOWER`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($kafka),)*
                    Self::Unrecognized(_) => "UNRECOGNIZED",
                }
            }

            /// What it asks of whoever meets it; `None` for [`None`](Self::None), which is no error.
            ///
            /// An unrecognized code is [`Fatal`](ErrorClass::Fatal): nobody can say that a retry helps.
            #[must_use]
            pub const fn class(self) -> Option<ErrorClass> {
                match self {
                    $(Self::$name => error_class!($class),)*
                    Self::Unrecognized(_) => Some(ErrorClass::Fatal),
                }
            }

            /// What it means, in a few words.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Unrecognized(_) => "this release does not know the code",
                }
            }
        }
    };
}

macro_rules! error_class {
    (NoError) => {
        None
    };
    ($class:ident) => {
        Some(ErrorClass::$class)
    };
}

impl ErrorCode {
    /// Whether this is an error at all.
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retriable(self) -> bool {
        self.class().is_some_and(ErrorClass::is_retriable)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name(), self.code(), self.description())
    }
}

error_codes! {
    -1 UnknownServerError UNKNOWN_SERVER_ERROR Fatal "the broker met an error that it has no code for; its log has the cause"
    0 None NONE NoError "no error"
    1 OffsetOutOfRange OFFSET_OUT_OF_RANGE Fatal "the offset lies outside the log of the partition"
    2 CorruptMessage CORRUPT_MESSAGE Retriable "a record batch failed its checksum or is malformed"
    3 UnknownTopicOrPartition UNKNOWN_TOPIC_OR_PARTITION RefreshRetriable "the broker does not know or does not host the topic or partition"
    4 InvalidFetchSize INVALID_FETCH_SIZE Fatal "the requested fetch size is invalid"
    5 LeaderNotAvailable LEADER_NOT_AVAILABLE RefreshRetriable "the partition has no leader at the moment"
    6 NotLeaderOrFollower NOT_LEADER_OR_FOLLOWER RefreshRetriable "the broker is neither leader nor follower of the partition"
    7 RequestTimedOut REQUEST_TIMED_OUT Retriable "the request was not done in time"
    8 BrokerNotAvailable BROKER_NOT_AVAILABLE Fatal "the broker is not available"
    9 ReplicaNotAvailable REPLICA_NOT_AVAILABLE RefreshRetriable "the replica is not available on this broker"
    10 MessageTooLarge MESSAGE_TOO_LARGE Fatal "a record batch is larger than the topic's max.message.bytes"
    11 StaleControllerEpoch STALE_CONTROLLER_EPOCH Fatal "the controller has moved to another node"
    12 OffsetMetadataTooLarge OFFSET_METADATA_TOO_LARGE Fatal "the metadata of a committed offset is too long"
    13 NetworkException NETWORK_EXCEPTION RefreshRetriable "the connection was lost before the answer came"
    14 CoordinatorLoadInProgress COORDINATOR_LOAD_IN_PROGRESS Retriable "the coordinator is still loading its state"
    15 CoordinatorNotAvailable COORDINATOR_NOT_AVAILABLE RefreshRetriable "the coordinator is not available"
    16 NotCoordinator NOT_COORDINATOR RefreshRetriable "the broker is not the coordinator of this group or transactional id"
    17 InvalidTopicException INVALID_TOPIC_EXCEPTION InvalidConfiguration "the topic name is invalid, or the topic is internal"
    18 RecordListTooLarge RECORD_LIST_TOO_LARGE InvalidConfiguration "the batches of the request are larger than a segment of the log"
    19 NotEnoughReplicas NOT_ENOUGH_REPLICAS Retriable "fewer replicas are in sync than min.insync.replicas asks for; nothing was written"
    20 NotEnoughReplicasAfterAppend NOT_ENOUGH_REPLICAS_AFTER_APPEND Retriable "the records were written, but fewer replicas are in sync than min.insync.replicas asks for"
    21 InvalidRequiredAcks INVALID_REQUIRED_ACKS InvalidConfiguration "acks is none of 0, 1 and -1"
    22 IllegalGeneration ILLEGAL_GENERATION ApplicationRecoverable "the generation of the group is over"
    23 InconsistentGroupProtocol INCONSISTENT_GROUP_PROTOCOL Fatal "the protocols of the member match none of the group's"
    24 InvalidGroupId INVALID_GROUP_ID Fatal "the group id is invalid"
    25 UnknownMemberId UNKNOWN_MEMBER_ID ApplicationRecoverable "the group does not know this member"
    26 InvalidSessionTimeout INVALID_SESSION_TIMEOUT Fatal "the session timeout lies outside what the broker allows"
    27 RebalanceInProgress REBALANCE_IN_PROGRESS Fatal "the group is rebalancing; rejoin it"
    28 InvalidCommitOffsetSize INVALID_COMMIT_OFFSET_SIZE Fatal "the committed offsets are too large to be stored"
    29 TopicAuthorizationFailed TOPIC_AUTHORIZATION_FAILED InvalidConfiguration "the principal may not use this topic"
    30 GroupAuthorizationFailed GROUP_AUTHORIZATION_FAILED InvalidConfiguration "the principal may not use this group"
    31 ClusterAuthorizationFailed CLUSTER_AUTHORIZATION_FAILED InvalidConfiguration "the principal may not do this to the cluster"
    32 InvalidTimestamp INVALID_TIMESTAMP Fatal "a record's timestamp lies outside what the topic allows"
    33 UnsupportedSaslMechanism UNSUPPORTED_SASL_MECHANISM InvalidConfiguration "the broker does not offer this SASL mechanism"
    34 IllegalSaslState ILLEGAL_SASL_STATE InvalidConfiguration "the request does not fit the state of the SASL exchange"
    35 UnsupportedVersion UNSUPPORTED_VERSION InvalidConfiguration "the broker does not serve this version of the API"
    36 TopicAlreadyExists TOPIC_ALREADY_EXISTS Fatal "a topic of this name exists"
    37 InvalidPartitions INVALID_PARTITIONS Fatal "the number of partitions is invalid"
    38 InvalidReplicationFactor INVALID_REPLICATION_FACTOR InvalidConfiguration "the replication factor is below 1 or above the number of brokers"
    39 InvalidReplicaAssignment INVALID_REPLICA_ASSIGNMENT Fatal "the assignment of replicas is invalid"
    40 InvalidConfig INVALID_CONFIG InvalidConfiguration "a configuration value is invalid"
    41 NotController NOT_CONTROLLER Retriable "the node is not the controller"
    42 InvalidRequest INVALID_REQUEST Fatal "the request is malformed, or incompatible with this broker"
    43 UnsupportedForMessageFormat UNSUPPORTED_FOR_MESSAGE_FORMAT InvalidConfiguration "the record format on the broker does not support this"
    44 PolicyViolation POLICY_VIOLATION Fatal "a policy of the broker refuses the request"
    45 OutOfOrderSequenceNumber OUT_OF_ORDER_SEQUENCE_NUMBER Fatal "the broker saw a gap in the sequence numbers of the producer"
    46 DuplicateSequenceNumber DUPLICATE_SEQUENCE_NUMBER Fatal "the broker has this batch already"
    47 InvalidProducerEpoch INVALID_PRODUCER_EPOCH ApplicationRecoverable "a newer epoch of this producer id has written to the partition"
    48 InvalidTxnState INVALID_TXN_STATE Fatal "the operation does not fit the state of the transaction"
    49 InvalidProducerIdMapping INVALID_PRODUCER_ID_MAPPING ApplicationRecoverable "the producer id does not belong to this transactional id any more"
    50 InvalidTransactionTimeout INVALID_TRANSACTION_TIMEOUT Fatal "the transaction timeout is above the broker's transaction.max.timeout.ms"
    51 ConcurrentTransactions CONCURRENT_TRANSACTIONS Retriable "an earlier operation on this transaction is still running"
    52 TransactionCoordinatorFenced TRANSACTION_COORDINATOR_FENCED Fatal "a newer transaction coordinator has taken over"
    53 TransactionalIdAuthorizationFailed TRANSACTIONAL_ID_AUTHORIZATION_FAILED InvalidConfiguration "the principal may not use this transactional id"
    54 SecurityDisabled SECURITY_DISABLED Fatal "the broker has no security features enabled"
    55 OperationNotAttempted OPERATION_NOT_ATTEMPTED Fatal "the operation was not tried, because another one in the request failed"
    56 KafkaStorageError KAFKA_STORAGE_ERROR RefreshRetriable "a disk of the broker failed"
    57 LogDirNotFound LOG_DIR_NOT_FOUND Fatal "the broker has no such log directory"
    58 SaslAuthenticationFailed SASL_AUTHENTICATION_FAILED InvalidConfiguration "the credentials were refused"
    59 UnknownProducerId UNKNOWN_PRODUCER_ID Fatal "the broker has no state of this producer id"
    60 ReassignmentInProgress REASSIGNMENT_IN_PROGRESS Fatal "replicas of the partition are being moved"
    61 DelegationTokenAuthDisabled DELEGATION_TOKEN_AUTH_DISABLED Fatal "delegation tokens are disabled"
    62 DelegationTokenNotFound DELEGATION_TOKEN_NOT_FOUND Fatal "the delegation token is not known"
    63 DelegationTokenOwnerMismatch DELEGATION_TOKEN_OWNER_MISMATCH Fatal "the principal owns or may renew no such delegation token"
    64 DelegationTokenRequestNotAllowed DELEGATION_TOKEN_REQUEST_NOT_ALLOWED Fatal "delegation tokens cannot be asked for over this kind of connection"
    65 DelegationTokenAuthorizationFailed DELEGATION_TOKEN_AUTHORIZATION_FAILED InvalidConfiguration "the principal may not use this delegation token"
    66 DelegationTokenExpired DELEGATION_TOKEN_EXPIRED Fatal "the delegation token has ended"
    67 InvalidPrincipalType INVALID_PRINCIPAL_TYPE Fatal "the principal type is not supported"
    68 NonEmptyGroup NON_EMPTY_GROUP Fatal "the group still has members"
    69 GroupIdNotFound GROUP_ID_NOT_FOUND Fatal "the group does not exist"
    70 FetchSessionIdNotFound FETCH_SESSION_ID_NOT_FOUND Retriable "the broker does not know this fetch session"
    71 InvalidFetchSessionEpoch INVALID_FETCH_SESSION_EPOCH Retriable "the epoch of the fetch session is not the one expected"
    72 ListenerNotFound LISTENER_NOT_FOUND RefreshRetriable "the leader has no listener of the name that this connection uses"
    73 TopicDeletionDisabled TOPIC_DELETION_DISABLED Fatal "the broker does not allow topics to be deleted"
    74 FencedLeaderEpoch FENCED_LEADER_EPOCH RefreshRetriable "the leader epoch is older than the broker's; refresh the metadata"
    75 UnknownLeaderEpoch UNKNOWN_LEADER_EPOCH Retriable "the leader epoch is newer than the broker's; it will catch up"
    76 UnsupportedCompressionType UNSUPPORTED_COMPRESSION_TYPE Fatal "the codec cannot be used with this version of the request"
    77 StaleBrokerEpoch STALE_BROKER_EPOCH Fatal "the epoch of the broker is stale"
    78 OffsetNotAvailable OFFSET_NOT_AVAILABLE Retriable "the leader does not yet know its high watermark; it was just elected"
    79 MemberIdRequired MEMBER_ID_REQUIRED Fatal "the group wants the member to rejoin with the member id it was given"
    80 PreferredLeaderNotAvailable PREFERRED_LEADER_NOT_AVAILABLE RefreshRetriable "the preferred leader is not available"
    81 GroupMaxSizeReached GROUP_MAX_SIZE_REACHED Fatal "the group is full"
    82 FencedInstanceId FENCED_INSTANCE_ID ApplicationRecoverable "another member took over this group.instance.id"
    83 EligibleLeadersNotAvailable ELIGIBLE_LEADERS_NOT_AVAILABLE RefreshRetriable "no eligible leader is available"
    84 ElectionNotNeeded ELECTION_NOT_NEEDED RefreshRetriable "the leader need not change"
    85 NoReassignmentInProgress NO_REASSIGNMENT_IN_PROGRESS Fatal "no replicas of the partition are being moved"
    86 GroupSubscribedToTopic GROUP_SUBSCRIBED_TO_TOPIC Fatal "the group is subscribed to the topic"
    87 InvalidRecord INVALID_RECORD InvalidConfiguration "the broker refused a record"
    88 UnstableOffsetCommit UNSTABLE_OFFSET_COMMIT Retriable "the group's offsets depend on a transaction that has not ended"
    89 ThrottlingQuotaExceeded THROTTLING_QUOTA_EXCEEDED Retriable "a quota is used up; ask again later"
    90 ProducerFenced PRODUCER_FENCED ApplicationRecoverable "a newer producer took over this transactional.id"
    91 ResourceNotFound RESOURCE_NOT_FOUND Fatal "the resource does not exist"
    92 DuplicateResource DUPLICATE_RESOURCE Fatal "the resource exists"
    93 UnacceptableCredential UNACCEPTABLE_CREDENTIAL Fatal "the credential does not meet the rules"
    94 InconsistentVoterSet INCONSISTENT_VOTER_SET Fatal "the voters of sender and receiver differ"
    95 InvalidUpdateVersion INVALID_UPDATE_VERSION Fatal "the version of the update is invalid"
    96 FeatureUpdateFailed FEATURE_UPDATE_FAILED Fatal "the feature could not be updated"
    97 PrincipalDeserializationFailure PRINCIPAL_DESERIALIZATION_FAILURE Fatal "the forwarded principal cannot be read"
    98 SnapshotNotFound SNAPSHOT_NOT_FOUND Fatal "the snapshot does not exist"
    99 PositionOutOfRange POSITION_OUT_OF_RANGE Fatal "the position lies outside the snapshot"
    100 UnknownTopicId UNKNOWN_TOPIC_ID RefreshRetriable "the broker does not know the topic id"
    101 DuplicateBrokerRegistration DUPLICATE_BROKER_REGISTRATION Fatal "a broker of this id is registered"
    102 BrokerIdNotRegistered BROKER_ID_NOT_REGISTERED Fatal "no broker of this id is registered"
    103 InconsistentTopicId INCONSISTENT_TOPIC_ID RefreshRetriable "the topic id is not the one the log was written with"
    104 InconsistentClusterId INCONSISTENT_CLUSTER_ID Fatal "the cluster id is not that of this cluster"
    105 TransactionalIdNotFound TRANSACTIONAL_ID_NOT_FOUND Fatal "the transactional id is not known"
    106 FetchSessionTopicIdError FETCH_SESSION_TOPIC_ID_ERROR Retriable "the fetch session mixes topic names and topic ids"
    107 IneligibleReplica INELIGIBLE_REPLICA Fatal "the replica may not join the in-sync replicas"
    108 NewLeaderElected NEW_LEADER_ELECTED Fatal "the request elected a new leader"
    109 OffsetMovedToTieredStorage OFFSET_MOVED_TO_TIERED_STORAGE Fatal "the records have moved to tiered storage"
    110 FencedMemberEpoch FENCED_MEMBER_EPOCH Fatal "the member epoch is fenced; rejoin the group"
    111 UnreleasedInstanceId UNRELEASED_INSTANCE_ID Fatal "another live member holds this group.instance.id"
    112 UnsupportedAssignor UNSUPPORTED_ASSIGNOR Fatal "the group supports no such assignor"
    113 StaleMemberEpoch STALE_MEMBER_EPOCH Fatal "the member epoch is stale; send a heartbeat first"
    114 MismatchedEndpointType MISMATCHED_ENDPOINT_TYPE Fatal "the request went to the wrong kind of endpoint, broker or controller"
    115 UnsupportedEndpointType UNSUPPORTED_ENDPOINT_TYPE Fatal "the kind of endpoint is not supported"
    116 UnknownControllerId UNKNOWN_CONTROLLER_ID Fatal "the controller id is not known"
    117 UnknownSubscriptionId UNKNOWN_SUBSCRIPTION_ID Fatal "the telemetry subscription has changed"
    118 TelemetryTooLarge TELEMETRY_TOO_LARGE Fatal "the telemetry is larger than the broker takes"
    119 InvalidRegistration INVALID_REGISTRATION Fatal "the registration of the node is invalid"
    120 TransactionAbortable TRANSACTION_ABORTABLE Abortable "the transaction can only be aborted"
    121 InvalidRecordState INVALID_RECORD_STATE Fatal "the record is not acquired by this member"
    122 ShareSessionNotFound SHARE_SESSION_NOT_FOUND Retriable "the broker does not know this share session"
    123 InvalidShareSessionEpoch INVALID_SHARE_SESSION_EPOCH Retriable "the epoch of the share session is not the one expected"
    124 FencedStateEpoch FENCED_STATE_EPOCH Fatal "the state epoch of the share partition is fenced"
    125 InvalidVoterKey INVALID_VOTER_KEY Fatal "the voter's key does not match"
    126 DuplicateVoter DUPLICATE_VOTER Fatal "the voter is there already"
    127 VoterNotFound VOTER_NOT_FOUND Fatal "the voter does not exist"
    128 InvalidRegularExpression INVALID_REGULAR_EXPRESSION Fatal "the regular expression of the subscription is invalid"
    129 RebootstrapRequired REBOOTSTRAP_REQUIRED Fatal "the client's view of the cluster is stale; start again from bootstrap.servers"
    130 StreamsInvalidTopology STREAMS_INVALID_TOPOLOGY Fatal "the streams topology is invalid"
    131 StreamsInvalidTopologyEpoch STREAMS_INVALID_TOPOLOGY_EPOCH Fatal "the epoch of the streams topology is invalid"
    132 StreamsTopologyFenced STREAMS_TOPOLOGY_FENCED Fatal "a newer epoch of the streams topology is in use"
    133 ShareSessionLimitReached SHARE_SESSION_LIMIT_REACHED Retriable "the broker has no room for more share sessions"
    134 GroupDeletionFailed GROUP_DELETION_FAILED Fatal "the group could not be deleted"
    135 StreamsTopologyDescriptionUpdateFailed STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED Fatal "the description of the streams topology could not be stored"
    136 ControllerIdNotRegistered CONTROLLER_ID_NOT_REGISTERED Fatal "no controller of this id is registered"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_codes_are_minus_one_to_136_without_a_gap() {
        let codes: Vec<i16> = ErrorCode::ALL.iter().map(|error| error.code()).collect();
        assert_eq!(codes, (-1..=136).collect::<Vec<_>>());
    }

    #[test]
    fn a_code_survives_a_round_trip_known_or_not() {
        for code in [i16::MIN, -1, 0, 6, 136, 137, i16::MAX] {
            assert_eq!(ErrorCode::from_code(code).code(), code);
        }
    }

    #[test]
    fn only_the_absence_of_an_error_has_no_class() {
        for error in ErrorCode::ALL {
            assert_eq!(error.class().is_none(), !error.is_error(), "{error}");
        }
    }

    #[test]
    fn an_error_says_its_name_its_code_and_what_it_means() {
        assert_eq!(
            ErrorCode::ProducerFenced.to_string(),
            "PRODUCER_FENCED (90): a newer producer took over this transactional.id"
        );
    }
}
