//! Faults as data: which requests, how many, and what happens to them.

mod acting;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_protocol::{AnyResponse, ApiKey, ErrorCode};

use crate::world::{Context, NodeId};

/// A rule: the requests it is meant for, how many of them, and what happens to them.
///
/// Rules are tried in the order they were added; the first that fits and is not used up acts.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Requests of this API; `None` for all.
    pub api: Option<ApiKey>,
    /// Requests to this node; `None` for all.
    pub node: Option<NodeId>,
    /// Requests of clients that call themselves so; `None` for all.
    pub client_id: Option<String>,
    /// For acts on items (see [`Act`]): those of this topic; `None` for all.
    pub topic: Option<String>,
    /// For acts on items: those of this partition; `None` for all.
    pub partition: Option<i32>,
    /// How many requests are let pass first.
    pub skip: u32,
    /// How many requests it acts on after that; `None` for all.
    pub times: Option<u32>,
    /// What happens to them.
    pub act: Act,
}

/// What happens to a request.
///
/// [`Respond`](Self::Respond), [`ApplyThenRespond`](Self::ApplyThenRespond) and
/// [`CorruptRecords`](Self::CorruptRecords) act on items, so they can be meant for one partition,
/// and count only the requests that had such items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// The items it is meant for fail with this code, where a real failure would be told.
    Respond(ErrorCode),
    /// The items it is meant for are done, and are said to have failed with this code. Fetches have
    /// nothing to be done, so they only fail. Meant for one partition, it takes requests whose items
    /// stand alone: of `AddPartitionsToTxn`, which does all or nothing, nothing is done.
    ApplyThenRespond(ErrorCode),
    /// The connection is closed before anything is done.
    DropBefore,
    /// It is done; then the connection is closed without an answer.
    ApplyThenDrop,
    /// It is done so much later, also where its client is gone by then.
    Delay(Duration),
    /// It is done; the answer comes so much later.
    ApplyThenDelay(Duration),
    /// It is neither done nor answered.
    Hang,
    /// It is done and never answered.
    ApplyThenHang,
    /// It waits, not yet done, until [`World::open_gate`](crate::world::World::open_gate), and is done
    /// then, also where its client is gone.
    Hold,
    /// The answer says that the client is throttled, and its connection is not read for so long.
    Throttle(Duration),
    /// It is done; the answer is changed before it is sent.
    Edit(Edit),
    /// A bit in the fetched records is flipped, under their checksum.
    CorruptRecords,
    /// It is done; every bit of the answer behind its correlation id is flipped.
    CorruptAnswer,
    /// So many bytes of the answer are sent; then the connection is closed.
    CutAfter(usize),
}

/// What changes an answer.
#[derive(Clone)]
pub struct Edit(Arc<dyn Fn(&mut AnyResponse) + Send + Sync>);

impl Act {
    /// The answer is changed so before it is sent.
    #[must_use]
    pub fn edit(change: impl Fn(&mut AnyResponse) + Send + Sync + 'static) -> Self {
        Self::Edit(Edit(Arc::new(change)))
    }

    /// Whether it counts the requests that it met, not those that came.
    fn is_on_items(&self) -> bool {
        matches!(self, Self::Respond(_) | Self::ApplyThenRespond(_) | Self::CorruptRecords)
    }
}

/// Equal when one is a clone of the other.
impl PartialEq for Edit {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Edit {}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Edit")
    }
}

/// The number of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId(u64);

/// An error that stands in for a real one while one request is served.
#[derive(Debug, Clone)]
pub(crate) struct Injection {
    code: ErrorCode,
    topic: Option<String>,
    partition: Option<i32>,
    /// Which items it hits.
    hits: Hits,
    /// Whether any item it is meant for came up.
    met: Arc<AtomicBool>,
}

/// Which items an injected error hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hits {
    /// Those it is meant for.
    Meant,
    /// The others, so that only those it is meant for are done.
    Others,
    /// None: this request is still to be let pass.
    None,
}

/// What is left to do when a request has been served.
#[derive(Debug, Clone)]
pub(crate) enum Then {
    Drop,
    Delay(Duration),
    Hang,
    Throttle(Duration),
    Edit(Edit),
    /// By the number of its rule.
    CorruptRecords(u64),
    Damage(Damage),
}

/// What happens to the bytes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// So many are sent; then the connection is closed.
    Cut(usize),
    /// Every bit behind the correlation id is flipped.
    Flip,
}

/// The rules of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Those that may still act, by their numbers, and so in the order they were added.
    rules: BTreeMap<u64, Rule>,
    /// How many requests each rule has acted on, by its number. All that is kept of one that is gone.
    hits: Vec<u32>,
}

impl Rule {
    /// A rule for every request of `api`.
    #[must_use]
    pub fn new(api: ApiKey, act: Act) -> Self {
        let (node, client_id, topic, partition) = (None, None, None, None);
        let (skip, times) = (0, None);
        Self { api: Some(api), node, client_id, topic, partition, skip, times, act }
    }

    /// A rule for every request.
    #[must_use]
    pub fn any(act: Act) -> Self {
        Self { api: None, ..Self::new(ApiKey::ApiVersions, act) }
    }

    /// For so many requests only.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// For one request only.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// After so many were let pass.
    #[must_use]
    pub fn skip(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// At this node only.
    #[must_use]
    pub fn node(self, node: NodeId) -> Self {
        Self { node: Some(node), ..self }
    }

    /// For clients only that call themselves so.
    #[must_use]
    pub fn client(self, client_id: &str) -> Self {
        Self { client_id: Some(client_id.to_owned()), ..self }
    }

    /// For this partition only; takes effect with acts on items.
    #[must_use]
    pub fn partition(self, topic: &str, partition: i32) -> Self {
        Self { topic: Some(topic.to_owned()), partition: Some(partition), ..self }
    }

    fn fits(&self, cx: &Context, api: ApiKey) -> bool {
        self.api.is_none_or(|wanted| wanted == api)
            && self.node.is_none_or(|node| node == cx.node)
            && self.client_id.as_ref().is_none_or(|id| **id == *cx.client_id)
    }

    fn is_meant_for(&self, topic: &str, partition: i32) -> bool {
        self.topic.as_ref().is_none_or(|wanted| wanted == topic)
            && self.partition.is_none_or(|wanted| wanted == partition)
    }
}

impl Injection {
    pub(crate) fn item(&self, topic: &str, partition: i32) -> Result<(), ErrorCode> {
        let meant = self.topic.as_ref().is_none_or(|wanted| wanted == topic)
            && self.partition.is_none_or(|wanted| wanted == partition);
        self.meet(meant)
    }

    pub(crate) fn whole(&self) -> Result<(), ErrorCode> {
        self.meet(true)
    }

    fn meet(&self, meant: bool) -> Result<(), ErrorCode> {
        self.met.fetch_or(meant, Ordering::Relaxed);
        let hit = match self.hits {
            Hits::Meant => meant,
            Hits::Others => !meant,
            Hits::None => false,
        };
        if hit { Err(self.code) } else { Ok(()) }
    }
}

impl Faults {
    fn add(&mut self, rule: Rule) -> u64 {
        let id = self.hits.len() as u64;
        self.hits.push(0);
        if rule.times != Some(0) {
            self.rules.insert(id, rule);
        }
        id
    }

    fn remove(&mut self, id: u64) {
        self.rules.remove(&id);
    }

    fn hits(&self, id: u64) -> u32 {
        let at = usize::try_from(id).ok();
        at.and_then(|at| self.hits.get(at)).copied().unwrap_or(0)
    }

    /// The first rule that acts on a request. Acts on items are counted when they meet one, all
    /// others at once.
    fn pick(&mut self, cx: &Context, api: ApiKey) -> Option<(u64, Act)> {
        let mut from = 0;
        loop {
            let mut rest = self.rules.range(from..);
            let (id, rule) = rest.find(|(_, rule)| rule.fits(cx, api))?;
            let (id, act) = (*id, rule.act.clone());
            if act.is_on_items() || self.count(id) {
                return Some((id, act));
            }
            from = id + 1;
        }
    }

    /// Counts a request; returns whether the rule acts on it. One that is used up by that is gone.
    fn count(&mut self, id: u64) -> bool {
        let Some(rule) = self.rules.get_mut(&id) else { return false };
        if let Some(fewer) = rule.skip.checked_sub(1) {
            rule.skip = fewer;
            return false;
        }
        rule.times = rule.times.map(|times| times.saturating_sub(1));
        if rule.times == Some(0) {
            self.rules.remove(&id);
        }
        if let Some(hits) = usize::try_from(id).ok().and_then(|at| self.hits.get_mut(at)) {
            *hits += 1;
        }
        true
    }

    fn injection(&self, id: u64, code: ErrorCode) -> Option<Injection> {
        let rule = self.rules.get(&id)?;
        let (topic, partition) = (rule.topic.clone(), rule.partition);
        let hits = if rule.skip > 0 { Hits::None } else { Hits::Meant };
        Some(Injection { code, topic, partition, hits, met: Arc::default() })
    }
}
