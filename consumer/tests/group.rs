//! Members of one group on the embedded broker, in memory and on paused time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test bed that does not stand up is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_broker::cluster::{Cluster, TopicSpec};
use ottla_broker::fault::{Act, Rule};
use ottla_broker::world::Seen;
use ottla_consumer::driver::group::GroupHandle;
use ottla_consumer::machine::assignor::{Assignor, CooperativeStickyAssignor, RangeAssignor};
use ottla_consumer::machine::commit::{CommitError, Offset, Offsets};
use ottla_consumer::machine::membership::{
    GroupConfig, GroupError, GroupEvent, LossReason, OnClose,
};
use ottla_core::cluster::CoordinatorKind;
use ottla_core::config::ClientConfig;
use ottla_core::net::{Client, Runtime, Target};
use ottla_core::retry::Deadline;
use ottla_core::types::{HostPort, TopicPartition};
use ottla_protocol::messages::CreatePartitionsRequest;
use ottla_protocol::messages::create_partitions::CreatePartitionsTopic;
use ottla_protocol::{AnyResponse, ApiKey, ErrorCode};

#[tokio::test(start_paused = true)]
async fn one_member_gets_everything() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", eager()).await;
    one.until_owning(6).await;
}

#[tokio::test(start_paused = true)]
async fn two_eager_members_share() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", eager()).await;
    one.until_owning(6).await;
    let mut two = bed.member("two", eager()).await;
    share(&mut [&mut one, &mut two], 3).await;
    assert_eq!(one.log, ["assigned 6", "revoking 6", "assigned 3"]);
    assert!(one.owned.is_disjoint(&two.owned));
}

#[tokio::test(start_paused = true)]
async fn three_cooperative_members_hand_over_without_stopping() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", cooperative()).await;
    one.until_owning(6).await;
    let mut two = bed.member("two", cooperative()).await;
    share(&mut [&mut one, &mut two], 3).await;
    let mut three = bed.member("three", cooperative()).await;
    share(&mut [&mut one, &mut two, &mut three], 2).await;
    // What stayed was never given up: five in all went elsewhere, one by one or together.
    let revoked: usize = [&one, &two, &three].iter().map(|member| member.revoked).sum();
    assert_eq!(revoked, 5);
}

#[tokio::test(start_paused = true)]
async fn a_new_member_is_let_in_within_a_heartbeat() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", cooperative()).await;
    one.until_owning(6).await;
    let begun = bed.now();
    let mut two = bed.member("two", cooperative()).await;
    share(&mut [&mut one, &mut two], 3).await;
    let took = bed.now() - begun;
    // Two generations, each of which begins with a heartbeat that says so; the second begins with
    // the revocation.
    assert!(took <= HEARTBEAT + Duration::from_millis(300), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_closed_member_had_moves_at_once() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", cooperative()).await;
    let mut two = bed.member("two", cooperative()).await;
    share(&mut [&mut one, &mut two], 3).await;
    let begun = bed.now();
    two.handle.leave(OnClose::Default, bed.deadline()).await.unwrap();
    one.until_owning(6).await;
    let took = bed.now() - begun;
    assert!(took <= HEARTBEAT + Duration::from_millis(300), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_leaves_by_itself() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", cooperative()).await;
    let mut two = bed.member("two", cooperative()).await;
    share(&mut [&mut one, &mut two], 3).await;
    let begun = bed.now();
    drop(two);
    one.until_owning(6).await;
    let took = bed.now() - begun;
    assert!(took <= HEARTBEAT + Duration::from_millis(300), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_static_member_that_restarts_keeps_its_partitions_and_moves_nobody() {
    let bed = Bed::start().await;
    let named = |name: &str| GroupConfig { group_instance_id: Some(name.into()), ..eager() };
    let mut one = bed.member("one", named("first")).await;
    let mut two = bed.member("two", named("second")).await;
    share(&mut [&mut one, &mut two], 3).await;
    let (kept, quiet) = (two.owned.clone(), one.log.len());
    two.handle.leave(OnClose::Default, bed.deadline()).await.unwrap();
    let mut again = bed.member("two", named("second")).await;
    again.until_owning(3).await;
    assert_eq!(again.owned, kept);
    bed.sleep(HEARTBEAT * 3).await;
    one.act();
    assert_eq!(one.log.len(), quiet, "{:?}", one.log);
}

#[tokio::test(start_paused = true)]
async fn the_older_of_two_with_one_instance_id_is_told() {
    let bed = Bed::start().await;
    let named = || GroupConfig { group_instance_id: Some("same".into()), ..eager() };
    let mut one = bed.member("one", named()).await;
    one.until_owning(6).await;
    let mut two = bed.member("two", named()).await;
    two.until_owning(6).await;
    one.until(|member| member.failure.is_some()).await;
    assert!(matches!(one.failure, Some(GroupError::FencedInstance { .. })), "{:?}", one.failure);
    assert!(one.owned.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_killed_coordinator_moves_the_group_and_no_partition() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", cooperative()).await;
    let mut two = bed.member("two", cooperative()).await;
    share(&mut [&mut one, &mut two], 3).await;
    let before = (one.owned.clone(), two.owned.clone());
    let node = bed.coordinator().await;
    bed.cluster.node(node).kill().await;
    bed.sleep(SESSION * 2).await;
    one.commit("orders-0", 5, &before.0).await;
    one.act();
    two.act();
    assert_eq!((one.owned.clone(), two.owned.clone()), before, "{:?} {:?}", one.log, two.log);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_coordinator_loses_the_partitions_only_when_the_session_is_over() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", cooperative()).await;
    one.until_owning(6).await;
    let (node, begun) = (bed.coordinator().await, bed.now());
    bed.cluster.node(node).pause();
    one.until(|member| member.owned.is_empty()).await;
    let took = bed.now() - begun;
    assert!(took > SESSION - HEARTBEAT * 2 && took <= SESSION, "{took:?}");
    assert_eq!(one.lost, Some(LossReason::SessionExpired { session_timeout: SESSION }));
    bed.cluster.node(node).unpause();
    one.until_owning(6).await;
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_is_lost_costs_nothing() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", cooperative()).await;
    one.until_owning(6).await;
    let _rule = bed.cluster.fault(Rule::new(ApiKey::Heartbeat, Act::Hang).once());
    bed.sleep(SESSION * 2).await;
    one.act();
    assert_eq!(one.lost, None);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_killed_in_the_middle_of_a_rebalance_delays_it_little() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", cooperative()).await;
    one.until_owning(6).await;
    let mut two = bed.member("two", cooperative()).await;
    // Until the second member's join waits for the first one.
    let waits = |seen: &Seen| seen.api == ApiKey::JoinGroup && *seen.client_id == *"two";
    bed.cluster.seen(waits).await;
    let (node, begun) = (bed.coordinator().await, bed.now());
    bed.cluster.node(node).kill().await;
    share(&mut [&mut one, &mut two], 3).await;
    let took = bed.now() - begun;
    assert!(took <= Duration::from_secs(3), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_polls_too_rarely_is_put_out_and_comes_back() {
    let bed = Bed::start().await;
    let slow = GroupConfig { max_poll_interval: Duration::from_secs(20), ..cooperative() };
    let mut one = bed.member("one", slow).await;
    let mut two = bed.member("two", cooperative()).await;
    share(&mut [&mut one, &mut two], 3).await;
    two.until_owning(6).await;
    bed.sleep(HEARTBEAT * 15).await;
    two.act();
    assert_eq!(two.owned.len(), 6, "it does not come back before it polls");
    one.act();
    let max_poll_interval = Duration::from_secs(20);
    assert_eq!(one.lost, Some(LossReason::PollOverdue { max_poll_interval }));
    share(&mut [&mut one, &mut two], 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_waits_is_not_overdue() {
    let bed = Bed::start().await;
    let config = GroupConfig { max_poll_interval: Duration::from_secs(20), ..cooperative() };
    let mut one = bed.member("one", config).await;
    one.until_owning(6).await;
    let poll = one.handle.enter_poll(bed.now());
    bed.sleep(Duration::from_secs(100)).await;
    drop(poll);
    bed.sleep(Duration::from_secs(15)).await;
    one.act();
    assert_eq!(one.lost, None);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_member_rejoins() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", eager()).await;
    one.until_owning(6).await;
    let rule = Rule::new(ApiKey::Heartbeat, Act::Respond(ErrorCode::UnknownMemberId)).once();
    let _rule = bed.cluster.fault(rule);
    one.until(|member| member.lost.is_some()).await;
    assert_eq!(one.lost, Some(LossReason::Fenced));
    one.until_owning(6).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_there_for_the_next_owner() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", eager()).await;
    one.until_owning(6).await;
    let all = one.owned.clone();
    one.commit("orders-0", 7, &all).await;
    let found = one.handle.committed(all, bed.deadline()).await.unwrap();
    assert_eq!(found[&partition("orders-0")], Ok(Some(Offset::new(7))));
    assert_eq!(found[&partition("orders-1")], Ok(None));
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_is_committed_by_the_interval_and_not_before() {
    let bed = Bed::start().await;
    let auto = GroupConfig { auto_commit_interval: Some(Duration::from_secs(5)), ..eager() };
    let mut one = bed.member("one", auto).await;
    one.until_owning(6).await;
    one.handle.store(&partition("orders-1"), Offset::new(3));
    assert_eq!(one.committed("orders-1").await, None);
    bed.sleep(Duration::from_secs(6)).await;
    assert_eq!(one.committed("orders-1").await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_is_committed_when_it_is_revoked_and_when_leaving() {
    let bed = Bed::start().await;
    let auto = || GroupConfig { auto_commit_interval: Some(Duration::from_secs(1_000)), ..eager() };
    let mut one = bed.member("one", auto()).await;
    one.until_owning(6).await;
    for index in 0..6 {
        one.handle.store(&TopicPartition::new("orders", index), Offset::new(10));
    }
    let mut two = bed.member("two", auto()).await;
    share(&mut [&mut one, &mut two], 3).await;
    for index in 0..6 {
        assert_eq!(two.committed(&format!("orders-{index}")).await, Some(10));
    }
    let mine = two.owned.first().unwrap().clone();
    two.handle.store(&mine, Offset::new(11));
    two.handle.leave(OnClose::Default, bed.deadline()).await.unwrap();
    assert_eq!(one.committed(&mine.to_string()).await, Some(11));
}

#[tokio::test(start_paused = true)]
async fn what_was_read_of_partitions_that_have_just_come_is_committed_when_leaving() {
    let bed = Bed::start().await;
    let auto = || GroupConfig { auto_commit_interval: Some(Duration::from_secs(1_000)), ..eager() };
    let mut one = bed.member("one", auto()).await;
    one.until_owning(6).await;
    // The member's task has not run since the application took them.
    one.handle.store(&partition("orders-1"), Offset::new(3));
    one.handle.leave(OnClose::Default, bed.deadline()).await.unwrap();
    let two = bed.member("two", auto()).await;
    assert_eq!(two.committed("orders-1").await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_not_answered_does_not_hold_the_rejoin() {
    let bed = Bed::start().await;
    let auto = GroupConfig { auto_commit_interval: Some(Duration::from_secs(1_000)), ..eager() };
    let mut one = bed.member("one", auto).await;
    one.until_owning(6).await;
    one.handle.store(&partition("orders-0"), Offset::new(10));
    let _rule = bed.cluster.fault(Rule::new(ApiKey::OffsetCommit, Act::Hang));
    let begun = bed.now();
    let mut two = bed.member("two", eager()).await;
    share(&mut [&mut one, &mut two], 3).await;
    let took = bed.now() - begun;
    assert!(took <= HEARTBEAT + Duration::from_millis(1_500), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_commit_in_the_middle_of_a_rebalance_succeeds_in_the_next_generation() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", cooperative()).await;
    one.until_owning(6).await;
    let mut two = bed.member("two", cooperative()).await;
    let mine = Offsets::from([(one.owned.first().unwrap().clone(), Offset::new(1))]);
    let mut outcomes = Vec::new();
    for _ in 0..40 {
        outcomes.push(tokio::time::timeout(
            Duration::from_secs(60),
            one.handle.commit(mine.clone(), bed.deadline()),
        ));
        bed.sleep(Duration::from_millis(100)).await;
        one.act();
        two.act();
    }
    share(&mut [&mut one, &mut two], 3).await;
    for outcome in outcomes {
        outcome.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_subscription_one_commits_as_nobodys_member() {
    let bed = Bed::start().await;
    let one = bed.outsider("one", eager()).await;
    let offsets = Offsets::from([(partition("orders-0"), Offset::new(9))]);
    one.handle.commit(offsets.clone(), bed.deadline()).await.unwrap();
    assert_eq!(one.committed("orders-0").await, Some(9));
    let mut two = bed.member("two", eager()).await;
    two.until_owning(6).await;
    let refused = one.handle.commit(offsets, bed.deadline()).await;
    assert!(matches!(refused, Err(CommitError::Group { .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_commit_has_failed_at_its_deadline_with_no_broker_left() {
    let bed = Bed::start().await;
    let one = bed.outsider("one", eager()).await;
    for node in 1..=3 {
        bed.cluster.node(node).kill().await;
    }
    let begun = bed.now();
    let offsets = Offsets::from([(partition("orders-0"), Offset::new(9))]);
    let failed = one.handle.commit(offsets, bed.deadline()).await;
    assert!(matches!(failed, Err(CommitError::DeadlineExceeded { .. })), "{failed:?}");
    assert!(bed.now() - begun <= SOON + Duration::from_millis(100));
    let begun = bed.now();
    one.handle.leave(OnClose::Default, bed.deadline()).await.unwrap();
    assert!(bed.now() - begun <= SOON + Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_commit_over_a_closed_client_fails_at_once() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", eager()).await;
    one.until_owning(6).await;
    one.client.clone().close().await;
    let begun = bed.now();
    let offsets = Offsets::from([(partition("orders-0"), Offset::new(9))]);
    let failed = one.handle.commit(offsets, bed.deadline()).await;
    assert!(matches!(failed, Err(CommitError::Closed)), "{failed:?}");
    assert!(bed.now() - begun <= Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn added_partitions_are_assigned_too() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", cooperative()).await;
    one.until_owning(6).await;
    bed.add_partitions(8).await;
    one.client.request_refresh();
    one.until_owning(8).await;
}

#[tokio::test(start_paused = true)]
async fn added_partitions_are_assigned_though_another_topic_is_denied() {
    let bed = Bed::start().await;
    let deny = |answer: &mut AnyResponse| {
        let AnyResponse::Metadata(metadata) = answer else { return };
        for row in &mut metadata.topics {
            if row.name.as_ref().is_some_and(|name| **name == *"denied") {
                row.error_code = ErrorCode::TopicAuthorizationFailed.code();
                row.partitions.clear();
            }
        }
    };
    let _denied = bed.cluster.fault(Rule::new(ApiKey::Metadata, Act::edit(deny)));
    let mut one = bed.outsider("one", cooperative()).await;
    one.handle.subscribe(BTreeSet::from(["orders".into(), "denied".into()]));
    one.until_owning(6).await;
    bed.add_partitions(8).await;
    one.client.request_refresh();
    one.until_owning(8).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_member_beats_and_does_nothing_else() {
    let bed = Bed::start().await;
    let mut one = bed.member("one", cooperative()).await;
    one.until_owning(6).await;
    bed.sleep(HEARTBEAT).await;
    let before = bed.cluster.requests().len();
    bed.sleep(HEARTBEAT * 20).await;
    let requests = bed.cluster.requests();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for seen in &requests[before..] {
        *counts.entry(format!("{:?}", seen.api)).or_default() += 1;
    }
    assert!(counts["Heartbeat"] <= 21, "{counts:?}");
    assert!(counts.values().sum::<usize>() <= 25, "{counts:?}");
}

/// Lets all of them act until each owns so many.
async fn share(members: &mut [&mut Member], each: usize) {
    for _ in 0..1_000 {
        members.iter_mut().for_each(|member| member.act());
        if members.iter().all(|member| member.owned.len() == each) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let owned: Vec<usize> = members.iter().map(|member| member.owned.len()).collect();
    panic!("they own {owned:?}");
}

/// A member and an application that does what it is told.
struct Member {
    client: Client,
    handle: GroupHandle,
    owned: BTreeSet<TopicPartition>,
    log: Vec<String>,
    revoked: usize,
    lost: Option<LossReason>,
    failure: Option<GroupError>,
}

impl Member {
    /// Polls once.
    fn act(&mut self) {
        self.handle.record_poll(self.client.runtime().now());
        while let Some(notice) = self.handle.current_event() {
            match notice.event.clone() {
                GroupEvent::Assigned { added, .. } => {
                    self.log.push(format!("assigned {}", added.len()));
                    self.owned.extend(added);
                }
                GroupEvent::Revoking { partitions } => {
                    self.log.push(format!("revoking {}", partitions.len()));
                    self.revoked += partitions.len();
                    self.owned.retain(|partition| !partitions.contains(partition));
                }
                GroupEvent::Lost { partitions, reason } => {
                    self.log.push(format!("lost {}", partitions.len()));
                    self.owned.retain(|partition| !partitions.contains(partition));
                    self.lost = Some(reason);
                }
                GroupEvent::Failed(error) => self.failure = Some(error),
            }
            self.handle.finish_event(notice.id);
        }
    }

    async fn until(&mut self, fact: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            self.act();
            if fact(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?}", self.log);
    }

    async fn until_owning(&mut self, count: usize) {
        self.until(|member| member.owned.len() == count).await;
    }

    async fn commit(&mut self, to: &str, offset: i64, among: &BTreeSet<TopicPartition>) {
        let to = among.get(&partition(to)).or_else(|| among.first()).unwrap().clone();
        let offsets = Offsets::from([(to, Offset::new(offset))]);
        let deadline = Deadline::after(self.client.runtime().now(), SOON);
        self.handle.commit(offsets, deadline).await.unwrap();
    }

    async fn committed(&self, of: &str) -> Option<i64> {
        let deadline = Deadline::after(self.client.runtime().now(), SOON);
        let asked = BTreeSet::from([partition(of)]);
        let found = self.handle.committed(asked, deadline).await.unwrap();
        found[&partition(of)].as_ref().unwrap().as_ref().map(|offset| offset.offset)
    }
}

struct Bed {
    cluster: Cluster,
    client: Client,
}

impl Bed {
    async fn start() -> Self {
        let topic = TopicSpec::new("orders").partitions(6).replicas(3);
        let cluster = Cluster::builder().brokers(3).topic(topic).start().await.unwrap();
        let client = connect(&cluster, "bed").await;
        Self { cluster, client }
    }

    async fn outsider(&self, name: &str, config: GroupConfig) -> Member {
        let client = connect(&self.cluster, name).await;
        let handle = GroupHandle::start(&client, config);
        let (owned, log) = (BTreeSet::new(), Vec::new());
        Member { client, handle, owned, log, revoked: 0, lost: None, failure: None }
    }

    async fn member(&self, name: &str, config: GroupConfig) -> Member {
        let member = self.outsider(name, config).await;
        member.handle.subscribe(BTreeSet::from(["orders".into()]));
        member
    }

    async fn add_partitions(&self, count: i32) {
        // No assignments, which is not the same as none at all.
        let (name, assignments) = ("orders".into(), None);
        let topic = CreatePartitionsTopic { name, count, assignments, ..Default::default() };
        let request = CreatePartitionsRequest { topics: vec![topic], ..Default::default() };
        let answer =
            self.client.call(&Target::Controller, &request, self.deadline()).await.unwrap();
        assert_eq!(answer.results[0].error_code, 0);
    }

    async fn coordinator(&self) -> i32 {
        let found = self.client.coordinator(CoordinatorKind::Group, "group", self.deadline()).await;
        found.unwrap().number()
    }

    fn now(&self) -> Instant {
        self.client.runtime().now()
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.now(), SOON)
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

async fn connect(cluster: &Cluster, name: &str) -> Client {
    let servers = cluster.bootstrap();
    let config = ClientConfig {
        bootstrap_servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
        client_id: name.into(),
        ..ClientConfig::default()
    };
    let connector = cluster.connector();
    let dial = move |to: HostPort| connector.connect(&to.host, to.port);
    let runtime = Runtime::builder().dial_with(dial).wall_clock(0).seed(7).build();
    Client::connect(config, runtime).await.unwrap()
}

fn eager() -> GroupConfig {
    config(Arc::new(RangeAssignor))
}

fn cooperative() -> GroupConfig {
    config(Arc::new(CooperativeStickyAssignor))
}

fn config(assignor: Arc<dyn Assignor>) -> GroupConfig {
    GroupConfig {
        session_timeout: SESSION,
        heartbeat_interval: HEARTBEAT,
        auto_commit_interval: None,
        assignors: vec![assignor],
        ..GroupConfig::new("group")
    }
}

fn partition(text: &str) -> TopicPartition {
    let (topic, number) = text.split_once('-').unwrap();
    TopicPartition::new(topic, number.parse().unwrap())
}

const SESSION: Duration = Duration::from_secs(10);

const HEARTBEAT: Duration = Duration::from_secs(1);

const SOON: Duration = Duration::from_secs(20);
