//! A cluster of one line to test the machine with.

mod asking;
mod believing;

use super::*;
use crate::cluster::{LeaderHint, TopicInfo};
use crate::types::{LeaderEpoch, TopicPartition};
use ottla_protocol::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::{Message, Uuid};

/// The draw that moves no delay.
const EVEN: u64 = 20;

/// A machine, and the cluster that answers it. Topics are written as `name#id leader@epoch …`, where
/// `-` is no leader and `?` no epoch, or as `name !code`.
struct Cluster {
    machine: Metadata,
    now: Instant,
    version: i16,
    cluster_id: &'static str,
}

impl Cluster {
    fn new() -> Self {
        Self::configured(|_| ())
    }

    fn configured(change: impl FnOnce(&mut ClientConfig)) -> Self {
        let bootstrap_servers = vec![HostPort::new("boot", 9092)];
        let mut config = ClientConfig { bootstrap_servers, ..ClientConfig::default() };
        change(&mut config);
        let now = crate::retry::test_now();
        let machine = Metadata::new(&config, now);
        Self { machine, now, version: 13, cluster_id: "ours" }
    }

    /// A machine that uses the topics of `answer` and has taken it.
    fn with(answer: &str) -> Self {
        let mut cluster = Self::new();
        for topic in response(answer).topics {
            cluster.machine.use_topic(&topic.name.unwrap().into(), cluster.now);
        }
        cluster.poll();
        cluster.answer(answer);
        cluster
    }

    fn use_topic(&mut self, name: &str) {
        self.machine.use_topic(&name.into(), self.now);
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// Waits for what is due next, and says for how many milliseconds.
    fn wait(&mut self) -> u128 {
        let Some(next) = self.machine.next_timeout() else {
            return u128::MAX;
        };
        let waited = next.saturating_duration_since(self.now);
        self.now = self.now.max(next);
        waited.as_millis()
    }

    /// The topics that are asked for now, `*` for all.
    fn poll(&mut self) -> Option<String> {
        let refresh = self.machine.poll_request(self.now, EVEN)?;
        let Some(topics) = refresh.request(self.version, false).topics else {
            return Some("*".into());
        };
        let names: Vec<String> =
            topics.into_iter().map(|it| it.name.unwrap().to_string()).collect();
        Some(names.join(" "))
    }

    fn answer(&mut self, text: &str) -> Option<String> {
        let mut response = response(text);
        response.cluster_id = Some(self.cluster_id.into());
        let snapshot = self.machine.handle_answer(&response, self.version, self.now)?;
        Some(show(&snapshot))
    }

    fn fail(&mut self) {
        self.machine.handle_failure(self.now, EVEN);
    }

    /// Refreshes everything without regard to pace, and says what is known then.
    fn refresh(&mut self, text: &str) -> String {
        self.machine.full_due = self.now;
        self.machine.failed_until = self.now;
        assert!(self.poll().is_some());
        self.answer(text);
        self.show()
    }

    fn hint(
        &mut self,
        topic: &str,
        partition: i32,
        leader: i32,
        epoch: i32,
        id: Option<u8>,
    ) -> Option<String> {
        let hint = LeaderHint {
            partition: TopicPartition::new(topic, partition),
            topic_id: id.map(topic_id),
            leader: node(leader),
            epoch: LeaderEpoch::from_wire(epoch).unwrap(),
        };
        let hints = LeaderHints { leaders: vec![hint], endpoints: Vec::new() };
        self.machine.learn_leaders(&hints).map(|snapshot| show(&snapshot))
    }

    fn asks_bootstrap(&self) -> bool {
        matches!(self.machine.candidates(0)[0], Candidate::Bootstrap(_))
    }

    fn show(&self) -> String {
        show(self.machine.snapshot())
    }
}

/// What is known after `first` and then `second` were answered.
#[track_caller]
fn check(first: &str, second: &str, expected: &str) {
    assert_eq!(Cluster::with(first).refresh(second), expected);
}

fn node(id: i32) -> NodeId {
    NodeId::from_wire(id).unwrap()
}

fn topic_id(id: u8) -> Uuid {
    Uuid::from_bytes([id; 16])
}

fn broker(node_id: i32, host: &str, port: i32) -> MetadataResponseBroker {
    MetadataResponseBroker { node_id, host: host.into(), port, ..MetadataResponseBroker::default() }
}

/// An answer of three brokers that describes the topics of `text`.
fn response(text: &str) -> MetadataResponse {
    let brokers = (1..=3).map(|id| broker(id, &format!("h{id}"), 9092));
    let topics = text.split(", ").filter(|topic| !topic.is_empty());
    MetadataResponse {
        brokers: brokers.collect(),
        cluster_id: Some("ours".into()),
        controller_id: 1,
        topics: topics.map(read_topic).collect(),
        ..MetadataResponse::default()
    }
}

fn read_topic(text: &str) -> MetadataResponseTopic {
    let mut words = text.split(' ');
    let (name, id) = words.next().unwrap().split_once('#').unwrap_or((text, ""));
    let mut topic = MetadataResponseTopic {
        name: Some(name.split(' ').next().unwrap().into()),
        topic_id: id.parse().map_or(Uuid::ZERO, topic_id),
        ..MetadataResponseTopic::default()
    };
    for (index, word) in words.enumerate() {
        if let Some(code) = word.strip_prefix('!') {
            topic.error_code = code.parse().unwrap();
            break;
        }
        let (leader, epoch) = word.split_once('@').unwrap();
        topic.partitions.push(MetadataResponsePartition {
            partition_index: i32::try_from(index).unwrap(),
            leader_id: leader.parse().unwrap_or(-1),
            leader_epoch: epoch.parse().unwrap_or(-1),
            ..MetadataResponsePartition::default()
        });
    }
    topic
}

fn show(snapshot: &ClusterSnapshot) -> String {
    let topics: Vec<String> = snapshot.topics.values().map(|topic| show_topic(topic)).collect();
    topics.join(", ")
}

fn show_topic(topic: &TopicInfo) -> String {
    let id = topic.id.map_or(String::new(), |id| format!("#{}", id.as_bytes()[0]));
    if let Some(error) = topic.error {
        return format!("{}{id} !{}", topic.name, error.code());
    }
    let partitions = topic.partitions.iter().map(|partition| {
        let leader = partition.leader.map_or_else(|| "-".into(), |it| it.to_string());
        let epoch = partition.leader_epoch.map_or_else(|| "?".into(), |it| it.to_string());
        format!(" {leader}@{epoch}")
    });
    format!("{}{id}{}", topic.name, partitions.collect::<String>())
}
