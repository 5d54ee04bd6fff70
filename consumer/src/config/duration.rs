//! Durations in ISO 8601, as KIP-1106 has them.

use std::time::Duration;

/// Reads a duration of days, hours, minutes and seconds, such as `P3DT12H30M5.5S`, as Java's
/// `Duration.parse` does; a negative one is none.
pub(super) fn iso_duration(text: &str) -> Option<Duration> {
    let upper = text.to_ascii_uppercase();
    let rest = upper.strip_prefix('P')?;
    let (date, time) = rest.split_once('T').map_or((rest, None), |(date, time)| (date, Some(time)));
    if date.is_empty() && time.is_none_or(str::is_empty) || time == Some("") {
        return None;
    }
    let days = sum(date, &[('D', 86_400)])?;
    let within = sum(time.unwrap_or(""), &[('H', 3_600), ('M', 60), ('S', 1)])?;
    days.checked_add(within)
}

/// Adds up numbers with their units, which come in this order, each at most once.
fn sum(mut text: &str, units: &[(char, u64)]) -> Option<Duration> {
    let mut total = Duration::ZERO;
    for (letter, seconds) in units {
        let Some((number, rest)) = text.split_once(*letter) else {
            continue;
        };
        total = total.checked_add(times(number, *letter, *seconds)?)?;
        text = rest;
    }
    text.is_empty().then_some(total)
}

/// Only seconds have decimals.
fn times(number: &str, letter: char, seconds: u64) -> Option<Duration> {
    let (whole, decimals) = match number.split_once('.') {
        Some((whole, decimals)) if letter == 'S' => (whole, decimals),
        Some(_) => return None,
        None => (number, ""),
    };
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_plain(whole) || !is_plain(decimals) || decimals.len() > 9 {
        return None;
    }
    let nanos: u32 = format!("{decimals:0<9}").parse().ok()?;
    let whole: u64 = whole.parse().ok()?;
    Some(Duration::new(whole.checked_mul(seconds)?, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_java_reads_them() {
        for (text, seconds) in [
            ("PT1S", 1.0),
            ("P3D", 259_200.0),
            ("P1DT2H3M4.5S", 93_784.5),
            ("pt0.25s", 0.25),
            ("PT36H", 129_600.0),
            ("P0D", 0.0),
        ] {
            assert_eq!(iso_duration(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_none() {
        for text in [
            "",
            "P",
            "PT",
            "P1",
            "1D",
            "P1DT",
            "P1H",
            "PT1D",
            "P-1D",
            "-P1D",
            "PT1.5H",
            "PT.S",
            "PT1S2M",
            "P1W",
            "PT1S1S",
            "PT99999999999999999999S",
            "P99999999999999999999D",
        ] {
            assert_eq!(iso_duration(text), None, "{text}");
        }
    }
}
