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

    /// Whether its memory is the C library's.
    pub fn is_native(self) -> bool {
        !matches!(self, Self::Java | Self::FranzGo)
    }

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
    /// Unique among those of one case.
    pub name: &'static str,
    pub driver: Driver,
    pub mode: &'static str,
}

impl Client {
    /// Whether the client can do this at all.
    pub fn takes_part_in(&self, case: &Case) -> bool {
        // A thousand of Java's producers do not fit into its heap of 512 MiB.
        if self.driver == Driver::Java && case.clients >= 1_000 {
            return false;
        }
        // rskafka opens a connection for each partition, asks for all metadata on each, and fetches
        // a megabyte for each at the same time.
        let most = if case.op == Op::Produce { 1_000 } else { 16 };
        self.driver != Driver::Rskafka || case.partitions <= most
    }

    pub fn warmup(&self, case: &Case) -> u64 {
        case.warmup(self.driver == Driver::Java)
    }
}

/// The clients of a case, ours first.
pub fn of(op: Op) -> &'static [Client] {
    match op {
        Op::Produce => PRODUCERS,
        Op::Consume => CONSUMERS,
        Op::Latency => ON_SCHEDULE,
        Op::Transaction => TRANSACTIONAL,
        Op::EndToEnd | Op::IdleClients | Op::IdlePartitions | Op::Stall => ONE_EACH,
        Op::Overload => IN_FULL,
        Op::ColdProduce => FIRST_RECORD_OUT,
        Op::ColdConsume => FIRST_RECORD_IN,
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

const ON_SCHEDULE: &[Client] = &[
    client("ottla-awaited", Driver::Ottla, "awaited"),
    client("ottla-callback", Driver::Ottla, "callback"),
    client("librdkafka", Driver::Librdkafka, "callback"),
    client("java", Driver::Java, "callback"),
    client("franz-go", Driver::FranzGo, "promise"),
    client("krafka", Driver::Krafka, "enqueue"),
    client("rskafka", Driver::Rskafka, "record"),
    client("rdkafka-future", Driver::Rdkafka, "future"),
];

const TRANSACTIONAL: &[Client] = &[
    client("ottla", Driver::Ottla, "dropped"),
    client("librdkafka", Driver::Librdkafka, "callback"),
    client("java", Driver::Java, "callback"),
    client("franz-go", Driver::FranzGo, "promise"),
    client("rdkafka", Driver::Rdkafka, "threaded"),
];

/// One of each that other languages have; what is built on them has their figures and more.
const ONE_EACH: &[Client] = &[
    client("ottla", Driver::Ottla, "lent"),
    client("librdkafka", Driver::Librdkafka, "poll"),
    client("java", Driver::Java, "poll"),
    client("franz-go", Driver::FranzGo, "poll"),
];

/// Those whose live heap can be told from what a collector has not collected yet.
const IN_FULL: &[Client] = &[
    client("ottla", Driver::Ottla, "dropped"),
    client("librdkafka", Driver::Librdkafka, "callback"),
];

const FIRST_RECORD_OUT: &[Client] = &[
    client("ottla", Driver::Ottla, "awaited"),
    client("librdkafka", Driver::Librdkafka, "callback"),
    client("java", Driver::Java, "callback"),
    client("franz-go", Driver::FranzGo, "promise"),
    client("krafka", Driver::Krafka, "enqueue"),
    client("rskafka", Driver::Rskafka, "record"),
    client("rdkafka", Driver::Rdkafka, "threaded"),
];

const FIRST_RECORD_IN: &[Client] = &[
    client("ottla", Driver::Ottla, "lent"),
    client("librdkafka", Driver::Librdkafka, "poll"),
    client("java", Driver::Java, "poll"),
    client("franz-go", Driver::FranzGo, "poll"),
    client("krafka", Driver::Krafka, "poll"),
    client("rskafka", Driver::Rskafka, "stream"),
    client("rdkafka", Driver::Rdkafka, "base"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_clients_of_a_case_have_one_name() {
        for case in crate::cases::all() {
            let clients = of(case.op);
            for (at, client) in clients.iter().enumerate() {
                assert!(clients[..at].iter().all(|other| other.name != client.name), "{case}");
            }
        }
    }

    #[test]
    fn nobody_stays_away_but_from_very_many_partitions_or_clients() {
        for case in crate::cases::all() {
            for client in of(case.op).iter().filter(|client| !client.takes_part_in(&case)) {
                match client.driver {
                    Driver::Rskafka => assert!(case.partitions >= 100, "{case}"),
                    Driver::Java => assert!(case.clients >= 1_000, "{case}"),
                    other => panic!("{other:?} stays away from {case}"),
                }
            }
        }
    }

    #[test]
    fn we_take_part_in_every_case_and_come_first() {
        for case in crate::cases::all() {
            assert_eq!(of(case.op)[0].driver, Driver::Ottla, "{case}");
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
