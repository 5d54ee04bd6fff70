//! What goes wrong, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_broker::Cluster;
use ottla_broker::cluster::FaultHandle;
use ottla_broker::fault::{Act, Rule};
use ottla_protocol::ApiKey;
use tokio::time::sleep;

use crate::bed::{NODES, PARTITIONS};
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
            if let Some((node, lasts)) = fault.takes() {
                if busy.get(&node).is_some_and(|until| *until >= at) {
                    continue;
                }
                busy.insert(node, at + lasts);
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
    /// The broker that it puts out of order, and for how long.
    fn takes(&self) -> Option<(i32, Duration)> {
        match self {
            Self::Crash { node, down: lasts } | Self::Freeze { node, frozen: lasts } => {
                Some((*node, *lasts))
            }
            Self::MoveLeader { .. } | Self::MoveCoordinator { .. } | Self::Request { .. } => None,
        }
    }
}

impl Plan {
    /// Lets the faults happen to `cluster`, and mends everything at the end.
    pub(crate) async fn run(&self, cluster: &Cluster, mut note: impl FnMut(Event)) {
        let mut rules = Vec::new();
        let mut passed = Duration::ZERO;
        for (at, step) in self.steps() {
            sleep(at.saturating_sub(passed)).await;
            passed = at;
            note(Event::Fault(format!("{step:?}")));
            rules.extend(step.take(cluster).await);
        }
        rules.into_iter().for_each(FaultHandle::remove);
    }

    /// What is done and undone, in the order of time.
    fn steps(&self) -> Vec<(Duration, Step<'_>)> {
        let mut steps: Vec<(Duration, Step<'_>)> = Vec::new();
        for (at, fault) in &self.faults {
            steps.push((*at, Step::Begin(fault)));
            if let Some((_, lasts)) = fault.takes() {
                steps.push((*at + lasts, Step::End(fault)));
            }
        }
        steps.sort_by_key(|(at, _)| *at);
        steps
    }
}

/// The beginning or the end of a fault.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Begin(&'a Fault),
    End(&'a Fault),
}

impl Step<'_> {
    /// Does it; what stays behind is returned, to be taken away.
    async fn take(self, cluster: &Cluster) -> Option<FaultHandle<'_>> {
        match self {
            Self::Begin(Fault::Crash { node, .. }) => cluster.node(*node).kill().await,
            Self::End(Fault::Crash { node, .. }) => {
                // Its address is a name in memory: nobody else can have taken it.
                let started = cluster.node(*node).start().await;
                assert!(started.is_ok(), "{started:?}");
            }
            Self::Begin(Fault::Freeze { node, .. }) => cluster.node(*node).pause(),
            Self::End(Fault::Freeze { node, .. }) => cluster.node(*node).unpause(),
            Self::Begin(Fault::MoveLeader { partition, to }) => {
                // Refused when that replica is not in sync, which is as good.
                let _refused = cluster.partition(TOPIC, *partition).move_leader(*to);
            }
            Self::Begin(Fault::MoveCoordinator { to }) => {
                // Refused when that broker is down, which is as good.
                let _refused = cluster.group(GROUP).move_coordinator(*to);
                let _refused = cluster.transaction(&transactional_id(0)).move_coordinator(*to);
            }
            Self::Begin(Fault::Request { api, times, act }) => {
                return Some(cluster.fault(Rule::new(*api, act.clone()).times(*times)));
            }
            Self::End(
                Fault::MoveLeader { .. } | Fault::MoveCoordinator { .. } | Fault::Request { .. },
            ) => {}
        }
        None
    }
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
