//! Tagged fields (KIP-482): what a message carries beyond the fields of its version.

use bytes::Bytes;

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
/// Kept so that a message that is decoded and encoded again says all that it said before.
pub type UnknownTaggedFields = Vec<UnknownTaggedField>;
