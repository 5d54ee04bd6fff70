//! The settings of all roles, which one handle is given together.

use ottla_admin::config::ADMIN;
use ottla_consumer::config::CONSUMER;
use ottla_core::config::{CLIENT, Checked, ClientConfig, ConfigError, Properties, Row};
use ottla_producer::config::PRODUCER;

/// What the tables of all roles say, each property once.
pub(crate) fn rows() -> Vec<&'static Row> {
    let mut rows: Vec<&'static Row> = CLIENT.rows().collect();
    let others = PRODUCER.rows().chain(CONSUMER.rows()).chain(ADMIN.rows());
    for row in others {
        if rows.iter().all(|known| known.name != row.name) {
            rows.push(row);
        }
    }
    rows
}

/// The settings of the client, if there is nothing wrong with any name or value: whoever mistypes
/// one is told when the handle is made, not when the first record is sent. Whether the settings of
/// a role fit one another is for that role's builder to say, which may add some.
pub(crate) fn check(properties: &Properties) -> Result<Checked<ClientConfig>, ConfigError> {
    let (unknown, unused) = properties.unknown(&rows());
    let mut client = ClientConfig::parse(properties);
    let producer = PRODUCER.read(properties);
    let consumer = CONSUMER.read(properties);
    let admin = ADMIN.read(properties);
    add_new(&mut client.warnings, [unused, producer.warnings, consumer.warnings, admin.warnings]);
    add_new(&mut client.problems, [unknown, producer.problems, consumer.problems, admin.problems]);
    client.finish()
}

/// What two roles read is told once.
fn add_new<T: PartialEq>(told: &mut Vec<T>, roles: [Vec<T>; 4]) {
    for what in roles.into_iter().flatten() {
        if !told.contains(&what) {
            told.push(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_any_role_is_told_at_once() {
        let mut properties = Properties::new();
        properties.set("lingr.ms", 20).set("acks", "some").set("request.timeout.ms", "soon");
        properties.set("auto.offset.reset", "middle").set("bootstrap.controllers", "a:1");
        let shown = format!("{:#}", check(&properties).unwrap_err());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines,
            [
                "request.timeout.ms=soon is not a whole number of milliseconds (set in code)",
                "bootstrap.servers is not set: a client must know where to begin, such as \
                 localhost:9092",
                "no property is called `lingr.ms` (set in code); did you mean `linger.ms`?",
                "acks=some must be one of all, -1, 1, 0 (set in code)",
                "auto.offset.reset=middle must be one of latest, earliest, none, largest, end, \
                 smallest, beginning, error (set in code)",
                "bootstrap.controllers is not supported (set in code): this version asks brokers, \
                 not controllers; set bootstrap.servers",
            ]
        );
    }

    #[test]
    fn what_has_no_effect_with_any_role_is_told_once() {
        let mut properties = Properties::new();
        properties.set("bootstrap.servers", "a:1").set("key.serializer", "of Java");
        properties.set("value.deserializer", "of Java");
        let warnings = check(&properties).unwrap().warnings;
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }

    #[test]
    fn settings_of_all_roles_go_together() {
        let mut properties = Properties::new();
        properties.set("bootstrap.servers", "a:1").set("linger.ms", 20);
        // The consumer's builder may name the group.
        properties.set("enable.auto.commit", true);
        assert_eq!(check(&properties).unwrap().warnings, []);
    }
}
