//! Which brokers a program asks, of those that its user names.

use crate::program::{command, end};

#[tokio::test]
async fn a_flag_names_brokers() {
    check(&["--bootstrap", NOBODY], "").await;
}

#[tokio::test]
async fn the_environment_names_brokers() {
    check(&[], NOBODY).await;
}

/// The program says in one line that `NOBODY` does not answer.
async fn check(arguments: &[&str], environment: &str) {
    let arguments = [&["--topic", "lines"], arguments].concat();
    let child = command("producer", &arguments).env("KAFKA_BOOTSTRAP_SERVERS", environment).spawn();
    let output = end(child.unwrap()).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains(NOBODY), "{told}");
}

/// A port of the loopback address where nobody listens.
const NOBODY: &str = "127.0.0.1:1";
