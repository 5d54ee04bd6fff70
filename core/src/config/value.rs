//! How values are read. Each function says why one will not do, as the rest of a sentence that
//! begins with the value: `is not a whole number`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::types::HostPort;

/// A whole number of milliseconds, not negative.
///
/// # Errors
///
/// Why it is none.
pub fn millis(text: &str) -> Result<Duration, String> {
    let millis: u64 = within(text, 0..=LONGEST, "milliseconds")?;
    Ok(Duration::from_millis(millis))
}

/// A whole number of milliseconds, more than none, that a request can hold.
///
/// # Errors
///
/// Why it is none.
pub fn wire_millis(text: &str) -> Result<Duration, String> {
    let millis: u64 = within(text, 1..=LONGEST_WIRE, "milliseconds")?;
    Ok(Duration::from_millis(millis))
}

/// A number of milliseconds that may have decimals, as librdkafka's `linger.ms` does.
///
/// # Errors
///
/// Why it is none.
pub fn decimal_millis(text: &str) -> Result<Duration, String> {
    if !text.contains('.') {
        return millis(text);
    }
    let millis: f64 = text.parse().map_err(|_| NOT_MILLIS.to_owned())?;
    Duration::try_from_secs_f64(millis / 1_000.0).map_err(|_| NOT_MILLIS.to_owned())
}

/// A whole number of milliseconds, or −1 for one without end.
///
/// # Errors
///
/// Why it is none.
pub fn millis_or_never(text: &str) -> Result<Duration, String> {
    if text == "-1" { Ok(Duration::from_millis(LONGEST)) } else { millis(text) }
}

/// A whole number of milliseconds, or −1 (Java) or 0 (librdkafka) for one without end.
///
/// # Errors
///
/// Why it is none.
pub fn positive_millis_or_never(text: &str) -> Result<Duration, String> {
    if text == "0" { millis_or_never("-1") } else { millis_or_never(text) }
}

/// A whole number within `range`; `unit` says of what.
///
/// # Errors
///
/// Why it is none.
pub fn within<T>(text: &str, range: RangeInclusive<T>, unit: &str) -> Result<T, String>
where
    T: FromStr + PartialOrd + fmt::Display + TryFrom<i128>,
{
    // Read as something wider, so that what is too large is not called no number.
    let wide: i128 = text.parse().map_err(|_| format!("is not a whole number of {unit}"))?;
    let number = T::try_from(wide).ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be from {} to {} {unit}", range.start(), range.end()))
}

/// `true` or `false`, in any case.
///
/// # Errors
///
/// Why it is neither.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("is neither true nor false".into()),
    }
}

/// Text, where empty text stands for none.
#[must_use]
pub fn optional(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// One of several words, in any case.
///
/// # Errors
///
/// Which words there are.
pub fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let chosen = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        format!("must be one of {}", words.join(", "))
    })
}

/// The one value that this version has of several that Kafka has.
///
/// # Errors
///
/// That the others are not in this version.
pub fn only(text: &str, value: &str) -> Result<(), String> {
    if text.eq_ignore_ascii_case(value) {
        return Ok(());
    }
    Err(format!("is not in this version; only {value} is"))
}

/// The one value with which a property asks for nothing that is not there.
///
/// # Errors
///
/// `why` the others are not, and what to do instead.
pub fn harmless(text: &str, value: &str, why: &str) -> Result<(), String> {
    if text.eq_ignore_ascii_case(value) { Ok(()) } else { Err(format!("is not supported: {why}")) }
}

/// Items between commas; blanks around them and empty ones are passed over.
pub fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Addresses between commas, each once.
///
/// # Errors
///
/// What is wrong with each that is none.
pub fn addresses(text: &str) -> Result<Vec<HostPort>, String> {
    let (mut addresses, mut wrong) = (Vec::new(), Vec::new());
    for item in list(text) {
        match item.parse() {
            Ok(address) if addresses.contains(&address) => {}
            Ok(address) => addresses.push(address),
            Err(error) => wrong.push(format!("{error}")),
        }
    }
    if !wrong.is_empty() {
        return Err(format!("has addresses that are none: {}", wrong.join("; ")));
    }
    if addresses.is_empty() {
        return Err("names no address".into());
    }
    Ok(addresses)
}

/// A size in bytes, or −1 (Java) or 0 (librdkafka) to leave it to the system.
///
/// # Errors
///
/// Why it is none.
pub fn system_bytes(text: &str) -> Result<Option<u32>, String> {
    let bytes: i64 = within(text, -1..=i64::from(i32::MAX), "bytes")?;
    Ok(u32::try_from(bytes).ok().filter(|bytes| *bytes > 0))
}

/// Java's longest: a `long`.
const LONGEST: u64 = i64::MAX as u64;

/// What fits the 32 bits that requests have for durations.
const LONGEST_WIRE: u64 = i32::MAX as u64;

const NOT_MILLIS: &str = "is not a number of milliseconds";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_milliseconds() {
        assert_eq!(millis("0"), Ok(Duration::ZERO));
        assert_eq!(millis("9223372036854775807"), Ok(Duration::from_millis(LONGEST)));
        for wrong in ["", "-1", "1.5", "1s", "x", "9223372036854775808", "1e3", "0x10"] {
            assert!(millis(wrong).is_err(), "{wrong}");
        }
        assert_eq!(wire_millis("0"), Err("must be from 1 to 2147483647 milliseconds".into()));
        assert_eq!(wire_millis("2147483647"), Ok(Duration::from_millis(LONGEST_WIRE)));
    }

    #[test]
    fn a_duration_without_end_has_two_spellings() {
        for text in ["-1", "0"] {
            assert_eq!(positive_millis_or_never(text), Ok(Duration::from_millis(LONGEST)));
        }
        assert_eq!(positive_millis_or_never("1"), Ok(Duration::from_millis(1)));
        assert!(positive_millis_or_never("-2").is_err());
    }

    #[test]
    fn some_durations_have_decimals() {
        assert_eq!(decimal_millis("0.5"), Ok(Duration::from_micros(500)));
        assert_eq!(decimal_millis("5"), Ok(Duration::from_millis(5)));
        for wrong in ["-0.5", ".", "inf.", "1e400.0", "NaN."] {
            assert!(decimal_millis(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_that_is_too_large_is_not_called_no_number() {
        assert_eq!(within("300", 1..=255_u8, "x"), Err("must be from 1 to 255 x".into()));
        assert_eq!(within::<u8>("y", 1..=255, "x"), Err("is not a whole number of x".into()));
    }

    #[test]
    fn addresses_are_all_checked() {
        let wrong = addresses("a:1, b, c:x").unwrap_err();
        assert!(wrong.contains("`b` has no port") && wrong.contains("`c:x`"), "{wrong}");
        assert_eq!(addresses("a:1,,a:1 , b:2").unwrap().len(), 2);
        assert!(addresses(" , ").is_err());
    }

    #[test]
    fn a_choice_names_the_others() {
        let choices = [("none", 0), ("all", 1)];
        assert_eq!(choice("ALL", &choices), Ok(1));
        assert_eq!(choice("some", &choices), Err("must be one of none, all".into()));
    }

    #[test]
    fn the_system_decides_where_it_is_asked_to() {
        for text in ["-1", "0"] {
            assert_eq!(system_bytes(text), Ok(None));
        }
        assert_eq!(system_bytes("65536"), Ok(Some(65_536)));
        assert!(system_bytes("-2").is_err());
    }
}
