//! What goes wrong in the background, until the application has been told.

use ottla_core::error::RequestError;

use crate::error::ConsumerError;
use crate::machine::commit::CommitError;

/// What the next poll fails with, whatever it waits for: the last of each kind.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// Why a broker cannot be asked at all.
    pub(super) broker: Option<RequestError>,
    /// Why nobody says what is committed of partitions that have come.
    pub(super) committed: Option<CommitError>,
}

impl Troubles {
    pub(super) fn is_empty(&self) -> bool {
        let Self { broker, committed } = self;
        broker.is_none() && committed.is_none()
    }

    /// The next one, which is told with this.
    pub(super) fn take(&mut self) -> Option<ConsumerError> {
        let Self { broker, committed } = self;
        let broker = broker.take().map(ConsumerError::from);
        broker.or_else(|| committed.take().map(ConsumerError::from))
    }
}
