//! What a consumer tells of itself: events and spans. Alone in its process: whether anybody listens
//! to a span is remembered for all threads, and others may hit it first.
#![cfg(feature = "net")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite says what failed by panicking"
)]

#[path = "consumer/bed.rs"]
#[expect(dead_code, reason = "the other suite uses the rest of it")]
mod bed;

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_protocol::{ApiKey, ErrorCode};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use bed::{Bed, next, within};

/// Keeps all that is told by the crate under test, one line each: `LEVEL name field=value …`.
#[derive(Debug, Clone, Default)]
struct Ear {
    /// A span is known by the number of its line, which later fields are added to.
    lines: Arc<Mutex<Vec<String>>>,
}

impl Ear {
    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn count(&self, level: Level, part: &str) -> usize {
        let level = level.to_string();
        let lines = self.lines();
        lines.iter().filter(|line| line.starts_with(&level) && line.contains(part)).count()
    }

    #[track_caller]
    fn heard(&self, level: Level, parts: &[&str]) {
        let level = level.to_string();
        let fits = |line: &&String| {
            line.starts_with(&level) && parts.iter().all(|part| line.contains(part))
        };
        let lines = self.lines();
        assert!(lines.iter().any(|line| fits(&line)), "{parts:?} is not in {lines:#?}");
    }

    /// The number of the line.
    fn note(&self, metadata: &Metadata<'_>, fields: impl FnOnce(&mut Line)) -> u64 {
        let mut line = Line(format!("{} {}", metadata.level(), metadata.name()));
        fields(&mut line);
        let mut lines = self.lines.lock().unwrap();
        lines.push(line.0);
        u64::try_from(lines.len()).unwrap()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ottla_consumer")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        Id::from_u64(self.note(span.metadata(), |line| span.record(line)))
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut lines = self.lines.lock().unwrap();
        let at = usize::try_from(span.into_u64()).unwrap() - 1;
        let mut line = Line(std::mem::take(&mut lines[at]));
        values.record(&mut line);
        lines[at] = line.0;
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.note(event.metadata(), |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn the_life_of_a_member_is_told_without_a_word_of_its_records() {
    let ear = Ear::default();
    let _listening = tracing::subscriber::set_default(ear.clone());
    let bed = Bed::start().await;
    bed.produce(0, &["a secret"]).await;
    let mut consumer = bed.builder().group("g").subscribe(["t"]).build().await.unwrap();
    next(&mut consumer).await;
    within(consumer.commit()).await.unwrap();
    consumer.close(Duration::from_secs(5)).await.unwrap();
    ear.heard(Level::INFO, &["joined", "group=g", "generation=1"]);
    ear.heard(Level::INFO, &["membership", "event=assigned 3 partitions"]);
    ear.heard(Level::INFO, &["reset", "t-0"]);
    ear.heard(Level::INFO, &["left", "group=g"]);
    ear.heard(Level::INFO, &[" rebalance ", "messaging.consumer.group.name=\"g\""]);
    ear.heard(
        Level::DEBUG,
        &[
            " poll ",
            "messaging.system=\"kafka\"",
            "messaging.operation.name=\"poll\"",
            "messaging.operation.type=\"receive\"",
            "messaging.consumer.group.name=\"g\"",
            "messaging.destination.name=\"t\"",
            "messaging.destination.partition.id=0",
            "messaging.kafka.offset=0",
        ],
    );
    ear.heard(
        Level::DEBUG,
        &[
            " commit ",
            "messaging.operation.type=\"settle\"",
            "messaging.destination.name=\"t\"",
            "messaging.kafka.offset=1",
        ],
    );
    assert_eq!(ear.count(Level::WARN, ""), 0, "{:#?}", ear.lines());
    let told = ear.lines().join("\n");
    assert!(!told.contains("secret") && !told.contains("key"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn trouble_that_is_tried_again_is_told_now_and_then_with_a_count() {
    let ear = Ear::default();
    let _listening = tracing::subscriber::set_default(ear.clone());
    let bed = Bed::start().await;
    bed.produce(0, &["x"]).await;
    let mut consumer = bed.consumer(&[0]).await;
    next(&mut consumer).await;
    let trouble = Act::Respond(ErrorCode::KafkaStorageError);
    let fault = bed.cluster.fault(Rule::new(ApiKey::Fetch, trouble));
    let idle = tokio::time::timeout(Duration::from_secs(25), consumer.poll()).await;
    assert!(idle.is_err());
    let told = ear.count(Level::WARN, "a fetch failed and is sent again");
    assert!((2..=3).contains(&told), "{:#?}", ear.lines());
    assert!(fault.hits() > 10);
    ear.heard(Level::WARN, &["partition=t-0", "count=1", "KAFKA_STORAGE_ERROR"]);
}
