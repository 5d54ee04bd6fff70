//! Copiers: processes that are killed and started again.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What they do.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) servers: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) group: String,
    /// Where Java finds a copier; one of the group is Java's if that is told.
    pub(crate) java: Option<String>,
}

/// The copiers of one group.
pub(crate) struct Copiers {
    job: Job,
    running: Vec<Child>,
    next: usize,
    kills: u32,
    aborted: Arc<AtomicU64>,
}

impl Copiers {
    pub(crate) fn start(job: &Job) -> Self {
        let aborted = Arc::new(AtomicU64::new(0));
        let running = (0..COPIERS).map(|number| spawn(job, number, &aborted)).collect();
        Self { job: job.clone(), running, next: 0, kills: 0, aborted }
    }

    /// Ends one as `kill -9` does, and starts it again.
    pub(crate) fn kill_next(&mut self) {
        let number = self.next % COPIERS;
        self.next += 1;
        self.kills += 1;
        self.running[number].kill().expect("it can be killed");
        self.running[number].wait().expect("it ends");
        self.running[number] = spawn(&self.job, number, &self.aborted);
    }

    /// Starts again who ended by itself, because no broker answered or another took its place.
    pub(crate) fn revive(&mut self) {
        for number in 0..COPIERS {
            if self.running[number].try_wait().expect("it can be asked").is_some() {
                self.running[number] = spawn(&self.job, number, &self.aborted);
            }
        }
    }

    /// Ends them in good order. How many were killed, and how many transactions not written.
    pub(crate) async fn stop(mut self) -> (u32, u64) {
        self.running.iter_mut().for_each(ask_to_end);
        let running = std::mem::take(&mut self.running);
        let ended = tokio::task::spawn_blocking(move || {
            for mut child in running {
                child.wait().expect("it ends");
            }
        });
        ended.await.expect("waiting does not panic");
        (self.kills, self.aborted.load(Ordering::Relaxed))
    }
}

impl Drop for Copiers {
    fn drop(&mut self) {
        for child in &mut self.running {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Asks it to end in good order.
#[cfg(unix)]
fn ask_to_end(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process};

    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("it has an id");
    kill_process(id, Signal::TERM).expect("nobody has waited for it");
}

/// Ends it: here, there is no signal to ask with.
#[cfg(not(unix))]
fn ask_to_end(child: &mut Child) {
    child.kill().expect("it can be killed");
}

fn spawn(job: &Job, number: usize, aborted: &Arc<AtomicU64>) -> Child {
    let id = format!("{}-{number}", job.group);
    let mut command = match &job.java {
        Some(classes) if number == 0 => java(job, classes, &id),
        _ => transform(job, &id),
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("cargo build -p ottla-examples --examples");
    let (told, aborted) = (child.stderr.take().expect("it is piped"), Arc::clone(aborted));
    std::thread::spawn(move || {
        for line in BufReader::new(told).lines().map_while(Result::ok) {
            aborted.fetch_add(u64::from(line.starts_with("not written")), Ordering::Relaxed);
            let mut told = std::io::stderr().lock();
            drop(std::io::Write::write_fmt(&mut told, format_args!("{id}: {line}\n")));
        }
    });
    child
}

/// The sample program, which lies beside this one.
pub(crate) fn transform(job: &Job, id: &str) -> Command {
    let this = std::env::current_exe().expect("this program is a file");
    let Job { servers, from, to, group, .. } = job;
    let mut command = Command::new(this.with_file_name("transform"));
    command.args(["--bootstrap", servers, "--from", from, "--to", to, "--group", group]);
    command.args(["--transactional-id", id, "--batch", BATCH]);
    command.args(["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=1000"]);
    command
}

fn java(job: &Job, classes: &str, id: &str) -> Command {
    let Job { servers, from, to, group, .. } = job;
    let mut command = Command::new("java");
    command.args(["-cp", classes, "Copier", servers, from, to, group, id, BATCH]);
    command
}

/// Builds Java's copier; returns where it is.
pub(crate) fn build_java() -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/third-party/java-classes");
    let output = Command::new(script).stderr(Stdio::inherit()).output();
    let output = output.expect("it needs a JDK and Maven");
    assert!(output.status.success(), "Java's copier cannot be built");
    String::from_utf8(output.stdout).expect("paths are text").trim().to_owned()
}

/// Records of a transaction.
const BATCH: &str = "750";

/// As many members as the group has.
const COPIERS: usize = 3;
