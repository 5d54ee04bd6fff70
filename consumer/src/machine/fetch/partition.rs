//! One partition, as its consumer knows it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ottla_core::retry::Backoff;
use ottla_core::types::{LeaderEpoch, NodeId, TopicPartition};
use ottla_protocol::Uuid;
use ottla_protocol::records::RecordsError;

use super::{FetchedBatch, ResetCause, Want};
use crate::machine::{OffsetSpec, Position};

/// Where a partition is kept. Used again after the partition is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub(super) usize);

/// Counts what makes earlier answers stale: seeks, resets, moves, assignments. Never repeats within
/// a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub(super) u64);

/// One partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) name: TopicPartition,
    pub(super) topic_id: Option<Uuid>,
    /// The generation that it was assigned in.
    pub(super) tenure: Generation,
    /// The generation since which its topic is the one that it is: what was read before says nothing
    /// of it.
    pub(super) since: Generation,
    pub(super) generation: Generation,
    pub(super) life: Life,
    /// Fetched and not delivered.
    pub(super) queue: VecDeque<Fetched>,
    pub(super) queued_bytes: usize,
    /// Whether it waits its turn to be delivered.
    pub(super) in_line: bool,
    /// By the application.
    pub(super) paused: bool,
    /// Because it is being given up, or nobody reads it any more.
    pub(super) held: bool,
    /// Whether a stream of its own takes what it brings.
    pub(super) streamed: bool,
    pub(super) leader: Option<NodeId>,
    pub(super) leader_epoch: Option<LeaderEpoch>,
    pub(super) preferred: Option<Preferred>,
    /// The broker in whose fetches it is.
    pub(super) node: Option<NodeId>,
    pub(super) max_bytes: u32,
    pub(super) bounds: Bounds,
    pub(super) retry_at: Option<Instant>,
    pub(super) backoff: Backoff,
}

/// Where a partition is in its life.
///
/// ```text
/// Unplaced --committed offset--> Placed <--answer-- Seeking
///     \----none committed-----------------------------^
/// Placed --out of range, cannot be validated--> Seeking
/// any --seek--> Placed or Seeking
/// any --error that stays--> Halted
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Where to begin is not known; whoever assigned the partition finds out. Whether that was refused,
    /// which an error has said.
    Unplaced { refused: bool },
    /// The leader is asked where to begin.
    Seeking(Seeking),
    /// It is read.
    Placed(Place),
    /// It is not read before a seek; an error has said why.
    Halted(Option<Position>),
}

/// A place that the leader is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seeking {
    pub(super) target: Target,
    /// Why, if the application did not ask for it.
    pub(super) reset: Option<Reset>,
    pub(super) asked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reset {
    pub(super) from: Option<i64>,
    pub(super) cause: ResetCause,
}

/// What a place that only the leader knows is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Spec(OffsetSpec),
    /// So long ago, when the leader is asked.
    Ago(Duration),
}

/// Where a partition is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The next record to be delivered.
    pub(super) delivered: Position,
    /// The next record to be fetched: never before the one to be delivered.
    pub(super) fetched: Position,
    pub(super) check: Check,
}

/// Whether the leader's log is one with what was read (KIP-320).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing speaks against it.
    Sound,
    /// The leader has changed and is to be asked.
    Due,
    /// It has been asked.
    Asked,
}

/// What was fetched, in the order of its offsets.
#[derive(Debug)]
pub(super) enum Fetched {
    Batch(FetchedBatch),
    /// What follows cannot be read.
    Fault(RecordsError),
    /// What follows is not in the leader's log.
    OutOfRange,
}

/// A replica that is nearer than the leader (KIP-392).
#[derive(Debug, Clone, Copy)]
pub(super) struct Preferred {
    pub(super) node: NodeId,
    pub(super) until: Instant,
}

/// What a broker said last about a partition's log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The oldest record that is left.
    pub log_start: Option<i64>,
    /// Behind the newest record that consumers may see.
    pub high_watermark: Option<i64>,
    /// Behind the newest record that readers of committed records may see.
    pub last_stable: Option<i64>,
}

/// What is to be asked of a broker for a partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Fetch(Want),
    /// Nothing before some of what it brought is delivered.
    Full,
    Nothing,
}

impl Place {
    pub(super) fn at(position: Position) -> Self {
        Self { delivered: position, fetched: position, check: Check::Sound }
    }
}

impl Partition {
    /// The next record to be delivered; `None` where that is not known.
    pub(super) fn position(&self) -> Option<Position> {
        match self.life {
            Life::Unplaced { .. } | Life::Seeking(_) => None,
            Life::Placed(place) => Some(place.delivered),
            Life::Halted(at) => at,
        }
    }

    /// Which broker should be asked for records: the nearest, or the leader once that one's time is
    /// over. Decided when a request is built, not when an answer is read, so that no answer brings
    /// what another has brought.
    pub(super) fn source(&self, now: Instant) -> Option<NodeId> {
        let preferred = self.preferred.filter(|preferred| now < preferred.until);
        preferred.map(|preferred| preferred.node).or(self.leader)
    }

    pub(super) fn wish(&self, now: Instant, enough: usize) -> Wish {
        let Life::Placed(Place { fetched, check: Check::Sound, .. }) = self.life else {
            return Wish::Nothing;
        };
        let waits = self.retry_at.is_some_and(|at| now < at);
        if waits || self.paused || self.held || self.is_ended() {
            return Wish::Nothing;
        }
        if self.queued_bytes >= enough {
            return Wish::Full;
        }
        Wish::Fetch(Want {
            topic: self.name.topic.clone(),
            topic_id: self.topic_id,
            partition: self.name.partition,
            offset: fetched.offset,
            leader_epoch: self.leader_epoch,
            max_bytes: self.max_bytes,
            generation: self.generation,
        })
    }

    /// Whether there is something that may be delivered now.
    pub(super) fn is_deliverable(&self) -> bool {
        matches!(self.life, Life::Placed(Place { check: Check::Sound, .. }))
            && !self.queue.is_empty()
            && !self.paused
            && !self.held
    }

    /// Whether nothing can be fetched behind what was: a broker's word stands there.
    pub(super) fn is_ended(&self) -> bool {
        self.queue.back().is_some_and(|last| !matches!(last, Fetched::Batch(_)))
    }

    /// Takes back the word of a broker that leads no more: the next one is asked.
    pub(super) fn reopen(&mut self) {
        if self.is_ended() {
            self.queue.pop_back();
        }
    }

    /// Drops what was fetched, and says how many bytes that was.
    pub(super) fn drop_fetched(&mut self) -> usize {
        self.queue.clear();
        std::mem::take(&mut self.queued_bytes)
    }

    /// Records that are not delivered yet; `None` where that is not known.
    pub(super) fn lag(&self, end: Option<i64>) -> Option<u64> {
        let behind = end?.saturating_sub(self.position()?.offset);
        Some(u64::try_from(behind).unwrap_or(0))
    }
}

impl Partition {
    /// Whether a position must be validated before it is read from: it was read under another leader
    /// than the one there is.
    pub(super) fn check_of(&self, position: Position) -> Check {
        match (position.leader_epoch, self.leader_epoch) {
            (Some(read), Some(now)) if read != now => Check::Due,
            _ => Check::Sound,
        }
    }

    /// Notes how far the validation of the position is.
    pub(super) fn mark(&mut self, check: Check) {
        if let Life::Placed(place) = &mut self.life {
            place.check = check;
        }
    }

    /// Whether the leader is to be asked something, whoever it is.
    pub(super) fn looks_up(&self) -> bool {
        self.retry_at.is_none()
            && matches!(
                self.life,
                Life::Seeking(Seeking { asked: false, .. })
                    | Life::Placed(Place { check: Check::Due, .. })
            )
    }
}
