//! Clients as the suites want them.

use std::time::{Duration, Instant};

use ottla_core::config::ClientConfig;
use ottla_core::net::{Client, Runtime};
use ottla_core::retry::Deadline;
use ottla_integration_tests::TestCluster;
use ottla_producer::{Producer, ProducerBuilder};

/// A client of all brokers.
pub(crate) async fn connect(cluster: &TestCluster) -> Client {
    connect_to(&cluster.bootstrap_servers()).await
}

/// A client that begins with these `host:port`.
pub(crate) async fn connect_to(servers: &[String]) -> Client {
    let connected = Client::connect(config(servers), Runtime::tokio()).await;
    connected.expect("one of the bootstrap servers answers")
}

/// The default settings for these `host:port`.
pub(crate) fn config(servers: &[String]) -> ClientConfig {
    let parse = |server: &String| server.parse().expect("it is host:port");
    ClientConfig {
        bootstrap_servers: servers.iter().map(parse).collect(),
        client_id: "suites".into(),
        ..ClientConfig::default()
    }
}

/// A producer with the default settings, changed so.
pub(crate) async fn producer(
    client: &Client,
    settings: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
) -> Producer {
    settings(Producer::builder(client)).build().await.expect("the settings fit")
}

/// Long enough for a slow machine; no test may need it to pass.
pub(crate) fn soon() -> Deadline {
    within(Duration::from_secs(30))
}

pub(crate) fn within(budget: Duration) -> Deadline {
    Deadline::after(Instant::now(), budget)
}

/// An address on which nobody listens.
pub(crate) fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").to_string()
}
