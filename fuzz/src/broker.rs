//! A whole cluster, as those see it who send it bytes.

use std::cell::{Cell, RefCell};
use std::time::Duration;
use std::{fs, panic};

use bytes::{Buf, Bytes};
use ottla_broker::api::{Admission, admit};
use ottla_broker::world::catalog::Node;
use ottla_broker::world::config::{RACK_AWARE, Settings};
use ottla_broker::world::{Context, Flow, NodeId, Now, Parked, Prepared, Reply, Why, World};
use ottla_protocol::frames::{RequestFrame, encode_any_response};
use ottla_protocol::messages::MetadataRequest;
use ottla_protocol::{AnyRequest, AnyResponse, ByteString};

/// The input is a script: frames to nodes, time that passes, nodes that die and come back. Whatever
/// is sent, every answer can be encoded, the logs stay sound, and the next client is served.
pub fn broker(data: &[u8]) {
    let mut bed = Bed::new();
    bed.play(data, |_| ());
    bed.end();
}

/// As [`broker`], on a cluster that earlier inputs have been played to, because making one takes
/// longer than most inputs do. A panic leaves all that it was told in `artifacts/broker/script`,
/// which is an input for [`broker`].
pub fn worn_broker(data: &[u8]) {
    HOOKED.with(|hooked| {
        if !hooked.replace(true) {
            leave_script_on_panic();
        }
    });
    BED.with_borrow_mut(|bed| {
        bed.play(data, |step| SCRIPT.with_borrow_mut(|script| step.write(script)));
        if SCRIPT.with_borrow(Vec::len) > WORN_AFTER || bed.is_crowded() {
            std::mem::take(bed).end();
            SCRIPT.with_borrow_mut(Vec::clear);
        }
    });
}

thread_local! {
    static BED: RefCell<Bed> = RefCell::default();
    /// What [`BED`] was told.
    static SCRIPT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static HOOKED: Cell<bool> = const { Cell::new(false) };
}

/// libFuzzer's own hook ends the process, so ours comes before it.
fn leave_script_on_panic() {
    let next = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/artifacts/broker");
        let left = fs::create_dir_all(folder).and_then(|()| {
            SCRIPT.with_borrow(|script| fs::write(format!("{folder}/script"), script))
        });
        eprintln!("all that the cluster was told: {folder}/script ({left:?})");
        next(info);
    }));
}

/// One step of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A frame, without its length, to a node.
    Send(NodeId, Bytes),
    /// Time passes.
    Pass(Duration),
    /// A node dies, or comes back.
    Toggle(NodeId),
}

impl Step {
    fn take(script: &mut &[u8]) -> Option<Self> {
        let op = script.try_get_u8().ok()?;
        let node = NodeId(i32::from(op >> 4) % NODES + 1);
        match op & 15 {
            0 => Some(Self::Toggle(node)),
            1 | 2 => {
                let exponent = script.try_get_u8().ok()? % 32;
                Some(Self::Pass(Duration::from_millis(1 << exponent)))
            }
            _ => {
                let claimed = usize::from(script.try_get_u16().ok()?);
                let len = claimed.min(script.len());
                Some(Self::Send(node, script.copy_to_bytes(len)))
            }
        }
    }

    /// The step as it stands in a script.
    pub fn write(&self, script: &mut Vec<u8>) {
        let op =
            |node: &NodeId, kind: u8| u8::try_from(node.0 - 1).expect("three nodes") << 4 | kind;
        match self {
            Self::Toggle(node) => script.push(op(node, 0)),
            Self::Pass(time) => {
                let exponent = u8::try_from(time.as_millis().ilog2()).expect("it is below 32");
                script.extend([1, exponent]);
            }
            Self::Send(node, frame) => {
                script.push(op(node, 3));
                let len = u16::try_from(frame.len()).expect("seeds are short");
                script.extend(len.to_be_bytes());
                script.extend_from_slice(frame);
            }
        }
    }
}

/// Three nodes with a topic on each, and those whose requests wait.
pub struct Bed {
    world: World,
    now: Now,
    parked: Vec<(Asked, Parked)>,
}

/// A request that is not answered yet.
#[derive(Clone)]
struct Asked {
    cx: Context,
    correlation_id: i32,
}

impl Default for Bed {
    fn default() -> Self {
        Self::new()
    }
}

impl Bed {
    /// The cluster that every script begins with.
    pub fn new() -> Self {
        let mut settings = Settings::default();
        for (name, value) in SETTINGS {
            settings.give(name, value).expect("a setting of Kafka's");
        }
        let mut world = World::new(7, settings);
        for id in 1..=NODES {
            let (host, rack) = ("h".into(), Some(ByteString::from(id.to_string())));
            world.add_node(Node { id: NodeId(id), host, port: 9092, rack });
        }
        for (name, configs) in TOPICS {
            world.create_topic(name, 2, 3, configs).expect("a sound topic");
        }
        Self { world, now: Now { mono: Duration::ZERO, wall_ms: START }, parked: Vec::new() }
    }

    fn play(&mut self, mut script: &[u8], note: impl Fn(&Step)) {
        while let Some(step) = Step::take(&mut script) {
            note(&step);
            self.act(step);
        }
    }

    /// Whether it holds so much that every step takes long.
    fn is_crowded(&self) -> bool {
        let partitions = self.world.catalog().topics().map(|topic| topic.partitions.len());
        partitions.sum::<usize>() > CROWD || self.parked.len() > CROWD
    }

    /// Does a step; returns the answers that it brings, oldest request first.
    pub fn act(&mut self, step: Step) -> Vec<AnyResponse> {
        let mut answers = Vec::new();
        match step {
            Step::Send(node, frame) => answers.extend(self.send(node, &frame)),
            Step::Toggle(node) => {
                let up = self.world.catalog().alive().contains(&node);
                self.world.set_alive(node, !up, self.now);
            }
            Step::Pass(time) => self.pass(time),
        }
        self.resume(&mut answers);
        answers
    }

    fn send(&mut self, node: NodeId, frame: &Bytes) -> Option<AnyResponse> {
        let header = RequestFrame::decode(frame).ok()?;
        let mut cx = Context::new(self.now, node, header.version);
        cx.client_id = header.client_id.as_deref().unwrap_or_default().into();
        let correlation_id = header.correlation_id;
        match admit(&header) {
            Admission::Serve => {}
            Admission::Close => return None,
            Admission::Downgrade(response) => {
                encode_any_response(&response.into(), 0, correlation_id).expect("it is ours");
                return None;
            }
        }
        let request = modest(header.request().ok()?);
        let request = Prepared::new(request, header.version, frame.len());
        let flow = self.world.handle(&cx, request);
        self.settle(Asked { cx, correlation_id }, flow)
    }

    fn settle(&mut self, asked: Asked, flow: Flow) -> Option<AnyResponse> {
        match flow {
            Flow::Reply(Reply { response, .. }) => {
                encode_any_response(&response, asked.cx.version, asked.correlation_id)
                    .unwrap_or_else(|error| panic!("{error} in {response:?}"));
                Some(response)
            }
            Flow::Park(parked) => {
                self.parked.push((asked, *parked));
                None
            }
            Flow::Silent | Flow::Close => None,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.wall_ms += i64::try_from(time.as_millis()).expect("two months at most");
        // A timer that is due again at once would have the world run for ever.
        for _ in 0..TICKS {
            if self.world.next_deadline().is_none_or(|at| at > self.now.mono) {
                return;
            }
            self.world.tick(self.now);
        }
        panic!("the next deadline stays at {:?}", self.world.next_deadline());
    }

    /// Takes up again what has been woken, or has waited long enough.
    fn resume(&mut self, answers: &mut Vec<AnyResponse>) {
        for _ in 0..WAKES {
            let woken = self.world.take_woken();
            let due = |parked: &Parked| parked.until.is_some_and(|until| until <= self.now.mono);
            let ready =
                |(_, parked): &(Asked, Parked)| woken.contains(&parked.ticket) || due(parked);
            let (ready, waiting) = std::mem::take(&mut self.parked).into_iter().partition(ready);
            self.parked = waiting;
            if Vec::is_empty(&ready) {
                return;
            }
            for (mut asked, parked) in ready {
                asked.cx.now = self.now;
                let why = if woken.contains(&parked.ticket) { Why::Woken } else { Why::Expired };
                let flow = self.world.resume(&asked.cx, parked, why);
                answers.extend(self.settle(asked, flow));
            }
        }
        panic!("requests wake one another for ever");
    }

    /// Everything comes back and every wait ends; then the cluster is as sound as at first.
    fn end(mut self) {
        for node in (1..=NODES).map(NodeId) {
            if !self.world.catalog().alive().contains(&node) {
                self.act(Step::Toggle(node));
            }
        }
        self.act(Step::Pass(Duration::from_millis(1 << 31)));
        assert!(
            self.parked.iter().all(|(_, parked)| parked.until.is_some_and(|at| at > self.now.mono))
        );
        let cx = Context::new(self.now, NodeId(1), 12);
        let request = Prepared::new(MetadataRequest::default().into(), 12, 0);
        assert!(matches!(self.world.handle(&cx, request), Flow::Reply(_)));
        for topic in self.world.catalog().topics() {
            for (index, partition) in topic.indexed() {
                let leader = partition.leader_log().expect("every node is up");
                for node in partition.replicas() {
                    let log = partition.log(*node).expect("it has a replica");
                    let (start, committed) = (log.start(), log.high_watermark());
                    assert!(start <= log.end() && committed <= log.end(), "{}-{index}", topic.name);
                    assert!(log.stable() <= committed.max(start), "{}-{index}", topic.name);
                    assert!(log.end() <= leader.end(), "{}-{index}", topic.name);
                }
            }
        }
    }
}

/// Thousands of partitions are made when somebody asks for them, and take their time.
fn modest(mut request: AnyRequest) -> AnyRequest {
    match &mut request {
        AnyRequest::CreateTopics(request) => {
            request.topics.truncate(MANY);
            for topic in &mut request.topics {
                topic.num_partitions = topic.num_partitions.min(A_FEW);
            }
        }
        AnyRequest::CreatePartitions(request) => {
            for topic in &mut request.topics {
                topic.count = topic.count.min(2 * A_FEW);
            }
        }
        _ => {}
    }
    request
}

const NODES: i32 = 3;

/// Bytes of scripts, and numbers of partitions or of parked requests, after which a cluster is
/// replaced by a new one.
const WORN_AFTER: usize = 256 << 10;
const CROWD: usize = 200;

/// The most topics, and partitions of one, that a request is let ask for.
const MANY: usize = 16;
const A_FEW: i32 = 4;

/// When every script begins, in milliseconds since 1970.
const START: i64 = 1_700_000_000_000;

/// More timers, and more rounds of waking, than any step needs.
const TICKS: usize = 10_000;
const WAKES: usize = 1_000;

const SETTINGS: &[(&str, &str)] = &[
    ("auto.create.topics.enable", "true"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "10"),
    ("replica.selector.class", RACK_AWARE),
];

const TOPICS: &[(&str, &[(&str, &str)])] = &[
    ("t", &[]),
    ("compacted", &[("cleanup.policy", "compact")]),
    ("stamped", &[("message.timestamp.type", "LogAppendTime"), ("min.insync.replicas", "2")]),
];
