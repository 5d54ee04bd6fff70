//! The tables of settings: consistent in themselves, with Java's, and with `CONFIGURATION.md`.

mod java;
mod librdkafka;
mod parity;
mod reference;
mod tables;

use ottla_admin::config::ADMIN;
use ottla_consumer::config::CONSUMER;
use ottla_core::config::{CLIENT, Row};
use ottla_producer::config::PRODUCER;

/// The rows of one table.
type Rows = Vec<&'static Row>;

/// The rows of all tables, by role.
fn roles() -> [(&'static str, Rows); 4] {
    [
        (CLIENT.role, CLIENT.properties.iter().map(|it| it.row()).collect()),
        (PRODUCER.role, PRODUCER.properties.iter().map(|it| it.row()).collect()),
        (CONSUMER.role, CONSUMER.properties.iter().map(|it| it.row()).collect()),
        (ADMIN.role, ADMIN.properties.iter().map(|it| it.row()).collect()),
    ]
}
