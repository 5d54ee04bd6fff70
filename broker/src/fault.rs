//! Faults as data: which requests, how many, and what happens to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_protocol::wire::RecordChunks;
use ottla_protocol::{AnyResponse, ApiKey, ErrorCode};

use crate::world::{Context, Flow, NodeId, Prepared, Reply, Resume, WaitKey, World};

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
    /// For [`Act::Respond`] alone: items of this topic; `None` for all.
    pub topic: Option<String>,
    /// For [`Act::Respond`] alone: items of this partition; `None` for all.
    pub partition: Option<i32>,
    /// How many requests are let pass first.
    pub skip: u32,
    /// How many requests it acts on after that; `None` for all.
    pub times: Option<u32>,
    /// What happens to them.
    pub act: Act,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// The items it is meant for fail with this code, where a real failure would be told.
    Respond(ErrorCode),
    /// The connection is closed before anything is done.
    DropBefore,
    /// It is done; then the connection is closed without an answer.
    ApplyThenDrop,
    /// It is done so much later.
    Delay(Duration),
    /// It is done; the answer comes so much later.
    ApplyThenDelay(Duration),
    /// It is neither done nor answered.
    Hang,
    /// It is done and never answered.
    ApplyThenHang,
    /// It waits, not yet done, until [`World::open_gate`].
    Hold,
    /// The answer says that the client is throttled, and its connection is not read for so long.
    Throttle(Duration),
    /// A bit in the fetched records is flipped, under their checksum.
    CorruptRecords,
    /// So many bytes of the answer are sent; then the connection is closed.
    CutAfter(usize),
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
    /// Whether this one is still to be let pass.
    skipped: bool,
    /// Whether any item it is meant for came up.
    met: Arc<AtomicBool>,
}

/// What is left to do when a request has been served.
#[derive(Debug, Clone)]
pub(crate) enum Then {
    Drop,
    Delay(Duration),
    Hang,
    Throttle(Duration),
    Corrupt,
    Cut(usize),
}

/// The rules of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<Active>,
}

#[derive(Debug)]
struct Active {
    rule: Rule,
    hits: u32,
    removed: bool,
}

impl Rule {
    /// A rule for every request of `api`.
    #[must_use]
    pub fn new(api: ApiKey, act: Act) -> Self {
        let (node, client_id, topic, partition) = (None, None, None, None);
        let (skip, times) = (0, None);
        Self { api: Some(api), node, client_id, topic, partition, skip, times, act }
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

    /// For this partition only; takes effect with [`Act::Respond`].
    #[must_use]
    pub fn partition(self, topic: &str, partition: i32) -> Self {
        Self { topic: Some(topic.to_owned()), partition: Some(partition), ..self }
    }

    fn fits(&self, cx: &Context, api: ApiKey) -> bool {
        self.api.is_none_or(|wanted| wanted == api)
            && self.node.is_none_or(|node| node == cx.node)
            && self.client_id.as_ref().is_none_or(|id| **id == *cx.client_id)
            && self.times != Some(0)
    }
}

impl Injection {
    pub(crate) fn item(&self, topic: &str, partition: i32) -> Result<(), ErrorCode> {
        let meant = self.topic.as_ref().is_none_or(|wanted| wanted == topic)
            && self.partition.is_none_or(|wanted| wanted == partition);
        if meant { self.meet() } else { Ok(()) }
    }

    pub(crate) fn whole(&self) -> Result<(), ErrorCode> {
        self.meet()
    }

    fn meet(&self) -> Result<(), ErrorCode> {
        self.met.store(true, Ordering::Relaxed);
        if self.skipped { Ok(()) } else { Err(self.code) }
    }
}

impl Faults {
    /// The first rule that acts on a request. What is not [`Act::Respond`] is counted at once;
    /// that is counted when it is met.
    fn pick(&mut self, cx: &Context, api: ApiKey) -> Option<(u64, Act)> {
        let fits = |(_, active): &(u64, &mut Active)| !active.removed && active.rule.fits(cx, api);
        for (id, active) in (0..).zip(&mut self.rules).filter(fits) {
            let act = active.rule.act.clone();
            if matches!(act, Act::Respond(_)) || active.count() {
                return Some((id, act));
            }
        }
        None
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Active> {
        usize::try_from(id).ok().and_then(|at| self.rules.get_mut(at))
    }
}

impl Active {
    /// Counts a request; returns whether the rule acts on it.
    fn count(&mut self) -> bool {
        if let Some(fewer) = self.rule.skip.checked_sub(1) {
            self.rule.skip = fewer;
            return false;
        }
        self.rule.times = self.rule.times.map(|times| times.saturating_sub(1));
        self.hits += 1;
        true
    }

    fn injection(&self, code: ErrorCode) -> Injection {
        let (topic, partition) = (self.rule.topic.clone(), self.rule.partition);
        let (skipped, met) = (self.rule.skip > 0, Arc::default());
        Injection { code, topic, partition, skipped, met }
    }
}

impl World {
    /// Adds a rule behind those that are there.
    pub fn add_rule(&mut self, rule: Rule) -> RuleId {
        self.faults.rules.push(Active { rule, hits: 0, removed: false });
        RuleId(self.faults.rules.len() as u64 - 1)
    }

    /// Takes a rule away. Requests that it holds stay held until their gate opens.
    pub fn remove_rule(&mut self, id: RuleId) {
        if let Some(active) = self.faults.get_mut(id.0) {
            active.removed = true;
        }
    }

    /// How many requests a rule has acted on.
    #[must_use]
    pub fn hits(&self, id: RuleId) -> u32 {
        let at = usize::try_from(id.0).ok();
        at.and_then(|at| self.faults.rules.get(at)).map_or(0, |active| active.hits)
    }

    /// Lets the requests go on that an [`Act::Hold`] rule holds, and takes the rule away.
    pub fn open_gate(&mut self, id: RuleId) {
        self.remove_rule(id);
        self.wake(&WaitKey::Gate(id.0));
    }

    /// Serves a request as the rules have it.
    pub(crate) fn admit(&mut self, cx: &Context, request: Prepared) -> Flow {
        let Some((id, act)) = self.faults.pick(cx, request.api()) else {
            return self.serve(cx, request);
        };
        let then = match act {
            Act::Respond(code) => return self.serve_injected(cx, request, id, code),
            Act::DropBefore => return Flow::Close,
            Act::Delay(by) => {
                return self.park(&[], Some(cx.now.mono + by), Resume::Held(request));
            }
            Act::Hang => return self.park(&[], None, Resume::Answer(None)),
            Act::Hold => return self.park(&[WaitKey::Gate(id)], None, Resume::Held(request)),
            Act::ApplyThenDrop => Then::Drop,
            Act::ApplyThenDelay(by) => Then::Delay(by),
            Act::ApplyThenHang => Then::Hang,
            Act::Throttle(by) => Then::Throttle(by),
            Act::CorruptRecords => Then::Corrupt,
            Act::CutAfter(bytes) => Then::Cut(bytes),
        };
        let flow = self.serve(cx, request);
        self.finish(cx, flow, Some(then))
    }

    fn serve_injected(
        &mut self,
        cx: &Context,
        request: Prepared,
        id: u64,
        code: ErrorCode,
    ) -> Flow {
        let injection = self.faults.get_mut(id).map(|active| active.injection(code));
        let cx = Context { injection, ..cx.clone() };
        let flow = self.serve(&cx, request);
        if cx.injection.is_some_and(|injection| injection.met.load(Ordering::Relaxed))
            && let Some(active) = self.faults.get_mut(id)
        {
            active.count();
        }
        flow
    }

    /// Does to an answer what a rule wants done after the request was served.
    pub(crate) fn finish(&mut self, cx: &Context, flow: Flow, then: Option<Then>) -> Flow {
        match (flow, then) {
            (Flow::Park(mut parked), then) => {
                parked.then = parked.then.or(then);
                Flow::Park(parked)
            }
            (Flow::Close, _) | (_, Some(Then::Drop)) => Flow::Close,
            (_, Some(Then::Hang)) => self.park(&[], None, Resume::Answer(None)),
            (Flow::Reply(reply), Some(then)) => self.change_reply(cx, reply, then),
            (flow, _) => flow,
        }
    }

    fn change_reply(&mut self, cx: &Context, mut reply: Reply, then: Then) -> Flow {
        match then {
            Then::Delay(by) => {
                let until = Some(cx.now.mono + by);
                return self.park(&[], until, Resume::Answer(Some(reply)));
            }
            Then::Throttle(by) => {
                reply.mute = by;
                set_throttle(&mut reply.response, by);
            }
            Then::Corrupt => corrupt(&mut reply.response),
            Then::Cut(bytes) => reply.cut = Some(bytes),
            Then::Drop | Then::Hang => {}
        }
        Flow::Reply(reply)
    }
}

fn set_throttle(response: &mut AnyResponse, by: Duration) {
    let ms = i32::try_from(by.as_millis()).unwrap_or(i32::MAX);
    match response {
        AnyResponse::Produce(answer) => answer.throttle_time_ms = ms,
        AnyResponse::Fetch(answer) => answer.throttle_time_ms = ms,
        AnyResponse::ListOffsets(answer) => answer.throttle_time_ms = ms,
        AnyResponse::Metadata(answer) => answer.throttle_time_ms = ms,
        AnyResponse::FindCoordinator(answer) => answer.throttle_time_ms = ms,
        AnyResponse::CreateTopics(answer) => answer.throttle_time_ms = ms,
        AnyResponse::DeleteTopics(answer) => answer.throttle_time_ms = ms,
        AnyResponse::InitProducerId(answer) => answer.throttle_time_ms = ms,
        _ => {}
    }
}

/// Flips a bit of the first fetched records, near their end.
fn corrupt(response: &mut AnyResponse) {
    let AnyResponse::Fetch(answer) = response else { return };
    let partitions = answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
    let mut records = partitions.filter_map(|partition| partition.records.as_mut());
    if let Some(records) = records.find(|records| !records.is_empty()) {
        let mut bytes = BytesMut::from(&*std::mem::take(records).into_bytes());
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        *records = RecordChunks::from(Bytes::from(bytes));
    }
}
