//! CRC32C of a batch from the CRCs of its parts.
//!
//! A CRC is linear: `crc(A ++ B) = shift(crc(A), len(B)) ^ crc(B)`, where `shift` multiplies by
//! x^(8 · len) modulo the polynomial. So when A changes, B need not be read again. What crates
//! offer for that squares matrices at every call, which takes longer than hashing 256 KiB; this takes
//! three multiplications for that.

/// The Castagnoli polynomial, lowest power in the highest bit.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// x^0 in that order of bits.
const ONE: u32 = 1 << 31;

/// `POWERS[k][d]` is x^(8 · d · 16^k): what a hexadecimal digit of a length stands for.
const POWERS: [[u32; 16]; 8] = powers();

/// The CRC32C of the bytes.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The CRC of a whole whose first part changed.
///
/// `whole` is its CRC before; `before` and `after` are those of the first part; `rest_len` is the
/// length of what follows it.
pub(super) fn replace_first(whole: u32, before: u32, after: u32, rest_len: usize) -> u32 {
    whole ^ shift(before ^ after, rest_len)
}

/// The CRC's share in one of `len` more bytes.
fn shift(crc: u32, len: usize) -> u32 {
    let mut shifted = crc;
    let mut digits = len;
    for powers in &POWERS {
        if digits & 15 != 0 {
            shifted = multiply(shifted, powers.get(digits & 15).copied().unwrap_or(ONE));
        }
        digits >>= 4;
    }
    shifted
}

/// The product of two polynomials, modulo ours.
const fn multiply(a: u32, b: u32) -> u32 {
    let (mut product, mut a, mut b) = (0, a, b);
    while a != 0 {
        // All ones when the bit is set: a branch here would be mispredicted every other time.
        product ^= b & 0_u32.wrapping_sub(a >> 31);
        b = (b >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(b & 1));
        a <<= 1;
    }
    product
}

#[expect(clippy::indexing_slicing, reason = "runs in the compiler, which checks the bounds")]
const fn powers() -> [[u32; 16]; 8] {
    let mut powers = [[ONE; 16]; 8];
    let mut unit = ONE >> 8;
    let mut digit = 0;
    while digit < 8 {
        let mut value = 1;
        while value < 16 {
            powers[digit][value] = multiply(powers[digit][value - 1], unit);
            value += 1;
        }
        unit = multiply(powers[digit][15], unit);
        digit += 1;
    }
    powers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // The check value of RFC 3720, appendix B.4, and of every catalogue of CRCs.
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_changed_beginning_needs_no_second_look_at_the_rest() {
        for len in [0, 1, 15, 16, 17, 255, 4_096, 65_537, 1_000_003] {
            let rest = vec![0xa7; len];
            let (before, after) = (b"a sequence", b"another one");
            let whole = checksum(&[before, &rest[..]].concat());
            let changed = checksum(&[after, &rest[..]].concat());
            let (before, crc) = (checksum(before), checksum(after));
            assert_eq!(replace_first(whole, before, crc, len), changed, "{len}");
        }
    }
}
