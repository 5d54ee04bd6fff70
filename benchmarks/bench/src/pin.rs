//! Which cores the broker and the clients run on.

use std::io;
use std::str::FromStr;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Failure;

/// Cores by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreList(Vec<usize>);

impl FromStr for CoreList {
    type Err = String;

    /// As taskset has it: `0,2-5`.
    fn from_str(list: &str) -> Result<Self, String> {
        let refuse = |_| format!("`{list}` is not a list of cores such as 0,2-5");
        let mut cores = Vec::new();
        for part in list.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: usize = first.parse().map_err(refuse)?;
            cores.extend(first..=last.parse().map_err(refuse)?);
        }
        Ok(Self(cores))
    }
}

impl std::fmt::Display for CoreList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cores: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&cores.join(","))
    }
}

/// The cores of this machine that we may use, divided.
#[derive(Debug, Clone)]
pub struct Cores {
    pub broker: CoreList,
    pub clients: CoreList,
    all: CpuSet,
}

impl Cores {
    /// The last core is the broker's and the others are the clients', unless told otherwise.
    pub fn divide(broker: Option<CoreList>, clients: Option<CoreList>) -> Result<Self, Failure> {
        let all = sched_getaffinity(None)?;
        let mine: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
        let (one, rest) = halves(&mine);
        let (broker, clients) = (broker.unwrap_or(one), clients.unwrap_or(rest));
        if let Some(foreign) = broker.0.iter().chain(&clients.0).find(|core| !mine.contains(core)) {
            return Err(format!("core {foreign} is not ours to use; ours are {mine:?}").into());
        }
        Ok(Self { broker, clients, all })
    }

    /// Starts something on the broker's cores.
    pub fn on_broker<T>(&self, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.on(&self.broker, start)
    }

    /// Starts something on the clients' cores.
    pub fn on_client<T>(&self, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.on(&self.clients, start)
    }

    /// A child begins on the cores of the thread that starts it, and stays there.
    fn on<T>(&self, cores: &CoreList, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut set = CpuSet::new();
        cores.0.iter().for_each(|core| set.set(*core));
        sched_setaffinity(None, &set)?;
        let started = start();
        sched_setaffinity(None, &self.all)?;
        started
    }
}

/// One core for the broker, the others for clients; the same one where there is no other.
fn halves(cores: &[usize]) -> (CoreList, CoreList) {
    match cores.split_last() {
        Some((last, rest @ [_, ..])) => (CoreList(vec![*last]), CoreList(rest.to_vec())),
        _ => (CoreList(cores.to_vec()), CoreList(cores.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_gets_the_last_core_and_clients_the_others() {
        check(&[0, 1], "1", "0");
        check(&[0, 2, 5, 7], "7", "0,2,5");
    }

    #[test]
    fn a_single_core_is_shared() {
        check(&[3], "3", "3");
    }

    #[test]
    fn a_list_of_cores_is_written_as_taskset_has_it() {
        assert_eq!("0,2-4".parse(), Ok(CoreList(vec![0, 2, 3, 4])));
        assert!("0,x".parse::<CoreList>().is_err());
    }

    #[test]
    fn a_child_starts_on_its_core_and_we_get_ours_back() {
        let cores = Cores::divide(None, None).unwrap();
        let before = sched_getaffinity(None).unwrap();
        let child = cores.on_broker(|| sched_getaffinity(None).map_err(Into::into)).unwrap();
        assert!(cores.broker.0.iter().all(|core| child.is_set(*core)));
        assert_eq!(child.count() as usize, cores.broker.0.len());
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }

    #[track_caller]
    fn check(cores: &[usize], broker: &str, clients: &str) {
        let (one, rest) = halves(cores);
        assert_eq!((one.to_string(), rest.to_string()), (broker.to_owned(), clients.to_owned()));
    }
}
