//! Which codec, and how hard it should try.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use super::{CodecError, CompressionError};

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// Not at all; wire id 0.
    #[default]
    None,
    /// gzip; wire id 1.
    Gzip,
    /// Snappy in xerial's frames, as snappy-java writes them; wire id 2.
    Snappy,
    /// LZ4 frames; wire id 3.
    Lz4,
    /// Zstandard; wire id 4. Only in batches of magic 2 (KIP-110).
    Zstd,
}

impl Compression {
    /// Every codec, by wire id.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this wire id.
    ///
    /// # Errors
    ///
    /// [`CompressionError::UnknownCodec`] for an id above 4.
    pub const fn from_id(id: u8) -> Result<Self, CompressionError> {
        Ok(match id {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return Err(CompressionError::UnknownCodec { id }),
        })
    }

    /// Its id in the lowest three bits of a batch's attributes.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Kafka's name for it, as in `compression.type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Whether this build has the codec.
    #[must_use]
    pub const fn is_enabled(self) -> bool {
        match self {
            Self::None => true,
            Self::Gzip => cfg!(feature = "gzip"),
            Self::Snappy => cfg!(feature = "snappy"),
            Self::Lz4 => cfg!(feature = "lz4"),
            Self::Zstd => cfg!(any(feature = "zstd", feature = "zstd-pure")),
        }
    }

    /// The levels it accepts, as KIP-390 defines them; `None` where it has none.
    #[must_use]
    pub const fn levels(self) -> Option<RangeInclusive<i32>> {
        match self {
            Self::None | Self::Snappy => None,
            Self::Gzip => Some(1..=9),
            Self::Lz4 => Some(1..=17),
            Self::Zstd => Some(-131_072..=22),
        }
    }

    const fn default_level(self) -> i32 {
        match self {
            Self::None | Self::Snappy => 0,
            Self::Gzip => 6,
            Self::Lz4 => 9,
            Self::Zstd => 3,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = CodecError;

    fn from_str(name: &str) -> Result<Self, CodecError> {
        let known = Self::ALL.into_iter().find(|compression| compression.name() == name);
        known.ok_or_else(|| CodecError::UnknownName { name: name.to_owned() })
    }
}

/// A codec and its level: how a producer wants its batches compressed.
///
/// The levels and defaults are Kafka's (KIP-390). Two codecs cannot follow them closely: `lz4`
/// accepts its levels and ignores them, since `lz4_flex` has one speed, its fastest; `zstd-pure`
/// likewise compresses every level as fast as it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Codec {
    compression: Compression,
    level: i32,
}

impl Codec {
    /// No compression.
    pub const NONE: Self = Self::new(Compression::None);

    /// The codec at its default level: gzip 6, lz4 9, zstd 3.
    #[must_use]
    pub const fn new(compression: Compression) -> Self {
        Self { compression, level: compression.default_level() }
    }

    /// The codec at a level of the caller's choice.
    ///
    /// # Errors
    ///
    /// [`CodecError`], when the codec has no levels or not this one. Kafka's −1 for gzip's default
    /// is spelt [`Codec::new`] here.
    pub fn with_level(compression: Compression, level: i32) -> Result<Self, CodecError> {
        let levels = compression.levels().ok_or(CodecError::NoLevels { compression })?;
        if levels.contains(&level) {
            return Ok(Self { compression, level });
        }
        let (min, max) = levels.into_inner();
        Err(CodecError::LevelOutOfRange { compression, level, min, max })
    }

    /// The codec.
    #[must_use]
    pub const fn compression(self) -> Compression {
        self.compression
    }

    /// Its level; 0 for a codec without levels.
    #[must_use]
    pub const fn level(self) -> i32 {
        self.level
    }
}

impl Default for Codec {
    fn default() -> Self {
        Self::NONE
    }
}

impl From<Compression> for Codec {
    fn from(compression: Compression) -> Self {
        Self::new(compression)
    }
}
