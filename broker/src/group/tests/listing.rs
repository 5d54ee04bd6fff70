//! `DescribeGroups`, `ListGroups` and `DeleteGroups`.

use ottla_protocol::messages::delete_groups::{DeletableGroupResult, DeleteGroupsRequest};
use ottla_protocol::messages::describe_groups::{DescribeGroupsRequest, DescribedGroup};
use ottla_protocol::messages::list_groups::ListGroupsRequest;

use super::*;

impl Fixture {
    fn describe(&mut self, version: i16, group: &str) -> DescribedGroup {
        let request = DescribeGroupsRequest {
            groups: vec![group.into()],
            include_authorized_operations: version >= 3,
            ..Default::default()
        };
        let mut response =
            self.call(version, |groups, caller| groups.describe_groups(caller, request));
        response.groups.remove(0)
    }

    /// `group type state protocol` of each group.
    fn list(&mut self, version: i16, states: &[&str], types: &[&str]) -> Vec<String> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).into()).collect();
        let request = ListGroupsRequest {
            states_filter: texts(states),
            types_filter: texts(types),
            ..Default::default()
        };
        let response = self.call(version, |groups, caller| groups.list_groups(caller, &request));
        let shown = response.groups.iter().map(|group| {
            let (kind, state) = (&group.group_type, &group.group_state);
            format!("{} {kind:?} {state:?} {:?}", &*group.group_id, group.protocol_type)
        });
        shown.collect()
    }

    fn delete_groups(&mut self, version: i16, groups: &[&str]) -> Vec<DeletableGroupResult> {
        let request = DeleteGroupsRequest {
            groups_names: groups.iter().map(|id| (*id).into()).collect(),
            ..Default::default()
        };
        self.call(version, |groups, caller| groups.delete_groups(caller, request)).results
    }

    /// A group with an offset and without members, ever.
    fn with_simple_group(group: &str) -> Self {
        let mut fixture = Self::new();
        fixture.groups.create_missing(group, fixture.now);
        fixture
    }
}

#[test]
fn a_stable_group_is_described_in_every_version() {
    for version in versions(ApiKey::DescribeGroups) {
        let (mut fixture, member_id) = Fixture::with_member();
        let group = fixture.describe(version, "g");
        assert_eq!((group.error_code, &*group.group_id, &*group.group_state), (0, "g", "Stable"));
        assert_eq!((&*group.protocol_type, &*group.protocol_data), ("consumer", "range"));
        assert_eq!(group.authorized_operations, if version >= 3 { 3400 } else { i32::MIN });
        let member = &group.members[0];
        assert_eq!((&member.member_id, &*member.client_id), (&member_id, "client"));
        assert_eq!(&*member.client_host, "/10.0.0.1");
        assert_eq!((member.member_metadata.len(), &*member.member_assignment), (13, &b"all"[..]));
    }
}

#[test]
fn a_group_that_rebalances_shows_no_metadata() {
    let (mut fixture, _) = Fixture::with_member();
    fixture.try_join(3, join("g"));
    let group = fixture.describe(5, "g");
    assert_eq!((&*group.group_state, &*group.protocol_data), ("PreparingRebalance", ""));
    assert!(group.members.iter().all(|member| member.member_metadata.is_empty()));
    assert_eq!(group.members.len(), 2);
}

#[test]
fn an_unknown_group_is_dead_and_from_version_6_on_an_error() {
    for version in versions(ApiKey::DescribeGroups) {
        let group = Fixture::new().describe(version, "nobody");
        assert_eq!(&*group.group_state, "Dead");
        if version < 6 {
            assert_eq!((group.error_code, group.error_message), (0, None));
        } else {
            assert_eq!(error(group.error_code), ErrorCode::GroupIdNotFound);
            assert_eq!(group.error_message.as_deref(), Some("Group nobody not found."));
        }
    }
}

#[test]
fn a_group_is_described_by_its_coordinator() {
    let mut fixture = Fixture::new();
    fixture.cluster.elsewhere = Some(ErrorCode::NotCoordinator);
    let group = fixture.describe(6, "g");
    assert_eq!((error(group.error_code), &*group.group_state), (ErrorCode::NotCoordinator, ""));
    assert_eq!(group.authorized_operations, i32::MIN);
}

#[test]
fn groups_are_listed_in_every_version() {
    for version in versions(ApiKey::ListGroups) {
        let (mut fixture, _) = Fixture::with_member();
        let kind = if version >= 5 { "\"classic\"" } else { "\"\"" };
        let state = if version >= 4 { "\"Stable\"" } else { "\"\"" };
        assert_eq!(fixture.list(version, &[], &[]), [format!("g {kind} {state} \"consumer\"")]);
    }
}

#[test]
fn groups_are_listed_by_state_and_type_in_any_letter_case() {
    let (mut fixture, _) = Fixture::with_member();
    fixture.groups.create_missing("simple", fixture.now);
    let simple = "simple \"classic\" \"Empty\" \"\"";
    assert_eq!(fixture.list(5, &["empty"], &[]), [simple]);
    assert_eq!(fixture.list(5, &[" EMPTY "], &["Classic"]), [simple]);
    assert_eq!(fixture.list(5, &["Stable", "Empty"], &[]).len(), 2);
    assert_eq!(fixture.list(5, &["Dead"], &[]), [""; 0]);
    assert_eq!(fixture.list(5, &[], &["consumer"]), [""; 0]);
    assert_eq!(fixture.list(5, &[], &["nonsense"]), [""; 0]);
}

#[test]
fn only_the_coordinator_lists_a_group() {
    let mut fixture = Fixture::with_simple_group("mine");
    fixture.groups.create_missing("other", fixture.now);
    fixture.cluster.elsewhere = Some(ErrorCode::NotCoordinator);
    assert_eq!(fixture.list(5, &[], &[]).len(), 1);
}

#[test]
fn only_a_group_without_members_is_deleted() {
    for version in versions(ApiKey::DeleteGroups) {
        let (mut fixture, member_id) = Fixture::with_member();
        let results = fixture.delete_groups(version, &["g", "nobody", "g"]);
        let codes: Vec<_> = results.iter().map(|result| error(result.error_code)).collect();
        assert_eq!(codes, [ErrorCode::NonEmptyGroup, ErrorCode::GroupIdNotFound]);
        fixture.leave(&member_id);
        let results = fixture.delete_groups(version, &["g"]);
        assert_eq!((results[0].error_code, &results[0].error_message), (0, &None));
        assert!(fixture.group_ids().is_empty());
        assert!(fixture.groups.deadlines.is_empty());
    }
}

#[test]
fn a_group_is_deleted_by_its_coordinator() {
    let mut fixture = Fixture::with_simple_group("g");
    fixture.cluster.elsewhere = Some(ErrorCode::NotCoordinator);
    let results = fixture.delete_groups(2, &["g"]);
    assert_eq!(error(results[0].error_code), ErrorCode::NotCoordinator);
    assert_eq!(fixture.group_ids(), ["g"]);
}

#[test]
fn a_group_in_which_nothing_is_left_disappears() {
    let (mut fixture, member_id) = Fixture::with_member();
    fixture.leave(&member_id);
    assert_eq!(fixture.list(5, &[], &[]).len(), 1);
    fixture.pass(Duration::from_secs(10 * 60));
    assert_eq!(fixture.list(5, &[], &[]).len(), 0);
}
