//! What can be done to groups.

use std::collections::BTreeSet;

use ottla_core::cluster::LeaderHints;
use ottla_core::retry::Deadline;
use ottla_core::types::NodeId;
use ottla_protocol::ByteString;

use super::{Admin, Operation, Pending};
use crate::cluster::DescribeCluster;
use crate::groups::{
    DeleteGroup, DeleteGroups, DescribeGroup, DescribeGroups, GroupDescription, GroupListing,
    GroupState, GroupType, ListGroups,
};
use crate::{AdminError, Results};

impl Admin {
    /// Lists the groups of the cluster: every broker is asked for those that it coordinates.
    pub fn list_groups(&self) -> Pending<ListGroups> {
        Pending::new(self, ListGroups::default())
    }

    /// Describes a classic group: its state, its members and what they have.
    pub fn describe_group(&self, group: impl Into<ByteString>) -> Pending<DescribeGroup> {
        Pending::new(self, DescribeGroup { group: group.into() })
    }

    /// Describes several classic groups.
    pub fn describe_groups(
        &self,
        groups: impl IntoIterator<Item = impl Into<ByteString>>,
    ) -> Pending<DescribeGroups> {
        Pending::new(self, DescribeGroups { groups: groups.into_iter().map(Into::into).collect() })
    }

    /// Deletes a group that nobody is in, and its offsets.
    pub fn delete_group(&self, group: impl Into<ByteString>) -> Pending<DeleteGroup> {
        Pending::new(self, DeleteGroup { group: group.into() })
    }

    /// Deletes several groups that nobody is in, and their offsets.
    pub fn delete_groups(
        &self,
        groups: impl IntoIterator<Item = impl Into<ByteString>>,
    ) -> Pending<DeleteGroups> {
        Pending::new(self, DeleteGroups { groups: groups.into_iter().map(Into::into).collect() })
    }

    /// The brokers that there are now, each of which can be asked from here on: what the client
    /// knows of them may be as old as `metadata.max.age.ms`.
    async fn brokers(&self, deadline: Deadline) -> Result<BTreeSet<NodeId>, AdminError> {
        let cluster = DescribeCluster { with_fenced: false };
        let cluster = cluster.perform(self.clone(), deadline).await?;
        let nodes = cluster.brokers.iter().map(|broker| broker.id).collect();
        let endpoints = cluster.brokers.into_iter().map(Into::into).collect();
        self.client().learn_leaders(&LeaderHints { endpoints, ..LeaderHints::default() });
        Ok(nodes)
    }
}

impl Pending<ListGroups> {
    /// Only groups in one of these states.
    pub fn states(self, states: impl IntoIterator<Item = GroupState>) -> Self {
        self.with(|it| it.states.extend(states))
    }

    /// Only groups of one of these types.
    pub fn types(self, types: impl IntoIterator<Item = GroupType>) -> Self {
        self.with(|it| it.kinds.extend(types))
    }

    /// Only groups whose members are one of these to one another: `consumer`, `connect`; the empty
    /// one is that of groups that only have offsets.
    ///
    /// # Kafka
    ///
    /// Java's `ListGroupsOptions.withProtocolTypes`, since Kafka 4.1.
    pub fn protocol_types(
        self,
        protocol_types: impl IntoIterator<Item = impl Into<ByteString>>,
    ) -> Self {
        self.with(|it| it.protocol_types.extend(protocol_types.into_iter().map(Into::into)))
    }
}

impl Operation for ListGroups {
    type Output = GroupListing;

    /// Brokers that come or go while the others answer take groups with them: all are asked again.
    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let mut brokers = match admin.brokers(deadline).await {
            Ok(brokers) => brokers,
            Err(error) => return GroupListing::unknown(&admin.client().snapshot(), error),
        };
        loop {
            let listed = admin.all(self.clone(), brokers.clone(), deadline).await;
            match admin.brokers(deadline).await {
                Ok(now) if now != brokers => brokers = now,
                // Without an answer, what was listed is all that there is time for.
                Ok(_) | Err(_) => return GroupListing::merge(listed),
            }
        }
    }
}

impl Operation for DescribeGroup {
    type Output = Result<GroupDescription, AdminError>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        admin.one(DescribeGroups { groups: BTreeSet::new() }, self.group, deadline).await
    }
}

impl Operation for DescribeGroups {
    type Output = Results<ByteString, GroupDescription>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let groups = self.groups.clone();
        admin.all(self, groups, deadline).await
    }
}

impl Operation for DeleteGroup {
    type Output = Result<(), AdminError>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        admin.one(DeleteGroups { groups: BTreeSet::new() }, self.group, deadline).await
    }
}

impl Operation for DeleteGroups {
    type Output = Results<ByteString, ()>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let groups = self.groups.clone();
        admin.all(self, groups, deadline).await
    }
}
