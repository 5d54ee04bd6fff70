//! Balanced, with as few moves as possible.
//!
//! Where all members subscribe to the same topics, [`constrained`] fills quotas; otherwise
//! [`general`] moves partitions until no single move makes it more even. Both begin with the same
//! [`Table`] of who claims what.

mod constrained;
mod general;
mod table;
mod user_data;

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use ottla_core::types::TopicPartition;

use self::table::{Claim, Table};
use super::{
    AssignError, Assignment, Assignor, ClusterTopics, MemberAssignment, MemberSubscription,
    PreviousAssignment, RebalanceProtocol,
};

/// Balances the partitions, and leaves as many as possible where they were. Members give up
/// everything during a rebalance all the same; [`CooperativeStickyAssignor`] spares them that.
///
/// # Kafka
///
/// `sticky`; Java's `StickyAssignor` (KIP-54, KIP-341), with its user data.
#[derive(Debug, Clone, Copy, Default)]
pub struct StickyAssignor;

impl Assignor for StickyAssignor {
    fn name(&self) -> &'static str {
        "sticky"
    }

    fn user_data(&self, previous: &PreviousAssignment<'_>) -> Option<Bytes> {
        user_data::encode_previous(previous)
    }

    fn assign(
        &self,
        cluster: &ClusterTopics,
        members: &[MemberSubscription],
    ) -> Result<Assignment, AssignError> {
        let table = Table::new(cluster, members, previous);
        Ok(to_assignment(&table, &balance(&table)))
    }
}

/// Balances the partitions, and leaves as many as possible where they were. What does not move is
/// never given up; what moves is withheld from its new owner until the next generation, when the
/// old one has given it up.
///
/// # Kafka
///
/// `cooperative-sticky`; Java's `CooperativeStickyAssignor` (KIP-429).
#[derive(Debug, Clone, Copy, Default)]
pub struct CooperativeStickyAssignor;

impl Assignor for CooperativeStickyAssignor {
    fn name(&self) -> &'static str {
        "cooperative-sticky"
    }

    fn protocol(&self) -> RebalanceProtocol {
        RebalanceProtocol::Cooperative
    }

    fn user_data(&self, previous: &PreviousAssignment<'_>) -> Option<Bytes> {
        Some(user_data::encode_generation(previous.generation))
    }

    fn assign(
        &self,
        cluster: &ClusterTopics,
        members: &[MemberSubscription],
    ) -> Result<Assignment, AssignError> {
        let table = Table::new(cluster, members, owned);
        let mut owner = balance(&table);
        withhold(&table, &mut owner);
        Ok(to_assignment(&table, &owner))
    }
}

/// Eager members own nothing when they join: what they had is in their user data.
fn previous(member: &MemberSubscription) -> Claim<'_> {
    let user_data = member.user_data.as_ref();
    let (owned, generation) = user_data.map(user_data::decode_previous).unwrap_or_default();
    Claim { owned: Cow::Owned(owned), generation }
}

/// Before KIP-792 the generation was in the user data.
fn owned(member: &MemberSubscription) -> Claim<'_> {
    let told = || member.user_data.as_ref().and_then(user_data::decode_generation);
    let generation = member.generation.or_else(told);
    Claim { owned: Cow::Borrowed(&member.owned), generation }
}

/// The new owner of each partition of the table.
fn balance(table: &Table<'_>) -> Vec<Option<usize>> {
    if table.members.is_empty() {
        Vec::new()
    } else if table.subscriptions_are_equal() {
        constrained::assign(table)
    } else {
        general::assign(table)
    }
}

/// Takes partitions from their new owners whom somebody else may still be reading: whoever claims
/// one, even from an old generation, has to give it up first.
fn withhold(table: &Table<'_>, owner: &mut [Option<usize>]) {
    let mut claimed_by_others = BTreeSet::new();
    for (member, claims) in table.claims.iter().enumerate() {
        let lost = claims
            .iter()
            .filter(|partition| owner.get(**partition).is_some_and(|owner| *owner != Some(member)));
        claimed_by_others.extend(lost.copied());
    }
    for partition in claimed_by_others {
        let Some(owner) = owner.get_mut(partition) else { continue };
        let keeps = owner.is_some_and(|owner| table.owner.get(partition) == Some(&Some(owner)));
        if !keeps {
            *owner = None;
        }
    }
}

fn to_assignment(table: &Table<'_>, owner: &[Option<usize>]) -> Assignment {
    let mut assigned: Vec<Vec<TopicPartition>> = vec![Vec::new(); table.members.len()];
    for (partition, owner) in owner.iter().enumerate() {
        let mine = owner.and_then(|owner| assigned.get_mut(owner));
        if let (Some(mine), Some(partition)) = (mine, table.name(partition)) {
            mine.push(partition);
        }
    }
    let members = table.members.iter().map(|member| member.member_id.clone());
    let assigned =
        assigned.into_iter().map(|partitions| MemberAssignment { partitions, user_data: None });
    members.zip(assigned).collect()
}
