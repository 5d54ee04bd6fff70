//! What groups there are.

use std::collections::{BTreeMap, BTreeSet};

use ottla_core::cluster::ClusterSnapshot;
use ottla_core::types::NodeId;
use ottla_protocol::ByteString;
use ottla_protocol::messages::list_groups::ListedGroup as Row;
use ottla_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use super::{GroupState, GroupType};
use crate::call::{AdminCall, Asked, Route, Settled, check_code};
use crate::{AdminError, Results};

/// A group, as its coordinator lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedGroup {
    /// Its id.
    pub id: ByteString,
    /// What its members are to one another: `consumer`, `connect`; empty for a group that only has
    /// offsets.
    pub protocol_type: ByteString,
    /// Its state; unknown where the broker is older than Kafka 2.6.
    pub state: GroupState,
    /// Its type; unknown where the broker is older than Kafka 3.8.
    pub kind: GroupType,
}

/// The groups of a cluster. Each broker knows those that it coordinates, so some may be missing
/// when a broker did not answer.
#[derive(Debug, Clone)]
#[must_use = "groups may be missing; `into_result` gives all of them or the first error"]
pub struct GroupListing {
    groups: BTreeMap<ByteString, ListedGroup>,
    errors: BTreeMap<NodeId, AdminError>,
    /// Why nobody said which brokers there are, if nobody did.
    unknown: Option<AdminError>,
}

impl GroupListing {
    /// The groups of the brokers that answered, by id.
    pub fn groups(&self) -> impl Iterator<Item = &ListedGroup> {
        self.groups.values()
    }

    /// The brokers that did not answer, and why. Where no broker even said which others there are,
    /// these are all that the client has heard of.
    pub fn errors(&self) -> impl Iterator<Item = (&NodeId, &AdminError)> {
        self.errors.iter()
    }

    /// Every group, by id.
    ///
    /// # Errors
    ///
    /// Why a broker did not answer, if one did not.
    pub fn into_result(self) -> Result<Vec<ListedGroup>, AdminError> {
        match self.unknown.or_else(|| self.errors.into_values().next()) {
            Some(error) => Err(error),
            None => Ok(self.groups.into_values().collect()),
        }
    }

    /// What is known when nobody says which brokers there are.
    pub(crate) fn unknown(snapshot: &ClusterSnapshot, error: AdminError) -> Self {
        let errors = snapshot.brokers.keys().map(|node| (*node, error.clone())).collect();
        Self { groups: BTreeMap::new(), errors, unknown: Some(error) }
    }

    /// Puts what brokers know together. A group that moves from one coordinator to another may be
    /// known to both: it is there once.
    pub(crate) fn merge(listed: Results<NodeId, Vec<ListedGroup>>) -> Self {
        let (groups, errors) = (BTreeMap::new(), BTreeMap::new());
        let mut listing = Self { groups, errors, unknown: None };
        for (node, result) in listed {
            match result {
                Ok(told) => {
                    listing.groups.extend(told.into_iter().map(|group| (group.id.clone(), group)));
                }
                Err(error) => drop(listing.errors.insert(node, error)),
            }
        }
        listing
    }
}

/// Lists the groups of every broker.
#[derive(Debug, Clone, Default)]
pub struct ListGroups {
    pub(crate) states: BTreeSet<GroupState>,
    pub(crate) kinds: BTreeSet<GroupType>,
    pub(crate) protocol_types: BTreeSet<ByteString>,
}

impl ListGroups {
    /// Whether a group is of the types that are wanted; its state has been seen to by the broker.
    fn is_wanted(&self, group: &ListedGroup, version: i16) -> bool {
        let is_of_kind = self.kinds.is_empty()
            || self.kinds.contains(&group.kind)
            // A broker that has no types knows no other.
            || version < FIRST_TYPED && self.kinds.contains(&GroupType::Classic);
        // Brokers have no filter for these.
        let is_of_protocol =
            self.protocol_types.is_empty() || self.protocol_types.contains(&group.protocol_type);
        is_of_kind && is_of_protocol
    }
}

impl AdminCall for ListGroups {
    type Key = NodeId;
    type Request = ListGroupsRequest;
    type Value = Vec<ListedGroup>;

    fn subject(&self, node: &NodeId) -> String {
        format!("list the groups of broker {node}")
    }

    fn route(&self, node: &NodeId) -> Route {
        Route::Node(*node)
    }

    fn request(&self, asked: &Asked<'_, NodeId>) -> ListGroupsRequest {
        let types = self.kinds.iter().map(|kind| ByteString::from_static(kind.name()));
        ListGroupsRequest {
            states_filter: self
                .states
                .iter()
                .map(|state| ByteString::from_static(state.name()))
                .collect(),
            types_filter: if asked.version >= FIRST_TYPED { types.collect() } else { Vec::new() },
            ..ListGroupsRequest::default()
        }
    }

    fn settle(
        &self,
        asked: &Asked<'_, NodeId>,
        response: ListGroupsResponse,
    ) -> Vec<(NodeId, Settled<Vec<ListedGroup>>)> {
        let groups = response.groups.into_iter().map(listed);
        let groups = groups.filter(|group| self.is_wanted(group, asked.version)).collect();
        let settled = check_code(response.error_code).map(|()| groups);
        asked.keys.first().map(|node| (*node, settled)).into_iter().collect()
    }
}

fn listed(row: Row) -> ListedGroup {
    ListedGroup {
        id: row.group_id,
        protocol_type: row.protocol_type,
        state: GroupState::from_wire(&row.group_state),
        kind: GroupType::from_wire(&row.group_type),
    }
}

/// The first version that knows types of groups (KIP-848).
const FIRST_TYPED: i16 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::asked;
    use ottla_core::error::{Certainty, ErrorCode};

    #[test]
    fn f170_a_group_that_two_brokers_know_is_listed_once() {
        let (one, two) = (node(1), node(2));
        let listed = results([
            (one, Ok(vec![group("a", GroupState::Stable), group("b", GroupState::Empty)])),
            (two, Ok(vec![group("a", GroupState::PreparingRebalance)])),
        ]);
        let listing = GroupListing::merge(listed).into_result().unwrap();
        let told: Vec<_> = listing.iter().map(|group| &*group.id).collect();
        assert_eq!(told, ["a", "b"]);
    }

    #[test]
    fn a_broker_without_an_answer_hides_only_its_own_groups() {
        let listed =
            results([(node(1), Ok(vec![group("a", GroupState::Stable)])), (node(2), Err(error()))]);
        let listing = GroupListing::merge(listed);
        assert_eq!(listing.groups().count(), 1);
        assert_eq!(listing.errors().map(|(node, _)| node.number()).collect::<Vec<_>>(), [2]);
        assert!(listing.into_result().is_err());
    }

    #[test]
    fn a_listing_without_known_brokers_is_not_one_without_groups() {
        let listing = GroupListing::unknown(&ClusterSnapshot::default(), error());
        assert_eq!(listing.errors().count(), 0);
        assert!(listing.into_result().is_err());
    }

    #[test]
    fn old_brokers_are_not_asked_for_types_and_answer_with_classic_groups() {
        let keys = [node(1)];
        let list = |kind, version| {
            let call = ListGroups { kinds: BTreeSet::from([kind]), ..ListGroups::default() };
            let asked = asked(&keys, version);
            let row = Row { group_id: "a".into(), ..Row::default() };
            let response =
                ListGroupsResponse { groups: vec![row], ..ListGroupsResponse::default() };
            let filters = call.request(&asked).types_filter.len();
            (filters, call.settle(&asked, response).remove(0).1.unwrap().len())
        };
        assert_eq!(list(GroupType::Classic, 4), (0, 1));
        assert_eq!(list(GroupType::Share, 4), (0, 0));
        assert_eq!(list(GroupType::Share, 5).0, 1);
    }

    fn error() -> AdminError {
        AdminError::Refused {
            subject: "list".into(),
            code: ErrorCode::BrokerNotAvailable,
            message: None,
            certainty: Certainty::NotWritten,
        }
    }

    fn node(id: i32) -> NodeId {
        NodeId::from_wire(id).unwrap()
    }

    fn group(id: &str, state: GroupState) -> ListedGroup {
        let (protocol_type, kind) = ("consumer".into(), GroupType::Classic);
        ListedGroup { id: id.into(), protocol_type, state, kind }
    }

    fn results<const N: usize>(
        listed: [(NodeId, Result<Vec<ListedGroup>, AdminError>); N],
    ) -> Results<NodeId, Vec<ListedGroup>> {
        Results::new(BTreeMap::from(listed))
    }
}
