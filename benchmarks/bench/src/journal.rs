//! What has been measured so far, on disk, so that an interrupted run goes on where it was.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::measurement::Measurement;

/// What two parts of one run must have in common for their figures to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub commit: String,
    pub cases: Vec<String>,
    pub clients: Vec<String>,
    pub rounds: usize,
    /// Records in every case, instead of the case's own number.
    pub records: Option<u64>,
    /// Seconds for which the cluster is dead where it dies.
    pub dead: u64,
    pub broker_cores: String,
    pub client_cores: String,
}

/// One line of JSON for the identity of the run, and one for each measurement.
#[derive(Debug)]
pub struct Journal {
    file: File,
    /// What was measured, in its order.
    pub done: Vec<Measurement>,
}

impl Journal {
    /// Goes on with the journal at `path`, if it is of this run; begins a new one otherwise.
    pub fn open(path: &Path, identity: &Identity) -> Result<Self, Failure> {
        let before = fs::read_to_string(path).unwrap_or_default();
        let done = read(&before, identity).unwrap_or_default();
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
        // Written anew: the last line may be half of one.
        writeln!(file, "{}", serde_json::to_string(identity)?)?;
        for measurement in &done {
            writeln!(file, "{}", serde_json::to_string(measurement)?)?;
        }
        file.sync_data()?;
        Ok(Self { file, done })
    }

    pub fn add(&mut self, measurement: Measurement) -> Result<(), Failure> {
        writeln!(self.file, "{}", serde_json::to_string(&measurement)?)?;
        self.done.push(measurement);
        Ok(())
    }

    /// Whether a job of the plan is behind us.
    pub fn has(&self, case: &str, client: &str, round: usize) -> bool {
        let same =
            |done: &Measurement| done.round == round && done.client == client && done.case == case;
        self.done.iter().any(same)
    }
}

/// The measurements of a journal, up to a line that was cut off; `None` if it is of another run.
fn read(text: &str, identity: &Identity) -> Option<Vec<Measurement>> {
    let mut lines = text.lines();
    let found: Identity = serde_json::from_str(lines.next()?).ok()?;
    (found == *identity).then(|| lines.map_while(|line| serde_json::from_str(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::measurement;

    #[test]
    fn a_run_that_was_cut_off_goes_on_where_it_was() {
        let identity = identity();
        let one = measurement("a", "java", 0, 5.0);
        let text = format!("{}\n{}\n{{\"case\":\"a", json(&identity), json(&one));
        assert_eq!(read(&text, &identity), Some(vec![one]));
    }

    #[test]
    fn figures_of_another_run_are_not_mixed_in() {
        let other = Identity { commit: "another".to_owned(), ..identity() };
        let text = format!("{}\n{}\n", json(&other), json(&measurement("a", "java", 0, 5.0)));
        assert_eq!(read(&text, &identity()), None);
        assert_eq!(read("", &identity()), None);
    }

    #[test]
    fn what_is_added_is_found_again_after_a_new_start() {
        let path = std::env::temp_dir().join(format!("bench-journal-{}", std::process::id()));
        let mut journal = Journal::open(&path, &identity()).unwrap();
        journal.add(measurement("a", "java", 1, 5.0)).unwrap();
        drop(journal);
        let journal = Journal::open(&path, &identity()).unwrap();
        fs::remove_file(path).unwrap();
        assert!(journal.has("a", "java", 1));
        assert!(!journal.has("a", "java", 0) && !journal.has("a", "krafka", 1));
    }

    fn identity() -> Identity {
        Identity {
            commit: "abc".to_owned(),
            cases: vec!["a".to_owned()],
            clients: vec!["java".to_owned()],
            rounds: 2,
            records: None,
            dead: 300,
            broker_cores: "1".to_owned(),
            client_cores: "0".to_owned(),
        }
    }

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }
}
