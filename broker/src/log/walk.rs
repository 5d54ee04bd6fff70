//! The records of a produced batch, walked as Apache Kafka walks them.
//!
//! The protocol crate's own reader is stricter, as Java's consumer is: of a batch that is compressed,
//! Kafka's `LogValidator` never asks whether the records are as long as they say.

use ottla_protocol::ErrorCode;
use ottla_protocol::wire::varint::{self, VarintError};

/// How the records lay in their batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// As they are.
    Plain,
    /// Compressed.
    Packed,
}

/// What a record says before its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes that it says are in it.
    pub(super) len: i32,
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) has_key: bool,
}

/// Why records cannot be read: what Kafka answers, and the reason.
pub(super) type Malformed = (ErrorCode, &'static str);

/// Calls `visit` with the head of each of the `count` records that `bytes` must consist of.
///
/// # Errors
///
/// [`Malformed`], which is about the records after those visited.
pub(super) fn walk(
    bytes: &[u8],
    count: i32,
    section: Section,
    mut visit: impl FnMut(Head),
) -> Result<(), Malformed> {
    let mut fields = Fields(bytes);
    for _ in 0..count {
        visit(fields.record(section)?);
    }
    if fields.0.is_empty() { Ok(()) } else { Err(invalid("bytes follow the last record")) }
}

/// What is left to read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    #[inline]
    fn record(&mut self, section: Section) -> Result<Head, Malformed> {
        let len = self.record_len(section)?;
        let before = self.0.len();
        self.skip(ATTRIBUTES_LEN)?;
        let timestamp_delta = self.varlong()?;
        let offset_delta = self.varint()?;
        let has_key = self.skip_nullable()?;
        self.skip_nullable()?;
        self.skip_headers()?;
        let read = before - self.0.len();
        if section == Section::Plain && i32::try_from(read) != Ok(len) {
            return Err(invalid("a record is not as long as it says"));
        }
        Ok(Head { len, timestamp_delta, offset_delta, has_key })
    }

    #[inline]
    fn record_len(&mut self, section: Section) -> Result<i32, Malformed> {
        match section {
            // Kafka is not prepared for a number that is too long there.
            Section::Plain => self.varint_or(ErrorCode::UnknownServerError),
            Section::Packed => match self.varint()? {
                ..0 => Err(invalid("the length of a record is below 0")),
                len => Ok(len),
            },
        }
    }

    #[inline]
    fn skip_headers(&mut self) -> Result<(), Malformed> {
        let count = self.varint()?;
        if count < 0 {
            return Err(invalid("the number of a record's headers is below 0"));
        }
        for _ in 0..count {
            let key_len = self.varint()?;
            let key_len = usize::try_from(key_len);
            self.skip(key_len.map_err(|_| invalid("the length of a header's key is below 0"))?)?;
            self.skip_nullable()?;
        }
        Ok(())
    }

    /// Skips a key or a value, and tells whether there is one: any length below 0 is none.
    #[inline]
    fn skip_nullable(&mut self) -> Result<bool, Malformed> {
        let len = usize::try_from(self.varint()?);
        self.skip(len.unwrap_or(0))?;
        Ok(len.is_ok())
    }

    #[inline]
    fn skip(&mut self, len: usize) -> Result<(), Malformed> {
        self.0 = self.0.get(len..).ok_or_else(early_end)?;
        Ok(())
    }

    #[inline]
    fn varint(&mut self) -> Result<i32, Malformed> {
        self.varint_or(ErrorCode::InvalidRecord)
    }

    /// A number; one that goes on for too long is answered with `too_long`.
    #[inline]
    fn varint_or(&mut self, too_long: ErrorCode) -> Result<i32, Malformed> {
        let (value, rest) = varint::read_i32(self.0).map_err(|error| refuse(error, too_long))?;
        self.0 = rest;
        Ok(value)
    }

    #[inline]
    fn varlong(&mut self) -> Result<i64, Malformed> {
        let read = varint::read_i64(self.0);
        let (value, rest) = read.map_err(|error| refuse(error, ErrorCode::InvalidRecord))?;
        self.0 = rest;
        Ok(value)
    }
}

#[cold]
fn refuse(error: VarintError, too_long: ErrorCode) -> Malformed {
    match error {
        VarintError::Truncated => early_end(),
        VarintError::Overflow => (too_long, "a number goes on for too long"),
    }
}

#[cold]
fn early_end() -> Malformed {
    invalid("the records end early")
}

#[cold]
fn invalid(reason: &'static str) -> Malformed {
    (ErrorCode::InvalidRecord, reason)
}

const ATTRIBUTES_LEN: usize = 1;
