//! The image of the reference broker, from outside: started, written to, read from.
#![cfg(feature = "containers")]
#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a suite says what failed by panicking, and aloud that it was skipped"
)]

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use ottla_consumer::ConsumerBuilder;
use ottla_consumer::config::AutoOffsetReset;
use ottla_core::config::ClientConfig;
use ottla_core::net::{Client, Runtime};
use ottla_core::types::TopicPartition;
use ottla_producer::{Producer, Record};
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};

#[tokio::test]
async fn the_image_serves_what_was_written_to_it() {
    let Some(image) = image() else { return };
    let (name, tag) = image.rsplit_once(':').expect("it has a tag");
    // What is advertised must be known before the start.
    let port = free_port();
    let (listen, advertise) = (format!("0.0.0.0:{port}"), format!("localhost:{port}"));
    let broker = GenericImage::new(name, tag)
        .with_wait_for(WaitFor::message_on_stdout("ready "))
        .with_mapped_port(port, port.tcp())
        .with_cmd([
            "--listen",
            &listen,
            "--advertise",
            &advertise,
            "--print-ready",
            "--topic",
            "t:1",
        ])
        .start()
        .await
        .expect("the image starts, and says that it is ready");

    let client = connect(&advertise).await;
    let producer = Producer::builder(&client).build().await.expect("the settings fit");
    for value in 0..100 {
        let record = Record::to("t").value(value.to_string());
        producer.send(record).await.expect("it is acknowledged");
    }
    let earliest = ConsumerBuilder::new(client.clone())
        .configure(|config| config.auto_offset_reset = AutoOffsetReset::Earliest);
    let partition = TopicPartition::new("t", 0);
    let mut consumer = earliest.assign([partition]).build().await.expect("it is built");
    for value in 0..100 {
        let next = tokio::time::timeout(Duration::from_secs(30), consumer.recv()).await;
        let record = next.expect("a record comes").expect("it can be read").expect("one more");
        assert_eq!(record.value(), Some(value.to_string().as_bytes()));
    }
    client.close().await;
    broker.rm().await.expect("the container goes");
}

/// The image to test: `OTTLA_BROKER_IMAGE`, or one that is built now. `None`, after a loud word, where
/// no container engine answers and `CI` is not `true`.
fn image() -> Option<String> {
    if let Ok(image) = std::env::var("OTTLA_BROKER_IMAGE") {
        return Some(image);
    }
    let mut engine = Command::new("docker");
    let engine = engine.arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !engine.is_ok_and(|status| status.success()) {
        let must_run = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!must_run, "no container engine answers (.ci/kafka/engine)");
        eprintln!("SKIPPED the_image_serves_what_was_written_to_it: no container engine answers");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../broker/build-image");
    let built = Command::new(script).output().expect("the script is there");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(String::from_utf8(built.stdout).expect("it is text").trim().to_owned())
}

async fn connect(server: &str) -> Client {
    let config = ClientConfig {
        bootstrap_servers: vec![server.parse().expect("it is host:port")],
        ..ClientConfig::default()
    };
    Client::connect(config, Runtime::tokio()).await.expect("it answers")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}
