//! What goes wrong, and when.

use std::fmt;
use std::time::Duration;

use ottla_broker::Cluster;
use ottla_broker::cluster::FaultHandle;
use ottla_broker::fault::{Act, Rule};
use ottla_protocol::ApiKey;
use tokio::time::sleep;

use crate::draw::Draw;
use crate::history::Event;

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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The faults of a run: how long after the one before each comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// In order.
    pub(crate) faults: Vec<(Duration, Fault)>,
}

/// What a plan may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nemesis {
    /// Brokers, numbered from 1.
    pub(crate) nodes: u16,
    /// Partitions of the topic.
    pub(crate) partitions: i32,
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
        let mut at = Duration::ZERO;
        while !kinds.is_empty() {
            let pause = draw.duration(Duration::from_millis(50)..Duration::from_secs(4));
            at += pause;
            if at > self.lasts {
                break;
            }
            let kind = *draw.pick(&kinds);
            plan.faults.push((pause, self.fault(kind, draw)));
        }
        plan
    }

    fn fault(&self, kind: u64, draw: &mut Draw) -> Fault {
        let node = |draw: &mut Draw| number(draw.within(0..self.nodes.into())) + 1;
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
                partition: number(draw.within(0..unsigned(self.partitions))),
                to: node(draw),
            },
            _ => Fault::Request {
                api: *draw.pick(self.apis),
                times: u32::try_from(draw.within(1..6)).unwrap_or(1),
                act: act(draw),
            },
        }
    }
}

impl Plan {
    /// Lets the faults happen to `cluster`, one after the other, and mends everything at the end.
    pub(crate) async fn run(&self, cluster: &Cluster, mut note: impl FnMut(Event)) {
        let mut rules = Vec::new();
        for (pause, fault) in &self.faults {
            sleep(*pause).await;
            note(Event::Fault(fault.to_string()));
            rules.extend(strike(cluster, fault).await);
        }
        rules.into_iter().for_each(FaultHandle::remove);
    }
}

/// Does what a fault says; what stays behind is returned, to be taken away.
async fn strike<'a>(cluster: &'a Cluster, fault: &Fault) -> Option<FaultHandle<'a>> {
    match fault {
        Fault::Crash { node, down } => {
            cluster.node(*node).kill().await;
            sleep(*down).await;
            // Its address is a name in memory: nobody else can have taken it.
            let started = cluster.node(*node).start().await;
            assert!(started.is_ok(), "{started:?}");
        }
        Fault::Freeze { node, frozen } => {
            cluster.node(*node).pause();
            sleep(*frozen).await;
            cluster.node(*node).unpause();
        }
        Fault::MoveLeader { partition, to } => {
            // Refused when that replica is not in sync, which is as good.
            let _refused = cluster.partition(TOPIC, *partition).move_leader(*to);
        }
        Fault::Request { api, times, act } => {
            return Some(cluster.fault(Rule::new(*api, act.clone()).times(*times)));
        }
    }
    None
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

fn unsigned(number: i32) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn number(unsigned: u64) -> i32 {
    i32::try_from(unsigned).unwrap_or(0)
}

/// The topic that simulations use.
pub(crate) const TOPIC: &str = "sim";

/// Kinds of faults, as [`Nemesis::fault`] numbers them.
const KINDS: u64 = 4;
