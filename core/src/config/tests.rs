use std::time::Duration;

use super::*;

#[test]
fn every_default_is_the_one_of_the_typed_settings() {
    for row in CLIENT.rows().filter(|row| row.fate == Fate::Used && !row.default.is_empty()) {
        let mut properties = Properties::new();
        properties.set(row.name, row.default);
        let parsed = CLIENT.read(&properties);
        assert_eq!(parsed.problems, [], "{}", row.name);
        assert_eq!(parsed.config, ClientConfig::default(), "{}", row.name);
    }
}

#[test]
fn every_setting_that_is_used_changes_something() {
    for row in CLIENT.rows().filter(|row| row.fate == Fate::Used) {
        if row.name == "security.protocol" {
            continue; // There is one value so far.
        }
        let candidates = ["12345", "false", "true", "none", "host:1"];
        let changes = candidates.iter().any(|value| {
            let mut properties = Properties::new();
            properties.set(row.name, value);
            CLIENT.read(&properties).config != ClientConfig::default()
        });
        assert!(changes, "{}", row.name);
    }
}

#[test]
fn an_idle_time_of_nothing_closes_no_connection_and_forgets_no_topic() {
    // librdkafka's default, which stands for no limit.
    let mut properties = Properties::new();
    properties.set("connections.max.idle.ms", 0);
    assert!(CLIENT.read(&properties).config.connections_max_idle > Duration::from_secs(1 << 40));
    check(
        "bootstrap.servers=a:1\nmetadata.max.idle.ms=0",
        "metadata.max.idle.ms=0 must be from 5000 to 9223372036854775807 milliseconds (f:2)",
    );
}

#[test]
fn no_name_stands_for_two_properties() {
    let mut names: Vec<&str> = CLIENT
        .rows()
        .flat_map(|row| row.aliases.iter().map(|alias| alias.name).chain([row.name]))
        .collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    check(
        "request.timeout.ms=soon\nmetadata.recovery.strategy=pray\nsasl.password=x\n\
         retry.backoff.ms=5\nretry.backoff.max.ms=4",
        "request.timeout.ms=soon is not a whole number of milliseconds (f:1)\n\
         metadata.recovery.strategy=pray must be one of none, rebootstrap (f:2)\n\
         sasl.password is not supported (f:3): this version has no authentication; only \
         security.protocol=PLAINTEXT works\n\
         bootstrap.servers is not set: a client must know where to begin, such as localhost:9092\n\
         retry.backoff.max.ms=4 must be at least retry.backoff.ms=5",
    );
}

#[test]
fn a_protocol_that_is_not_there_yet_is_told_apart() {
    check(
        "bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL",
        "security.protocol=SASL_SSL is not in this version; only PLAINTEXT is (f:2)",
    );
    check(
        "bootstrap.servers=a:1\nsecurity.protocol=TLS",
        "security.protocol=TLS must be one of PLAINTEXT (f:2)",
    );
}

#[test]
fn servers_that_are_none_are_not_called_missing() {
    check(
        "bootstrap.servers=a",
        "bootstrap.servers=a has addresses that are none: `a` has no port; write host:port, or \
         [address]:port for IPv6 (f:1)",
    );
}

#[test]
fn the_last_one_wins_under_whatever_name() {
    let mut properties = Properties::new();
    properties.set("request.timeout.ms", 1_000).set("socket.timeout.ms", 2_000);
    assert_eq!(CLIENT.read(&properties).config.request_timeout.as_secs(), 2);
    properties.set("request.timeout.ms", 3_000);
    assert_eq!(CLIENT.read(&properties).config.request_timeout.as_secs(), 3);
}

#[test]
fn a_default_gives_way_to_what_somebody_set() {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", "a:1").set("retry.backoff.ms", 5_000);
    properties.set("request.timeout.ms", 90_000);
    let config = ClientConfig::from_properties(&properties).unwrap().config;
    assert_eq!(config.retry_backoff_max.as_secs(), 5);
    assert_eq!(config.default_api_timeout.as_secs(), 90);
}

#[test]
fn what_does_nothing_is_a_warning() {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", "a:1").set("message.send.max.retries", 3);
    let warnings = ClientConfig::from_properties(&properties).unwrap().warnings;
    assert_eq!(
        warnings[0].to_string(),
        "message.send.max.retries (set in code): attempts are not counted; delivery.timeout.ms and \
         default.api.timeout.ms bound them"
    );
}

#[test]
fn a_name_nobody_has_is_an_error_with_the_nearest() {
    let rows: Vec<&Row> = CLIENT.rows().collect();
    let mut properties = Properties::new();
    properties.set("reconect.backoff.ms", 1).set("nonsense", 2);
    let (problems, warnings) = properties.unknown(&rows);
    assert_eq!(
        ConfigError::check(problems).unwrap_err().to_string(),
        "no property is called `reconect.backoff.ms` (set in code); did you mean \
         `reconnect.backoff.ms`?; no property is called `nonsense` (set in code)"
    );
    assert_eq!(warnings, []);
}

#[test]
fn the_environment_is_shared_with_other_programs() {
    let variables = [
        ("KAFKA_CLIENT_ID", "orders"),
        ("KAFKA_CLIENT_RAK", "a"),
        ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://a:1"),
        ("KAFKA_HEAP_OPTS", "-Xmx1g"),
        ("KAFKA_", "nothing"),
        ("PATH", "/bin"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut properties = Properties::new();
    properties.read_variables("KAFKA_", variables);
    assert_eq!(CLIENT.read(&properties).config.client_id, "orders");
    let rows: Vec<&Row> = CLIENT.rows().collect();
    let (problems, warnings) = properties.unknown(&rows);
    assert_eq!(
        problems[0].to_string(),
        "no property is called `client.rak` (environment KAFKA_CLIENT_RAK); did you mean \
         `client.rack`?"
    );
    assert_eq!(problems.len(), 1);
    assert_eq!(warnings[0].name.as_ref(), "advertised.listeners");
    assert_eq!(warnings.len(), 1);
}

#[test]
fn a_broken_file_is_an_error_with_its_line() {
    let refused = Properties::new().read_str("f", "a=1\nb=\\u1").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "f: line 2 has `\\u1`: four hexadecimal digits must follow \\u"
    );
    let missing = Properties::new().read_file("/no/such/file").unwrap_err();
    assert!(missing.to_string().starts_with("/no/such/file: "), "{missing}");
}

#[test]
fn values_are_explained_with_where_they_came_from() {
    let rows: Vec<&Row> = CLIENT.rows().collect();
    let mut properties = Properties::new();
    properties.read_str("client.properties", "client.id=orders").unwrap();
    let explained = properties.explain(&rows);
    let shown = |name: &str| explained.iter().find(|it| it.name == name).unwrap().to_string();
    assert_eq!(shown("client.id"), "client.id = orders (client.properties:1)");
    assert_eq!(shown("retry.backoff.ms"), "retry.backoff.ms = 100 (default)");
}

#[test]
fn values_are_not_in_the_debug_output() {
    let mut properties = Properties::new();
    properties.set("sasl.password", "hunter2");
    assert!(!format!("{properties:?}").contains("hunter2"));
}

/// What is wrong with a file of properties, a line for each problem.
#[track_caller]
fn check(text: &str, expected: &str) {
    let mut properties = Properties::new();
    properties.read_str("f", text).unwrap();
    let refused = ClientConfig::from_properties(&properties).unwrap_err();
    assert_eq!(format!("{refused:#}"), expected);
}
