//! Where partitions begin and end, and where in them a time is.

use std::collections::BTreeMap;

use ottla_core::types::TopicPartition;

use super::Consumer;
use crate::builder::check_partitions;
use crate::driver::offsets;
use crate::error::ConsumerError;
use crate::machine::OffsetSpec;
use crate::machine::offsets::FoundOffsets;

impl Consumer {
    /// Asks where partitions begin: of each, the offset of the oldest record that is left. They need
    /// not be assigned, and positions stay where they are.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Topic`] and [`ConsumerError::Offsets`], which name what is refused;
    /// [`ConsumerError::Request`], when not all leaders answered within `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing but the wait is lost.
    ///
    /// # Kafka
    ///
    /// Java's `beginningOffsets`.
    pub async fn beginning_offsets<P: Into<TopicPartition>>(
        &self,
        partitions: impl IntoIterator<Item = P>,
    ) -> Result<BTreeMap<TopicPartition, i64>, ConsumerError> {
        self.edges(partitions.into_iter().map(Into::into), OffsetSpec::Earliest).await
    }

    /// Asks where partitions end: of each, the offset that the next record will have, or the last
    /// stable offset with `isolation.level=read_committed`. They need not be assigned.
    ///
    /// # Errors
    ///
    /// As [`beginning_offsets`](Self::beginning_offsets).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing but the wait is lost.
    ///
    /// # Kafka
    ///
    /// Java's `endOffsets`.
    pub async fn end_offsets<P: Into<TopicPartition>>(
        &self,
        partitions: impl IntoIterator<Item = P>,
    ) -> Result<BTreeMap<TopicPartition, i64>, ConsumerError> {
        self.edges(partitions.into_iter().map(Into::into), OffsetSpec::Latest).await
    }

    /// Asks where in partitions times are: of each, the first record whose timestamp is the given
    /// one, in milliseconds since 1970, or later; `None` where there is none. They need not be
    /// assigned.
    ///
    /// # Errors
    ///
    /// As [`beginning_offsets`](Self::beginning_offsets).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing but the wait is lost.
    ///
    /// # Kafka
    ///
    /// Java's `offsetsForTimes`.
    pub async fn offsets_for_times<P: Into<TopicPartition>>(
        &self,
        times: impl IntoIterator<Item = (P, i64)>,
    ) -> Result<FoundOffsets, ConsumerError> {
        let wanted = times.into_iter().map(|(partition, timestamp_ms)| {
            (partition.into(), OffsetSpec::Timestamp(timestamp_ms))
        });
        self.find(wanted.collect()).await
    }

    async fn edges(
        &self,
        partitions: impl Iterator<Item = TopicPartition>,
        edge: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, i64>, ConsumerError> {
        let found = self.find(partitions.map(|partition| (partition, edge)).collect()).await?;
        // An edge is always somewhere: a log that says nothing of it is empty.
        let offset = |(partition, found): (_, Option<_>)| {
            (partition, found.map_or(0, |found: crate::OffsetAndTimestamp| found.offset))
        };
        Ok(found.into_iter().map(offset).collect())
    }

    async fn find(
        &self,
        wanted: BTreeMap<TopicPartition, OffsetSpec>,
    ) -> Result<FoundOffsets, ConsumerError> {
        self.shared.check_open()?;
        let (client, deadline) = (self.shared.client(), self.deadline());
        check_partitions(client, wanted.keys(), deadline).await?;
        offsets::find(client, wanted, self.shared.config().isolation_level, deadline).await
    }
}
