//! `CONFIGURATION.md` is what the tables say.

use std::path::Path;

use ottla_core::config::section;

use crate::{Rows, roles};

#[test]
fn the_reference_is_current() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../CONFIGURATION.md");
    let expected = reference();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&page, &expected).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == expected,
        "CONFIGURATION.md is not what the tables say; run `UPDATE_REFERENCE=1 cargo test -p \
         ottla-integration-tests --test config`"
    );
}

fn reference() -> String {
    let [client, producer, consumer, admin] = roles().map(|(_, rows)| rows);
    let own = |rows: Rows| -> Rows {
        let is_shared = |name: &str| client.iter().any(|row| row.name == name);
        rows.into_iter().filter(|row| !is_shared(row.name)).collect()
    };
    let sections = [
        section("Every client", EVERY, &client),
        section("Producer", PRODUCER, &own(producer)),
        section("Consumer", CONSUMER, &own(consumer)),
        section("Administration", ADMIN, &own(admin)),
    ];
    format!("{INTRODUCTION}\n{}", sections.join("\n"))
}

const INTRODUCTION: &str = "\
# Configuration

Written from the tables in `*/src/config/table.rs`; a test fails when it is not current.

Settings have the names of Apache Kafka's Java clients. Those of librdkafka work, too. They come
from files in the format of Java's `Properties`, from the environment (`KAFKA_LINGER_MS` is
`linger.ms`) and from code; the last one wins. Every name and value that is wrong is
told at once (whether those of a role fit one another, when that is built), a name that nobody has is
an error, and `explain` says which value counts and where it came from.

Durations are in milliseconds, sizes in bytes.
";

const EVERY: &str = "What a connection, and the picture of the cluster, need.";
const PRODUCER: &str = "Beside those of every client.";
const CONSUMER: &str = "Beside those of every client.";
const ADMIN: &str = "Administrative calls have the settings of every client.";
