//! Other people's clients: Kafka's own command-line tools, and kcat, which is librdkafka.
//!
//! The tools come out of the image that the brokers run, on the network of this host, so that they
//! reach the brokers of every backend. kcat is a package of Debian and of Homebrew.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{process, thread};

use crate::TestCluster;
use crate::containers::{Engine, Reaper};

/// A program that talks to a cluster.
#[derive(Debug)]
pub struct Tool {
    command: Command,
    name: String,
    /// Removes its container, if it has one.
    reaper: Option<Reaper>,
}

/// A program that runs until it is dropped, such as a member of a group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    _reaper: Option<Reaper>,
}

impl Tool {
    /// One of Kafka's tools, such as `kafka-console-consumer.sh`.
    ///
    /// # Panics
    ///
    /// Where no container engine answers.
    #[must_use]
    pub fn java(cluster: &TestCluster, tool: &str, arguments: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let engine = Engine::find().expect("the tools come in a container");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let container = format!("ottla-{}-tool-{number}", process::id());
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "--interactive", "--network", "host", "--name", &container]);
        let (image, tag) = engine.image();
        command.args(["--entrypoint", &format!("/opt/kafka/bin/{tool}")]);
        command.arg(format!("{image}:{tag}"));
        command.args(["--bootstrap-server", &cluster.bootstrap_servers().join(",")]);
        command.args(arguments);
        let reaper = Some(Reaper::watch("", &[container]));
        Self { command, name: tool.to_owned(), reaper }
    }

    /// kcat.
    #[must_use]
    pub fn kcat(cluster: &TestCluster, arguments: &[&str]) -> Self {
        let mut command = Command::new("kcat");
        command.args(["-b", &cluster.bootstrap_servers().join(",")]).args(arguments);
        Self { command, name: "kcat".to_owned(), reaper: None }
    }

    /// Gives it `input`, waits for its end, and returns what it prints.
    ///
    /// # Panics
    ///
    /// When it fails, with what it says.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; it runs to its end.
    pub async fn run(self, input: &str) -> String {
        let input = input.to_owned();
        let run = move || self.run_blocking(&input);
        tokio::task::spawn_blocking(run).await.expect("the tool does what it is asked")
    }

    fn run_blocking(mut self, input: &str) -> String {
        let mut child = self.spawn(Stdio::piped());
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).expect("it reads its input");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} failed: {said}", self.name);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Lets it run beside the test.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(mut self) -> Running {
        let mut child = self.spawn(Stdio::null());
        let lines = Arc::default();
        // kcat tells of its partitions on standard error, Java on standard output.
        listen(child.stdout.take().expect("it is piped"), &lines);
        listen(child.stderr.take().expect("it is piped"), &lines);
        Running { child, lines, _reaper: self.reaper }
    }

    fn spawn(&mut self, stdin: Stdio) -> Child {
        let command = self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = &self.name;
        command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"))
    }
}

impl Running {
    /// What it has said so far, line by line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn listen(from: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
}
