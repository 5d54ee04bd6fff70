//! The members of a classic group.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::ByteString;

use super::WaitId;

/// A group protocol that a member supports: for consumers, an assignor and the subscription
/// written for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Protocol {
    /// What votes are counted by, such as `range`.
    pub(crate) name: ByteString,
    /// What the leader is told of the member; opaque to the broker but for the topics in it.
    pub(crate) metadata: Bytes,
}

/// How long a member may stay silent, and how long it may take to rejoin (KIP-62).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// Between two signs of life.
    pub(crate) session: Duration,
    /// From the start of a rebalance to the member's join, and from there to its sync.
    pub(crate) rebalance: Duration,
}

/// What one member is known by, and what it is parked in.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// `group.instance.id`; `None` for a dynamic member (KIP-345).
    pub(crate) instance_id: Option<ByteString>,
    /// The `client.id` of the request that brought it in.
    pub(crate) client_id: ByteString,
    /// The host of that request, as Java prints it: `/127.0.0.1`.
    pub(crate) client_host: ByteString,
    /// As its latest join asked for.
    pub(crate) timeouts: Timeouts,
    /// Most preferred first.
    pub(crate) protocols: Vec<Protocol>,
    /// What the leader gave it; empty until the group is stable.
    pub(crate) assignment: Bytes,
    /// When it counts as gone. `None` while an answer is due to it: its clock starts again then.
    pub(crate) session_deadline: Option<Duration>,
    /// The answer it waits for.
    pub(crate) waiting: Waiting,
}

/// The answer that a member waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// None.
    Nothing,
    /// That of its join.
    Join {
        /// Who to wake.
        wait: WaitId,
        /// Whether it has never been answered. Such a member may be long gone without anybody
        /// noticing, so it expires although it waits.
        first: bool,
    },
    /// That of its sync.
    Sync {
        /// Who to wake.
        wait: WaitId,
    },
}

impl Member {
    /// Whether it has joined the phase that is under way.
    pub(crate) fn is_joining(&self) -> bool {
        matches!(self.waiting, Waiting::Join { .. })
    }

    /// Parks its join; returns the one that this overtakes, whose connection may live.
    #[must_use = "somebody may wait for the answer"]
    pub(crate) fn park_join(&mut self, wait: WaitId) -> Option<WaitId> {
        let first = matches!(self.waiting, Waiting::Join { first: true, .. });
        let overtaken = self.take_join();
        self.waiting = Waiting::Join { wait, first };
        overtaken
    }

    /// Parks its sync; returns the one that this overtakes, whose connection may live.
    #[must_use = "somebody may wait for the answer"]
    pub(crate) fn park_sync(&mut self, wait: WaitId) -> Option<WaitId> {
        let overtaken = self.take_sync();
        self.waiting = Waiting::Sync { wait };
        overtaken
    }

    /// Who to wake with the answer of its join, which is no longer due then.
    pub(crate) fn take_join(&mut self) -> Option<WaitId> {
        let Waiting::Join { wait, .. } = self.waiting else { return None };
        self.waiting = Waiting::Nothing;
        Some(wait)
    }

    /// Who to wake with the answer of its sync, which is no longer due then.
    pub(crate) fn take_sync(&mut self) -> Option<WaitId> {
        let Waiting::Sync { wait } = self.waiting else { return None };
        self.waiting = Waiting::Nothing;
        Some(wait)
    }

    /// Starts its session anew.
    pub(crate) fn extend_session(&mut self, now: Duration) {
        self.session_deadline = Some(now + self.timeouts.session);
    }

    /// Its metadata for `protocol`; empty where it does not support it.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let own = self.protocols.iter().find(|own| own.name == *protocol);
        own.map(|own| own.metadata.clone()).unwrap_or_default()
    }

    fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|own| own.name == *protocol)
    }
}

/// Every member of a group by its id, who of them is static, and who leads.
///
/// **Invariant**: there is a leader exactly while there are members, and it is one of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roster {
    members: BTreeMap<ByteString, Member>,
    /// From `group.instance.id` to member id.
    instances: BTreeMap<ByteString, ByteString>,
    leader: Option<ByteString>,
}

impl Roster {
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.members.contains_key(id)
    }

    pub(crate) fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    pub(crate) fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.members.get_mut(id)
    }

    /// Every member with its id, by ascending id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ByteString, &Member)> {
        self.members.iter()
    }

    /// Every member with its id, by ascending id.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&ByteString, &mut Member)> {
        self.members.iter_mut()
    }

    /// The id of the member that is now known by `instance`.
    pub(crate) fn static_member_id(&self, instance: &str) -> Option<&ByteString> {
        self.instances.get(instance)
    }

    pub(crate) fn leader(&self) -> Option<&ByteString> {
        self.leader.as_ref()
    }

    pub(crate) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    /// Adds a member; the first one leads.
    pub(crate) fn insert(&mut self, id: ByteString, member: Member) {
        if let Some(instance) = &member.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.members.insert(id, member);
    }

    /// Takes a member out; where it led, another leads now.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id)?;
        if let Some(instance) = &member.instance_id {
            self.instances.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Gives the member `old` the id `new`: a static member came back. It keeps its place, also
    /// that of the leader.
    pub(crate) fn rename(&mut self, old: &str, new: ByteString) {
        let Some(member) = self.members.remove(old) else { return };
        if let Some(instance) = &member.instance_id {
            self.instances.insert(instance.clone(), new.clone());
        }
        if self.is_leader(old) {
            self.leader = Some(new.clone());
        }
        self.members.insert(new, member);
    }

    /// Makes sure that the leader is among those who joined. `false` where nobody did.
    pub(crate) fn elect_joined_leader(&mut self) -> bool {
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        if leader.is_some_and(Member::is_joining) {
            return true;
        }
        let joined = self.members.iter().find(|(_, member)| member.is_joining());
        let Some((joined, _)) = joined else { return false };
        self.leader = Some(joined.clone());
        true
    }

    pub(crate) fn joining(&self) -> usize {
        self.members.values().filter(|member| member.is_joining()).count()
    }

    /// The dynamic members that have not rejoined. A static one may be restarting, so only its
    /// session ends it.
    pub(crate) fn stragglers(&self) -> Vec<ByteString> {
        let late = |member: &Member| !member.is_joining() && member.instance_id.is_none();
        self.members.iter().filter(|(_, member)| late(member)).map(|(id, _)| id.clone()).collect()
    }

    /// Whether some protocol of `protocols` is supported by every member.
    pub(crate) fn supports_one_of(&self, protocols: &[Protocol]) -> bool {
        protocols.iter().any(|protocol| self.all_support(&protocol.name))
    }

    /// The protocol with the most votes: each member votes for the one it likes best among those
    /// that all of them support. The leader's preference breaks a tie.
    pub(crate) fn vote(&self) -> Option<ByteString> {
        let leader = self.members.get(self.leader.as_ref()?)?;
        let names = leader.protocols.iter().map(|protocol| &protocol.name);
        let candidates: Vec<_> = names.filter(|name| self.all_support(name)).collect();
        let votes_for = |name: &ByteString| {
            let choice = |member: &Member| {
                let mut own = member.protocols.iter().map(|protocol| &protocol.name);
                own.find(|own| candidates.contains(own)).cloned()
            };
            self.members.values().filter(|member| choice(member).as_ref() == Some(name)).count()
        };
        // `max_by_key` keeps the last of equals, so the leader's favourite goes last.
        candidates.iter().rev().max_by_key(|name| votes_for(name)).map(|name| (*name).clone())
    }

    /// The longest of the members; nothing where there are none.
    pub(crate) fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.timeouts.rebalance).max().unwrap_or_default()
    }

    fn all_support(&self, protocol: &str) -> bool {
        self.members.values().all(|member| member.supports(protocol))
    }
}
