//! What topics ask of each record.

use std::ops::RangeInclusive;

use ottla_protocol::ErrorCode;

use crate::log::incoming::{Incoming, Refusal};
use crate::world::Context;
use crate::world::catalog::Topic;

/// What the records of a batch must be like for their topic to take them, where its header does not
/// tell. To find out is to read every one of them, unpacked up to 256 MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Demands {
    /// The partition, in Kafka's words.
    partition: String,
    keys: bool,
    /// Timestamps, in milliseconds since 1970.
    times: Option<RangeInclusive<i64>>,
}

impl Demands {
    /// `None` where the header tells enough, which is almost always: its largest timestamp settles
    /// what does not lie too far ahead, and few topics compact, or bound the past.
    pub(super) fn of(topic: &Topic, index: i32, batch: &Incoming, cx: &Context) -> Option<Self> {
        let (name, topic, now) = (&topic.name, topic.settings.at(Some(cx.node)), cx.now);
        let earliest = now.wall_ms.saturating_sub(topic.timestamp_before_ms);
        let latest = now.wall_ms.saturating_add(topic.timestamp_after_ms);
        let is_told =
            topic.timestamp_before_ms == i64::MAX && batch.header().max_timestamp <= latest;
        let checks_times = !topic.stamps_append_time && !is_told;
        let times = checks_times.then_some(earliest..=latest);
        let keys = topic.compacts;
        (keys || times.is_some()).then(|| Self {
            partition: format!("{name}-{index}"),
            keys,
            times,
        })
    }

    /// Whether every record is as demanded.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the records that are not, or because they cannot be read.
    pub(super) fn check(&self, batch: &Incoming) -> Result<(), Refusal> {
        let (mut keyless, mut outside) = (Vec::new(), Vec::new());
        batch.for_each_record(|index, time, has_key| {
            if self.keys && !has_key && keyless.len() < MAX_TOLD {
                keyless.push((index, keyless_reason(&self.partition)));
            }
            // −1 is no timestamp.
            let bounds = self.times.as_ref().filter(|times| time != -1 && !times.contains(&time));
            if let Some(bounds) = bounds.filter(|_| outside.len() < MAX_TOLD) {
                let (earliest, latest) = (bounds.start(), bounds.end());
                outside.push((index, untimely_reason(index, time, *earliest, *latest)));
            }
        })?;
        refuse_records(ErrorCode::InvalidRecord, keyless, |keyless| {
            let told = keyless.iter().take(3);
            let told = told.map(|(i, why)| format!("RecordError(batchIndex={i}, message='{why}')"));
            let (count, told) = (keyless.len(), told.collect::<Vec<_>>().join(", "));
            format!(
                "{count} record errors in total, and only showing the first three errors at most: [{told}]"
            )
        })?;
        let untimely = |_: &[_]| "invalid timestamp".to_owned();
        refuse_records(ErrorCode::InvalidTimestamp, outside, untimely)
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

type AtFault = (i32, String);

fn refuse_records(
    code: ErrorCode,
    records: Vec<AtFault>,
    due_to: impl FnOnce(&[AtFault]) -> String,
) -> Result<(), Refusal> {
    if records.is_empty() {
        return Ok(());
    }
    let reason = due_to(&records);
    let message = Some(format!("One or more records have been rejected due to {reason}"));
    Err(Refusal { code, message, records })
}

/// Records at fault that an answer names: a batch that unpacks to millions of them must not be
/// answered with as many texts.
const MAX_TOLD: usize = 10_000;
