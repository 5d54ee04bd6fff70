//! Which topics a member wants.

use std::collections::{BTreeMap, BTreeSet};

use ottla_core::cluster::ClusterSnapshot;
use ottla_core::types::TopicName;
use ottla_protocol::ErrorCode;
use regex_lite::Regex;

/// Which topics a member wants: by name, by pattern, or both.
///
/// What begins with `^` is a regular expression, and stands for each topic whose name begins with
/// what it matches: `^events-.*`, or `^events-[0-9]+$` for the whole name.
///
/// # Kafka
///
/// As librdkafka reads patterns; Java's match the whole name.
#[derive(Debug, Clone, Default)]
pub struct Subscription {
    names: BTreeSet<TopicName>,
    patterns: Vec<Regex>,
    /// What the group was told last.
    told: Option<BTreeSet<TopicName>>,
    /// The names that cannot be read, as was told last.
    refused: BTreeMap<TopicName, ErrorCode>,
}

/// A pattern that is not a regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a pattern: {why}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: Box<str>,
    /// What is wrong with it.
    pub why: Box<str>,
}

impl Subscription {
    /// A subscription to these names and patterns.
    ///
    /// # Errors
    ///
    /// [`PatternError`], when what begins with `^` is not a regular expression.
    pub fn new(topics: impl IntoIterator<Item = TopicName>) -> Result<Self, PatternError> {
        let mut subscription = Self::default();
        for topic in topics {
            if !topic.starts_with('^') {
                subscription.names.insert(topic);
                continue;
            }
            let pattern = Regex::new(&topic).map_err(|error| PatternError {
                pattern: topic.as_str().into(),
                why: error.to_string().into(),
            })?;
            subscription.patterns.push(pattern);
        }
        Ok(subscription)
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty()
    }

    /// Whether there is a pattern, so that new topics may join.
    #[must_use]
    pub fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// The names that are wanted whether or not there are such topics.
    pub fn names(&self) -> impl Iterator<Item = &TopicName> {
        self.names.iter()
    }

    /// The topics that are wanted, where they are not what they were the last time.
    pub fn changes(
        &mut self,
        cluster: &ClusterSnapshot,
        internal: Internal,
    ) -> Option<BTreeSet<TopicName>> {
        let topics = self.topics(cluster, internal);
        if self.told.as_ref() == Some(&topics) {
            return None;
        }
        self.told = Some(topics.clone());
        Some(topics)
    }

    /// The names that cannot be read although somebody waits for them, and why, where that is not what
    /// it was the last time. A topic that does not exist (yet) is none of them.
    pub fn refusals(&mut self, cluster: &ClusterSnapshot) -> Vec<(TopicName, ErrorCode)> {
        let error = |name: &TopicName| cluster.topic(name).and_then(|topic| topic.error);
        let refused = self.names.iter().filter_map(|name| {
            let code = error(name).filter(|code| code.is_error() && !code.is_retriable())?;
            Some((name.clone(), code))
        });
        let refused: BTreeMap<TopicName, ErrorCode> = refused.collect();
        let before = std::mem::replace(&mut self.refused, refused.clone());
        let is_new = |(name, code): &(TopicName, ErrorCode)| before.get(name) != Some(code);
        refused.into_iter().filter(is_new).collect()
    }

    /// The topics that are wanted, of those that there are. A name is wanted even where the cluster
    /// does not know it (yet).
    #[must_use]
    pub fn topics(&self, cluster: &ClusterSnapshot, internal: Internal) -> BTreeSet<TopicName> {
        let there = cluster.topics.values().filter(|topic| topic.error.is_none());
        let seen = there.filter(|topic| internal == Internal::Included || !topic.internal);
        let matching =
            seen.filter(|topic| self.patterns.iter().any(|pattern| pattern.is_match(&topic.name)));
        matching.map(|topic| topic.name.clone()).chain(self.names.iter().cloned()).collect()
    }
}

/// Whether patterns see Kafka's own topics: `exclude.internal.topics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Internal {
    /// They do.
    Included,
    /// They do not.
    Excluded,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ottla_core::cluster::TopicInfo;

    use super::*;

    #[test]
    fn names_are_wanted_whether_or_not_they_are_there() {
        check(&["orders", "nowhere"], Internal::Excluded, "nowhere orders");
    }

    #[test]
    fn patterns_match_from_the_first_letter() {
        check(&["^event"], Internal::Excluded, "events-a events-b");
        check(&["^event$"], Internal::Excluded, "");
        check(&["^vents"], Internal::Excluded, "");
        check(&["^events-[a]$", "orders"], Internal::Excluded, "events-a orders");
    }

    #[test]
    fn kafkas_own_topics_and_broken_ones_are_passed_over() {
        check(&["^.*"], Internal::Excluded, "events-a events-b orders");
        check(&["^.*"], Internal::Included, "__consumer_offsets events-a events-b orders");
    }

    #[test]
    fn what_is_no_pattern_says_so() {
        let error = Subscription::new(["^(".into()]).unwrap_err();
        assert!(error.to_string().starts_with("`^(` is not a pattern: "), "{error}");
    }

    #[test]
    fn a_name_that_is_refused_is_told_once_for_each_reason() {
        let subscription = Subscription::new(["a".into(), "^b".into()]);
        let mut subscription = subscription.unwrap();
        let mut told = |a: Option<ErrorCode>| {
            let error = |name| match name {
                "a" => a,
                _ => Some(ErrorCode::TopicAuthorizationFailed),
            };
            subscription.refusals(&cluster(&["a", "b"], error))
        };
        let denied = ErrorCode::TopicAuthorizationFailed;
        assert_eq!(told(Some(ErrorCode::UnknownTopicOrPartition)), []);
        assert_eq!(told(Some(denied)), [("a".into(), denied)]);
        assert_eq!(told(Some(denied)), []);
        let invalid = ErrorCode::InvalidTopicException;
        assert_eq!(told(Some(invalid)), [("a".into(), invalid)]);
        assert_eq!(told(None), []);
        assert_eq!(told(Some(invalid)), [("a".into(), invalid)]);
    }

    #[track_caller]
    fn check(topics: &[&str], internal: Internal, expected: &str) {
        let there = ["orders", "events-a", "events-b", "events-broken", "__consumer_offsets"];
        let cluster = cluster(&there, |name| {
            (name == "events-broken").then_some(ErrorCode::TopicAuthorizationFailed)
        });
        let names = topics.iter().map(|name| TopicName::from(*name));
        let wanted = Subscription::new(names).unwrap().topics(&cluster, internal);
        assert_eq!(wanted.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "), expected);
    }

    fn cluster(
        there: &[&'static str],
        error: impl Fn(&'static str) -> Option<ErrorCode>,
    ) -> ClusterSnapshot {
        let info = |name: &'static str| TopicInfo {
            name: name.into(),
            id: None,
            error: error(name),
            internal: name.starts_with("__"),
            partitions: Vec::new(),
        };
        let topics = there.iter().map(|name| (TopicName::from(*name), Arc::new(info(name))));
        ClusterSnapshot { topics: topics.collect(), ..ClusterSnapshot::default() }
    }
}
