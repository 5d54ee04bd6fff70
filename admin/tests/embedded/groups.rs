//! Groups are listed, described and deleted.

use ottla_admin::groups::{GroupState, GroupType, MemberAssignment};
use ottla_core::error::ErrorCode;

use crate::bed::{Bed, node, tp};

#[tokio::test(start_paused = true)]
async fn groups_of_every_coordinator_are_listed() {
    let bed = Bed::start().await;
    let names = bed.groups().await;
    let listed = bed.admin.list_groups().await.into_result().unwrap();
    assert_eq!(listed.iter().map(|group| &*group.id).collect::<Vec<_>>(), names);
    assert!(listed.iter().all(|group| group.state == GroupState::Empty));
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_by_state_and_type() {
    let bed = Bed::start().await;
    bed.groups().await;
    bed.join("billing", &[0]).await;
    let stable = bed.admin.list_groups().states([GroupState::Stable]).await.into_result().unwrap();
    assert_eq!(stable.len(), 1);
    assert_eq!((&*stable[0].id, stable[0].kind), ("billing", GroupType::Classic));
    assert_eq!(&*stable[0].protocol_type, "consumer");
    let list = |protocol_types: &'static [&'static str]| {
        bed.admin.list_groups().protocol_types(protocol_types.iter().copied())
    };
    let consumers = list(&["consumer"]).await.into_result().unwrap();
    assert_eq!(consumers, stable);
    assert_eq!(list(&["consumer", ""]).await.into_result().unwrap().len(), 7);
    let share = bed.admin.list_groups().types([GroupType::Share]).await.into_result().unwrap();
    assert!(share.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_is_described_with_what_its_members_have() {
    let bed = Bed::start().await;
    bed.join("billing", &[2, 0]).await;
    let described = bed.admin.describe_group("billing").await.unwrap();
    assert_eq!((described.state, &*described.assignor), (GroupState::Stable, "range"));
    assert_eq!(described.coordinator, Some(node(bed.coordinator("billing").await)));
    let [member] = &described.members[..] else { panic!("{described:?}") };
    assert_eq!(&*member.client_id, "ottla");
    assert_eq!(member.assignment.partitions().cloned().collect::<Vec<_>>(), [tp(0), tp(2)]);
    assert!(matches!(member.assignment, MemberAssignment::Partitions(_)));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_does_not_exist_hides_no_other() {
    let bed = Bed::start().await;
    let mut names = bed.groups().await;
    names.push("nobody".into());
    let described = bed.admin.describe_groups(names).await;
    assert_eq!(described.successes().count(), 6);
    let error = described.get("nobody").unwrap().as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::GroupIdNotFound));
    assert_eq!(error.broker_message(), Some("Group nobody not found."));
}

#[tokio::test(start_paused = true)]
async fn only_a_group_that_nobody_is_in_is_deleted() {
    let bed = Bed::start().await;
    let mut names = bed.groups().await;
    bed.join("billing", &[0]).await;
    names.push("billing".into());
    let deleted = bed.admin.delete_groups(names).await;
    let failed: Vec<_> = deleted.failures().map(|(id, error)| (&**id, error.code())).collect();
    assert_eq!(failed, [("billing", Some(ErrorCode::NonEmptyGroup))]);
    let error = bed.admin.delete_group("billing").await.unwrap_err();
    assert!(error.to_string().ends_with("Stop the group's members first."), "{error}");
    assert_eq!(bed.admin.list_groups().await.into_result().unwrap().len(), 1);
}
