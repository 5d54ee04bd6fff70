//! How long the rest will take.

use std::collections::BTreeMap;
use std::time::Duration;

/// What each kind of job took when it last ran.
#[derive(Debug, Default)]
pub struct Pace {
    last: BTreeMap<(String, &'static str), Duration>,
}

impl Pace {
    /// A job of this case and client took so long.
    pub fn handle_done(&mut self, case: &str, client: &'static str, took: Duration) {
        self.last.insert((case.to_owned(), client), took);
    }

    /// How long these jobs will take. One that has not been seen takes what the others took on
    /// average; nothing is known before the first.
    pub fn left<'a>(
        &self,
        jobs: impl IntoIterator<Item = (&'a str, &'static str)>,
    ) -> Option<Duration> {
        let seen = u32::try_from(self.last.len()).ok().filter(|seen| *seen != 0)?;
        let average = self.last.values().sum::<Duration>() / seen;
        let known = |(case, client): (&str, &'static str)| {
            self.last.get(&(case.to_owned(), client)).copied().unwrap_or(average)
        };
        Some(jobs.into_iter().map(known).sum())
    }
}

/// `1:02:03`, or `2:03` within an hour.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_before_the_first_job() {
        assert_eq!(Pace::default().left([("a", "java")]), None);
    }

    #[test]
    fn a_job_takes_what_it_took_before_and_an_unknown_one_the_average() {
        let mut pace = Pace::default();
        pace.handle_done("a", "java", Duration::from_secs(9));
        pace.handle_done("a", "krafka", Duration::from_secs(1));
        pace.handle_done("a", "java", Duration::from_secs(3));
        let left = pace.left([("a", "java"), ("a", "java"), ("b", "java")]);
        assert_eq!(left, Some(Duration::from_secs(3 + 3 + 2)));
    }

    #[test]
    fn hours_are_shown_when_there_are_some() {
        assert_eq!(clock(Duration::from_secs(123)), "2:03");
        assert_eq!(clock(Duration::from_secs(3_723)), "1:02:03");
    }
}
