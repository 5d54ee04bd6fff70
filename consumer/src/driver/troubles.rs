//! What goes wrong in the background, until the application has been told.

use std::collections::BTreeMap;

use ottla_core::error::{ErrorCode, RequestError};
use ottla_core::types::TopicName;

use crate::error::ConsumerError;
use crate::machine::commit::CommitError;

/// What the next poll fails with, whatever it waits for: the last of each kind.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// Why a broker cannot be asked at all.
    pub(super) broker: Option<RequestError>,
    /// Why nobody says what is committed of partitions that have come.
    pub(super) committed: Option<CommitError>,
    /// Topics of the subscription that cannot be read, and why.
    pub(super) topics: BTreeMap<TopicName, ErrorCode>,
}

impl Troubles {
    pub(super) fn is_empty(&self) -> bool {
        let Self { broker, committed, topics } = self;
        broker.is_none() && committed.is_none() && topics.is_empty()
    }

    /// The next one, which is told with this.
    pub(super) fn take(&mut self) -> Option<ConsumerError> {
        let Self { broker, committed, topics } = self;
        let broker = broker.take().map(ConsumerError::from);
        let trouble = broker.or_else(|| committed.take().map(ConsumerError::from));
        let refused = |(topic, code)| ConsumerError::Topic { topic, code };
        trouble.or_else(|| topics.pop_first().map(refused))
    }
}
