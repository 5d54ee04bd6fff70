//! Kafka's UUIDs.

use std::fmt;
use std::str::FromStr;

/// The id of a topic, a log directory or a member: 128 bits.
///
/// Shown as Kafka shows it, in URL-safe base64 without padding (22 characters); Java's `Uuid`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// All zeros: the wire's "no id".
    pub const ZERO: Self = Self([0; 16]);

    /// From its bytes, most significant first.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, most significant first.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether this is the wire's "no id".
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl From<u128> for Uuid {
    fn from(value: u128) -> Self {
        Self(value.to_be_bytes())
    }
}

impl From<Uuid> for u128 {
    fn from(value: Uuid) -> Self {
        Self::from_be_bytes(value.0)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from(*self);
        // 22 digits of six bits hold 132 bits: the last digit has four of padding.
        for digit in 0..22 {
            let index = if digit < 21 { bits >> (122 - 6 * digit) } else { bits << 4 } & 0x3f;
            let byte = usize::try_from(index).ok().and_then(|index| ALPHABET.get(index));
            write!(f, "{}", char::from(*byte.unwrap_or(&b'?')))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        if text.len() != 22 {
            return Err(UuidError);
        }
        let mut bits = 0_u128;
        for (position, byte) in text.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|known| *known == byte).ok_or(UuidError)?;
            let digit = u128::try_from(digit).map_err(|_| UuidError)?;
            if position < 21 {
                bits = bits << 6 | digit;
            } else if digit & 0xf == 0 {
                bits = bits << 2 | digit >> 4;
            } else {
                return Err(UuidError);
            }
        }
        Ok(Self::from(bits))
    }
}

/// Text that is not a UUID as Kafka writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a Kafka UUID is 22 characters of URL-safe base64")]
pub struct UuidError;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_url_safe_base64_without_padding() {
        check(0, "AAAAAAAAAAAAAAAAAAAAAA");
        check(1, "AAAAAAAAAAAAAAAAAAAAAQ");
        check(u128::MAX, "_____________________w");
        check(0xfbef_be00_0000_0000_0000_0000_0000_0000, "----AAAAAAAAAAAAAAAAAA");
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "AAAA",
            "AAAAAAAAAAAAAAAAAAAAA=",
            "AAAAAAAAAAAAAAAAAAAAAB",
            "+AAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(text.parse::<Uuid>(), Err(UuidError), "{text}");
        }
    }

    #[track_caller]
    fn check(bits: u128, text: &str) {
        assert_eq!(Uuid::from(bits).to_string(), text);
        assert_eq!(text.parse(), Ok(Uuid::from(bits)));
    }
}
