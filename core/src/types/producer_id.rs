//! Who produces, as the broker tells producers apart (KIP-98).

use std::fmt;

/// The id that a broker gave an idempotent producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(i64);

impl ProducerId {
    /// The id that the wire says; `None` for −1, its "none".
    #[must_use]
    pub fn from_wire(raw: i64) -> Option<Self> {
        (raw >= 0).then_some(Self(raw))
    }

    /// The number, never negative.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many times a producer id was taken over or restarted its sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(i16);

impl ProducerEpoch {
    /// The epoch that the wire says; `None` for −1, its "none".
    #[must_use]
    pub fn from_wire(raw: i16) -> Option<Self> {
        (raw >= 0).then_some(Self(raw))
    }

    /// The epoch after this one; `None` when the id has none left, because brokers never use the
    /// largest (Java's `TransactionManager`).
    #[must_use]
    pub fn next(self) -> Option<Self> {
        (self.0 < i16::MAX - 1).then(|| Self(self.0 + 1))
    }

    /// The number, never negative.
    #[must_use]
    pub fn number(self) -> i16 {
        self.0
    }
}

impl fmt::Display for ProducerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
