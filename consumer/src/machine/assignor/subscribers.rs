//! Which members subscribe to which topics.

use std::collections::BTreeMap;
use std::rc::Rc;

use ottla_core::types::TopicName;

use super::{ClusterTopics, MemberSubscription};

/// For each topic of `cluster`, in its order, which of `members` subscribe to it, by index and
/// ascending.
///
/// Thousands of members with thousands of topics each mostly want the same: what they want is
/// compared once each, and topics with the same subscribers share the list of them.
pub(super) fn subscribers(
    cluster: &ClusterTopics,
    members: &[&MemberSubscription],
) -> Vec<Rc<[usize]>> {
    let kinds = Kinds::of(cluster, members);
    let mut wanted_by: Vec<Vec<usize>> = vec![Vec::new(); cluster.iter().count()];
    for (kind, topics) in kinds.topics.iter().enumerate() {
        for topic in topics {
            if let Some(wanted_by) = wanted_by.get_mut(*topic) {
                wanted_by.push(kind);
            }
        }
    }
    let mut lists: BTreeMap<Vec<usize>, Rc<[usize]>> = BTreeMap::new();
    let list = |kinds_of_topic: Vec<usize>| match lists.get(&kinds_of_topic) {
        Some(list) => Rc::clone(list),
        None => {
            let list = kinds.members(&kinds_of_topic);
            Rc::clone(lists.entry(kinds_of_topic).or_insert(list))
        }
    };
    wanted_by.into_iter().map(list).collect()
}

/// Members told apart by what they subscribe to, as far as it exists.
struct Kinds {
    /// The topics of each kind, by index and ascending.
    topics: Vec<Vec<usize>>,
    /// The kind of each member.
    of_member: Vec<usize>,
}

impl Kinds {
    fn of(cluster: &ClusterTopics, members: &[&MemberSubscription]) -> Self {
        let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        let mut of_member: Vec<usize> = Vec::with_capacity(members.len());
        let mut before: Option<&[TopicName]> = None;
        for member in members {
            let same = before.is_some_and(|before| before == member.topics);
            let kind = match of_member.last().filter(|_| same) {
                Some(kind) => *kind,
                None => {
                    let next = known.len();
                    *known.entry(existing(cluster, &member.topics)).or_insert(next)
                }
            };
            of_member.push(kind);
            before = Some(&member.topics);
        }
        let mut topics = vec![Vec::new(); known.len()];
        for (indices, kind) in known {
            if let Some(topics) = topics.get_mut(kind) {
                *topics = indices;
            }
        }
        Self { topics, of_member }
    }

    /// The members of some kinds, ascending.
    fn members(&self, kinds: &[usize]) -> Rc<[usize]> {
        let mut wanted = vec![false; self.topics.len()];
        for kind in kinds {
            if let Some(wanted) = wanted.get_mut(*kind) {
                *wanted = true;
            }
        }
        let members = self.of_member.iter().enumerate();
        let wanted = members.filter(|(_, kind)| wanted.get(**kind) == Some(&true));
        wanted.map(|(member, _)| member).collect()
    }
}

/// Which topics of `cluster` are among `topics`. Both are sorted by name, and walked side by side.
fn existing(cluster: &ClusterTopics, topics: &[TopicName]) -> Vec<usize> {
    let mut wanted = topics.iter().peekable();
    let exists = |(index, (topic, _)): (usize, (&TopicName, _))| {
        while wanted.next_if(|wanted| *wanted < topic).is_some() {}
        wanted.next_if_eq(&topic).map(|_| index)
    };
    cluster.iter().enumerate().filter_map(exists).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_want_the_same_share_one_list() {
        let found = check("a b c", &["a b", "a b", "a b"], &["012", "012", ""]);
        assert!(Rc::ptr_eq(&found[0], &found[1]));
    }

    #[test]
    fn members_that_want_other_topics_are_told_apart() {
        check("a b c", &["a b", "b c", "a b", "c"], &["02", "012", "13"]);
    }

    #[test]
    fn what_does_not_exist_makes_no_difference() {
        let found = check("b", &["a b", "b z", "b", "z"], &["012"]);
        assert_eq!(found.len(), 1);
    }

    #[track_caller]
    fn check(topics: &str, members: &[&str], expected: &[&str]) -> Vec<Rc<[usize]>> {
        let cluster = ClusterTopics::from_counts(topics.split(' ').map(|topic| (topic, 1)));
        let members: Vec<MemberSubscription> = members
            .iter()
            .map(|topics| {
                MemberSubscription::new("m", topics.split(' ').map(TopicName::from).collect())
            })
            .collect();
        let found = subscribers(&cluster, &members.iter().collect::<Vec<_>>());
        let shown = |list: &Rc<[usize]>| list.iter().map(ToString::to_string).collect::<String>();
        assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), expected);
        found
    }
}
