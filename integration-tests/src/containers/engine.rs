//! The container engine, asked by its command.

use std::env;
use std::process::{Child, Command, Stdio};

/// A container engine that answers.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    image: String,
}

impl Engine {
    /// The engine that `docker` reaches, and the image of Kafka to run: `KAFKA_IMAGE`, or the public
    /// one, or where that is not there, the one that `.ci/kafka/build-image` makes.
    pub(crate) fn find() -> Option<Self> {
        if !succeeds(&["version", "--format", "{{.Server.Version}}"]) {
            return None;
        }
        let known = |image: &str| succeeds(&["image", "inspect", image]);
        let default = || if !known(PUBLIC) && known(BUILT) { BUILT } else { PUBLIC }.to_owned();
        let named = env::var("KAFKA_IMAGE").ok().filter(|image| !image.is_empty());
        Some(Self { image: named.unwrap_or_else(default) })
    }

    /// The image as its name and its tag.
    pub(crate) fn image(&self) -> (&str, &str) {
        self.image.rsplit_once(':').unwrap_or((&self.image, "latest"))
    }

    /// Runs a command of the engine and returns what it prints.
    ///
    /// # Panics
    ///
    /// When it fails, with what it says.
    pub(crate) async fn docker(&self, arguments: &[&str]) -> String {
        let owned: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let run = move || Command::new("docker").args(owned).output();
        let output = tokio::task::spawn_blocking(run).await.expect("the thread runs to its end");
        let output = output.expect("docker is there: it answered before");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {}: {said}", arguments.join(" "));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn succeeds(arguments: &[&str]) -> bool {
    let mut command = Command::new("docker");
    let quiet = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    quiet.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Removes containers, and their network, when it is dropped, and also when this process ends in any
/// other way: a static is never dropped, and a killed process drops nothing.
///
/// It is a shell that waits for the end of its standard input, which this process holds open. It is
/// in a process group of its own, so that Ctrl-C does not reach it before its work is done.
#[derive(Debug)]
pub(crate) struct Reaper {
    shell: Child,
}

impl Reaper {
    pub(crate) fn watch(network: &str, containers: &[String]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", REAP, network]).args(containers);
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        #[cfg(unix)]
        let shell = std::os::unix::process::CommandExt::process_group(shell, 0);
        Self { shell: shell.spawn().expect("a shell is there") }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // Whether it did its work or not, there is nothing else to try.
        drop(self.shell.wait());
    }
}

/// Without a network, its name is empty.
const REAP: &str =
    r#"cat; docker rm --force --volumes "$@"; [ -z "$0" ] || docker network rm "$0""#;

const PUBLIC: &str = "apache/kafka:4.4.0";
const BUILT: &str = "kafka-test:4.4.0";
