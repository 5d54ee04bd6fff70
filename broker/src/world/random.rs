//! Ids from a seed.

use ottla_protocol::Uuid;

/// Sebastiano Vigna's `SplitMix64`: small, and good enough for ids that must only differ.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A positive number, as fetch session ids are.
    pub(crate) fn positive_i32(&mut self) -> i32 {
        let [a, b, c, d, ..] = self.u64().to_be_bytes();
        (i32::from_be_bytes([a, b, c, d]) & i32::MAX).max(1)
    }

    /// A random UUID; never zero, and never one that Kafka reserves.
    pub(crate) fn uuid(&mut self) -> Uuid {
        let bits = u128::from(self.u64()) << 64 | u128::from(self.u64());
        // Version 4, variant 1, as Java's.
        Uuid::from(bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62)
    }
}
