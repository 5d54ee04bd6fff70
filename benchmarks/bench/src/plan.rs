//! In which order: clients take turns, so that whatever else the machine does meets all of them.

use crate::cases::Case;
use crate::clients::Client;

/// One run of one driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Counted from 0.
    pub round: usize,
    pub case: Case,
    pub client: Client,
}

/// Every case in every round, and in it each of its clients once. Who goes first changes from round
/// to round.
pub fn jobs(rounds: usize, cases: &[Case], clients_of: impl Fn(&Case) -> Vec<Client>) -> Vec<Job> {
    let mut jobs = Vec::new();
    for round in 0..rounds {
        for case in cases.iter().filter(|case| round < case.most_rounds()) {
            let mut clients = clients_of(case);
            if !clients.is_empty() {
                let first = round % clients.len();
                clients.rotate_left(first);
            }
            jobs.extend(clients.into_iter().map(|client| Job { round, case: *case, client }));
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cases, clients};

    #[test]
    fn every_client_of_every_case_runs_once_in_each_of_its_rounds() {
        let jobs = jobs(3, &cases::quick(), |case| clients::of(case.op).to_vec());
        let times = |case: &Case| case.most_rounds().min(3) * clients::of(case.op).len();
        assert_eq!(jobs.len(), cases::quick().iter().map(times).sum::<usize>());
        for job in &jobs {
            assert_eq!(jobs.iter().filter(|other| *other == job).count(), 1, "{job:?}");
        }
    }

    #[test]
    fn clients_of_one_case_run_one_after_the_other() {
        let cases = cases::quick();
        let jobs = jobs(2, &cases, |case| clients::of(case.op)[..2].to_vec());
        for pair in jobs.chunks(2) {
            assert_eq!((pair[0].case, pair[0].round), (pair[1].case, pair[1].round));
        }
    }

    #[test]
    fn another_client_goes_first_in_the_next_round() {
        let case = [cases::quick()[0]];
        let jobs = jobs(2, &case, |case| clients::of(case.op)[..2].to_vec());
        let names: Vec<&str> = jobs.iter().map(|job| job.client.name).collect();
        assert_eq!(names, ["ottla-awaited", "ottla-dropped", "ottla-dropped", "ottla-awaited"]);
    }
}
