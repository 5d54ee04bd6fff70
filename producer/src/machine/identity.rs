//! Who this producer is to brokers, and its sequences in one partition.

use std::time::{Duration, Instant};

use ottla_core::retry::Deadline;
use ottla_core::types::{ProducerEpoch, ProducerId};
use ottla_protocol::records::ProducerStamp;
use parking_lot::Mutex;

/// The id and epoch that batches are stamped with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    pub(crate) id: ProducerId,
    pub(crate) epoch: ProducerEpoch,
}

impl Identity {
    /// The stamp of a batch whose first record has `sequence`.
    pub(crate) fn stamp(self, sequence: i32) -> ProducerStamp {
        ProducerStamp {
            producer_id: self.id.number(),
            producer_epoch: self.epoch.number(),
            base_sequence: sequence,
        }
    }
}

/// Who this producer is: one for all of its partitions.
///
/// ```text
/// Unknown --InitProducerId--> Known --restart--> Known, next epoch
///    ^                          \--restart, no epoch left--> Unknown
/// ```
#[derive(Debug)]
pub(crate) struct IdentityCell(Mutex<Known>);

#[derive(Debug, Clone, Copy)]
enum Known {
    Unknown,
    Known(Identity),
}

impl IdentityCell {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Known::Unknown))
    }

    /// The present identity.
    pub(crate) fn current(&self) -> Option<Identity> {
        match *self.0.lock() {
            Known::Known(identity) => Some(identity),
            Known::Unknown => None,
        }
    }

    /// Takes the identity that a broker gave.
    pub(crate) fn set(&self, identity: Identity) {
        *self.0.lock() = Known::Known(identity);
    }

    /// An identity that is newer than `used`, for a partition that must begin its sequences anew
    /// (KIP-360). Where another partition has begun anew since, that one's will do; otherwise the
    /// epoch is raised, which needs no broker for as long as there are epochs. `None` means that
    /// another id must be asked for.
    pub(crate) fn newer_than(&self, used: Identity) -> Option<Identity> {
        let mut known = self.0.lock();
        if let Known::Known(current) = *known
            && current == used
        {
            *known = used
                .epoch
                .next()
                .map_or(Known::Unknown, |epoch| Known::Known(Identity { epoch, ..used }));
        }
        match *known {
            Known::Known(identity) => Some(identity),
            Known::Unknown => None,
        }
    }
}

/// The sequence numbers of one partition (KIP-98).
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    /// `None` before the first batch.
    identity: Option<Identity>,
    next: i32,
    /// When the leader has acknowledged a batch. A leader that knows nothing of the producer takes
    /// any number as the first, so a second batch could overtake a first that has to be repeated;
    /// and it forgets: with the topic, at an unclean election, after `producer.id.expiration.ms`.
    proven: Option<Instant>,
}

impl Sequences {
    /// Whose sequences these are.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Begins anew at 0.
    pub(crate) fn begin(&mut self, identity: Identity) {
        *self = Self { identity: Some(identity), next: 0, proven: None };
    }

    /// The sequence of the first of `records` records. Counts modulo 2^31, as brokers do.
    pub(crate) fn take(&mut self, records: i32) -> i32 {
        let first = self.next;
        self.next = first.wrapping_add(records) & i32::MAX;
        first
    }

    /// Takes note of an acknowledgement.
    pub(crate) fn prove(&mut self, now: Instant) {
        self.proven = Some(now);
    }

    /// Takes note that the leader may know nothing of these.
    pub(crate) fn doubt(&mut self) {
        self.proven = None;
    }

    /// Whether more than one batch may be under way.
    pub(crate) fn are_proven(&self, now: Instant) -> bool {
        self.proven.is_some_and(|at| !Deadline::after(at, PROOF_LASTS).is_over(now))
    }

    #[cfg(test)]
    pub(crate) fn skip_to(&mut self, next: i32) {
        self.next = next;
    }
}

/// How long after an acknowledgement a leader is taken to know the producer: far less than any
/// `producer.id.expiration.ms`, and long enough that only who is idle waits for an answer more.
const PROOF_LASTS: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(id: i64, epoch: i16) -> Identity {
        Identity {
            id: ProducerId::from_wire(id).unwrap(),
            epoch: ProducerEpoch::from_wire(epoch).unwrap(),
        }
    }

    #[test]
    fn two_partitions_that_begin_anew_together_share_the_new_epoch() {
        let cell = IdentityCell::new();
        cell.set(identity(5, 0));
        assert_eq!(cell.newer_than(identity(5, 0)), Some(identity(5, 1)));
        assert_eq!(cell.newer_than(identity(5, 0)), Some(identity(5, 1)));
        assert_eq!(cell.newer_than(identity(5, 1)), Some(identity(5, 2)));
    }

    #[test]
    fn an_id_without_epochs_left_is_given_up() {
        let cell = IdentityCell::new();
        cell.set(identity(5, i16::MAX - 1));
        assert_eq!(cell.newer_than(identity(5, i16::MAX - 1)), None);
        assert_eq!(cell.current(), None);
        cell.set(identity(6, 0));
        assert_eq!(cell.newer_than(identity(5, i16::MAX - 1)), Some(identity(6, 0)));
    }

    #[test]
    fn sequences_wrap_from_the_largest_number_to_zero() {
        let mut sequences = Sequences::default();
        sequences.begin(identity(1, 0));
        sequences.skip_to(i32::MAX - 1);
        assert_eq!(sequences.take(2), i32::MAX - 1);
        assert_eq!(sequences.take(5), 0);
        sequences.skip_to(i32::MAX);
        assert_eq!(sequences.take(1), i32::MAX);
        assert_eq!(sequences.take(1), 0);
    }
}
