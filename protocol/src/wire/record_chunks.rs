//! Record batches on their way through a message.

use bytes::Bytes;

use super::rare::Rare;

/// The record batches of one partition in a Produce or Fetch message: bytes that are not looked
/// into, and not copied when the message is encoded.
///
/// Decoded, they are one slice of the frame. To be encoded, they may be any number of slices,
/// which are sent one behind the other. Two are equal when they hold the same bytes.
#[derive(Debug, Clone)]
pub struct RecordChunks {
    /// What almost always is all there is; empty only if everything is.
    first: Bytes,
    /// What comes behind it; none is empty.
    more: Rare<Vec<Bytes>>,
}

impl RecordChunks {
    /// No bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self { first: Bytes::new(), more: Rare::none() }
    }

    /// Adds bytes behind those that are there.
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            self.more.get_or_insert_default().push(chunk);
        }
    }

    /// The place of what is read from a frame, which is one slice.
    pub(super) fn only(&mut self) -> &mut Bytes {
        self.more = Rare::none();
        &mut self.first
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks().map(Bytes::len).sum()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The slices in their order; none is empty.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        let first = Some(&self.first).filter(|first| !first.is_empty());
        first.into_iter().chain(self.more.get().into_iter().flatten())
    }

    /// All bytes in one piece. Copies unless there is only one slice.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.more.get().is_none() {
            return self.first;
        }
        self.chunks().flatten().copied().collect()
    }
}

impl Default for RecordChunks {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Bytes> for RecordChunks {
    fn from(bytes: Bytes) -> Self {
        Self { first: bytes, more: Rare::none() }
    }
}

impl FromIterator<Bytes> for RecordChunks {
    fn from_iter<I: IntoIterator<Item = Bytes>>(chunks: I) -> Self {
        let mut all = Self::new();
        chunks.into_iter().for_each(|chunk| all.push(chunk));
        all
    }
}

impl PartialEq for RecordChunks {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.chunks().flatten().eq(other.chunks().flatten())
    }
}

impl Eq for RecordChunks {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_are_equal_however_they_are_cut() {
        let whole = RecordChunks::from(Bytes::from_static(b"abc"));
        let cut: RecordChunks =
            [&b""[..], b"a", b"", b"bc"].into_iter().map(Bytes::from_static).collect();
        assert_eq!(whole, cut);
        assert_ne!(whole, RecordChunks::from(Bytes::from_static(b"abd")));
        assert_eq!(cut.chunks().count(), 2);
        assert_eq!(cut.into_bytes(), &b"abc"[..]);
    }

    #[test]
    fn one_slice_is_not_copied() {
        let bytes = Bytes::from(vec![1, 2, 3]);
        let chunks = RecordChunks::from(bytes.clone());
        assert_eq!(chunks.into_bytes().as_ptr(), bytes.as_ptr());
    }
}
