//! What an administrative call is, and the machine that carries out any of them.

use std::fmt::Debug;
use std::time::Duration;

use ottla_core::error::ErrorCode;
use ottla_core::types::{NodeId, TopicPartition};
use ottla_protocol::{ByteString, Request};

pub(crate) use self::plan::{Ask, Effect, Found, Lookup, Plan, Settings};

mod plan;

/// One administrative API: all that sets it apart from the others.
///
/// # Kafka
///
/// Java's `AdminApiHandler`.
pub(crate) trait AdminCall: Debug + Send + Sync + 'static {
    /// What has a result of its own: a topic, a partition, a group, a broker.
    type Key: Clone + Ord + Debug + Send + Sync + 'static;
    /// What is asked for several keys at once.
    type Request: Request<Response: Send> + 'static;
    /// What is learnt about a key.
    type Value: Send + 'static;

    /// What errors call doing this to `key`: `create topic orders`.
    fn subject(&self, key: &Self::Key) -> String;

    /// Who answers for `key`.
    fn route(&self, key: &Self::Key) -> Route;

    /// The request for keys that the same broker answers for.
    fn request(&self, asked: &Asked<'_, Self::Key>) -> Self::Request;

    /// What the answer says of each key, in any order. Keys that were not asked for are passed
    /// over.
    fn settle(
        &self,
        asked: &Asked<'_, Self::Key>,
        response: ResponseOf<Self>,
    ) -> Vec<(Self::Key, Settled<Self::Value>)>;

    /// Whether a code that a retry helps elsewhere is an answer here: a topic that is to be
    /// described and does not exist.
    fn is_final(&self, code: ErrorCode) -> bool {
        let _ = code;
        false
    }
}

/// What the request of a call is answered with.
pub(crate) type ResponseOf<C> = <<C as AdminCall>::Request as Request>::Response;

/// What a broker says of one key.
pub(crate) type Settled<V> = Result<V, Refusal>;

/// Who answers for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// Any broker.
    AnyBroker,
    /// The controller, or the broker that stands for it.
    Controller,
    /// This broker and no other.
    Node(NodeId),
    /// The leader of a partition.
    Leader(TopicPartition),
    /// The coordinator of a group.
    Coordinator(ByteString),
}

/// Whom a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    AnyBroker,
    Controller,
    Node(NodeId),
}

/// A request, as the call that makes and reads it needs to know it.
#[derive(Debug)]
pub(crate) struct Asked<'a, K> {
    /// The keys, in their order; not empty.
    pub(crate) keys: &'a [K],
    /// The version of the request and of its answer.
    pub(crate) version: i16,
    /// Who is asked.
    pub(crate) place: Place,
    /// How long the broker may take.
    pub(crate) timeout: Duration,
}

impl<K: Clone> Asked<'_, K> {
    /// What is refused as a whole, for each key.
    pub(crate) fn refused<V>(&self, refusal: &Refusal) -> Vec<(K, Settled<V>)> {
        self.keys.iter().map(|key| (key.clone(), Err(refusal.clone()))).collect()
    }
}

impl<K> Asked<'_, K> {
    /// `timeout` as requests have it.
    pub(crate) fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
    }
}

/// A broker's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<ByteString>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

/// Reads a code and the words that go with it.
pub(crate) fn check(code: i16, message: Option<ByteString>) -> Settled<()> {
    match ErrorCode::from_code(code) {
        ErrorCode::None => Ok(()),
        code => Err(Refusal { code, message }),
    }
}

/// As [`check`], where the answer has no room for words.
pub(crate) fn check_code(code: i16) -> Settled<()> {
    check(code, None)
}

/// Partitions by topic, as most requests want them. `partitions` must be in order.
pub(crate) fn by_topic<'a, T>(
    partitions: impl IntoIterator<Item = (&'a TopicPartition, T)>,
) -> Vec<(ByteString, Vec<(i32, T)>)> {
    let mut topics: Vec<(ByteString, Vec<(i32, T)>)> = Vec::new();
    for (TopicPartition { topic, partition }, value) in partitions {
        match topics.last_mut() {
            Some((name, rows)) if **name == **topic => rows.push((*partition, value)),
            _ => topics.push((topic.to_wire(), vec![(*partition, value)])),
        }
    }
    topics
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A request to any broker.
    pub(crate) fn asked<K>(keys: &[K], version: i16) -> Asked<'_, K> {
        Asked { keys, version, place: Place::AnyBroker, timeout: Duration::from_secs(30) }
    }

    pub(crate) fn refusal(code: ErrorCode, message: &str) -> Refusal {
        Refusal { code, message: Some(message.into()) }
    }

    #[test]
    fn partitions_are_grouped_by_topic() {
        let partitions: Vec<TopicPartition> =
            [("a", 0), ("a", 2), ("b", 1)].map(TopicPartition::from).into();
        let grouped = by_topic(partitions.iter().map(|partition| (partition, ())));
        let a = ("a".into(), vec![(0, ()), (2, ())]);
        assert_eq!(grouped, [a, ("b".into(), vec![(1, ())])]);
    }
}
