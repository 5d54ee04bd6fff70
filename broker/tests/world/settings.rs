//! What is given for a setting: how it is read, told and refused.

use std::time::Duration;

use ottla_protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::topics::{alter, alter_resource, create, described, wanted};
use super::*;

const SET: i8 = 0;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// The setting of topic `t` as it is described once it was set to `given`; the code of the refusal
/// instead.
#[track_caller]
fn check(name: &str, given: &str, expected: Result<&str, i16>) {
    let mut test = Test::new();
    let found = match alter(&mut test, name, SET, Some(given)) {
        0 => Ok(described(&mut test, 2, "t", name).value.unwrap().to_string()),
        code => Err(code),
    };
    assert_eq!(found, expected.map(str::to_owned), "{name}={given:?}");
}

/// `INVALID_CONFIG`.
const INVALID: Result<&str, i16> = Err(40);

/// As Kafka 4.4.0 answered to each of these over a socket.
#[test]
fn what_is_given_is_read_as_java_reads_it() {
    check("preallocate", "True", Ok("true"));
    check("preallocate", " FALSE\t", Ok("false"));
    check("preallocate", "yes", INVALID);
    check("retention.ms", " 1000 ", Ok("1000"));
    check("retention.ms", "+007", Ok("7"));
    check("retention.ms", "1 000", INVALID);
    check("retention.ms", "", INVALID);
    check("min.cleanable.dirty.ratio", "1", Ok("1.0"));
    check("min.cleanable.dirty.ratio", ".50", Ok("0.5"));
    check("min.cleanable.dirty.ratio", "0.0001", Ok("1.0E-4"));
    check("compression.type", " zstd ", Ok("zstd"));
    check("compression.type", "ZSTD", INVALID);
    check("cleanup.policy", " compact , delete ", Ok("compact,delete"));
    check("cleanup.policy", "", Ok(""));
}

/// As Kafka 4.4.0 answered to each of these over a socket.
#[test]
fn a_value_outside_its_range_is_refused() {
    for (name, given, expected) in [
        ("min.cleanable.dirty.ratio", "1.5", INVALID),
        ("min.cleanable.dirty.ratio", "-0.1", INVALID),
        ("min.cleanable.dirty.ratio", "half", INVALID),
        ("compression.gzip.level", "0", INVALID),
        ("compression.gzip.level", "10", INVALID),
        ("compression.gzip.level", "9", Ok("9")),
        ("compression.lz4.level", "18", INVALID),
        ("compression.zstd.level", "23", INVALID),
        ("compression.zstd.level", "-131072", Ok("-131072")),
        ("max.decompressed.message.bytes", "2147483647", INVALID),
        ("remote.copy.lag.ms", "-2", INVALID),
        ("leader.replication.throttled.replicas", "0:1, 1:2", Ok("0:1,1:2")),
        ("leader.replication.throttled.replicas", "*", Ok("*")),
        ("follower.replication.throttled.replicas", "0", INVALID),
        ("cleanup.policy", "compact,compact", Ok("compact")),
        ("cleanup.policy", "compact,", INVALID),
        ("remote.storage.enable", "false", Ok("false")),
        ("remote.storage.enable", "true", INVALID),
    ] {
        check(name, given, expected);
    }
}

#[test]
fn blanks_around_a_number_do_not_delete_the_log() {
    let mut test = Test::without_topics(1, &[("log.retention.ms", " 3600000 ")]);
    test.topic("t", &[]);
    test.topic("own", &[("retention.ms", " 3600000 ")]);
    test.produce(-1, batch(&["a"]));
    test.pass(Duration::from_secs(600));
    assert_eq!(test.fetch(0).log_start_offset, 0);
    for topic in test.world.catalog().topics() {
        assert_eq!(topic.settings.at(None).retention_ms, Some(3_600_000), "{}", topic.name);
    }
    let told = described(&mut test, 4, "1", "log.retention.ms");
    assert_eq!(told.value.as_deref(), Some("3600000"));
}

#[test]
fn a_flag_is_true_however_it_is_written() {
    let mut test = Test::without_topics(1, &[("unclean.leader.election.enable", " TRUE")]);
    test.topic("t", &[]);
    let topic = test.world.catalog().topics().next().unwrap();
    assert!(topic.settings.at(None).unclean_election);
}

#[test]
fn a_new_topic_is_told_with_its_settings_as_they_were_written() {
    let config = CreatableTopicConfig {
        name: "preallocate".into(),
        value: Some(" True".into()),
        ..Default::default()
    };
    let topic = CreatableTopic { configs: vec![config], ..wanted("n", 1, 1) };
    let row = create(&mut Test::new(), vec![topic]).remove(0);
    let configs = row.configs.unwrap();
    let told = configs.iter().find(|config| config.name == "preallocate").unwrap();
    assert_eq!(told.value.as_deref(), Some(" True"));
}

#[test]
fn settings_of_a_topic_may_not_contradict_each_other_or_the_brokers() {
    let mut test = Test::without_topics(1, &[("log.cleaner.max.compaction.lag.ms", "100")]);
    test.topic("t", &[("min.compaction.lag.ms", "100")]);
    assert_eq!(alter(&mut test, "min.compaction.lag.ms", SET, Some("101")), 40);
    assert_eq!(alter(&mut test, "max.compaction.lag.ms", SET, Some("99")), 40);
    assert_eq!(alter(&mut test, "max.compaction.lag.ms", SET, Some("200")), 0);
    assert_eq!(alter(&mut test, "min.compaction.lag.ms", SET, Some("101")), 0);
    let config = CreatableTopicConfig {
        name: "min.compaction.lag.ms".into(),
        value: Some("101".into()),
        ..Default::default()
    };
    let topic = CreatableTopic { configs: vec![config], ..wanted("n", 1, 1) };
    let row = create(&mut test, vec![topic]).remove(0);
    let reason = "conflict topic config setting min.compaction.lag.ms (101) > \
                  max.compaction.lag.ms (100)";
    assert_eq!((row.error_code, row.error_message.as_deref()), (40, Some(reason)));
}

#[test]
fn a_list_that_was_set_with_blanks_grows_by_what_was_written() {
    let mut test = Test::new();
    assert_eq!(alter(&mut test, "cleanup.policy", SET, Some(" delete")), 0);
    for item in ["delete", "compact"] {
        assert_eq!(alter(&mut test, "cleanup.policy", APPEND, Some(item)), 0);
    }
    assert_eq!(alter(&mut test, "cleanup.policy", SUBTRACT, Some("delete")), 0);
    let told = described(&mut test, 2, "t", "cleanup.policy");
    assert_eq!(told.value.as_deref(), Some("delete,compact"));
}

#[test]
fn a_broker_refuses_what_it_cannot_read_too() {
    let mut test = Test::without_topics(1, &[]);
    let mut set = |name, value| alter_resource(&mut test, (4, "1"), name, SET, Some(value));
    assert_eq!(set("log.cleaner.min.cleanable.ratio", "2"), 42);
    assert_eq!(set("compression.gzip.level", "0"), 42);
    assert_eq!(set("log.preallocate", "TRUE"), 0);
}

#[test]
fn a_resource_that_is_named_twice_is_not_changed() {
    let mut test = Test::new();
    let changed = |value: &str| AlterableConfig {
        name: "flush.ms".into(),
        value: Some(value.into()),
        ..Default::default()
    };
    let resource = |name: &str, value| AlterConfigsResource {
        resource_type: 2,
        resource_name: name.into(),
        configs: vec![changed(value)],
        ..Default::default()
    };
    test.topic("u", &[]);
    let resources = vec![resource("t", "1"), resource("u", "2"), resource("t", "3")];
    let request = IncrementalAlterConfigsRequest { resources, ..Default::default() };
    let response: IncrementalAlterConfigsResponse = test.ask(1, request);
    let codes: Vec<i16> = response.responses.iter().map(|row| row.error_code).collect();
    assert_eq!(codes, [42, 0, 42]);
    assert_eq!(described(&mut test, 2, "t", "flush.ms").config_source, 5, "the default");
}
