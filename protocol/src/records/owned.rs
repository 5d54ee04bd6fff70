//! Records that outlive their batch.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::{
    BatchHeader, Headers, LegacyMessage, Record, RecordsError, cursor::Cursor, fields::Fields,
    legacy::LegacyCursor,
};

/// Where a field lies in the section; null is the empty span that no field can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    const NULL: Self = Self { start: u32::MAX, len: 0 };

    /// The span of `part` within `section`. Sections are at most `i32::MAX` bytes long.
    fn of(part: Option<&[u8]>, section: &[u8]) -> Self {
        let Some(part) = part else { return Self::NULL };
        let start = Fields(part).position_in(section);
        match (u32::try_from(start), u32::try_from(part.len())) {
            (Ok(start), Ok(len)) => Self { start, len },
            _ => Self::NULL,
        }
    }

    fn get(self, section: &[u8]) -> Option<&[u8]> {
        let start = self.start as usize;
        section.get(start..start.checked_add(self.len as usize)?)
    }
}

/// What the records of one batch share: their bytes, and whatever else their reader keeps for them.
pub trait Section {
    /// The records as they are read: decompressed.
    fn bytes(&self) -> &Bytes;
}

impl Section for Bytes {
    fn bytes(&self) -> &Bytes {
        self
    }
}

/// A record that is its own: 56 bytes and one refcount on what its whole batch shares.
///
/// It keeps that alive, so an application that keeps few records for long should copy what it needs.
#[derive(Debug)]
pub struct OwnedRecord<S = Bytes> {
    section: Arc<S>,
    offset: i64,
    timestamp: i64,
    key: Span,
    value: Span,
    headers: Span,
    header_count: u32,
}

impl<S> Clone for OwnedRecord<S> {
    fn clone(&self) -> Self {
        Self { section: Arc::clone(&self.section), ..*self }
    }
}

impl<S: Section> OwnedRecord<S> {
    #[inline]
    fn new(record: &Record<'_>, section: &Arc<S>) -> Self {
        let bytes = section.bytes();
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            key: Span::of(record.key, bytes),
            value: Span::of(record.value, bytes),
            headers: Span::of(Some(record.headers.encoded()), bytes),
            header_count: u32::try_from(record.headers.len()).unwrap_or(0),
            section: Arc::clone(section),
        }
    }

    /// What it shares with the other records of its batch.
    #[must_use]
    pub fn section(&self) -> &Arc<S> {
        &self.section
    }

    /// Its offset in the partition.
    #[must_use]
    pub const fn offset(&self) -> i64 {
        self.offset
    }

    /// As [`Record::timestamp`].
    #[must_use]
    pub const fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// Its key; null and empty are different.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.key.get(self.section.bytes())
    }

    /// Its value; null and empty are different.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.value.get(self.section.bytes())
    }

    /// Its headers, in the producer's order.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        let encoded = self.headers.get(self.section.bytes()).unwrap_or_default();
        Headers::from_checked(self.header_count as usize, encoded)
    }

    /// Its key as bytes that can be kept and sent on: one more refcount, no copy.
    #[must_use]
    pub fn key_bytes(&self) -> Option<Bytes> {
        self.key().map(|key| self.section.bytes().slice_ref(key))
    }

    /// As [`Self::key_bytes`], for the value.
    #[must_use]
    pub fn value_bytes(&self) -> Option<Bytes> {
        self.value().map(|value| self.section.bytes().slice_ref(value))
    }

    /// The record as it would be lent.
    #[must_use]
    pub fn as_record(&self) -> Record<'_> {
        Record {
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key(),
            value: self.value(),
            headers: self.headers(),
        }
    }
}

impl<S: Section> PartialEq for OwnedRecord<S> {
    fn eq(&self, other: &Self) -> bool {
        self.as_record() == other.as_record()
    }
}

impl<S: Section> Eq for OwnedRecord<S> {}

/// Gives the records of one batch as values. As with [`Records`](super::Records), the first error
/// is the last item.
#[derive(Debug)]
pub struct OwnedRecords<S = Bytes> {
    section: Arc<S>,
    cursor: Cursor,
}

impl<S> Clone for OwnedRecords<S> {
    fn clone(&self) -> Self {
        Self { section: Arc::clone(&self.section), cursor: self.cursor.clone() }
    }
}

impl<S: Section> OwnedRecords<S> {
    /// The records of a section that the caller has decompressed, if that was necessary.
    ///
    /// # Errors
    ///
    /// [`RecordsError`], when the section is too short for the records that the header counts.
    pub fn over(header: &BatchHeader, section: Arc<S>) -> Result<Self, RecordsError> {
        Ok(Self { cursor: Cursor::new(header, section.bytes())?, section })
    }

    /// The next record whose offset is in `wanted`: those before are passed over, and it is over with
    /// the first behind. A fetch from within a batch brings all of the batch.
    ///
    /// # Errors
    ///
    /// As those of the iterator.
    #[inline(always)]
    pub fn next_in(&mut self, wanted: Range<i64>) -> Option<Result<OwnedRecord<S>, RecordsError>> {
        // One becomes owned where it is returned, and nowhere else: a value of this size that is moved
        // on the way costs as much as reading the record.
        loop {
            match self.cursor.next(self.section.bytes())? {
                Ok(record) if record.offset < wanted.start => {}
                Ok(record) if record.offset >= wanted.end => {
                    self.cursor.close();
                    return None;
                }
                Ok(record) => return Some(Ok(OwnedRecord::new(&record, &self.section))),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<S: Section> Iterator for OwnedRecords<S> {
    type Item = Result<OwnedRecord<S>, RecordsError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.cursor.next(self.section.bytes())?;
        Some(next.map(|record| OwnedRecord::new(&record, &self.section)))
    }
}

impl<S: Section> std::iter::FusedIterator for OwnedRecords<S> {}

/// Gives the records of a legacy message as values. The first error is the last item.
#[derive(Debug, Clone)]
pub struct OwnedLegacyRecords {
    section: Arc<Bytes>,
    cursor: LegacyCursor,
}

impl OwnedLegacyRecords {
    pub(super) fn new(message: &LegacyMessage, section: Arc<Bytes>) -> Result<Self, RecordsError> {
        Ok(Self { cursor: LegacyCursor::new(message, &section)?, section })
    }
}

impl Iterator for OwnedLegacyRecords {
    type Item = Result<OwnedRecord, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.cursor.next(&self.section)?;
        Some(next.map(|record| OwnedRecord::new(&record, &self.section)))
    }
}

impl std::iter::FusedIterator for OwnedLegacyRecords {}
