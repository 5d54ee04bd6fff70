//! Walks the records of a decompressed section.

use super::{
    BatchHeader, Headers, Record, RecordFault, RecordsError, TimestampType,
    fields::{Fields, Window, short_nullable},
};

/// Bytes of the smallest record: seven fields of one byte.
const MIN_RECORD_LEN: usize = 7;

const ATTRIBUTES_LEN: usize = 1;

/// How a record ends that has none: with their count.
const NO_HEADERS: &[u8] = &[0];

/// Where in a section of records the next one is, and what its deltas count from.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    base_offset: i64,
    base_timestamp: i64,
    /// Replaces every record's own timestamp.
    append_time: Option<i64>,
    left: u32,
    at: usize,
}

impl Cursor {
    /// A cursor before the first record of `section`.
    pub(super) fn new(header: &BatchHeader, section: &[u8]) -> Result<Self, RecordsError> {
        let append_time = match header.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(header.max_timestamp),
        };
        let cursor = Self {
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            append_time,
            left: u32::try_from(header.record_count).unwrap_or(0),
            at: 0,
        };
        let room = u32::try_from(section.len() / MIN_RECORD_LEN).unwrap_or(u32::MAX);
        match cursor.left.checked_sub(room) {
            Some(missing @ 1..) => Err(cursor.error(0, RecordFault::MissingRecords { missing })),
            _ => Ok(cursor),
        }
    }

    /// Records that are still to come, if all is well.
    pub(super) const fn left(&self) -> u32 {
        self.left
    }

    /// The next record; after an error, nothing.
    #[inline(always)]
    pub(super) fn next<'a>(
        &mut self,
        section: &'a [u8],
    ) -> Option<Result<Record<'a>, RecordsError>> {
        let rest = section.get(self.at..)?;
        let Some(left) = self.left.checked_sub(1) else {
            let (cursor, end) = self.clone().end(section);
            *self = cursor;
            return end;
        };
        self.left = left;
        let Some((record, after)) = self.short_record(rest) else {
            let (cursor, record) = self.clone().any_record(section, rest);
            *self = cursor;
            return Some(record);
        };
        self.at = section.len() - after.len();
        Some(Ok(record))
    }

    /// The record at the front of `bytes`, and what follows it, when its numbers are short, as is
    /// nearly always so, and nothing is wrong with it.
    ///
    /// What follows begins where the record's length says, which is known first: the processor
    /// then reads the next record while it is still busy with the fields of this one.
    #[inline(always)]
    fn short_record<'a>(&self, bytes: &'a [u8]) -> Option<(Record<'a>, &'a [u8])> {
        let mut window = Window::over(bytes)?;
        let record_len = window.size()? + window.taken;
        let (record, after) = bytes.split_at_checked(record_len)?;
        window.skip(ATTRIBUTES_LEN);
        let timestamp_delta = i64::from(window.varint()?);
        let offset_delta = window.varint()?;
        let (key, rest) = short_nullable(bytes.get(window.taken..)?)?;
        let (value, rest) = short_nullable(rest)?;
        let headers = match record.get(bytes.len() - rest.len()..)? {
            NO_HEADERS => Headers::default(),
            headers => some_headers(headers)?,
        };
        let (offset, timestamp) = self.absolute(offset_delta, timestamp_delta);
        Some((Record { offset, timestamp, key, value, headers }, after))
    }

    /// As [`Self::short_record`], for every record: what is wrong is told, and where.
    ///
    /// Takes and returns the cursor by value, as [`Self::end`] does: one that is lent to a call
    /// stays in memory, and a loop over short records has it in registers otherwise.
    #[inline(never)]
    fn any_record<'a>(
        mut self,
        section: &'a [u8],
        rest: &'a [u8],
    ) -> (Self, Result<Record<'a>, RecordsError>) {
        let mut fields = Fields(rest);
        let record = match self.record(&mut fields) {
            Ok((record, after)) => {
                self.at = section.len() - after.len();
                Ok(record)
            }
            Err(fault) => Err(self.stop(fields.position_in(section), fault)),
        };
        (self, record)
    }

    /// The record at the front of `fields`, and what follows it. After a fault, `fields` is at
    /// the field that was refused.
    fn record<'a>(&self, fields: &mut Fields<'a>) -> Result<(Record<'a>, &'a [u8]), RecordFault> {
        if fields.0.is_empty() {
            return Err(RecordFault::MissingRecords { missing: self.left + 1 });
        }
        let mut rest = *fields;
        let len = rest.varint()?;
        let body = rest.bytes(len)?;
        *fields = Fields(body);
        let [_attributes] = fields.fixed()?;
        let timestamp_delta = fields.varlong()?;
        let offset_delta = fields.varint()?;
        let key_len = fields.varint()?;
        let key = fields.nullable_bytes(key_len)?;
        let value_len = fields.varint()?;
        let value = fields.nullable_bytes(value_len)?;
        let header_count = fields.varint()?;
        let headers = match header_count {
            0 => Headers::default(),
            count => match Headers::parse(count, *fields) {
                Ok((headers, rest)) => {
                    *fields = rest;
                    headers
                }
                Err(refused) => {
                    *fields = refused.fields;
                    return Err(refused.fault);
                }
            },
        };
        fields.finish()?;
        let (offset, timestamp) = self.absolute(offset_delta, timestamp_delta);
        Ok((Record { offset, timestamp, key, value, headers }, rest.0))
    }

    /// A record's offset and timestamp.
    #[inline(always)]
    fn absolute(&self, offset_delta: i32, timestamp_delta: i64) -> (i64, i64) {
        // Java wraps around as well: full-range timestamps survive a round trip.
        let timestamp =
            self.append_time.unwrap_or_else(|| self.base_timestamp.wrapping_add(timestamp_delta));
        (self.base_offset.wrapping_add(i64::from(offset_delta)), timestamp)
    }

    /// Gives nothing more, whatever there is.
    #[cold]
    pub(super) fn close(&mut self) {
        self.left = 0;
        // No section is that long, so nothing more is found in it.
        self.at = usize::MAX;
    }

    /// After the last record, nothing may be left.
    #[cold]
    fn end<'a>(mut self, section: &'a [u8]) -> (Self, Option<Result<Record<'a>, RecordsError>>) {
        let end = match section.len().saturating_sub(self.at) {
            0 => None,
            bytes => Some(Err(self.stop(self.at, RecordFault::TrailingBytes { bytes }))),
        };
        (self, end)
    }

    #[cold]
    fn stop(&mut self, at: usize, fault: RecordFault) -> RecordsError {
        self.close();
        self.error(at, fault)
    }

    const fn error(&self, at: usize, fault: RecordFault) -> RecordsError {
        RecordsError::Record { base_offset: self.base_offset, at, fault }
    }
}

/// The headers, and their count before them, if nothing is wrong with them.
#[inline(never)]
fn some_headers(bytes: &[u8]) -> Option<Headers<'_>> {
    let mut fields = Fields(bytes);
    let count = fields.varint().ok()?;
    let (headers, rest) = Headers::parse(count, fields).ok()?;
    rest.finish().ok()?;
    Some(headers)
}

/// Lends the records of one batch, in the order they stand in.
///
/// Each record is checked as it is reached. The first error is the last item: what came before it
/// was whole, what would come after cannot be trusted.
///
/// Their offsets ascend and stay within the batch, as a rule. Nobody can rely on it: brokers do not
/// ask it of records that are not compressed, and before Kafka 1.1 they took batches with more
/// records than offsets, which clients of that time wrote.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    section: &'a [u8],
    cursor: Cursor,
}

impl<'a> Records<'a> {
    /// The records of a section that the caller has decompressed, if that was necessary.
    ///
    /// # Errors
    ///
    /// [`RecordsError`], when the section is too short for the records that the header counts.
    pub fn over(header: &BatchHeader, section: &'a [u8]) -> Result<Self, RecordsError> {
        Ok(Self { section, cursor: Cursor::new(header, section)? })
    }

    /// How many records are still to come, and the bytes that they are in: a section of their own, for
    /// who reads on some other time. `None` after an error.
    #[must_use]
    pub fn rest(&self) -> Option<(u32, &'a [u8])> {
        self.section.get(self.cursor.at..).map(|bytes| (self.cursor.left, bytes))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordsError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.cursor.next(self.section)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // One more for the error that leftover bytes are.
        (0, usize::try_from(self.cursor.left()).ok().and_then(|left| left.checked_add(1)))
    }
}

impl std::iter::FusedIterator for Records<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{BatchBuilder, Header, NewRecord, SealOptions};

    #[test]
    fn a_short_record_is_read_as_any_record_is_and_refused_where_that_is() {
        let headers = [Header { key: b"k", value: Some(b"v") }];
        let mut builder = BatchBuilder::new();
        for (key, value) in [(None, None), (Some(&b"key"[..]), Some(&[b'v'; 70][..]))] {
            builder.append(NewRecord { timestamp: 1_000, key, value, headers }).unwrap();
            builder.append(NewRecord::new(900, key, value)).unwrap();
        }
        let batch = builder.seal(&SealOptions::default()).freeze();
        let whole = batch.encoded_records();
        for at in 0..whole.len() {
            for byte in 0..=u8::MAX {
                let mut section = whole.to_vec();
                section[at] = byte;
                check(&Cursor::new(batch.header(), &section).unwrap(), &section);
            }
        }
    }

    #[test]
    fn the_rest_of_the_records_is_read_as_it_would_have_been() {
        let mut builder = BatchBuilder::new();
        for value in 0..9_u8 {
            builder.append(NewRecord::new(1_000, None, Some(&[value]))).unwrap();
        }
        let options = SealOptions { base_offset: 100, ..SealOptions::default() };
        let batch = builder.seal(&options).freeze();
        let mut records = Records::over(batch.header(), batch.encoded_records()).unwrap();
        loop {
            let (left, bytes) = records.rest().unwrap();
            let record_count = i32::try_from(left).unwrap();
            let header = BatchHeader { record_count, ..*batch.header() };
            let rest = Records::over(&header, bytes).unwrap().map(Result::unwrap);
            assert!(rest.eq(records.clone().map(Result::unwrap)));
            if records.next().is_none() {
                assert_eq!((left, bytes.len()), (0, 0));
                return;
            }
        }
    }

    #[test]
    fn behind_a_record_that_cannot_be_read_there_is_no_rest() {
        let mut builder = BatchBuilder::new();
        builder.append(NewRecord::new(1_000, None, Some(b"value"))).unwrap();
        let batch = builder.seal(&SealOptions::default()).freeze();
        let section = batch.encoded_records();
        let mut records = Records::over(batch.header(), &section[..section.len() - 1]).unwrap();
        assert!(records.next().unwrap().is_err());
        assert_eq!(records.rest(), None);
    }

    /// Reads the section both ways, as far as it is right.
    #[track_caller]
    fn check(cursor: &Cursor, section: &[u8]) {
        let mut rest = section;
        while !rest.is_empty() {
            let by_field = cursor.record(&mut Fields(rest)).ok();
            if let Some(record) = cursor.short_record(rest) {
                assert_eq!(Some(record), by_field, "{section:?}");
            }
            let Some((_, after)) = by_field else { return };
            rest = after;
        }
    }
}
