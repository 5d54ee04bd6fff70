//! What refuses a produce request as a whole.

use ottla_protocol::ErrorCode;

use super::{Checked, CheckedPartition};
use crate::log::incoming::{NoBatch, Refusal};
use crate::world::{Context, World};

impl Checked {
    /// In the order in which Kafka looks.
    pub(super) fn check_whole(&self, world: &World, cx: &Context) -> Result<(), Refusal> {
        self.check_first_batches()?;
        self.check_one_producer(world, cx)
    }

    /// Kafka looks through the first batches of the partitions for one that belongs to a transaction
    /// before it looks at anything else.
    fn check_first_batches(&self) -> Result<(), Refusal> {
        for row in self.topics.iter().flat_map(|topic| &topic.partitions) {
            if let Err(NoBatch::Unreadable(refusal)) = &row.carried.batch {
                return Err(refusal.clone());
            }
            if row.carried.header.is_some_and(|header| header.attributes.is_transactional()) {
                let unnamed = ErrorCode::TransactionalIdAuthorizationFailed;
                return self.transactional_id.as_ref().map(drop).ok_or_else(|| unnamed.into());
            }
        }
        Ok(())
    }

    /// Kafka verifies the transaction of one producer for each request, once it knows which of the
    /// partitions there are and which of them got one batch.
    fn check_one_producer(&self, world: &World, cx: &Context) -> Result<(), Refusal> {
        if self.transactional_id.is_none() {
            return Ok(());
        }
        let mut first = None;
        for topic in &self.topics {
            let Ok(known) = world.catalog.topic(topic.key(cx.version)) else { continue };
            let is_asked = |row: &&CheckedPartition| {
                known.partition(row.index).is_ok() && row.check_frame().is_ok()
            };
            let rows = topic.partitions.iter().filter(is_asked);
            for stamp in rows.filter_map(CheckedPartition::transactional) {
                let producer = (stamp.producer_id, stamp.producer_epoch);
                if *first.get_or_insert(producer) != producer {
                    let reason = "Transactional records contained more than one producer ID";
                    return Err(Refusal::new(ErrorCode::InvalidProducerIdMapping, reason));
                }
            }
        }
        Ok(())
    }
}
