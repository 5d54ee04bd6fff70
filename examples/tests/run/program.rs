//! A sample program as a process.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// What a program writes that ends well.
pub(crate) async fn succeed(name: &str, arguments: &[&str]) -> String {
    let output = run(name, arguments).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed: {told}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a program tells last that fails.
pub(crate) async fn fail(name: &str, arguments: &[&str]) -> String {
    let output = run(name, arguments).await;
    let told = last_line(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{name}: {told}");
    told
}

pub(crate) async fn run(name: &str, arguments: &[&str]) -> Output {
    with_input(name, arguments, "").await
}

pub(crate) async fn with_input(name: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = start(name, arguments);
    let mut stdin = child.stdin.take().unwrap();
    // A program that ends before it has read everything has closed its input.
    drop(stdin.write_all(input.as_bytes()).await);
    drop(stdin);
    end(child).await
}

/// Starts a program. It does not outlive its handle.
pub(crate) fn start(name: &str, arguments: &[&str]) -> Child {
    command(name, arguments).spawn().expect("cargo builds the examples before it runs tests")
}

pub(crate) fn command(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program(name));
    command.args(arguments).env_remove("KAFKA_BOOTSTRAP_SERVERS").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits for a program's end. One that hangs is killed, and fails the test.
pub(crate) async fn end(child: Child) -> Output {
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    ended.expect("the program ends").unwrap()
}

/// Sends a signal, as Ctrl-C in a terminal and `kill` do.
#[cfg(unix)]
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let id = id.and_then(rustix::process::Pid::from_raw).expect("it runs");
    rustix::process::kill_process(id, signal).unwrap();
}

pub(crate) fn last_line(told: &[u8]) -> String {
    String::from_utf8_lossy(told).lines().last().unwrap_or_default().to_owned()
}

/// Examples lie beside the folder that this test lies in.
fn program(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples").join(name)
}

/// Longer than any timeout that a program is started with.
const PATIENCE: Duration = Duration::from_secs(60);
