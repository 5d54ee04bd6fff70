//! The machine, without a broker: a call that settles as the test says, and what becomes of its
//! keys.

use ottla_core::cluster::{BrokerInfo, PartitionInfo};
use ottla_core::types::{HostPort, TopicPartition};
use ottla_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};

use super::*;
use crate::call::check;

#[test]
fn keys_of_one_broker_are_one_request() {
    let mut run = Run::new(Route::Controller, &["a", "b"]);
    let asks = run.asks();
    assert_eq!(asks.len(), 1);
    assert_eq!((asks[0].place, &asks[0].keys[..]), (Place::Controller, &["a", "b"][..]));
}

#[test]
fn a_request_may_take_no_longer_than_the_call() {
    let mut run = Run::new(Route::AnyBroker, &["a"]);
    assert_eq!(run.asks()[0].timeout, Duration::from_secs(30));
    let mut run = Run::within(Route::AnyBroker, &["a"], Duration::from_secs(5));
    assert_eq!(run.asks()[0].timeout, Duration::from_secs(5));
}

#[test]
fn a_call_about_nothing_is_done_and_asks_nothing() {
    let mut run = Run::new(Route::AnyBroker, &[]);
    assert!(run.asks().is_empty());
    assert!(run.plan.is_done());
}

#[test]
fn only_what_a_retry_helps_is_asked_again() {
    let mut run = Run::new(Route::Controller, &["a", "b", "c"]);
    let ask = run.ask();
    run.answer(&ask, &[("a", 0), ("b", NOT_CONTROLLER), ("c", INVALID_TOPIC)], 1);
    run.expect("a ok", "c INVALID_TOPIC_EXCEPTION not written");
    assert!(run.asks().is_empty(), "before the backoff");
    run.wait();
    let ask = run.ask();
    assert_eq!(ask.keys[..], ["b"]);
    run.answer(&ask, &[("b", 0)], 1);
    assert!(run.plan.is_done());
}

#[test]
fn f037_a_node_that_is_no_controller_refreshes_the_metadata() {
    let mut run = Run::new(Route::Controller, &["a", "b"]);
    let ask = run.ask();
    run.answer(&ask, &[("a", NOT_CONTROLLER), ("b", NOT_CONTROLLER)], 1);
    assert_eq!(run.effects(), ["refresh"]);
}

#[test]
fn what_a_call_is_to_find_out_is_not_asked_again() {
    let mut run = Run::new(Route::AnyBroker, &["a"]);
    let ask = run.ask();
    run.answer(&ask, &[("a", UNKNOWN_TOPIC)], 1);
    run.expect("", "a UNKNOWN_TOPIC_OR_PARTITION not written");
}

#[test]
fn f168_a_refusal_after_a_lost_answer_says_that_it_may_be_done() {
    let mut run = Run::new(Route::Controller, &["a"]);
    let ask = run.ask();
    run.answer(&ask, &[("a", TOPIC_EXISTS)], 2);
    run.expect("", "a TOPIC_ALREADY_EXISTS possibly written");
}

#[test]
fn f168_a_refusal_after_a_timeout_says_that_it_may_be_done() {
    let mut run = Run::new(Route::Controller, &["a"]);
    let ask = run.ask();
    run.answer(&ask, &[("a", ErrorCode::RequestTimedOut.code())], 1);
    run.wait();
    let ask = run.ask();
    run.answer(&ask, &[("a", TOPIC_EXISTS)], 1);
    run.expect("", "a TOPIC_ALREADY_EXISTS possibly written");
}

#[test]
fn what_the_answer_passes_over_is_an_error() {
    let mut run = Run::new(Route::AnyBroker, &["a", "b"]);
    let ask = run.ask();
    run.answer(&ask, &[("a", 0), ("stranger", 0)], 1);
    run.expect("a ok", "b unanswered");
}

#[test]
fn partitions_are_asked_of_their_leaders() {
    let mut run = Run::new(leader(), &["0", "1", "2"]);
    assert_eq!(run.effects(), ["look up topic orders"]);
    run.find_topic(&[Some(1), Some(2), Some(1)]);
    let asks = run.asks();
    let asked: Vec<_> = asks.iter().map(|ask| (ask.place, ask.keys.join(" "))).collect();
    let expected =
        [(Place::Node(node(1)), "0 2".to_owned()), (Place::Node(node(2)), "1".to_owned())];
    assert_eq!(asked, expected);
}

#[test]
fn f169_a_silent_broker_delays_its_own_keys_alone() {
    let mut run = Run::new(leader(), &["0", "1"]);
    run.effects();
    run.find_topic(&[Some(1), Some(2)]);
    let asks = run.asks();
    run.answer(&asks[1], &[("1", NOT_LEADER)], 1);
    run.wait();
    assert_eq!(run.effects(), ["refresh", "look up topic orders"]);
    run.find_topic(&[Some(1), Some(2)]);
    let ask = run.ask();
    run.answer(&ask, &[("1", 0)], 1);
    run.expect("1 ok", "");
}

#[test]
fn a_partition_whose_leader_moved_is_asked_of_the_new_one_and_the_late_answer_ignored() {
    let mut run = Run::new(leader(), &["0"]);
    run.effects();
    run.find_topic(&[Some(1)]);
    let late = run.ask();
    run.snapshot(&[1, 2, 3], &[Some(2)]);
    run.wait();
    assert_eq!(run.effects(), ["look up topic orders"]);
    run.find_topic(&[Some(2)]);
    let ask = run.ask();
    assert_eq!(ask.place, Place::Node(node(2)));
    run.answer(&late, &[("0", 0)], 1);
    assert!(!run.plan.is_done());
    run.answer(&ask, &[("0", TOPIC_EXISTS)], 1);
    run.expect("", "0 TOPIC_ALREADY_EXISTS possibly written");
}

#[test]
fn a_partition_without_a_leader_waits_for_one() {
    let mut run = Run::new(leader(), &["0"]);
    run.effects();
    for _ in 0..10 {
        run.find_topic(&[None]);
        assert_eq!(run.effects(), ["refresh"]);
        run.wait();
        assert_eq!(run.effects(), ["look up topic orders"]);
    }
    run.find_topic(&[Some(3)]);
    assert_eq!(run.ask().place, Place::Node(node(3)));
}

#[test]
fn a_partition_that_fresh_metadata_denies_three_times_does_not_exist() {
    let mut run = Run::new(leader(), &["0", "7"]);
    run.effects();
    run.find_topic(&[Some(1)]);
    let ask = run.ask();
    assert_eq!(ask.keys[..], ["0"]);
    for _ in 0..2 {
        run.find_cluster(&[1, 2, 3], &[Some(1)]);
        run.wait();
        assert_eq!(run.effects(), ["look up topic orders"]);
        run.find_topic(&[Some(1)]);
        assert_eq!(run.effects(), ["look up the cluster"]);
    }
    run.expect("", "");
    run.find_cluster(&[1, 2, 3], &[Some(1)]);
    run.answer(&ask, &[("0", 0)], 1);
    run.expect("0 ok", "7 UNKNOWN_TOPIC_OR_PARTITION not written");
}

#[test]
fn a_partition_that_is_new_is_found_as_soon_as_metadata_is_fresh() {
    let mut run = Run::new(leader(), &["1"]);
    run.effects();
    run.find_topic(&[Some(1)]);
    assert_eq!(run.effects(), ["look up the cluster"]);
    run.find_cluster(&[1, 2, 3], &[Some(1), Some(3)]);
    assert_eq!(run.ask().place, Place::Node(node(3)));
    assert_eq!(run.now, run.begun);
}

#[test]
fn what_is_known_denies_nothing_however_long_nobody_answers() {
    for route in [leader(), Route::Node(node(9))] {
        let mut run = Run::new(route, &["7"]);
        run.effects();
        run.find_topic(&[Some(1)]);
        run.snapshot(&[1, 2], &[Some(2)]);
        assert_eq!(run.wait(), Duration::from_secs(60));
        let error = run.plan.into_results().only().unwrap().unwrap_err();
        assert!(matches!(error, AdminError::DeadlineExceeded { .. }), "{error}");
    }
}

#[test]
fn a_topic_that_may_not_be_seen_is_refused_at_once() {
    let mut run = Run::new(leader(), &["0"]);
    run.effects();
    let code = ErrorCode::TopicAuthorizationFailed;
    run.find(Lookup::Topic("orders".into()), Ok(Found::Topic(topic(&[], Some(code)))));
    run.expect("", "0 TOPIC_AUTHORIZATION_FAILED not written");
}

#[test]
fn a_broker_that_nobody_knows_is_given_up_soon() {
    let mut run = Run::new(Route::Node(node(9)), &["a"]);
    for _ in 0..2 {
        assert_eq!(run.effects(), ["look up the cluster"]);
        run.find_cluster(&[1, 2, 3], &[]);
        run.wait();
    }
    run.expect("", "");
    run.find_cluster(&[1, 2, 3], &[]);
    run.expect("", "a BROKER_NOT_AVAILABLE not written");
}

#[test]
fn a_broker_that_has_just_come_is_asked() {
    let mut run = Run::new(Route::Node(node(9)), &["a"]);
    assert_eq!(run.effects(), ["look up the cluster"]);
    run.find_cluster(&[1, 2, 3, 9], &[]);
    assert_eq!(run.ask().place, Place::Node(node(9)));
}

#[test]
fn a_broker_that_leaves_takes_its_own_key_along() {
    let mut run = Run::new(Route::Node(node(2)), &["a"]);
    let late = run.ask();
    run.snapshot(&[1, 3], &[]);
    for _ in 0..3 {
        run.expect("", "");
        run.wait();
        assert_eq!(run.effects(), ["look up the cluster"]);
        run.find_cluster(&[1, 3], &[]);
    }
    run.expect("", "a BROKER_NOT_AVAILABLE possibly written");
    run.answer(&late, &[("a", 0)], 1);
    run.expect("", "a BROKER_NOT_AVAILABLE possibly written");
}

#[test]
fn a_broker_that_was_gone_for_a_moment_is_asked_again() {
    let mut run = Run::new(Route::Node(node(2)), &["a"]);
    run.ask();
    run.snapshot(&[1, 3], &[]);
    run.wait();
    run.find_cluster(&[1, 2, 3], &[]);
    let ask = run.ask();
    run.answer(&ask, &[("a", 0)], 1);
    run.expect("a ok", "");
}

#[test]
fn groups_are_asked_of_their_coordinator() {
    let mut run = Run::new(coordinator(), &["a", "b"]);
    assert_eq!(run.effects(), ["look up group a", "look up group b"]);
    run.find_coordinator("a", 1);
    assert_eq!(run.ask().keys[..], ["a"]);
    run.find_coordinator("b", 1);
    assert_eq!(run.ask().keys[..], ["b"]);
}

#[test]
fn f169_a_lookup_that_fails_is_one_keys_error() {
    let mut run = Run::new(coordinator(), &["a", "b"]);
    run.effects();
    let denied = RequestError::Unroutable { code: ErrorCode::GroupAuthorizationFailed };
    run.find(Lookup::Coordinator("a".into()), Err(denied));
    run.find_coordinator("b", 1);
    let ask = run.ask();
    run.answer(&ask, &[("b", 0)], 1);
    run.expect("b ok", "a GROUP_AUTHORIZATION_FAILED not written");
}

#[test]
fn a_broker_that_is_no_coordinator_is_forgotten_and_another_looked_for() {
    let mut run = Run::new(coordinator(), &["a"]);
    run.effects();
    run.find_coordinator("a", 1);
    let ask = run.ask();
    run.answer(&ask, &[("a", NOT_COORDINATOR)], 1);
    assert_eq!(run.effects(), ["refresh", "forget a at 1"]);
    let waits = run.wait();
    assert!(waits <= Duration::from_millis(24), "{waits:?}");
    assert_eq!(run.effects(), ["look up group a"]);
    run.find_coordinator("a", 2);
    assert_eq!(run.ask().place, Place::Node(node(2)));
}

#[test]
fn a_coordinator_that_loads_is_asked_again_and_not_forgotten() {
    let mut run = Run::new(coordinator(), &["a"]);
    run.effects();
    run.find_coordinator("a", 1);
    let ask = run.ask();
    run.answer(&ask, &[("a", ErrorCode::CoordinatorLoadInProgress.code())], 1);
    assert!(run.effects().is_empty());
}

#[test]
fn a_silent_coordinator_is_looked_for_anew_and_left_when_it_moved() {
    let mut run = Run::new(coordinator(), &["a"]);
    run.effects();
    run.find_coordinator("a", 1);
    run.ask();
    assert_eq!(run.wait(), DOUBT);
    assert_eq!(run.effects(), ["forget a at 1", "look up group a"]);
    run.find_coordinator("a", 1);
    assert!(run.asks().is_empty(), "it still coordinates the group");
    run.wait();
    run.effects();
    run.find_coordinator("a", 2);
    run.wait();
    assert_eq!(run.effects(), ["forget a at 1", "look up group a"]);
    run.find_coordinator("a", 2);
    assert_eq!(run.ask().place, Place::Node(node(2)));
}

#[test]
fn at_the_deadline_everything_has_a_result() {
    let mut run = Run::within(Route::Controller, &["a", "b"], Duration::from_secs(1));
    let ask = run.ask();
    run.answer(&ask, &[("a", 0), ("b", NOT_CONTROLLER)], 1);
    for _ in 0..20 {
        run.wait();
        if run.plan.is_done() {
            break;
        }
        for ask in run.asks() {
            run.answer(&ask, &[("b", NOT_CONTROLLER)], 1);
        }
    }
    assert_eq!(run.now.saturating_duration_since(run.begun), Duration::from_secs(1));
    run.expect("a ok", "b NOT_CONTROLLER not written");
    let results = run.plan.into_results();
    let text = results.get("b").unwrap().as_ref().unwrap_err().to_string();
    assert!(text.starts_with("test b: not done within 1 s: NOT_CONTROLLER (41)"), "{text}");
}

#[test]
fn what_is_asked_at_the_deadline_may_be_done() {
    let mut run = Run::within(Route::Controller, &["a"], Duration::from_secs(1));
    run.ask();
    run.wait();
    let error = run.plan.into_results().only().unwrap().unwrap_err();
    assert_eq!(error.certainty(), Certainty::PossiblyWritten);
    assert!(matches!(error, AdminError::DeadlineExceeded { last: None, .. }), "{error}");
}

#[test]
fn an_answer_that_never_comes_is_the_keys_error() {
    let mut run = Run::new(Route::AnyBroker, &["a"]);
    let ask = run.ask();
    run.plan.handle_failure(ask.id, &RequestError::Closed { certainty: Certainty::NotWritten });
    let error = run.plan.into_results().only().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "test a: the client was closed");
}

/// A call whose answers are made up: the message of its response says what became of which key.
#[derive(Debug)]
struct Call {
    route: Route,
}

impl AdminCall for Call {
    type Key = &'static str;
    type Request = DescribeClusterRequest;
    type Value = ();

    fn subject(&self, key: &&'static str) -> String {
        format!("test {key}")
    }

    fn route(&self, key: &&'static str) -> Route {
        match &self.route {
            Route::Leader(partition) => {
                Route::Leader(TopicPartition::new(&partition.topic, key.parse().unwrap()))
            }
            Route::Coordinator(_) => Route::Coordinator((*key).into()),
            other => other.clone(),
        }
    }

    fn request(&self, _: &Asked<'_, &'static str>) -> DescribeClusterRequest {
        DescribeClusterRequest::default()
    }

    fn settle(
        &self,
        asked: &Asked<'_, &'static str>,
        response: DescribeClusterResponse,
    ) -> Vec<(&'static str, Settled<()>)> {
        let rows = response.brokers.into_iter().map(|row| {
            let key = asked.keys.iter().find(|key| **key == &*row.host);
            let code = i16::try_from(row.port).unwrap();
            (*key.unwrap_or(&"stranger"), check(code, None))
        });
        rows.collect()
    }

    fn is_final(&self, code: ErrorCode) -> bool {
        code == ErrorCode::UnknownTopicOrPartition
    }
}

/// A plan with a clock.
struct Run {
    plan: Plan<Call>,
    begun: Instant,
    now: Instant,
    /// What was polled while looking for something else.
    asked: Vec<Ask<&'static str>>,
}

impl Run {
    fn new(route: Route, keys: &[&'static str]) -> Self {
        Self::within(route, keys, Duration::from_secs(60))
    }

    fn within(route: Route, keys: &[&'static str], budget: Duration) -> Self {
        let now = start();
        let settings = Settings::from(&ClientConfig::default());
        let deadline = Deadline::after(now, budget);
        let (call, keys) = (Arc::new(Call { route }), keys.iter().copied());
        let plan = Plan::new(call, keys, settings, brokers(&[1, 2, 3], &[]), deadline, now);
        Self { plan, begun: now, now, asked: Vec::new() }
    }

    /// Waits until something is due; returns how long that was.
    fn wait(&mut self) -> Duration {
        let until = self.plan.next_timeout();
        let waited = until.saturating_duration_since(self.now);
        self.now = until;
        self.plan.handle_timeout(self.now);
        waited
    }

    /// What is to be done now, but for requests.
    fn effects(&mut self) -> Vec<String> {
        let mut effects = Vec::new();
        while let Some(effect) = self.plan.poll_effect(self.now) {
            effects.push(match effect {
                Effect::Ask(ask) => {
                    self.asked.push(ask);
                    continue;
                }
                Effect::LookUp(Lookup::Topic(name)) => format!("look up topic {name}"),
                Effect::LookUp(Lookup::Coordinator(group)) => format!("look up group {group}"),
                Effect::LookUp(Lookup::Cluster) => "look up the cluster".to_owned(),
                Effect::Refresh => "refresh".to_owned(),
                Effect::Forget(group, node) => format!("forget {group} at {node}"),
            });
        }
        effects
    }

    fn asks(&mut self) -> Vec<Ask<&'static str>> {
        self.effects();
        std::mem::take(&mut self.asked)
    }

    #[track_caller]
    fn ask(&mut self) -> Ask<&'static str> {
        let mut asks = self.asks();
        assert_eq!(asks.len(), 1, "{asks:?}");
        asks.remove(0)
    }

    fn answer(&mut self, ask: &Ask<&'static str>, rows: &[(&str, i16)], attempts: u32) {
        let row = |(key, code): &(&str, i16)| {
            ottla_protocol::messages::describe_cluster::DescribeClusterBroker {
                host: (*key).into(),
                port: i32::from(*code),
                ..Default::default()
            }
        };
        let brokers = rows.iter().map(row).collect();
        let response = DescribeClusterResponse { brokers, ..DescribeClusterResponse::default() };
        self.plan.handle_answer(ask.id, 2, response, attempts, self.now, EVEN);
    }

    fn find(&mut self, lookup: Lookup, found: Result<Found, RequestError>) {
        self.plan.handle_lookup(&lookup, found, self.now, EVEN);
    }

    fn find_topic(&mut self, leaders: &[Option<i32>]) {
        self.find(Lookup::Topic("orders".into()), Ok(Found::Topic(topic(leaders, None))));
    }

    fn find_cluster(&mut self, alive: &[i32], leaders: &[Option<i32>]) {
        self.find(Lookup::Cluster, Ok(Found::Cluster(brokers(alive, leaders))));
    }

    fn find_coordinator(&mut self, group: &str, id: i32) {
        self.find(Lookup::Coordinator(group.into()), Ok(Found::Coordinator(node(id))));
    }

    fn snapshot(&mut self, alive: &[i32], leaders: &[Option<i32>]) {
        self.plan.handle_snapshot(brokers(alive, leaders), self.now);
    }

    /// The keys that succeeded, and those that failed, so far.
    #[track_caller]
    fn expect(&self, succeeded: &str, failed: &str) {
        let results = self.plan.results.iter();
        let (mut ok, mut err) = (Vec::new(), Vec::new());
        for (key, result) in results {
            match result {
                Ok(()) => ok.push(format!("{key} ok")),
                Err(AdminError::Unanswered { .. }) => err.push(format!("{key} unanswered")),
                Err(error) => {
                    let code = error.code().map_or("none", ErrorCode::name);
                    err.push(format!("{key} {code} {}", error.certainty()));
                }
            }
        }
        assert_eq!((ok.join(", "), err.join(", ")), (succeeded.to_owned(), failed.to_owned()));
    }
}

fn leader() -> Route {
    Route::Leader(TopicPartition::new("orders", 0))
}

fn coordinator() -> Route {
    Route::Coordinator(ByteString::new())
}

fn node(id: i32) -> NodeId {
    NodeId::from_wire(id).unwrap()
}

fn topic(leaders: &[Option<i32>], error: Option<ErrorCode>) -> Arc<TopicInfo> {
    let partition = |leader: &Option<i32>| PartitionInfo {
        leader: leader.map(node),
        ..PartitionInfo::default()
    };
    let partitions = leaders.iter().map(partition).collect();
    Arc::new(TopicInfo { name: "orders".into(), id: None, error, internal: false, partitions })
}

fn brokers(alive: &[i32], leaders: &[Option<i32>]) -> Arc<ClusterSnapshot> {
    let broker = |id: &i32| {
        let (id, address) = (node(*id), HostPort::new("localhost", 9092));
        (id, BrokerInfo { id, address, rack: None })
    };
    let topics = (!leaders.is_empty()).then(|| ("orders".into(), topic(leaders, None)));
    Arc::new(ClusterSnapshot {
        brokers: alive.iter().map(broker).collect(),
        topics: topics.into_iter().collect(),
        ..ClusterSnapshot::default()
    })
}

#[expect(clippy::disallowed_methods, reason = "any instant will do, and there is no other way")]
fn start() -> Instant {
    Instant::now()
}

/// The draw that moves no delay.
const EVEN: u64 = 20;

const INVALID_TOPIC: i16 = ErrorCode::InvalidTopicException.code();
const NOT_CONTROLLER: i16 = ErrorCode::NotController.code();
const NOT_COORDINATOR: i16 = ErrorCode::NotCoordinator.code();
const NOT_LEADER: i16 = ErrorCode::NotLeaderOrFollower.code();
const TOPIC_EXISTS: i16 = ErrorCode::TopicAlreadyExists.code();
const UNKNOWN_TOPIC: i16 = ErrorCode::UnknownTopicOrPartition.code();
