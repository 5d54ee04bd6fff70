//! The client on the embedded broker, in memory and on paused time.
#![expect(clippy::unwrap_used, reason = "a test bed that does not stand up is a failed test")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ottla_broker::cluster::{Cluster, TopicSpec};
use ottla_broker::fault::{Act, Rule};
use ottla_core::cluster::{ClusterSnapshot, CoordinatorKind};
use ottla_core::config::ClientConfig;
use ottla_core::error::{Certainty, CloseReason, RequestError};
use ottla_core::net::{Client, Runtime, SnapshotListener, Target};
use ottla_core::retry::Deadline;
use ottla_core::types::{ErrorCode, HostPort, NodeId, TopicName};
use ottla_protocol::ApiKey;
use ottla_protocol::messages::DescribeClusterRequest;

#[tokio::test(start_paused = true)]
async fn a_client_learns_which_brokers_there_are() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    let snapshot = client.snapshot();
    assert_eq!(snapshot.brokers.len(), 3);
    assert!(snapshot.cluster_id.is_some());
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_known_with_its_leaders() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    let topic = client.topic(&"orders".into(), soon(&client)).await.unwrap();
    assert_eq!(topic.error, None);
    assert_eq!(topic.partitions.len(), 3);
    for (index, partition) in (0..).zip(&topic.partitions) {
        let leader = bed.cluster.partition("orders", index).leader();
        assert_eq!(partition.leader.map(NodeId::number), leader);
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_does_not_exist_is_known_as_such() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    let topic = client.topic(&"nowhere".into(), soon(&client)).await.unwrap();
    assert_eq!(topic.error, Some(ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test(start_paused = true)]
async fn a_moved_leader_is_seen_after_a_refresh() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    let orders = TopicName::from("orders");
    let _use = client.use_topics([orders.clone()]);
    client.topic(&orders, soon(&client)).await.unwrap();
    let before = bed.cluster.partition("orders", 0).leader().unwrap();
    let after = before % 3 + 1;
    bed.cluster.partition("orders", 0).move_leader(after).unwrap();
    client.request_refresh();
    let deadline = soon(&client);
    loop {
        let snapshot = client.snapshot();
        let leader = snapshot.partition("orders", 0).and_then(|partition| partition.leader);
        if leader.map(NodeId::number) == Some(after) {
            return;
        }
        client.changed(snapshot.version, deadline).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refreshed_was_asked_after_that_was_wanted() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    bed.cluster.node(2).kill().await;
    let slow = Act::ApplyThenDelay(Duration::from_millis(500));
    let slow = bed.cluster.fault(Rule::new(ApiKey::Metadata, slow));
    client.request_refresh();
    slow.reached().await;
    // The answer that is on its way does not know of this.
    bed.cluster.node(2).start().await.unwrap();
    let snapshot = client.refreshed(soon(&client)).await.unwrap();
    assert_eq!(snapshot.brokers.len(), 3);
    assert_eq!(slow.hits(), 2);
    let snapshot = client.refreshed(soon(&client)).await.unwrap();
    assert_eq!(snapshot.version, client.snapshot().version, "an answer without news is one, too");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_refreshed_in_time_is_an_error() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    let _hang = bed.cluster.fault(Rule::new(ApiKey::Metadata, Act::Hang));
    let begun = client.runtime().now();
    let error = client.refreshed(soon(&client)).await.unwrap_err();
    assert!(matches!(error, RequestError::DeadlineExceeded { .. }), "{error}");
    assert_eq!(client.runtime().now() - begun, SOON);
}

#[tokio::test(start_paused = true)]
async fn a_call_outlives_the_broker_it_was_first_made_to() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    bed.cluster.node(1).kill().await;
    bed.cluster.node(3).kill().await;
    for _ in 0..5 {
        let request = DescribeClusterRequest::default();
        let answer = client.call(&Target::AnyBroker, &request, soon(&client)).await.unwrap();
        assert_eq!(answer.error_code, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_broker_delays_nothing_that_another_can_answer() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    let orders = TopicName::from("orders");
    let _use = client.use_topics([orders.clone()]);
    client.topic(&orders, soon(&client)).await.unwrap();
    bed.cluster.node(2).pause();
    let begun = client.runtime().now();
    for index in 0..FRESH {
        client.suspect(NodeId::from_wire(2).unwrap());
        let fresh = TopicName::from(format!("fresh-{index}"));
        client.topic(&fresh, soon(&client)).await.unwrap();
    }
    let took = client.runtime().now() - begun;
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_any_broker_can_answer_waits_a_second_for_a_paused_one() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    bed.cluster.node(2).pause();
    // Brokers are chosen by chance: some of these ask the paused one first.
    for _ in 0..FRESH {
        let begun = client.runtime().now();
        let request = DescribeClusterRequest::default();
        client.call(&Target::AnyBroker, &request, soon(&client)).await.unwrap();
        let took = client.runtime().now() - begun;
        assert!(took < Duration::from_millis(1_200), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_coordinator_of_a_group_is_found() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    let node = client.coordinator(CoordinatorKind::Group, "billing", soon(&client)).await.unwrap();
    assert!(client.snapshot().brokers.contains_key(&node));
}

#[tokio::test(start_paused = true)]
async fn nothing_listening_is_an_error_that_names_the_address() {
    let bed = Bed::start().await;
    let mut config = bed.config();
    config.bootstrap_servers = vec![HostPort::new("nobody", 9092)];
    let error = Client::connect(config, bed.runtime()).await.unwrap_err();
    assert!(matches!(&error, RequestError::Connection { reason: CloseReason::Connect(_), .. }));
    assert!(error.to_string().contains("nobody:9092"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_call_has_failed_at_its_deadline_when_no_broker_is_left() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    for node in 1..=3 {
        bed.cluster.node(node).kill().await;
    }
    let begun = client.runtime().now();
    let request = DescribeClusterRequest::default();
    let error = client.call(&Target::AnyBroker, &request, soon(&client)).await.unwrap_err();
    assert!(matches!(error, RequestError::DeadlineExceeded { last: Some(_), .. }), "{error}");
    let took = client.runtime().now() - begun;
    assert!((SOON..SOON + Duration::from_secs(1)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_time_a_connection_took_is_not_given_to_the_answer_again() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    let on_two = |api, act| Rule::new(api, act).node(ottla_broker::world::NodeId(2));
    let _late = bed.cluster.fault(on_two(ApiKey::ApiVersions, Act::Delay(Duration::from_secs(5))));
    let _silent = bed.cluster.fault(on_two(ApiKey::DescribeCluster, Act::Hang));
    let target = Target::Node(NodeId::from_wire(2).unwrap());
    let begun = client.runtime().now();
    client.call(&target, &DescribeClusterRequest::default(), soon(&client)).await.unwrap_err();
    let took = client.runtime().now() - begun;
    assert!((SOON..SOON + Duration::from_secs(1)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_behind_a_slower_one_has_failed_at_its_own_deadline() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    let on_two = Rule::new(ApiKey::DescribeCluster, Act::Delay(SOON / 2));
    let _slow = bed.cluster.fault(on_two.node(ottla_broker::world::NodeId(2)).once());
    let target = Target::Node(NodeId::from_wire(2).unwrap());
    let (request, begun) = (DescribeClusterRequest::default(), client.runtime().now());
    let slow = client.call(&target, &request, soon(&client));
    let hasty = async {
        let deadline = Deadline::after(begun, SOON / 4);
        let error = client.call(&target, &request, deadline).await.unwrap_err();
        assert!(matches!(error, RequestError::DeadlineExceeded { .. }), "{error}");
        assert_eq!(error.certainty(), Certainty::PossiblyWritten);
        let took = client.runtime().now() - begun;
        assert!((SOON / 4..SOON / 3).contains(&took), "{took:?}");
    };
    let (slow, ()) = tokio::join!(slow, hasty);
    assert_eq!(slow.unwrap().error_code, 0, "it had more time");
}

#[tokio::test(start_paused = true)]
async fn settings_without_end_are_no_trouble() {
    let bed = Bed::start().await;
    let config = ClientConfig {
        request_timeout: Duration::MAX,
        connections_max_idle: Duration::MAX,
        socket_connection_setup_timeout: Duration::MAX,
        socket_connection_setup_timeout_max: Duration::MAX,
        reconnect_backoff_max: Duration::MAX,
        retry_backoff_max: Duration::MAX,
        metadata_max_age: Duration::MAX,
        metadata_max_idle: Duration::MAX,
        metadata_recovery_rebootstrap_trigger: Duration::MAX,
        ..bed.config()
    };
    let answered = async {
        let client = Client::connect(config, bed.runtime()).await.unwrap();
        let request = DescribeClusterRequest::default();
        let for_ever = Deadline::after(client.runtime().now(), Duration::MAX);
        client.call(&Target::AnyBroker, &request, for_ever).await.unwrap()
    };
    let answer = tokio::time::timeout(SOON, answered).await.unwrap();
    assert_eq!(answer.error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_closed_client_ends() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    let other = client.clone();
    client.close().await;
    let request = DescribeClusterRequest::default();
    assert!(other.call(&Target::AnyBroker, &request, soon(&other)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_topic_ends_when_the_client_is_closed() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    let other = client.clone();
    let begun = other.runtime().now();
    let deadline = soon(&other);
    let seen = other.snapshot().version;
    let (waited, ()) = tokio::join!(other.changed(seen, deadline), client.close());
    assert!(matches!(waited, Err(RequestError::Closed { .. })), "{waited:?}");
    assert!(other.runtime().now() - begun < SOON);
}

#[tokio::test(start_paused = true)]
async fn a_closed_client_looks_no_coordinator_up() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    let other = client.clone();
    other.coordinator(CoordinatorKind::Group, "known", soon(&other)).await.unwrap();
    client.close().await;
    let begun = other.runtime().now();
    for group in ["known", "unknown"] {
        let found = other.coordinator(CoordinatorKind::Group, group, soon(&other)).await;
        assert!(matches!(found, Err(RequestError::Closed { .. })), "{found:?}");
    }
    assert_eq!(other.runtime().now(), begun);
}

#[tokio::test(start_paused = true)]
async fn who_listens_to_a_client_hears_that_it_was_closed() {
    let bed = Bed::start().await;
    let client = bed.client().await.unwrap();
    let (early, late) = (Arc::new(Ear::default()), Arc::new(Ear::default()));
    let hear = |client: &Client, ear: &Arc<Ear>| {
        let listener: Weak<Ear> = Arc::downgrade(ear);
        client.add_listener(listener);
    };
    hear(&client, &early);
    assert!(!early.closed.load(Ordering::Acquire));
    let other = client.clone();
    client.close().await;
    hear(&other, &late);
    assert!(early.closed.load(Ordering::Acquire) && late.closed.load(Ordering::Acquire));
}

/// Hears of the end.
#[derive(Debug, Default)]
struct Ear {
    closed: AtomicBool,
}

impl SnapshotListener for Ear {
    fn handle_snapshot(&self, _: &Arc<ClusterSnapshot>, _: Instant) {}

    fn handle_closed(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

struct Bed {
    cluster: Cluster,
}

impl Bed {
    async fn start() -> Self {
        let topic = TopicSpec::new("orders").partitions(3).replicas(3);
        let mut cluster = Cluster::builder().brokers(3).topic(topic).auto_create(false);
        for index in 0..FRESH {
            cluster = cluster.topic(TopicSpec::new(format!("fresh-{index}")));
        }
        Self { cluster: cluster.start().await.unwrap() }
    }

    fn config(&self) -> ClientConfig {
        let servers = self.cluster.bootstrap();
        ClientConfig {
            bootstrap_servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
            ..ClientConfig::default()
        }
    }

    fn runtime(&self) -> Runtime {
        let connector = self.cluster.connector();
        let dial = move |to: HostPort| connector.connect(&to.host, to.port);
        Runtime::builder().dial_with(dial).wall_clock(0).seed(7).build()
    }

    async fn client(&self) -> Result<Client, RequestError> {
        Client::connect(self.config(), self.runtime()).await
    }
}

fn soon(client: &Client) -> Deadline {
    Deadline::after(client.runtime().now(), SOON)
}

const SOON: Duration = Duration::from_secs(20);

/// Topics that no test has used before it asks for them.
const FRESH: u32 = 10;
