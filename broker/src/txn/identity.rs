//! Who the producer of a transactional id is, and was.

use ottla_protocol::ErrorCode;

/// A producer id with one of its epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// The latest producer of a transactional id, and what is needed to know the one before: whoever
/// missed an answer still calls itself by that (KIP-360).
#[derive(Debug)]
pub(super) struct Identity {
    current: Producer,
    /// The epoch before, unless somebody else had it.
    last_epoch: Option<i16>,
    /// The id before, if that has run out of epochs.
    previous_id: Option<i64>,
}

/// Where producer ids come from.
pub(super) type NewId<'a> = &'a mut dyn FnMut() -> i64;

impl Identity {
    /// A producer that nobody has heard of, in its first epoch.
    pub(super) fn new(id: i64) -> Self {
        Self { current: Producer { id, epoch: 0 }, last_epoch: None, previous_id: None }
    }

    /// The latest producer.
    pub(super) fn current(&self) -> Producer {
        self.current
    }

    /// Whether a producer is the latest one.
    ///
    /// # Errors
    ///
    /// `INVALID_PRODUCER_ID_MAPPING` for another id, `PRODUCER_FENCED` for another epoch.
    pub(super) fn check(&self, producer: Producer) -> Result<(), ErrorCode> {
        if producer.id != self.current.id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if producer.epoch != self.current.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        Ok(())
    }

    /// Whether a producer that goes on after an error can be this one: it has its id, or the one
    /// that ran out of epochs.
    pub(super) fn may_be(&self, expected: Producer) -> bool {
        expected.id == self.current.id || self.ran_out_as(expected)
    }

    /// Whether a producer is the one just before, in the epoch before or with the id before.
    pub(super) fn is_just_after(&self, producer: Producer) -> bool {
        let Producer { id, epoch } = self.current;
        let next_epoch = producer.id == id && producer.epoch.checked_add(1) == Some(epoch);
        next_epoch || (self.ran_out_as(producer) && epoch == 0)
    }

    fn ran_out_as(&self, producer: Producer) -> bool {
        self.previous_id == Some(producer.id) && is_exhausted(producer.epoch)
    }

    /// A producer begins, or goes on as who it `expected` to be: the next epoch is its.
    ///
    /// # Errors
    ///
    /// `PRODUCER_FENCED` when another one began since.
    pub(super) fn begin(
        &mut self,
        expected: Option<i16>,
        new_id: NewId<'_>,
    ) -> Result<(), ErrorCode> {
        match expected {
            // The answer that gave it its epoch was lost.
            Some(epoch) if epoch != self.current.epoch && Some(epoch) == self.last_epoch => {
                return Ok(());
            }
            Some(epoch) if epoch != self.current.epoch => return Err(ErrorCode::ProducerFenced),
            Some(_) | None => self.last_epoch = expected,
        }
        if self.is_exhausted() {
            self.previous_id = Some(self.current.id);
            self.current = Producer { id: new_id(), epoch: 0 };
        } else {
            self.previous_id = None;
            self.current.epoch += 1;
        }
        Ok(())
    }

    /// The epoch goes up, and who had the one before may still say so.
    pub(super) fn bump(&mut self) {
        self.last_epoch = Some(self.current.epoch);
        self.previous_id = None;
        self.current.epoch = self.current.epoch.saturating_add(1);
    }

    /// The epoch goes up, and who had the one before is nobody any more.
    pub(super) fn fence(&mut self) {
        self.bump();
        self.last_epoch = None;
    }

    /// The id has run out of epochs, and another one takes its place.
    pub(super) fn replace(&mut self, id: i64) {
        self.last_epoch = Some(self.current.epoch);
        self.previous_id = Some(self.current.id);
        self.current = Producer { id, epoch: 0 };
    }

    /// Whether the id has no epoch left to hand out. One more is kept to fence its last holder with.
    pub(super) fn is_exhausted(&self) -> bool {
        is_exhausted(self.current.epoch)
    }

    /// Leaves one epoch, for the next producer to begin with.
    pub(super) fn exhaust(&mut self) {
        self.current.epoch = LAST_EPOCH - 1;
    }
}

fn is_exhausted(epoch: i16) -> bool {
    epoch >= LAST_EPOCH
}

/// The last epoch that a producer is given.
const LAST_EPOCH: i16 = i16::MAX - 1;
