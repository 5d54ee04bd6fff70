//! Known outcomes of Java's assignors, and what holds for all outcomes.

mod properties;

use ottla_core::types::TopicPartition;

use super::*;

#[test]
fn nobody_gets_what_does_not_exist() {
    for assignor in all() {
        check(&*assignor, "", "a:", "a:");
        check(&*assignor, "", "a: t", "a:");
        check(&*assignor, "other=3", "a: t", "a:");
        check(&*assignor, "t=0", "a: t", "a:");
        check(&*assignor, "t=3", "", "");
    }
}

#[test]
fn one_member_gets_all_that_it_subscribes_to() {
    for assignor in all() {
        check(&*assignor, "t=3", "a: t", "a: t-0 t-1 t-2");
        check(&*assignor, "t=3 other=3", "a: t", "a: t-0 t-1 t-2");
        check(&*assignor, "t=1 u=2", "a: t u", "a: t-0 u-0 u-1");
    }
}

#[test]
fn members_beyond_the_partitions_get_nothing() {
    for assignor in all() {
        check(&*assignor, "t=1", "a: t | b: t", "a: t-0 | b:");
        check(&*assignor, "t=2", "a: t | b: t", "a: t-0 | b: t-1");
    }
}

#[test]
fn range_gives_runs_of_each_topic() {
    check(&RangeAssignor, "t=3 u=3", "a: t u | b: t u", "a: t-0 t-1 u-0 u-1 | b: t-2 u-2");
    check(&RangeAssignor, "t=3 u=2", "a: t | b: t u | c: t", "a: t-0 | b: t-1 u-0 u-1 | c: t-2");
}

#[test]
fn range_goes_by_instance_ids_first() {
    let outcome = "a: t-2 u-2 | b: t-0 t-1 u-0 u-1";
    check(&RangeAssignor, "t=3 u=3", "b: t u !i1 | a: t u !i2", outcome);
    check(&RangeAssignor, "t=3 u=3", "b: t u !i1 | a: t u", outcome);
}

#[test]
fn range_keeps_to_racks_as_far_as_its_runs_allow() {
    let members = "a: t1 t2 t3 %r0 | b: t1 t2 t3 %r1 | c: t1 t2 t3 %r2";
    let without = "a: t1-0 t1-1 t2-0 t2-1 t2-2 t3-0 | b: t1-2 t1-3 t2-3 t2-4 t3-1 | \
                   c: t1-4 t1-5 t2-5 t2-6";
    let one = "a: t1-0 t1-3 t2-0 t2-3 t2-6 | b: t1-1 t1-4 t2-1 t2-4 t3-0 | \
               c: t1-2 t1-5 t2-2 t2-5 t3-1";
    let two = "a: t1-0 t1-2 t2-0 t2-2 t2-3 t3-1 | b: t1-1 t1-3 t2-1 t2-4 t3-0 | \
               c: t1-4 t1-5 t2-5 t2-6";
    let topics = [("t1", 6), ("t2", 7), ("t3", 2)];
    for (replicas, outcome) in [(1, one), (2, two), (3, without)] {
        let cluster = in_racks(&topics, 3, replicas);
        assert_eq!(show(&RangeAssignor, &cluster, &members_of(members)), outcome);
    }
}

#[test]
fn range_keeps_co_partitioned_topics_together_across_racks() {
    let mut cluster = ClusterTopics::default();
    let racks = ["r1", "r0", "r1", "r0"];
    for topic in ["t", "u"] {
        let partitions = racks.iter().map(|rack| PartitionReplicas::in_racks([*rack])).collect();
        cluster.insert(topic, partitions);
    }
    let shown = show(&RangeAssignor, &cluster, &members_of("a: t u %r0 | b: t u %r1"));
    assert_eq!(shown, "a: t-1 t-3 u-1 u-3 | b: t-0 t-2 u-0 u-2");
}

#[test]
fn round_robin_goes_on_where_the_last_topic_ended() {
    check(&RoundRobinAssignor, "t=3 u=3", "a: t u | b: t u", "a: t-0 t-2 u-1 | b: t-1 u-0 u-2");
    check(
        &RoundRobinAssignor,
        "t=3 u=2",
        "a: t | b: t u | c: t",
        "a: t-0 | b: t-1 u-0 u-1 | c: t-2",
    );
    check(
        &RoundRobinAssignor,
        "t=3 u=3",
        "b: t u !i1 | a: t u !i2",
        "a: t-1 u-0 u-2 | b: t-0 t-2 u-1",
    );
}

#[test]
fn a_first_sticky_assignment_is_round_robin() {
    for assignor in sticky() {
        check(&*assignor, "t=3 u=3", "a: t u | b: t u", "a: t-0 t-2 u-1 | b: t-1 u-0 u-2");
        check(&*assignor, "t=3 u=2", "a: t | b: t u | c: t", "a: t-0 t-2 | b: u-0 u-1 | c: t-1");
    }
}

#[test]
fn a_member_at_its_quota_may_take_one_more() {
    sticks("t=2 u=3", "a: t u = t-0 u-1 | b: t u = t-1 u-2", "a: t-0 u-0 u-1 | b: t-1 u-2");
}

#[test]
fn only_so_many_keep_more_than_the_others() {
    let members = "a: t u = t-0 u-0 @1 | b: t u = t-1 u-1 @1 | c: t u";
    sticks("t=2 u=2", members, "a: t-0 u-0 | b: t-1 | c: u-1");
    check(&CooperativeStickyAssignor, "t=2 u=2", members, "a: t-0 u-0 | b: t-1 | c:");
}

#[test]
fn those_below_their_quota_are_filled_in_turn() {
    let members = "a: t u = t-0 @1 | b: t u = t-1 @1 | c: t u";
    sticks("t=2 u=3", members, "a: t-0 u-1 | b: t-1 u-2 | c: u-0");
}

#[test]
fn a_new_member_takes_the_last_partitions_of_the_others() {
    let members = "a: t = t-0 t-1 t-2 @1 | b: t";
    sticks("t=3", members, "a: t-0 t-1 | b: t-2");
    check(&CooperativeStickyAssignor, "t=3", members, "a: t-0 t-1 | b:");
    check(&CooperativeStickyAssignor, "t=3", "a: t = t-0 t-1 @2 | b: t @2", "a: t-0 t-1 | b: t-2");
}

#[test]
fn what_a_gone_member_had_goes_out_at_once() {
    for assignor in sticky() {
        check(&*assignor, "t=3", "b: t = t-2 @1", "b: t-0 t-1 t-2");
    }
}

#[test]
fn the_highest_generation_is_believed() {
    let members = "a: t u v = t-0 u-0 v-0 @9 | b: t u v = t-1 u-1 v-1 @9 | \
                   c: t u v = u-1 v-0 v-2 @8";
    for assignor in sticky() {
        let outcome = "a: t-0 u-0 v-0 | b: t-1 u-1 v-1 | c: t-2 u-2 v-2";
        check(&*assignor, "t=3 u=3 v=3", members, outcome);
    }
}

#[test]
fn a_stale_claim_takes_nothing_from_a_newer_owner() {
    for stale in ["@8", "@-1", ""] {
        let members = format!("a: t u = t-0 t-2 u-1 @9 | b: t u = t-0 t-2 u-1 {stale}");
        for assignor in sticky() {
            check(&*assignor, "t=3 u=3", &members, "a: t-0 t-2 u-1 | b: t-1 u-0 u-2");
        }
    }
}

#[test]
fn what_two_claim_in_one_generation_is_neithers() {
    let members = "a: t = t-0 t-1 @3 | b: t = t-0 t-2 @3 | c: t @3";
    sticks("t=3", members, "a: t-1 | b: t-2 | c: t-0");
    check(&CooperativeStickyAssignor, "t=3", members, "a: t-1 | b: t-2 | c:");
    let members = "a: t = t-0 t-1 @3 | b: t = t-0 t-1 @3";
    check(&CooperativeStickyAssignor, "t=2", members, "a: | b:");
}

#[test]
fn unequal_subscriptions_withhold_what_moves_too() {
    let members = "a: t u = t-0 t-1 t-2 t-3 @1 | b: t @1";
    sticks("t=4 u=0", members, "a: t-0 t-1 | b: t-2 t-3");
    check(&CooperativeStickyAssignor, "t=4 u=1", members, "a: t-0 t-1 u-0 | b:");
}

#[test]
fn claims_that_cannot_be_are_passed_over() {
    let members = "a: t = t-7 t--1 nowhere-0 u-0 @1 | b: t u @1";
    for assignor in sticky() {
        check(&*assignor, "t=2 u=1", members, "a: t-0 t-1 | b: u-0");
    }
}

#[test]
fn where_round_robin_is_uneven_sticky_is_not() {
    let members = "a: t1 t2 t3 t4 t5 | b: t1 t3 t5 | c: t1 t3 t5 | d: t1 t2 t3 t4 t5";
    for assignor in sticky() {
        check(
            &*assignor,
            "t1=2 t2=1 t3=2 t4=1 t5=2",
            members,
            "a: t2-0 t3-0 | b: t1-0 t3-1 | c: t1-1 t5-0 | d: t4-0 t5-1",
        );
    }
}

#[test]
fn sticky_members_are_moved_into_their_racks() {
    let mut cluster = ClusterTopics::default();
    let racks = ["r0", "r1", "r0", "r1"].map(|rack| PartitionReplicas::in_racks([rack]));
    cluster.insert("t", racks.to_vec());
    let shown = |members| show(&StickyAssignor, &cluster, &as_user_data(&members_of(members)));
    let outcome = "a: t-0 t-2 | b: t-1 t-3";
    assert_eq!(shown("a: t %r0 | b: t %r1"), outcome);
    assert_eq!(shown("a: t = t-0 t-1 @1 %r0 | b: t = t-2 t-3 @1 %r1"), outcome);
    assert_eq!(shown("a: t u = t-0 t-1 @1 %r0 | b: t = t-2 t-3 @1 %r1"), outcome);
}

fn all() -> Vec<Box<dyn Assignor>> {
    let mut all = sticky();
    all.push(Box::new(RangeAssignor));
    all.push(Box::new(RoundRobinAssignor));
    all
}

fn sticky() -> Vec<Box<dyn Assignor>> {
    vec![Box::new(StickyAssignor), Box::new(CooperativeStickyAssignor)]
}

/// What the sticky assignor makes of it.
#[track_caller]
fn sticks(topics: &str, members: &str, outcome: &str) {
    check(&StickyAssignor, topics, members, outcome);
}

/// `topics` as `name=partitions`; `members` as `id: topics = owned @generation %rack !instance`,
/// separated by `|`.
#[track_caller]
fn check(assignor: &dyn Assignor, topics: &str, members: &str, outcome: &str) {
    let counts = topics.split_whitespace().map(|topic| {
        let (name, count) = topic.split_once('=').unwrap();
        (name, count.parse().unwrap())
    });
    let mut members = members_of(members);
    if assignor.name() == "sticky" {
        members = as_user_data(&members);
    }
    let shown = show(assignor, &ClusterTopics::from_counts(counts), &members);
    assert_eq!(shown, outcome, "{}", assignor.name());
}

fn show(
    assignor: &dyn Assignor,
    cluster: &ClusterTopics,
    members: &[MemberSubscription],
) -> String {
    let assignment = assignor.assign(cluster, members).unwrap();
    let members = assignment.into_iter().map(|(id, MemberAssignment { mut partitions, .. })| {
        partitions.sort_unstable();
        let shown: String = partitions.iter().map(|partition| format!(" {partition}")).collect();
        format!("{id}:{shown}")
    });
    members.collect::<Vec<_>>().join(" | ")
}

fn members_of(text: &str) -> Vec<MemberSubscription> {
    let members = text.split('|').filter(|member| !member.trim().is_empty());
    let mut members: Vec<MemberSubscription> = members.map(member_of).collect();
    members.sort_by(|left, right| left.member_id.cmp(&right.member_id));
    members
}

fn member_of(text: &str) -> MemberSubscription {
    let (id, rest) = text.split_once(':').unwrap();
    let mut member = MemberSubscription::new(id.trim(), Vec::new());
    let mut owns = false;
    for word in rest.split_whitespace() {
        if word == "=" {
            owns = true;
        } else if let Some(generation) = word.strip_prefix('@') {
            member.generation = Some(generation.parse().unwrap());
        } else if let Some(rack) = word.strip_prefix('%') {
            member.rack = Some(rack.into());
        } else if let Some(instance) = word.strip_prefix('!') {
            member.instance_id = Some(instance.into());
        } else if owns {
            let (topic, partition) = word.split_once('-').unwrap();
            member.owned.push(TopicPartition::new(topic, partition.parse().unwrap()));
        } else {
            member.topics.push(word.into());
        }
    }
    member.owned.sort_unstable();
    member.topics.sort_unstable();
    member
}

/// Eager members say in their user data what cooperative ones say in their subscription.
fn as_user_data(members: &[MemberSubscription]) -> Vec<MemberSubscription> {
    let members = members.iter().map(|member| {
        let generation = Some(member.generation.unwrap_or(-1));
        let previous = PreviousAssignment { partitions: &member.owned, generation };
        let user_data = StickyAssignor.user_data(&previous);
        MemberSubscription { owned: Vec::new(), generation: None, user_data, ..member.clone() }
    });
    members.collect()
}

/// Replicas in racks `r0`, `r1`, … in turn, the first where the topic before it ended.
fn in_racks(topics: &[(&str, usize)], racks: usize, replicas: usize) -> ClusterTopics {
    let mut cluster = ClusterTopics::default();
    let mut next = 0;
    for (topic, count) in topics {
        let partitions = (next..next + count).map(|first| {
            let racks: Vec<String> =
                (first..first + replicas).map(|at| format!("r{}", at % racks)).collect();
            PartitionReplicas::in_racks(racks.iter().map(String::as_str))
        });
        cluster.insert(*topic, partitions.collect());
        next += count;
    }
    cluster
}
