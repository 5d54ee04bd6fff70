//! A record as it is lent: views into the batch's bytes.

use std::str::Utf8Error;

use super::{
    RecordFault,
    fields::{Fields, Refused},
};

/// A record lent by its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970, set by the producer or, with LogAppendTime, by the broker; −1 when
    /// there is none.
    pub timestamp: i64,
    /// Its key; null and empty are different.
    pub key: Option<&'a [u8]>,
    /// Its value; null is a tombstone in a compacted topic, empty is not.
    pub value: Option<&'a [u8]>,
    /// Its headers, in the producer's order.
    pub headers: Headers<'a>,
}

/// A record header (KIP-82). Keys need not be unique within a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header<'a> {
    /// Its key: UTF-8 by convention, which not every producer follows.
    pub key: &'a [u8],
    /// Its value; null and empty are different.
    pub value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// The key as text.
    ///
    /// # Errors
    ///
    /// [`Utf8Error`], when the producer did not write UTF-8.
    pub const fn key_str(&self) -> Result<&'a str, Utf8Error> {
        std::str::from_utf8(self.key)
    }
}

/// The headers of a record: checked when the record was, decoded when they are iterated.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    count: usize,
    encoded: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Reads `count` headers off the front of `fields`, and returns what follows them.
    ///
    /// By value, unlike the other readers: a record without headers then stays in registers.
    #[inline(never)]
    pub(super) fn parse(
        count: i32,
        mut fields: Fields<'a>,
    ) -> Result<(Self, Fields<'a>), Refused<'a>> {
        let encoded = fields.0;
        let Ok(claimed) = usize::try_from(count) else {
            return Err(Refused { fault: RecordFault::NegativeLength { length: count }, fields });
        };
        for _ in 0..claimed {
            parse_header(&mut fields).map_err(|fault| Refused { fault, fields })?;
        }
        let len = encoded.len() - fields.0.len();
        Ok((Self { count: claimed, encoded: encoded.get(..len).unwrap_or_default() }, fields))
    }

    /// The headers that [`Self::parse`] accepted before.
    pub(super) const fn from_checked(count: usize, encoded: &'a [u8]) -> Self {
        Self { count, encoded }
    }

    /// The bytes they were read from.
    pub(super) const fn encoded(&self) -> &'a [u8] {
        self.encoded
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Every header, in the producer's order.
    #[must_use]
    pub const fn iter(&self) -> HeadersIter<'a> {
        HeadersIter { left: self.count, rest: self.encoded }
    }

    /// The last header with this key, which is the one that counts by convention.
    #[must_use]
    pub fn last(&self, key: &[u8]) -> Option<Header<'a>> {
        self.iter().filter(|header| header.key == key).last()
    }
}

impl PartialEq for Headers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers<'_> {}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        self.iter()
    }
}

/// Iterates over a record's [`Headers`].
#[derive(Debug, Clone)]
pub struct HeadersIter<'a> {
    left: usize,
    rest: &'a [u8],
}

impl<'a> Iterator for HeadersIter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut fields = Fields(self.rest);
        let header = parse_header(&mut fields).ok()?;
        self.rest = fields.0;
        Some(header)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for HeadersIter<'_> {}

fn parse_header<'a>(fields: &mut Fields<'a>) -> Result<Header<'a>, RecordFault> {
    let key_len = fields.varint()?;
    let key = fields.bytes(key_len)?;
    let value_len = fields.varint()?;
    Ok(Header { key, value: fields.nullable_bytes(value_len)? })
}
