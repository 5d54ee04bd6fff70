//! Variable-length integers: seven bits a byte, lowest first; signed ones zig-zagged.
//!
//! Readers take the front of a slice and return the value with what follows it. They refuse a
//! value that does not fit its type, and accept padding zeros within the type's longest form, as
//! Kafka's `ByteUtils` does.

/// Longest form of a 32-bit value, in bytes.
pub const MAX_VARINT_LEN: usize = 5;

/// Longest form of a 64-bit value, in bytes.
pub const MAX_VARLONG_LEN: usize = 10;

/// Why a variable-length integer was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VarintError {
    /// The bytes end before the value does.
    Truncated,
    /// The value does not fit the type, or goes on past its longest form.
    Overflow,
}

/// Reads an unsigned 32-bit value.
///
/// # Errors
///
/// [`VarintError`], when the bytes end early or the value needs more than 32 bits.
#[inline]
pub fn read_u32(bytes: &[u8]) -> Result<(u32, &[u8]), VarintError> {
    if let [byte, rest @ ..] = bytes
        && *byte < 0x80
    {
        return Ok((u32::from(*byte), rest));
    }
    let (value, rest) = read_long::<MAX_VARINT_LEN>(bytes)?;
    Ok((u32::try_from(value).map_err(|_| VarintError::Overflow)?, rest))
}

/// Reads an unsigned 64-bit value.
///
/// # Errors
///
/// [`VarintError`], when the bytes end early or the value needs more than 64 bits.
#[inline]
pub fn read_u64(bytes: &[u8]) -> Result<(u64, &[u8]), VarintError> {
    if let [byte, rest @ ..] = bytes
        && *byte < 0x80
    {
        return Ok((u64::from(*byte), rest));
    }
    read_long::<MAX_VARLONG_LEN>(bytes)
}

/// Reads a zig-zagged 32-bit value.
///
/// # Errors
///
/// As [`read_u32`].
#[inline]
pub fn read_i32(bytes: &[u8]) -> Result<(i32, &[u8]), VarintError> {
    let (raw, rest) = read_u32(bytes)?;
    Ok(((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed(), rest))
}

/// Reads a zig-zagged 64-bit value.
///
/// # Errors
///
/// As [`read_u64`].
#[inline]
pub fn read_i64(bytes: &[u8]) -> Result<(i64, &[u8]), VarintError> {
    let (raw, rest) = read_u64(bytes)?;
    Ok(((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed(), rest))
}

/// Appends an unsigned 32-bit value.
#[inline]
pub fn write_u32(out: &mut Vec<u8>, value: u32) {
    write_u64(out, u64::from(value));
}

/// Appends an unsigned 64-bit value.
#[inline]
pub fn write_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

/// Appends a zig-zagged 32-bit value.
#[inline]
pub fn write_i32(out: &mut Vec<u8>, value: i32) {
    write_u32(out, zigzag_i32(value));
}

/// Appends a zig-zagged 64-bit value.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    write_u64(out, zigzag_i64(value));
}

/// Bytes that [`write_u64`] appends for `value`: 1 to 10.
#[inline]
#[must_use]
pub const fn len_u64(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Bytes that [`write_i32`] appends for `value`: 1 to 5.
#[inline]
#[must_use]
pub const fn len_i32(value: i32) -> usize {
    len_u64(zigzag_i32(value) as u64)
}

/// Bytes that [`write_i64`] appends for `value`: 1 to 10.
#[inline]
#[must_use]
pub const fn len_i64(value: i64) -> usize {
    len_u64(zigzag_i64(value))
}

#[inline]
pub(crate) const fn zigzag_i32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)).cast_unsigned()
}

#[inline]
pub(crate) const fn zigzag_i64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[inline]
fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

fn read_long<const MAX: usize>(bytes: &[u8]) -> Result<(u64, &[u8]), VarintError> {
    let mut value = 0_u64;
    let mut rest = bytes;
    for index in 0..MAX {
        let [byte, after @ ..] = rest else { return Err(VarintError::Truncated) };
        let (bits, shift) = (u64::from(byte & 0x7f), index * 7);
        // The tenth byte of a 64-bit value has room for one bit only.
        if shift == 63 && bits > 1 {
            return Err(VarintError::Overflow);
        }
        value |= bits << shift;
        rest = after;
        if *byte < 0x80 {
            return Ok((value, rest));
        }
    }
    Err(VarintError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_boundary_survives_a_round_trip() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1 << shift) - 1, !(1 << shift)] {
                let mut out = Vec::new();
                write_u64(&mut out, value);
                assert_eq!(out.len(), len_u64(value), "{value}");
                assert_eq!(read_u64(&out), Ok((value, &[][..])));

                let signed = value.cast_signed();
                let mut out = Vec::new();
                write_i64(&mut out, signed);
                assert_eq!(out.len(), len_i64(signed), "{signed}");
                assert_eq!(read_i64(&out), Ok((signed, &[][..])));
            }
        }
    }

    #[test]
    fn thirty_two_bit_extremes_survive_a_round_trip() {
        for value in [0, 1, -1, 63, -64, 64, i32::MAX, i32::MIN] {
            let mut out = Vec::new();
            write_i32(&mut out, value);
            assert_eq!(out.len(), len_i32(value), "{value}");
            assert_eq!(read_i32(&out), Ok((value, &[][..])));
        }
    }

    #[test]
    fn what_follows_the_value_is_returned() {
        assert_eq!(read_u32(&[0xac, 0x02, 9]), Ok((300, &[9][..])));
    }

    #[test]
    fn a_value_that_never_ends_is_refused() {
        assert_eq!(read_u32(&[0x80; 5]), Err(VarintError::Overflow));
        assert_eq!(read_u64(&[0x80; 11]), Err(VarintError::Overflow));
        assert_eq!(read_u64(&[0x80; 3]), Err(VarintError::Truncated));
        assert_eq!(read_u64(&[]), Err(VarintError::Truncated));
    }

    #[test]
    fn a_value_too_large_for_its_type_is_refused() {
        assert_eq!(read_u32(&[0xff, 0xff, 0xff, 0xff, 0x10]), Err(VarintError::Overflow));
        let mut eleven_bits_too_many = [0xff; 10];
        eleven_bits_too_many[9] = 0x02;
        assert_eq!(read_u64(&eleven_bits_too_many), Err(VarintError::Overflow));
    }

    #[test]
    fn padding_within_the_longest_form_is_accepted() {
        assert_eq!(read_u32(&[0x81, 0x80, 0x00]), Ok((1, &[][..])));
    }
}
