//! Who is measured, and in which of its ways.

use crate::cases::{Case, Op};

/// A program that speaks the drivers' command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Driver {
    Ottla,
    Librdkafka,
    Java,
    FranzGo,
    Rdkafka,
    Krafka,
    Rskafka,
}

impl Driver {
    pub const ALL: [Self; 7] = [
        Self::Ottla,
        Self::Librdkafka,
        Self::Java,
        Self::FranzGo,
        Self::Rdkafka,
        Self::Krafka,
        Self::Rskafka,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ottla => "ottla",
            Self::Librdkafka => "librdkafka",
            Self::Java => "java",
            Self::FranzGo => "franz-go",
            Self::Rdkafka => "rdkafka",
            Self::Krafka => "krafka",
            Self::Rskafka => "rskafka",
        }
    }
}

/// A row of the results: a driver in one mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Unique among those of one direction.
    pub name: &'static str,
    pub driver: Driver,
    pub mode: &'static str,
}

impl Client {
    /// Whether the client can do this at all.
    pub fn takes_part_in(&self, case: &Case) -> bool {
        // rskafka opens a connection for each partition, and asks for all metadata on each.
        self.driver != Driver::Rskafka || case.partitions <= 1_000
    }

    pub fn warmup(&self, case: &Case) -> u64 {
        case.warmup(self.driver == Driver::Java)
    }
}

/// The clients of a direction, ours first.
pub fn of(op: Op) -> &'static [Client] {
    match op {
        Op::Produce => PRODUCERS,
        Op::Consume => CONSUMERS,
    }
}

const fn client(name: &'static str, driver: Driver, mode: &'static str) -> Client {
    Client { name, driver, mode }
}

const PRODUCERS: &[Client] = &[
    client("ottla-awaited", Driver::Ottla, "awaited"),
    client("ottla-dropped", Driver::Ottla, "dropped"),
    client("ottla-callback", Driver::Ottla, "callback"),
    client("librdkafka", Driver::Librdkafka, "callback"),
    client("java", Driver::Java, "callback"),
    client("franz-go", Driver::FranzGo, "promise"),
    client("krafka", Driver::Krafka, "enqueue"),
    client("rskafka-batch", Driver::Rskafka, "batch"),
    client("rskafka", Driver::Rskafka, "record"),
    client("rdkafka-threaded", Driver::Rdkafka, "threaded"),
    client("rdkafka-future", Driver::Rdkafka, "future"),
];

const CONSUMERS: &[Client] = &[
    client("ottla-lent", Driver::Ottla, "lent"),
    client("ottla-owned", Driver::Ottla, "owned"),
    client("ottla-stream", Driver::Ottla, "stream"),
    client("librdkafka", Driver::Librdkafka, "batch"),
    client("librdkafka-crc", Driver::Librdkafka, "batch-crc"),
    client("librdkafka-poll", Driver::Librdkafka, "poll"),
    client("java", Driver::Java, "poll"),
    client("franz-go", Driver::FranzGo, "poll"),
    client("krafka", Driver::Krafka, "poll"),
    client("rskafka", Driver::Rskafka, "stream"),
    client("rdkafka-base", Driver::Rdkafka, "base"),
    client("rdkafka-stream", Driver::Rdkafka, "stream"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_clients_of_a_direction_have_one_name() {
        for clients in [PRODUCERS, CONSUMERS] {
            for (at, client) in clients.iter().enumerate() {
                assert!(clients[..at].iter().all(|other| other.name != client.name));
            }
        }
    }

    #[test]
    fn only_rskafka_stays_away_and_only_from_very_many_partitions() {
        for case in crate::cases::all() {
            for client in of(case.op) {
                let stays_away = client.driver == Driver::Rskafka && case.partitions == 10_000;
                assert_eq!(client.takes_part_in(&case), !stays_away, "{} {case}", client.name);
            }
        }
    }

    #[test]
    fn every_driver_produces_and_consumes() {
        for driver in Driver::ALL {
            for clients in [PRODUCERS, CONSUMERS] {
                assert!(clients.iter().any(|client| client.driver == driver), "{driver:?}");
            }
        }
    }
}
