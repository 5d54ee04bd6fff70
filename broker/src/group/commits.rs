//! `OffsetCommit`, `TxnOffsetCommit` and `OffsetDelete`.

use std::time::Duration;

use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse,
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use ottla_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestTopic, TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use ottla_protocol::{ByteString, ErrorCode, Uuid};

use super::classic::{Claim, CommitKind};
use super::membership::{check_group_id, error_code};
use super::offsets::CommittedOffset;
use super::subscription::CONSUMER;
use super::{Caller, Group, Groups};

impl Groups {
    /// `OffsetCommit`, by topic name, or from version 10 on by topic id (KIP-848).
    pub(crate) fn offset_commit(
        &mut self,
        caller: &Caller<'_>,
        request: OffsetCommitRequest,
    ) -> OffsetCommitResponse {
        let mut commit = Commit {
            group_id: request.group_id,
            claim: Claim {
                member_id: request.member_id,
                instance_id: request.group_instance_id,
                generation: request.generation_id_or_member_epoch,
            },
            transaction: None,
            expires_at: u64::try_from(request.retention_time_ms)
                .ok()
                .map(|ms| caller.now.saturating_add(Duration::from_millis(ms))),
            admitted: None,
        };
        let topics = request.topics.into_iter();
        let topics = topics.map(|topic| self.commit_topic(caller, &mut commit, topic)).collect();
        OffsetCommitResponse { topics, ..Default::default() }
    }

    /// `TxnOffsetCommit`: the offsets count once the transaction is committed. Whether the group is
    /// part of it is for the transaction coordinator to say, with `admit`.
    pub(crate) fn txn_offset_commit(
        &mut self,
        caller: &Caller<'_>,
        request: TxnOffsetCommitRequest,
        admit: Admit<'_>,
    ) -> TxnOffsetCommitResponse {
        let mut commit = Commit {
            group_id: request.group_id,
            claim: Claim {
                member_id: request.member_id,
                instance_id: request.group_instance_id,
                generation: request.generation_id_or_member_epoch,
            },
            transaction: Some((request.producer_id, admit)),
            expires_at: None,
            admitted: None,
        };
        let topics = request.topics.into_iter();
        let topics =
            topics.map(|topic| self.commit_txn_topic(caller, &mut commit, topic)).collect();
        TxnOffsetCommitResponse { topics, ..Default::default() }
    }

    /// `OffsetDelete` (KIP-496).
    pub(crate) fn offset_delete(
        &mut self,
        caller: &Caller<'_>,
        request: OffsetDeleteRequest,
    ) -> OffsetDeleteResponse {
        let OffsetDeleteRequest { group_id, topics } = request;
        let group = match self.deletable_from(caller, &group_id) {
            Ok(group) => group,
            Err(error) => {
                return OffsetDeleteResponse { error_code: error.code(), ..Default::default() };
            }
        };
        let topics = topics.into_iter().map(|topic| delete_topic(caller, group, topic)).collect();
        OffsetDeleteResponse { topics, ..Default::default() }
    }

    fn commit_topic(
        &mut self,
        caller: &Caller<'_>,
        commit: &mut Commit<'_>,
        topic: OffsetCommitRequestTopic,
    ) -> OffsetCommitResponseTopic {
        let by_id = caller.version >= FIRST_COMMIT_BY_ID;
        let OffsetCommitRequestTopic { name, topic_id, partitions, .. } = topic;
        let named = Named::new(caller, by_id, &name, topic_id);
        let partitions = partitions.into_iter().map(|row| {
            let offset = NewOffset {
                offset: row.committed_offset,
                leader_epoch: row.committed_leader_epoch,
                metadata: row.committed_metadata,
            };
            let outcome = self.commit(caller, commit, &named, row.partition_index, offset);
            OffsetCommitResponsePartition {
                partition_index: row.partition_index,
                error_code: error_code(outcome),
                ..Default::default()
            }
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic { name, topic_id, partitions, ..Default::default() }
    }

    fn commit_txn_topic(
        &mut self,
        caller: &Caller<'_>,
        commit: &mut Commit<'_>,
        topic: TxnOffsetCommitRequestTopic,
    ) -> TxnOffsetCommitResponseTopic {
        let by_id = caller.version >= FIRST_TXN_COMMIT_BY_ID;
        let TxnOffsetCommitRequestTopic { name, topic_id, partitions, .. } = topic;
        let named = Named::new(caller, by_id, &name, topic_id);
        let partitions = partitions.into_iter().map(|row| {
            let offset = NewOffset {
                offset: row.committed_offset,
                leader_epoch: row.committed_leader_epoch,
                metadata: row.committed_metadata,
            };
            let outcome = self.commit(caller, commit, &named, row.partition_index, offset);
            let outcome = outcome.map_err(|error| told_in_transaction(error, caller.version));
            TxnOffsetCommitResponsePartition {
                partition_index: row.partition_index,
                error_code: error_code(outcome),
                ..Default::default()
            }
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic { name, topic_id, partitions, ..Default::default() }
    }

    fn commit(
        &mut self,
        caller: &Caller<'_>,
        commit: &mut Commit<'_>,
        topic: &Named,
        partition: i32,
        offset: NewOffset,
    ) -> Result<(), ErrorCode> {
        let name = topic.name.as_ref().ok_or(ErrorCode::UnknownTopicId)?;
        caller.cluster.check_partition(name, partition)?;
        // Not before there is something to commit: that is how far Kafka gets, too.
        match commit.admitted {
            Some(admitted) => admitted?,
            None => {
                let admitted = self.admit_commit(caller, commit);
                commit.admitted = Some(admitted);
                admitted?;
            }
        }
        let metadata = offset.metadata.unwrap_or_default();
        // Kafka counts as Java does, whatever the setting is called.
        if metadata.encode_utf16().count() > self.config.offset_metadata_max_bytes {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        let Some(group) = self.groups.get_mut(&commit.group_id) else {
            return Err(ErrorCode::GroupIdNotFound);
        };
        let offset = CommittedOffset {
            offset: offset.offset,
            leader_epoch: offset.leader_epoch,
            metadata,
            topic_id: topic.id,
            committed_at: caller.now,
            expires_at: commit.expires_at,
        };
        match &commit.transaction {
            None => group.offsets.commit(name, partition, offset),
            Some((id, _)) => group.offsets.commit_pending(*id, name, partition, offset),
        }
        Ok(())
    }

    /// Whether the group takes offsets from whom they come. One that nobody ever joined begins
    /// with its first offset.
    fn admit_commit(
        &mut self,
        caller: &Caller<'_>,
        commit: &mut Commit<'_>,
    ) -> Result<(), ErrorCode> {
        let Commit { group_id, claim, transaction, .. } = commit;
        let kind = match transaction {
            None => CommitKind::Plain,
            Some(_) => CommitKind::Transactional,
        };
        if kind == CommitKind::Transactional {
            check_group_id(group_id)?;
        }
        caller.cluster.check_coordinator(group_id)?;
        if let Some((_, admit)) = transaction {
            admit(group_id)?;
        }
        if !self.groups.contains_key(group_id) {
            if claim.generation >= 0 {
                return Err(unknown_group_error(kind, caller.version));
            }
            self.create_missing(group_id, caller.now);
        }
        let admitted = self.with_group(group_id, caller.now, |group| {
            group.classic.handle_commit(claim, kind, caller.now)
        });
        admitted.unwrap_or(Err(ErrorCode::GroupIdNotFound))
    }

    fn deletable_from(
        &mut self,
        caller: &Caller<'_>,
        group_id: &ByteString,
    ) -> Result<&mut Group, ErrorCode> {
        check_group_id(group_id)?;
        caller.cluster.check_coordinator(group_id)?;
        let group = self.groups.get_mut(group_id).ok_or(ErrorCode::GroupIdNotFound)?;
        let of_consumers = group.classic.protocol_type().is_some_and(|kind| *kind == *CONSUMER);
        // Of other kinds of groups nobody knows what they consume.
        if !group.classic.is_empty() && !of_consumers {
            return Err(ErrorCode::NonEmptyGroup);
        }
        Ok(group)
    }
}

/// Asks whether a group is part of the transaction that commits its offsets, or becomes part.
pub(crate) type Admit<'a> = &'a mut dyn FnMut(&str) -> Result<(), ErrorCode>;

/// What the commits of one request have in common.
struct Commit<'a> {
    group_id: ByteString,
    claim: Claim,
    /// The producer whose transaction commits them, and how to ask whether it may; `None` unless a
    /// transaction does.
    transaction: Option<(i64, Admit<'a>)>,
    expires_at: Option<Duration>,
    /// What the group said, once it was asked.
    admitted: Option<Result<(), ErrorCode>>,
}

/// A topic of a request.
struct Named {
    /// `None` where its id is unknown.
    name: Option<ByteString>,
    /// [`Uuid::ZERO`] where it is named by its name.
    id: Uuid,
}

impl Named {
    fn new(caller: &Caller<'_>, by_id: bool, name: &ByteString, id: Uuid) -> Self {
        if by_id {
            Self { name: caller.cluster.topic_name(id), id }
        } else {
            Self { name: Some(name.clone()), id: Uuid::ZERO }
        }
    }
}

struct NewOffset {
    offset: i64,
    leader_epoch: i32,
    metadata: Option<ByteString>,
}

fn unknown_group_error(kind: CommitKind, version: i16) -> ErrorCode {
    match kind {
        CommitKind::Plain if version >= FIRST_COMMIT_WITH_UNKNOWN_GROUP => {
            ErrorCode::GroupIdNotFound
        }
        CommitKind::Plain | CommitKind::Transactional => ErrorCode::IllegalGeneration,
    }
}

/// Clients of the first versions do not know that a coordinator loads.
fn told_in_transaction(error: ErrorCode, version: i16) -> ErrorCode {
    match error {
        ErrorCode::CoordinatorLoadInProgress if version < FIRST_TXN_COMMIT_WITH_LOADING => {
            ErrorCode::CoordinatorNotAvailable
        }
        error => error,
    }
}

fn delete_topic(
    caller: &Caller<'_>,
    group: &mut Group,
    topic: OffsetDeleteRequestTopic,
) -> OffsetDeleteResponseTopic {
    let OffsetDeleteRequestTopic { name, partitions } = topic;
    let partitions = partitions.into_iter().map(|row| {
        let partition_index = row.partition_index;
        let outcome = delete_partition(caller, group, &name, partition_index);
        OffsetDeleteResponsePartition { partition_index, error_code: error_code(outcome) }
    });
    let partitions = partitions.collect();
    OffsetDeleteResponseTopic { name, partitions }
}

fn delete_partition(
    caller: &Caller<'_>,
    group: &mut Group,
    topic: &str,
    partition: i32,
) -> Result<(), ErrorCode> {
    caller.cluster.check_partition(topic, partition)?;
    if group.classic.is_subscribed_to(topic) {
        return Err(ErrorCode::GroupSubscribedToTopic);
    }
    group.offsets.delete(topic, partition);
    Ok(())
}

/// `OffsetCommit`'s first version with topic ids.
const FIRST_COMMIT_BY_ID: i16 = 10;

/// `TxnOffsetCommit`'s first version whose clients know `COORDINATOR_LOAD_IN_PROGRESS`.
const FIRST_TXN_COMMIT_WITH_LOADING: i16 = 2;

/// `TxnOffsetCommit`'s first version with topic ids.
const FIRST_TXN_COMMIT_BY_ID: i16 = 6;

/// `OffsetCommit`'s first version in which a client can be told that the group is unknown.
const FIRST_COMMIT_WITH_UNKNOWN_GROUP: i16 = 9;
