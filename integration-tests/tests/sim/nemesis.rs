//! What goes wrong, and when.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use ottla_broker::Cluster;
use ottla_broker::cluster::FaultHandle;
use ottla_broker::fault::{Act, Rule};
use ottla_protocol::{AnyResponse, ApiKey, ErrorCode, Uuid};
use tokio::time::sleep;

use crate::bed::{Bed, NODES, PARTITIONS};
use crate::draw::Draw;
use crate::history::Event;
use crate::transactions::transactional_id;

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A broker crashes, and is started again after a while.
    Crash {
        /// The broker.
        node: i32,
        /// Until it is started again.
        down: Duration,
    },
    /// A broker stops where it is, and goes on after a while: what it was sent is done late.
    Freeze {
        /// The broker.
        node: i32,
        /// Until it goes on.
        frozen: Duration,
    },
    /// A partition gets another leader.
    MoveLeader {
        /// The partition.
        partition: i32,
        /// The leader to be.
        to: i32,
    },
    /// The group gets another coordinator, and the first copier's transactions do.
    MoveCoordinator {
        /// The coordinator to be.
        to: i32,
    },
    /// A request is met by a rule.
    Request {
        /// The API.
        api: ApiKey,
        /// How many requests.
        times: u32,
        /// What happens to them.
        act: Act,
    },
    /// All brokers are out of order together.
    Blackout {
        /// How.
        silence: Silence,
        /// Until they are back.
        lasts: Duration,
    },
    /// Whoever uses a topic is told that it may not.
    Deny {
        /// By the answers of this API.
        api: ApiKey,
        /// The topic.
        topic: &'static str,
        /// For so long.
        lasts: Duration,
    },
    /// The followers of a partition fall behind.
    Lag {
        /// The partition.
        partition: i32,
        /// Until they pull again.
        lasts: Duration,
    },
    /// The broker that leads a partition crashes. Who leads then may lack what was acknowledged, where
    /// that is allowed.
    CrashLeader {
        /// The partition.
        partition: i32,
        /// Until the broker is started again.
        down: Duration,
    },
}

/// How brokers are out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Nobody listens.
    Dead,
    /// They accept and read, and answer when it is over.
    Frozen,
}

/// The faults of a run, each with the time at which it begins. They overlap: one broker crashes
/// while another is frozen and a third one's answers are late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// In order.
    pub(crate) faults: Vec<(Duration, Fault)>,
}

/// What a plan may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nemesis {
    /// The APIs whose requests may be met.
    pub(crate) apis: &'static [ApiKey],
    /// How long faults go on.
    pub(crate) lasts: Duration,
    /// The APIs by which topics may be denied; not empty.
    pub(crate) deniable: &'static [(ApiKey, &'static str)],
    /// Whether records may be lost by an unclean election: what the checker can judge then.
    pub(crate) unclean: bool,
}

impl Nemesis {
    /// Draws a plan. Each seed uses some kinds of faults and not others, so that rare pairs meet.
    pub(crate) fn plan(&self, draw: &mut Draw) -> Plan {
        let kinds: Vec<u64> = (0..KINDS).filter(|_| draw.chance(60)).collect();
        let mut plan = Plan { faults: Vec::new() };
        let mut busy = BTreeMap::new();
        let mut at = Duration::ZERO;
        while !kinds.is_empty() {
            at += draw.duration(Duration::from_millis(50)..Duration::from_secs(4));
            if at > self.lasts {
                break;
            }
            let fault = self.fault(*draw.pick(&kinds), draw);
            // A broker has one trouble at a time.
            if let Some(node) = fault.takes().map(|nodes| *nodes.start()) {
                if busy.get(&node).is_some_and(|until| *until >= at) {
                    continue;
                }
                busy.insert(node, at + fault.lasts());
            }
            plan.faults.push((at, fault));
        }
        plan
    }

    fn fault(&self, kind: u64, draw: &mut Draw) -> Fault {
        let node = |draw: &mut Draw| number(draw.within(0..NODES.into())) + 1;
        match kind {
            0 => Fault::Crash {
                node: node(draw),
                down: draw.duration(Duration::from_millis(100)..Duration::from_secs(6)),
            },
            1 => Fault::Freeze {
                node: node(draw),
                frozen: draw.duration(Duration::from_millis(100)..Duration::from_secs(12)),
            },
            2 => Fault::MoveLeader {
                partition: number(draw.within(0..unsigned(PARTITIONS))),
                to: node(draw),
            },
            3 => Fault::MoveCoordinator { to: node(draw) },
            _ => Fault::Request {
                api: *draw.pick(self.apis),
                times: u32::try_from(draw.within(1..6)).unwrap_or(1),
                act: act(draw),
            },
        }
    }
}

impl Fault {
    /// The brokers that it puts out of order.
    fn takes(&self) -> Option<RangeInclusive<i32>> {
        match self {
            Self::Crash { node, .. } | Self::Freeze { node, .. } => Some(*node..=*node),
            // Which one leads is known when it is time.
            Self::Blackout { .. } | Self::CrashLeader { .. } => Some(nodes()),
            Self::MoveLeader { .. }
            | Self::MoveCoordinator { .. }
            | Self::Request { .. }
            | Self::Deny { .. }
            | Self::Lag { .. } => None,
        }
    }

    /// How long it goes on; zero where nothing is to be undone.
    fn lasts(&self) -> Duration {
        match self {
            Self::Crash { down: lasts, .. }
            | Self::Freeze { frozen: lasts, .. }
            | Self::Blackout { lasts, .. }
            | Self::Deny { lasts, .. }
            | Self::Lag { lasts, .. }
            | Self::CrashLeader { down: lasts, .. } => *lasts,
            Self::MoveLeader { .. } | Self::MoveCoordinator { .. } | Self::Request { .. } => {
                Duration::ZERO
            }
        }
    }
}

impl Plan {
    /// Adds a fault, and leaves out what would trouble its brokers at the same time.
    pub(crate) fn add(&mut self, at: Duration, fault: Fault) {
        if let Some(nodes) = fault.takes() {
            let until = at + fault.lasts();
            self.faults.retain(|(begin, other)| {
                let meets = *begin <= until && at <= *begin + other.lasts();
                let shared = other.takes().is_some_and(|taken| {
                    taken.start() <= nodes.end() && nodes.start() <= taken.end()
                });
                !(meets && shared)
            });
        }
        self.faults.push((at, fault));
    }

    /// Lets the faults happen to the bed's cluster, and mends everything at the end.
    pub(crate) async fn run(&self, bed: &Bed) {
        let mut havoc = Havoc { bed, rules: Vec::new(), lasting: BTreeMap::new() };
        let mut passed = Duration::ZERO;
        for (at, number, step) in self.steps() {
            sleep(at.saturating_sub(passed)).await;
            passed = at;
            bed.log.note(Event::Fault(format!("{step:?}")));
            match step {
                Step::Begin(fault) => havoc.begin(number, fault).await,
                Step::End(fault) => havoc.end(number, fault).await,
            }
        }
        havoc.rules.into_iter().for_each(FaultHandle::remove);
    }

    /// What is done and undone, in the order of time, with the number of the fault.
    fn steps(&self) -> Vec<(Duration, usize, Step<'_>)> {
        let mut steps: Vec<(Duration, usize, Step<'_>)> = Vec::new();
        for (number, (at, fault)) in self.faults.iter().enumerate() {
            steps.push((*at, number, Step::Begin(fault)));
            if !fault.lasts().is_zero() {
                steps.push((*at + fault.lasts(), number, Step::End(fault)));
            }
        }
        steps.sort_by_key(|(at, _, _)| *at);
        steps
    }
}

/// The beginning or the end of a fault.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Begin(&'a Fault),
    End(&'a Fault),
}

/// What faults do to a cluster, and what they have to undo.
struct Havoc<'a> {
    bed: &'a Bed,
    /// Rules that stay to the end.
    rules: Vec<FaultHandle<'a>>,
    /// By the number of the fault: what it began.
    lasting: BTreeMap<usize, Lasting<'a>>,
}

/// What a fault began.
enum Lasting<'a> {
    Rule(FaultHandle<'a>),
    Crash(i32),
}

impl<'a> Havoc<'a> {
    async fn begin(&mut self, number: usize, fault: &Fault) {
        let cluster = &self.bed.cluster;
        match fault {
            Fault::Crash { node, .. } => self.bed.crash(*node).await,
            Fault::Freeze { node, .. } => cluster.node(*node).pause(),
            Fault::Blackout { silence: Silence::Dead, .. } => {
                for node in nodes() {
                    self.bed.crash(node).await;
                }
            }
            Fault::Blackout { silence: Silence::Frozen, .. } => {
                nodes().for_each(|node| cluster.node(node).pause());
            }
            Fault::MoveLeader { partition, to } => {
                // Refused when that replica is not in sync, which is as good.
                let _refused = cluster.partition(TOPIC, *partition).move_leader(*to);
            }
            Fault::MoveCoordinator { to } => {
                // Refused when that broker is down, which is as good.
                let _refused = cluster.group(GROUP).move_coordinator(*to);
                let _refused = cluster.transaction(&transactional_id(0)).move_coordinator(*to);
            }
            Fault::Request { api, times, act } => {
                self.rules.push(cluster.fault(Rule::new(*api, act.clone()).times(*times)));
            }
            Fault::Deny { api, topic, .. } => {
                let rule = cluster.fault(denial(*api, topic));
                self.lasting.insert(number, Lasting::Rule(rule));
            }
            Fault::Lag { partition, .. } => {
                cluster.partition(TOPIC, *partition).pause_replication().unwrap();
            }
            Fault::CrashLeader { partition, .. } => {
                if let Some(leader) = cluster.partition(TOPIC, *partition).leader() {
                    self.bed.crash(leader).await;
                    self.lasting.insert(number, Lasting::Crash(leader));
                }
            }
        }
    }

    async fn end(&mut self, number: usize, fault: &Fault) {
        let cluster = &self.bed.cluster;
        match fault {
            Fault::Crash { node, .. } => self.bed.restart(*node).await,
            Fault::Freeze { node, .. } => cluster.node(*node).unpause(),
            Fault::Blackout { silence: Silence::Dead, .. } => {
                for node in nodes() {
                    self.bed.restart(node).await;
                }
            }
            Fault::Blackout { silence: Silence::Frozen, .. } => {
                nodes().for_each(|node| cluster.node(node).unpause());
            }
            Fault::Lag { partition, .. } => {
                cluster.partition(TOPIC, *partition).resume_replication().unwrap();
            }
            Fault::Deny { .. } | Fault::CrashLeader { .. } => match self.lasting.remove(&number) {
                Some(Lasting::Rule(rule)) => rule.remove(),
                Some(Lasting::Crash(node)) => self.bed.restart(node).await,
                None => {}
            },
            Fault::MoveLeader { .. } | Fault::MoveCoordinator { .. } | Fault::Request { .. } => {}
        }
    }
}

/// Has answers of an API say that a topic is denied.
pub(crate) fn denial(api: ApiKey, topic: &'static str) -> Rule {
    let denied = ErrorCode::TopicAuthorizationFailed;
    if api == ApiKey::Metadata {
        return Rule::new(api, Act::edit(move |response| hide(response, topic)));
    }
    Rule { topic: Some(topic.to_owned()), ..Rule::new(api, Act::Respond(denied)) }
}

/// Who may not know of a topic is told no more than its name.
fn hide(response: &mut AnyResponse, name: &str) {
    let AnyResponse::Metadata(answer) = response else { return };
    for topic in answer.topics.iter_mut().filter(|topic| topic.name.as_deref() == Some(name)) {
        topic.error_code = ErrorCode::TopicAuthorizationFailed.code();
        topic.partitions.clear();
        topic.topic_id = Uuid::ZERO;
    }
}

fn nodes() -> RangeInclusive<i32> {
    1..=i32::from(NODES)
}

/// What may happen to a request. Nothing that a broker would not do.
fn act(draw: &mut Draw) -> Act {
    let while_ = |draw: &mut Draw| draw.duration(Duration::from_millis(5)..Duration::from_secs(5));
    match draw.within(0..8) {
        0 => Act::DropBefore,
        1 => Act::ApplyThenDrop,
        2 => Act::Delay(while_(draw)),
        3 => Act::ApplyThenDelay(while_(draw)),
        4 => Act::Hang,
        5 => Act::ApplyThenHang,
        6 => Act::Throttle(while_(draw)),
        _ => Act::CutAfter(usize::try_from(draw.within(0..40)).unwrap_or(0)),
    }
}

/// Has an end of a transaction done and never answered, every other second.
pub(crate) async fn silence_ends(cluster: &Cluster, lasts: Duration) {
    let mut rules = Vec::new();
    for _ in 0..lasts.as_secs() / 2 {
        sleep(Duration::from_secs(2)).await;
        rules.push(cluster.fault(Rule::new(ApiKey::EndTxn, Act::ApplyThenHang).once()));
    }
    rules.into_iter().for_each(FaultHandle::remove);
}

fn unsigned(number: i32) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn number(unsigned: u64) -> i32 {
    i32::try_from(unsigned).unwrap_or(0)
}

/// The group that simulations use.
pub(crate) const GROUP: &str = "sim";

/// The topic that simulations use.
pub(crate) const TOPIC: &str = "sim";

/// Kinds of faults, as [`Nemesis::fault`] numbers them.
const KINDS: u64 = 5;
