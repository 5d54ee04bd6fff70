//! The processes of a run: the broker, which obeys, and the driver, which is listened to.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::measurement::Counts;

/// What a driver printed, and when.
#[derive(Debug)]
pub struct Said {
    /// Its last line.
    pub report: String,
    /// When that came.
    pub at: Instant,
}

/// Listens to a driver until it ends. `settled` is called when it says that all is set up.
pub fn finish(
    mut child: Child,
    patience: Duration,
    mut settled: impl FnMut() -> Result<(), Failure>,
) -> Result<Said, Failure> {
    // Both pipes are read while it runs: a full one would stop it.
    let stderr = child.stderr.take().map(read_all);
    let mut said = Said { report: String::new(), at: Instant::now() };
    for line in BufReader::new(child.stdout.take().ok_or("the driver has no output")?).lines() {
        match line?.as_str() {
            SETTLED => settled()?,
            line => said = Said { report: line.to_owned(), at: Instant::now() },
        }
    }
    let stderr = stderr.and_then(|reader| reader.join().ok()).unwrap_or_default();
    let status = child.wait()?;
    if status.success() {
        return Ok(said);
    }
    if status.signal() == Some(KILLED) || status.code() == Some(128 + KILLED) {
        return Err(format!("it had not finished after {} s", patience.as_secs()).into());
    }
    let last = stderr.lines().last().unwrap_or("and said nothing");
    Err(format!("it ended with {status}: {last}").into())
}

/// What a driver says before the part that is counted at the broker.
const SETTLED: &str = "settled";

/// `SIGKILL`.
const KILLED: i32 = 9;

fn read_all(mut pipe: impl std::io::Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // What came before a broken pipe is still worth showing.
        let _ = pipe.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// A broker that we started, and that ends when this is dropped.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    control: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
    pub address: String,
}

impl Broker {
    pub fn start(mut child: Child) -> Result<Self, Failure> {
        let control = child.stdin.take();
        let mut out = BufReader::new(child.stdout.take().ok_or("the broker has no output")?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        let address = line.strip_prefix("ready ").ok_or("the broker did not start")?;
        let address = address.trim().to_owned();
        Ok(Self { child, control, out, address })
    }

    /// Processor time so far, user and system, in hundredths of a second.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        let path = Path::new("/proc").join(self.child.id().to_string()).join("stat");
        let stat = std::fs::read_to_string(path)?;
        let ticks = cpu_ticks(&stat).ok_or("/proc/PID/stat is not as expected")?;
        Ok(Duration::from_millis(10 * ticks))
    }

    /// Counts from zero again. Returns what was counted so far.
    pub fn reset(&mut self) -> Result<Counts, Failure> {
        self.ask("reset\n")
    }

    pub fn stop(mut self) -> Result<Counts, Failure> {
        self.ask("counts\n")
    }

    fn ask(&mut self, what: &str) -> Result<Counts, Failure> {
        let control = self.control.as_mut().ok_or("the broker has no input")?;
        control.write_all(what.as_bytes())?;
        let mut line = String::new();
        self.out.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It ends by itself when its input does; this is for one that cannot.
        drop(self.control.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time in `/proc/PID/stat`, where the name before them may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn a_driver_that_fails_is_quoted() {
        let failed = listen("echo half a line; echo no broker >&2; exit 3");
        let failed = failed.unwrap_err().to_string();
        assert!(failed.contains('3') && failed.ends_with("no broker"), "{failed}");
    }

    #[test]
    fn a_driver_that_was_killed_had_its_time() {
        for script in ["kill -KILL $$", "exit 137"] {
            let killed = listen(script).unwrap_err().to_string();
            assert!(killed.contains("had not finished"), "{killed}");
        }
    }

    #[test]
    fn a_driver_that_talks_much_is_heard_to_its_end() {
        let said = listen("seq 100000; seq 100000 >&2").unwrap();
        assert_eq!(said.report, "100000");
    }

    #[test]
    fn a_driver_that_has_settled_is_heard_and_reports_later() {
        let mut settled = 0;
        let child = shell("echo settled; echo report");
        let said = finish(child, Duration::ZERO, || {
            settled += 1;
            Ok(())
        });
        assert_eq!((said.unwrap().report.as_str(), settled), ("report", 1));
    }

    fn listen(script: &str) -> Result<Said, Failure> {
        finish(shell(script), Duration::from_secs(1), || Ok(()))
    }

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }
}
