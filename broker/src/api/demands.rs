//! What topics ask of each record.

use std::ops::RangeInclusive;

use ottla_protocol::ErrorCode;
use ottla_protocol::records::TimestampType;

use crate::log::incoming::{Found, Incoming, NO_TIMESTAMP, RecordHead, Refusal, Unpacker};
use crate::world::Context;
use crate::world::catalog::Topic;

/// What the records of a batch must be like for their topic to take them, where that is not known
/// yet. To find out is to read every one of them, unpacked up to 256 MiB: the shell has only so many
/// requests do that at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Demands {
    /// The partition, in Kafka's words.
    partition: String,
    keys: bool,
    /// Timestamps, in milliseconds since 1970.
    times: Option<RangeInclusive<i64>>,
    /// Whether the batch says that its timestamps are a broker's, where they are to be its own.
    is_stamped: bool,
    /// The longest record, in bytes, of a batch that is compressed.
    longest: i32,
}

impl Demands {
    /// `None` where nothing is left to be asked, which is so for nearly all batches: their records
    /// have been read, and few topics compact.
    pub(super) fn of(topic: &Topic, index: i32, batch: &Incoming, cx: &Context) -> Option<Self> {
        let (name, topic, now) = (&topic.name, topic.settings.at(Some(cx.node)), cx.now);
        let times = (!topic.stamps_append_time).then(|| {
            let earliest = now.wall_ms.saturating_sub(topic.timestamp_before_ms);
            earliest..=now.wall_ms.saturating_add(topic.timestamp_after_ms)
        });
        let keys = topic.compacts;
        let is_stamped = batch.header().timestamp_type() == TimestampType::LogAppendTime;
        let longest = topic.max_record_bytes;
        let fit = |found: Found| {
            let in_time = |times: &RangeInclusive<i64>| {
                found.earliest >= *times.start() && found.latest <= *times.end()
            };
            found.is_kept && found.longest <= longest && times.as_ref().is_none_or(in_time)
        };
        if !keys && !is_stamped && batch.found().is_some_and(fit) {
            return None;
        }
        let partition = format!("{name}-{index}");
        Some(Self { partition, keys, times, is_stamped, longest })
    }

    /// Whether every record is as demanded. Puts right what the header says of their times.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the records that are not, or because they cannot be read.
    pub(super) fn check(
        &self,
        batch: &mut Incoming,
        unpacker: &mut Unpacker,
    ) -> Result<(), Refusal> {
        let mut faults = Faults::default();
        let found = batch.read(unpacker, |record| {
            if let Some(fault) = self.fault(record) {
                faults.add(fault, record, self);
            }
        })?;
        if found.longest > self.longest {
            let reason = "a record is longer than max.decompressed.message.bytes";
            return Err(Refusal::new(ErrorCode::InvalidRecord, reason));
        }
        if faults.count > 0 {
            return Err(faults.refuse());
        }
        if found.is_kept {
            if self.times.is_some() {
                batch.stamp_latest();
            }
            return Ok(());
        }
        let reason = "the offsets of compressed records must ascend one by one from 0";
        Err(Refusal::new(ErrorCode::UnknownServerError, reason))
    }

    /// What the topic has against a record.
    fn fault(&self, record: RecordHead) -> Option<Fault> {
        if self.keys && !record.has_key {
            return Some(Fault::Keyless);
        }
        match &self.times {
            Some(times) if record.timestamp != NO_TIMESTAMP => {
                (!times.contains(&record.timestamp)).then_some(Fault::Untimely)
            }
            _ => self.is_stamped.then_some(Fault::Stamped),
        }
    }

    fn reason(&self, fault: Fault, record: RecordHead) -> String {
        let RecordHead { index, offset, timestamp, .. } = record;
        match (fault, &self.times) {
            (Fault::Keyless, _) => keyless_reason(&self.partition),
            (Fault::Untimely, Some(times)) => {
                untimely_reason(offset, timestamp, *times.start(), *times.end())
            }
            (Fault::Untimely | Fault::Stamped, _) => stamped_reason(index),
        }
    }
}

/// What a topic may have against a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It has no key, and the topic compacts.
    Keyless,
    /// Its timestamp is too far from now.
    Untimely,
    /// It says that a broker has set its timestamp.
    Stamped,
}

/// What is wrong with the records of a batch.
#[derive(Debug, Default)]
struct Faults {
    count: usize,
    /// Whether a timestamp is at fault, which decides the code.
    are_of_time: bool,
    /// The first of them: index and reason.
    told: Vec<(i32, String)>,
}

impl Faults {
    fn add(&mut self, fault: Fault, record: RecordHead, demands: &Demands) {
        self.count += 1;
        self.are_of_time |= fault != Fault::Keyless;
        if self.told.len() < MAX_TOLD {
            self.told.push((record.index, demands.reason(fault, record)));
        }
    }

    fn refuse(self) -> Refusal {
        let Self { count, are_of_time, told } = self;
        let (code, reason) = if are_of_time {
            (ErrorCode::InvalidTimestamp, "invalid timestamp".to_owned())
        } else {
            let first = told.iter().take(3);
            let first =
                first.map(|(i, why)| format!("RecordError(batchIndex={i}, message='{why}')"));
            let first = first.collect::<Vec<_>>().join(", ");
            let reason = format!(
                "{count} record errors in total, and only showing the first three errors at most: [{first}]"
            );
            (ErrorCode::InvalidRecord, reason)
        };
        let message = Some(format!("One or more records have been rejected due to {reason}"));
        Refusal { code, message, records: told }
    }
}

/// Kafka's words, as are the others here.
fn keyless_reason(partition: &str) -> String {
    format!("Compacted topic cannot accept message without key in topic partition {partition}")
}

fn untimely_reason(offset: i32, time: i64, earliest: i64, latest: i64) -> String {
    format!(
        "Timestamp {time} of message with offset {offset} is out of range. The timestamp should be \
         within [{earliest}, {latest}]"
    )
}

fn stamped_reason(index: i32) -> String {
    format!(
        "Invalid timestamp type in message {index}. Producer should not set timestamp type to \
         LogAppendTime."
    )
}

/// Records at fault that an answer names: a batch that unpacks to millions of them must not be
/// answered with as many texts. All of them are counted.
const MAX_TOLD: usize = 10_000;
