//! Which brokers a program asks, of those that its user names.

use std::path::Path;

use crate::program::{command, end};

#[tokio::test]
async fn a_flag_names_brokers() {
    check(&["--bootstrap", NOBODY], "").await;
}

#[tokio::test]
async fn the_environment_names_brokers() {
    check(&[], NOBODY).await;
}

#[tokio::test]
async fn a_setting_names_brokers_as_java_and_librdkafka_do() {
    for name in ["bootstrap.servers", "metadata.broker.list"] {
        check(&["-X", &format!("{name}={NOBODY}")], "").await;
    }
}

#[tokio::test]
async fn a_file_names_brokers() {
    check(&["--config", &file("named", NOBODY)], "").await;
}

#[tokio::test]
async fn what_is_said_closest_to_the_program_counts() {
    let (farther, setting) = (file("farther", OTHERS), format!("bootstrap.servers={NOBODY}"));
    check(&["--bootstrap", NOBODY, "-X", &format!("bootstrap.servers={OTHERS}")], OTHERS).await;
    check(&["-X", &setting, "--config", &farther], OTHERS).await;
    check(&["--config", &file("closer", NOBODY)], OTHERS).await;
}

/// The program says in one line that `NOBODY` does not answer, and asks nobody else.
async fn check(arguments: &[&str], environment: &str) {
    let arguments = [&["--topic", "lines"], arguments].concat();
    let child = command("producer", &arguments).env("KAFKA_BOOTSTRAP_SERVERS", environment).spawn();
    let output = end(child.unwrap()).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains(NOBODY) && !told.contains(OTHERS), "{told}");
}

fn file(name: &str, servers: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).with_extension("properties");
    std::fs::write(&path, format!("# for a test\nbootstrap.servers: {servers}\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Ports of the loopback address where nobody listens.
const NOBODY: &str = "127.0.0.1:1";
const OTHERS: &str = "127.0.0.1:2";
