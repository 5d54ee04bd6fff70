//! Tagged fields (KIP-482): what a message carries beyond the fields of its version.

use std::fmt;

use bytes::Bytes;

use super::rare::Rare;

/// A tagged field whose meaning is not known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownTaggedField {
    /// Its number, unique in its structure.
    pub tag: u32,
    /// Its value, as it was read.
    pub data: Bytes,
}

/// The tagged fields of one structure that are not known here, by ascending tag.
///
/// Kept so that a message that is decoded and encoded again says all that it said before. One
/// pointer wide, because every structure has them and hardly any has one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UnknownTaggedFields(Rare<Vec<UnknownTaggedField>>);

impl UnknownTaggedFields {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(Rare::none())
    }

    /// None, with room for `count`.
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self(Rare::new(Vec::with_capacity(count)))
    }

    /// Adds a field. Tags must ascend, or the message cannot be encoded.
    pub fn push(&mut self, field: UnknownTaggedField) {
        self.0.get_or_insert_default().push(field);
    }

    /// The fields, by ascending tag.
    #[must_use]
    pub fn as_slice(&self) -> &[UnknownTaggedField] {
        self.0.get().map_or(&[], |fields| fields)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}

impl fmt::Debug for UnknownTaggedFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

impl FromIterator<UnknownTaggedField> for UnknownTaggedFields {
    fn from_iter<I: IntoIterator<Item = UnknownTaggedField>>(fields: I) -> Self {
        let mut all = Self::new();
        fields.into_iter().for_each(|field| all.push(field));
        all
    }
}
