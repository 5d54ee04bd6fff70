//! A Fetch response, walked where it lies.

use std::ops::Range;

use bytes::Bytes;

use crate::messages::FetchResponse;
use crate::messages::fetch::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData, SnapshotId,
};
use crate::uuid::Uuid;
use crate::wire::{DecodeError, DecodeErrorKind, Message, Reader, UnknownTaggedFields, Wire};

/// The partitions of a Fetch response, one after the other, lent from the frame.
///
/// What a consumer reads its answers with: nothing is allocated, and the frame is shared only by
/// those records that are asked for. [`FetchResponse`] holds the same in structures of its own, for
/// who keeps, changes or passes on the answer.
///
/// The walk says what decoding the whole would say, with the same error in the same place; but what
/// comes before an error has been lent by then. After an error it is over.
///
/// # Examples
///
/// ```
/// # use ottla_protocol::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
/// # use ottla_protocol::{FetchView, Message, Uuid};
/// # let partitions = vec![PartitionData { partition_index: 3, ..Default::default() }];
/// # let topic = FetchableTopicResponse { topic_id: Uuid::from(7_u128), partitions, ..Default::default() };
/// # let frame = FetchResponse { responses: vec![topic], ..Default::default() }.encode(17)?.into_bytes();
/// let mut walk = FetchView::new(&frame, 17)?;
/// while let Some(partition) = walk.next()? {
///     assert_eq!((partition.topic_id, partition.partition_index), (Uuid::from(7_u128), 3));
///     assert!(partition.records().is_empty());
/// }
/// assert!(walk.node_endpoints().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FetchView<'a> {
    /// `ThrottleTimeMs`, in milliseconds.
    pub throttle_time_ms: i32,
    /// `ErrorCode`; versions 7+, 0 in others.
    pub error_code: i16,
    /// `SessionId`; versions 7+, 0 in others.
    pub session_id: i32,
    node_endpoints: Vec<NodeEndpoint>,
    reader: Reader<'a>,
    version: i16,
    /// The topics that have not been walked into, by index.
    topics: Range<usize>,
    place: Place,
    /// What was lent last.
    partition: PartitionView<'a>,
}

/// Where a walk is: between topics, then within one, and so on until it is over.
#[derive(Debug)]
enum Place {
    BetweenTopics,
    /// In `topic`, in front of the first of `partitions` or of the topic's end; all by index.
    InTopic {
        topic: usize,
        partitions: Range<usize>,
    },
    /// Behind the last byte, or behind an error.
    Over,
}

/// One partition of a [`FetchView`].
///
/// Tagged fields that are not known here are left out.
#[derive(Debug, Clone)]
pub struct PartitionView<'a> {
    /// `Topic`; versions 4–12, empty in others.
    pub topic: &'a str,
    /// `TopicId`; versions 13+, zero in others.
    pub topic_id: Uuid,
    /// `PartitionIndex`.
    pub partition_index: i32,
    /// `ErrorCode`.
    pub error_code: i16,
    /// `HighWatermark`.
    pub high_watermark: i64,
    /// `LastStableOffset`.
    pub last_stable_offset: i64,
    /// `LogStartOffset`; versions 5+, −1 in others.
    pub log_start_offset: i64,
    /// `PreferredReadReplica`; versions 11+, −1 in others and for none.
    pub preferred_read_replica: i32,
    /// `DivergingEpoch`; versions 12+; `None` where it is left out.
    pub diverging_epoch: Option<Box<EpochEndOffset>>,
    /// `CurrentLeader`; versions 12+; `None` where it is left out.
    pub current_leader: Option<Box<LeaderIdAndEpoch>>,
    /// `SnapshotId`; versions 12+; `None` where it is left out.
    pub snapshot_id: Option<Box<SnapshotId>>,
    aborted: AbortedTransactions<'a>,
    frame: &'a Bytes,
    records: &'a [u8],
}

/// The aborted transactions of a [`PartitionView`], in the order in which the broker sent them.
#[derive(Debug, Clone)]
pub struct AbortedTransactions<'a> {
    frame: &'a Bytes,
    /// The frame from the next one on. All have been read once: nothing can go wrong any more.
    rest: &'a [u8],
    left: usize,
    version: i16,
}

impl<'a> FetchView<'a> {
    /// A walk over `frame`, the bytes of a [`FetchResponse`] in `version` without its header.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when `version` is unknown or what stands in front of the topics is wrong.
    pub fn new(frame: &'a Bytes, version: i16) -> Result<Self, DecodeError> {
        Self::start(frame, version).map_err(|error| error.in_message(FetchResponse::NAME))
    }

    fn start(frame: &'a Bytes, version: i16) -> Result<Self, DecodeError> {
        if !FetchResponse::VERSIONS.contains(version) {
            let known = FetchResponse::VERSIONS;
            let kind = DecodeErrorKind::UnsupportedVersion { version, known };
            return Err(DecodeError::new("version", 0, kind));
        }
        let mut reader = Reader::new(frame, is_flexible(version));
        let throttle_time_ms = reader.i32("throttle_time_ms")?;
        let (mut error_code, mut session_id) = (0, 0);
        if version >= 7 {
            error_code = reader.i16("error_code")?;
            session_id = reader.i32("session_id")?;
        }
        let topics = 0..reader.count::<FetchableTopicResponse>("responses", version)?;
        Ok(Self {
            throttle_time_ms,
            error_code,
            session_id,
            node_endpoints: Vec::new(),
            reader,
            version,
            topics,
            place: Place::BetweenTopics,
            partition: PartitionView::new(frame, version),
        })
    }

    /// The next partition; `None` at the end.
    ///
    /// Lent and not handed out, so that it is never moved: an `Iterator` took half as long again.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when the bytes up to the end of the partition, or behind the last one, are
    /// not those of a [`FetchResponse`].
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend what it owns")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<&PartitionView<'a>>, DecodeError> {
        match self.walk() {
            Ok(true) => Ok(Some(&self.partition)),
            Ok(false) => Ok(None),
            Err(error) => {
                self.place = Place::Over;
                Err(error.in_message(FetchResponse::NAME))
            }
        }
    }

    /// `NodeEndpoints`; versions 16+: where the leaders are that partitions have named. They come
    /// behind the partitions, so there is none before the walk has ended.
    #[must_use]
    pub fn node_endpoints(&self) -> &[NodeEndpoint] {
        &self.node_endpoints
    }

    /// Walks on to the next partition; false at the end.
    fn walk(&mut self) -> Result<bool, DecodeError> {
        loop {
            match &mut self.place {
                Place::InTopic { topic, partitions } => {
                    let topic = *topic;
                    let Some(index) = partitions.next() else {
                        self.leave_topic().map_err(|error| error.in_element("responses", topic))?;
                        continue;
                    };
                    self.partition.read(&mut self.reader, self.version).map_err(|error| {
                        error.in_element("partitions", index).in_element("responses", topic)
                    })?;
                    return Ok(true);
                }
                Place::BetweenTopics => match self.topics.next() {
                    Some(topic) => self
                        .enter_topic(topic)
                        .map_err(|error| error.in_element("responses", topic))?,
                    None => self.end()?,
                },
                Place::Over => return Ok(false),
            }
        }
    }

    fn enter_topic(&mut self, topic: usize) -> Result<(), DecodeError> {
        if self.version >= 13 {
            self.partition.topic_id = self.reader.uuid("topic_id")?;
        } else {
            self.partition.topic = self.reader.lent_string("topic")?;
        }
        let partitions = 0..self.reader.count::<PartitionData>("partitions", self.version)?;
        self.place = Place::InTopic { topic, partitions };
        Ok(())
    }

    fn leave_topic(&mut self) -> Result<(), DecodeError> {
        self.place = Place::BetweenTopics;
        if is_flexible(self.version) {
            self.reader.tagged_fields(&mut UnknownTaggedFields::new())?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        self.place = Place::Over;
        let (version, endpoints) = (self.version, &mut self.node_endpoints);
        if is_flexible(version) {
            let unknown = &mut UnknownTaggedFields::new();
            self.reader.known_tagged_fields(unknown, |tag, reader| {
                match tag {
                    0 if version >= 16 => reader.array("node_endpoints", endpoints, version)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        self.reader.expect_end("end")
    }
}

impl<'a> PartitionView<'a> {
    fn new(frame: &'a Bytes, version: i16) -> Self {
        Self {
            topic: "",
            topic_id: Uuid::default(),
            partition_index: 0,
            error_code: 0,
            high_watermark: 0,
            last_stable_offset: 0,
            log_start_offset: -1,
            preferred_read_replica: -1,
            diverging_epoch: None,
            current_leader: None,
            snapshot_id: None,
            aborted: AbortedTransactions { frame, rest: &[], left: 0, version },
            frame,
            records: &[],
        }
    }

    /// Reads the next partition of the same topic over this one.
    #[inline]
    fn read(&mut self, reader: &mut Reader<'a>, version: i16) -> Result<(), DecodeError> {
        let mut run = reader.run::<22>(&[
            ("partition_index", 4),
            ("error_code", 2),
            ("high_watermark", 8),
            ("last_stable_offset", 8),
        ])?;
        self.partition_index = run.i32();
        self.error_code = run.i16();
        self.high_watermark = run.i64();
        self.last_stable_offset = run.i64();
        if version >= 5 {
            self.log_start_offset = reader.i64("log_start_offset")?;
        }
        self.aborted.read(reader)?;
        if version >= 11 {
            self.preferred_read_replica = reader.i32("preferred_read_replica")?;
        }
        self.records = reader.lent_nullable_bytes("records")?.unwrap_or_default();
        (self.diverging_epoch, self.current_leader, self.snapshot_id) = (None, None, None);
        if !is_flexible(version) {
            return Ok(());
        }
        reader.known_tagged_fields(&mut UnknownTaggedFields::new(), |tag, reader| {
            match tag {
                0 => reader.optional_structure(
                    "diverging_epoch",
                    &mut self.diverging_epoch,
                    version,
                )?,
                1 => {
                    reader.optional_structure(
                        "current_leader",
                        &mut self.current_leader,
                        version,
                    )?;
                }
                2 => reader.optional_structure("snapshot_id", &mut self.snapshot_id, version)?,
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    /// The record batches, sharing the memory of the frame; empty for null.
    #[must_use]
    pub fn records(&self) -> Bytes {
        self.frame.slice_ref(self.records)
    }

    /// The bytes of the record batches where they lie; empty for null.
    #[must_use]
    pub fn record_bytes(&self) -> &'a [u8] {
        self.records
    }

    /// The aborted transactions; none for null.
    #[must_use]
    pub fn aborted_transactions(&self) -> AbortedTransactions<'a> {
        self.aborted.clone()
    }
}

impl<'a> AbortedTransactions<'a> {
    /// Takes them off `reader`, and checks each.
    #[inline]
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        let field = "aborted_transactions";
        let count = reader.nullable_count::<AbortedTransaction>(field, self.version)?;
        self.left = count.unwrap_or(0);
        self.rest = reader.rest();
        for index in 0..self.left {
            AbortedTransaction::read(reader, self.version)
                .map_err(|error| error.in_element(field, index))?;
        }
        Ok(())
    }
}

impl Iterator for AbortedTransactions<'_> {
    type Item = AbortedTransaction;

    fn next(&mut self) -> Option<AbortedTransaction> {
        self.left = self.left.checked_sub(1)?;
        let mut reader = Reader::again(self.frame, self.rest, is_flexible(self.version));
        let transaction = AbortedTransaction::read(&mut reader, self.version).ok()?;
        self.rest = reader.rest();
        Some(transaction)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

fn is_flexible(version: i16) -> bool {
    version >= FetchResponse::FIRST_FLEXIBLE
}
