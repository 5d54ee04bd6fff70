//! Why bytes are not a message, and why a message has no bytes.

use std::fmt;

use crate::version::VersionRange;

/// Bytes that are not what the protocol says they must be.
///
/// Says where: the path of the field, as in `topics[3].partitions[0].leader_epoch`, and the offset
/// in bytes from the start of what was decoded. One pointer wide, so that the good path pays
/// nothing for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}.{path}, byte {offset}: {kind}", message = .0.message, path = .0.path, offset = .0.offset, kind = .0.kind)]
pub struct DecodeError(Box<DecodeFailure>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct DecodeFailure {
    message: &'static str,
    path: FieldPath,
    offset: usize,
    kind: DecodeErrorKind,
}

/// What is wrong with the bytes of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The field needs more bytes than are left.
    #[error("needs {needed} bytes, {remaining} are left")]
    Truncated {
        /// Bytes the field needs.
        needed: usize,
        /// Bytes that are left.
        remaining: usize,
    },
    /// A length or count that no field of this type can have, such as −2.
    #[error("{length} is no valid length")]
    InvalidLength {
        /// The length as it was read; compact ones are reported after subtracting their one.
        length: i64,
    },
    /// An array that claims more elements than the bytes left could hold.
    #[error(
        "claims {count} elements, but {remaining} bytes are left and each takes {each} or more"
    )]
    ArrayTooLong {
        /// The claimed number of elements.
        count: usize,
        /// Bytes that are left.
        remaining: usize,
        /// Fewest bytes of one element.
        each: usize,
    },
    /// Arrays that would take far more memory than the message takes bytes.
    #[error("would take {needed} bytes of memory, {left} are left to so short a message")]
    MemoryLimit {
        /// Bytes of memory the array would take.
        needed: usize,
        /// Bytes of memory that the message may still take.
        left: usize,
    },
    /// A variable-length integer that does not fit its type.
    #[error("a variable-length integer goes past its type")]
    VarintOverflow,
    /// A null where this version has none.
    #[error("is null, which this version does not allow")]
    UnexpectedNull,
    /// A string that is not UTF-8.
    #[error("is not UTF-8 from byte {valid_up_to} of the string on")]
    InvalidUtf8 {
        /// Bytes of the string that are valid.
        valid_up_to: usize,
    },
    /// A tag that is not larger than the one before it.
    #[error("tag {tag} does not ascend")]
    UnorderedTag {
        /// The tag out of order.
        tag: u32,
    },
    /// Bytes left over where the message, or a tagged field, should have ended.
    #[error("{count} bytes follow its end")]
    TrailingBytes {
        /// How many bytes are left over.
        count: usize,
    },
    /// A version of the message that is not known here.
    #[error("version {version} is not one of {known}")]
    UnsupportedVersion {
        /// The version asked for.
        version: i16,
        /// The versions that are known.
        known: VersionRange,
    },
    /// A number that stands for a kind of message that is not known here.
    #[error("{code} is not a known API key or record type")]
    UnknownType {
        /// The number as it was read.
        code: i16,
    },
}

impl DecodeError {
    /// An error in `field` at `offset`, with nothing said yet about what encloses it.
    #[cold]
    pub(crate) fn new(field: &'static str, offset: usize, kind: DecodeErrorKind) -> Self {
        let path = FieldPath(vec![Segment::Field(field)]);
        Self(Box::new(DecodeFailure { message: "", path, offset, kind }))
    }

    /// The same error seen from one level further out: it happened in element `index` of `field`.
    #[cold]
    #[must_use]
    pub(crate) fn in_element(mut self, field: &'static str, index: usize) -> Self {
        self.0.path.0.push(Segment::Element(field, index));
        self
    }

    /// The same error seen from one level further out: it happened in the structure `field`.
    #[cold]
    #[must_use]
    pub(crate) fn in_field(mut self, field: &'static str) -> Self {
        self.0.path.0.push(Segment::Field(field));
        self
    }

    /// The same error, now said to be in `message`.
    #[cold]
    #[must_use]
    pub(crate) fn in_message(mut self, message: &'static str) -> Self {
        self.0.message = message;
        self
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> DecodeErrorKind {
        self.0.kind
    }

    /// Where: bytes from the start of what was decoded to the field that is wrong.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// Which field: its names from the outermost in, with the indices of array elements.
    #[must_use]
    pub fn path(&self) -> String {
        self.0.path.to_string()
    }

    /// Which message, by Kafka's name for it.
    #[must_use]
    pub fn message(&self) -> &'static str {
        self.0.message
    }
}

/// A message that cannot be written in the version asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}.{path}: {kind}", message = .0.message, path = .0.path, kind = .0.kind)]
pub struct EncodeError(Box<EncodeFailure>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct EncodeFailure {
    message: &'static str,
    path: FieldPath,
    kind: EncodeErrorKind,
}

/// What is wrong with the value of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// The field is set, this version cannot carry it, and leaving it out would change the meaning.
    #[error("is set, but version {version} cannot carry it")]
    Unsupported {
        /// The version asked for.
        version: i16,
    },
    /// A null where this version has none.
    #[error("is null, which this version does not allow")]
    UnexpectedNull,
    /// More bytes or elements than the length prefix can say.
    #[error("has length {length}, at most {limit} can be written")]
    TooLong {
        /// Bytes or elements in the value.
        length: usize,
        /// The most this field can carry.
        limit: usize,
    },
    /// An unknown tagged field whose tag is taken or does not ascend.
    #[error("tag {tag} does not ascend, or belongs to a field of this message")]
    UnorderedTag {
        /// The tag at fault.
        tag: u32,
    },
    /// A version of the message that is not known here.
    #[error("version {version} is not one of {known}")]
    UnsupportedVersion {
        /// The version asked for.
        version: i16,
        /// The versions that are known.
        known: VersionRange,
    },
}

impl EncodeError {
    #[cold]
    pub(crate) fn new(field: &'static str, kind: EncodeErrorKind) -> Self {
        let path = FieldPath(vec![Segment::Field(field)]);
        Self(Box::new(EncodeFailure { message: "", path, kind }))
    }

    #[cold]
    pub(crate) fn unsupported(field: &'static str, version: i16) -> Self {
        Self::new(field, EncodeErrorKind::Unsupported { version })
    }

    #[cold]
    #[must_use]
    pub(crate) fn in_element(mut self, field: &'static str, index: usize) -> Self {
        self.0.path.0.push(Segment::Element(field, index));
        self
    }

    #[cold]
    #[must_use]
    pub(crate) fn in_field(mut self, field: &'static str) -> Self {
        self.0.path.0.push(Segment::Field(field));
        self
    }

    #[cold]
    #[must_use]
    pub(crate) fn in_message(mut self, message: &'static str) -> Self {
        self.0.message = message;
        self
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> EncodeErrorKind {
        self.0.kind
    }

    /// Which field, as [`DecodeError::path`] writes it.
    #[must_use]
    pub fn path(&self) -> String {
        self.0.path.to_string()
    }
}

/// The fields that enclose an error. Innermost first, because it is built on the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldPath(Vec<Segment>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment {
    Field(&'static str),
    Element(&'static str, usize),
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, segment) in self.0.iter().rev().enumerate() {
            if depth > 0 {
                f.write_str(".")?;
            }
            match segment {
                Segment::Field(name) => f.write_str(name)?,
                Segment::Element(name, index) => write!(f, "{name}[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_from_the_outermost_field_in() {
        let kind = DecodeErrorKind::Truncated { needed: 4, remaining: 1 };
        let error = DecodeError::new("leader_epoch", 61, kind)
            .in_element("partitions", 0)
            .in_element("topics", 3)
            .in_message("MetadataResponse");
        assert_eq!(
            error.to_string(),
            "MetadataResponse.topics[3].partitions[0].leader_epoch, byte 61: \
             needs 4 bytes, 1 are left"
        );
    }

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<DecodeError>(), size_of::<usize>());
        assert_eq!(size_of::<Result<i32, DecodeError>>(), 2 * size_of::<usize>());
    }
}
