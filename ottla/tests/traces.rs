//! What a subscriber of `tracing` is told.
//!
//! One test in a program of its own: which spans are wanted is settled for all threads together.
#![expect(clippy::unwrap_used, reason = "a test bed that does not stand up is a failed test")]

use std::fmt::{Debug, Write as _};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ottla::{Kafka, Record};
use ottla_broker::cluster::{Cluster, TopicSpec};
use ottla_broker::fault::{Act, Rule};
use ottla_protocol::{ApiKey, ErrorCode};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as Fields};
use tracing::{Event, Metadata, Subscriber};

#[tokio::test]
async fn spans_speak_as_opentelemetry_does_and_show_no_payload() {
    let (told, _guard) = Told::listen();
    send_with_trouble().await;
    let told = told.text();
    for expected in [
        "span send",
        "messaging.system=\"kafka\"",
        "messaging.operation.type=\"send\"",
        "messaging.destination.name=\"t\"",
        "messaging.destination.partition.id=0",
        "messaging.batch.message_count=1",
        "a batch failed and is sent again",
    ] {
        assert!(told.contains(expected), "{expected} is missing in:\n{told}");
    }
    assert!(!told.contains("secret"), "{told}");
}

/// Sends a record that brokers refuse at first.
async fn send_with_trouble() {
    let topic = TopicSpec::new("t").partitions(1).replicas(1);
    let loopback = (Ipv4Addr::LOCALHOST, 0).into();
    let cluster = Cluster::builder().brokers(1).topic(topic).listen(loopback);
    let cluster = cluster.start().await.unwrap();
    let refused = Act::Respond(ErrorCode::NotEnoughReplicas);
    let _fault = cluster.fault(Rule::new(ApiKey::Produce, refused).times(3));
    let kafka = Kafka::connect(&cluster.bootstrap().join(",")).await.unwrap();
    let producer = kafka.producer().build().await.unwrap();
    let record = Record::to("t").key("a secret").value("a secret").header("h", "a secret");
    producer.send(record).await.unwrap();
}

/// Notes all that it is told, of every level.
#[derive(Default, Clone)]
struct Told {
    text: Arc<Mutex<String>>,
    spans: Arc<AtomicU64>,
}

impl Told {
    fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        let told = Self::default();
        let guard = tracing::subscriber::set_default(told.clone());
        (told, guard)
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn line(&self, head: &str, record: impl FnOnce(&mut Line)) {
        let mut line = Line(head.to_owned());
        record(&mut line);
        let mut text = self.text.lock().unwrap();
        text.push_str(&line.0);
        text.push('\n');
    }
}

impl Subscriber for Told {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.spans.fetch_add(1, Ordering::Relaxed) + 1;
        self.line(&format!("span {}", span.metadata().name()), |line| span.record(line));
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, fields: &Fields<'_>) {
        self.line("more", |line| fields.record(line));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.line("event", |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}
