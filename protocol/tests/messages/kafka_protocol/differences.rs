//! Where `kafka-protocol` 0.18 and we differ, and why. The tests fail when a line is not true, or
//! no longer.

use std::ops::RangeInclusive;

use bytes::Bytes;
use ottla_protocol::Message;
use ottla_protocol::messages::{LeaderChangeMessage, VotersRecord};

/// Bytes of one message that they and we do not read alike.
pub(super) struct Divergence {
    /// The message.
    pub(super) message: &'static str,
    /// The versions of it that are concerned.
    pub(super) versions: RangeInclusive<i16>,
    /// Whether these bytes are concerned.
    pub(super) bytes: fn(&Bytes, i16) -> bool,
    /// Who is wrong, why, and how we know.
    pub(super) reason: &'static str,
}

impl Divergence {
    /// Whether it is about these bytes.
    pub(super) fn covers(&self, message: &str, version: i16, bytes: &Bytes) -> bool {
        self.message == message && self.versions.contains(&version) && (self.bytes)(bytes, version)
    }
}

/// Every divergence. What is covered must diverge, and nothing else may.
pub(super) const DIVERGENCES: &[Divergence] = &[
    Divergence {
        message: "LeaderChangeMessage",
        versions: 0..=1,
        bytes: |bytes, version| {
            let message = LeaderChangeMessage::decode(bytes, version).unwrap();
            let voters = message.voters.len() + message.granting_voters.len();
            message.version != version && voters > 0
        },
        reason: VERSION_IS_A_FIELD,
    },
    Divergence {
        message: "VotersRecord",
        versions: 0..=0,
        bytes: |bytes, version| {
            let message = VotersRecord::decode(bytes, version).unwrap();
            message.version != version && !message.voters.is_empty()
        },
        reason: VERSION_IS_A_FIELD,
    },
];

const VERSION_IS_A_FIELD: &str = "They are wrong. The message has a field called Version, and in \
    their decoder its value shadows the version that was asked for, so that the structures behind \
    it are read in whatever version it claims; their encoder goes by the version asked for. So \
    does Kafka: it wrote and read back golden lines whose Version is 257.";

/// Versions of messages both have that only we know, and why.
///
/// Learnt from the definitions in `kafka-clients` 4.1.0 to 4.4.0.
pub(super) const LACKING_VERSIONS: &[(&str, i16, &str)] = &[
    ("AddRaftVoterRequest", 1, KAFKA_4_2),
    ("AddRaftVoterResponse", 1, KAFKA_4_2),
    ("ApiVersionsRequest", 5, KAFKA_4_4),
    ("ApiVersionsResponse", 5, KAFKA_4_4),
    ("DeleteGroupsRequest", 3, KAFKA_4_4),
    ("DeleteGroupsResponse", 3, KAFKA_4_4),
    ("DescribeLogDirsRequest", 5, KAFKA_4_3),
    ("DescribeLogDirsResponse", 5, KAFKA_4_3),
    ("DescribeShareGroupOffsetsRequest", 1, KAFKA_4_2),
    ("DescribeShareGroupOffsetsResponse", 1, KAFKA_4_2),
    ("InitProducerIdRequest", 6, UNSTABLE_IN_4_1),
    ("ListOffsetsRequest", 11, KAFKA_4_2),
    ("ListOffsetsResponse", 11, KAFKA_4_2),
    ("OffsetCommitRequest", 10, UNSTABLE_IN_4_1),
    ("OffsetFetchRequest", 10, UNSTABLE_IN_4_1),
    ("ReadShareGroupStateSummaryRequest", 1, KAFKA_4_2),
    ("ReadShareGroupStateSummaryResponse", 1, KAFKA_4_2),
    ("ShareAcknowledgeRequest", 2, KAFKA_4_2),
    ("ShareAcknowledgeResponse", 2, KAFKA_4_2),
    ("ShareFetchRequest", 2, KAFKA_4_2),
    ("ShareFetchResponse", 2, KAFKA_4_2),
    ("TxnOffsetCommitRequest", 6, KAFKA_4_4),
    ("TxnOffsetCommitResponse", 6, KAFKA_4_4),
    ("WriteShareGroupStateRequest", 1, KAFKA_4_2),
    ("WriteShareGroupStateResponse", 1, KAFKA_4_2),
    ("WriteTxnMarkersRequest", 2, KAFKA_4_2),
    ("WriteTxnMarkersResponse", 2, KAFKA_4_2),
];

const KAFKA_4_2: &str = "new in Kafka 4.2";
const KAFKA_4_3: &str = "new in Kafka 4.3";
const KAFKA_4_4: &str = "new in Kafka 4.4";
/// Where Kafka marks a request `latestVersionUnstable`, their generator leaves out its last version.
/// The response, which has no such mark, keeps it.
const UNSTABLE_IN_4_1: &str = "not stable in Kafka 4.1";

/// Calls the macro `$with` with the name of every message of ours that they do not have at all.
macro_rules! lacking_messages {
    ($with:ident) => {
        $with! {
            // Records of the coordinators' topics.
            ConsumerGroupCurrentMemberAssignmentKey
            ConsumerGroupCurrentMemberAssignmentValue
            ConsumerGroupMemberMetadataKey
            ConsumerGroupMemberMetadataValue
            ConsumerGroupMetadataKey
            ConsumerGroupMetadataValue
            ConsumerGroupPartitionMetadataKey
            ConsumerGroupPartitionMetadataValue
            ConsumerGroupRegularExpressionKey
            ConsumerGroupRegularExpressionValue
            ConsumerGroupTargetAssignmentMemberKey
            ConsumerGroupTargetAssignmentMemberValue
            ConsumerGroupTargetAssignmentMetadataKey
            ConsumerGroupTargetAssignmentMetadataValue
            GroupMetadataKey
            GroupMetadataValue
            LegacyOffsetCommitKey
            LegacyOffsetCommitValue
            OffsetCommitKey
            OffsetCommitValue
            ShareGroupCurrentMemberAssignmentKey
            ShareGroupCurrentMemberAssignmentValue
            ShareGroupMemberMetadataKey
            ShareGroupMemberMetadataValue
            ShareGroupMetadataKey
            ShareGroupMetadataValue
            ShareGroupStatePartitionMetadataKey
            ShareGroupStatePartitionMetadataValue
            ShareGroupTargetAssignmentMemberKey
            ShareGroupTargetAssignmentMemberValue
            ShareGroupTargetAssignmentMetadataKey
            ShareGroupTargetAssignmentMetadataValue
            ShareSnapshotKey
            ShareSnapshotValue
            ShareUpdateKey
            ShareUpdateValue
            StreamsGroupCurrentMemberAssignmentKey
            StreamsGroupCurrentMemberAssignmentValue
            StreamsGroupMemberMetadataKey
            StreamsGroupMemberMetadataValue
            StreamsGroupMetadataKey
            StreamsGroupMetadataValue
            StreamsGroupTargetAssignmentMemberKey
            StreamsGroupTargetAssignmentMemberValue
            StreamsGroupTargetAssignmentMetadataKey
            StreamsGroupTargetAssignmentMetadataValue
            StreamsGroupTopologyKey
            StreamsGroupTopologyValue
            TransactionLogKey
            TransactionLogValue
            // The key of a control record, which their record codec writes by hand.
            ControlRecordTypeSchema
            // Every version was unstable in Kafka 4.1.
            StreamsGroupDescribeRequest
            StreamsGroupDescribeResponse
            StreamsGroupHeartbeatRequest
            StreamsGroupHeartbeatResponse
            // New in Kafka 4.4.
            StreamsGroupTopologyDescriptionUpdateRequest
            StreamsGroupTopologyDescriptionUpdateResponse
            UnregisterControllerRequest
            UnregisterControllerResponse
        }
    };
}

pub(super) use lacking_messages;
