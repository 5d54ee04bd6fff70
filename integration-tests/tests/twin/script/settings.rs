//! Settings: how values are read, told and refused.

use std::sync::atomic::{AtomicU32, Ordering};

use ottla_protocol::messages::{CreateTopicsRequest, DescribeConfigsResponse};

use super::topics::{BROKER, altered, described_topic};
use super::{create, topic};
use crate::twin::{Side, Twin};

/// Each is set on a topic, and the topic described.
#[rustfmt::skip]
const VALUES: &[(&str, &str)] = &[
    ("preallocate", "True"), ("preallocate", " FALSE\t"), ("preallocate", "yes"),
    ("retention.ms", " 1000 "), ("retention.ms", "+007"), ("retention.ms", "1 000"),
    ("retention.ms", ""), ("retention.ms", " soon"), ("retention.ms", " -2"),
    ("min.cleanable.dirty.ratio", "1"), ("min.cleanable.dirty.ratio", ".50"),
    ("min.cleanable.dirty.ratio", "0.0001"), ("min.cleanable.dirty.ratio", "1.5"),
    ("min.cleanable.dirty.ratio", "-0.1"), ("min.cleanable.dirty.ratio", "half"),
    ("compression.type", " zstd "), ("compression.type", "ZSTD"),
    ("compression.gzip.level", "0"), ("compression.gzip.level", "10"), ("compression.gzip.level", "9"),
    ("compression.lz4.level", "18"), ("compression.lz4.level", "0"),
    ("compression.zstd.level", "23"), ("compression.zstd.level", "-131073"),
    ("compression.zstd.level", "-131072"),
    ("max.decompressed.message.bytes", "2147483647"), ("remote.copy.lag.ms", "-2"),
    ("leader.replication.throttled.replicas", "0:1, 1:2"),
    ("leader.replication.throttled.replicas", "*"),
    ("leader.replication.throttled.replicas", "0"),
    ("follower.replication.throttled.replicas", "0:1,x:2"),
    ("cleanup.policy", " compact , delete "), ("cleanup.policy", "compact,compact"),
    ("cleanup.policy", "compact,"), ("cleanup.policy", ""), ("cleanup.policy", "compact,keep"),
    ("remote.storage.enable", "TRUE"), ("remote.storage.enable", "false"),
    ("max.compaction.lag.ms", "100"), ("min.compaction.lag.ms", "101"),
];

pub(super) async fn play(twin: &mut Twin) {
    create(twin, "set", 1, &[]).await;
    let set = 0;
    for (name, value) in VALUES {
        let request = altered("set", name, set, Some(value));
        twin.ask(&format!("{name}={value:?}"), 1, |_| request.clone()).await;
        let case = format!("after {name}={value:?}");
        describe(twin, &case, name).await;
    }
    lists(twin).await;
    for (name, value) in
        [("preallocate", " True"), ("remote.storage.enable", "true"), ("cleanup.policy", "a,a")]
    {
        let request = CreateTopicsRequest {
            topics: vec![topic("unset", 1, &[(name, value)])],
            validate_only: true,
            ..Default::default()
        };
        twin.ask(&format!("only tried, {name}={value:?}"), 7, |_| request.clone()).await;
    }
    for (name, value) in [
        ("log.cleaner.min.cleanable.ratio", "2"),
        ("compression.gzip.level", "0"),
        ("log.preallocate", " TRUE"),
    ] {
        let mut request = altered("1", name, set, Some(value));
        request.resources[0].resource_type = BROKER;
        request.validate_only = true;
        twin.ask(&format!("of a broker, {name}={value:?}"), 1, |_| request.clone()).await;
    }
}

/// Items are added to what was written.
async fn lists(twin: &mut Twin) {
    let (set, append, subtract) = (0, 2, 3);
    for (operation, value) in [
        (set, " delete"),
        (append, "delete"),
        (append, "compact"),
        (subtract, " compact"),
        (subtract, "compact"),
        (append, ""),
        (subtract, "delete, delete"),
    ] {
        let request = altered("set", "cleanup.policy", operation, Some(value));
        twin.ask(&format!("cleanup.policy {operation} {value:?}"), 1, |_| request.clone()).await;
        let case = format!("after cleanup.policy {operation} {value:?}");
        describe(twin, &case, "cleanup.policy").await;
    }
}

/// Describes a setting, a few times over: Kafka's brokers learn a moment later what was set.
async fn describe(twin: &mut Twin, case: &str, name: &str) {
    let asked = AtomicU32::new(0);
    let settled =
        |_: &mut Side, _: &DescribeConfigsResponse| asked.fetch_add(1, Ordering::Relaxed) % 4 == 3;
    twin.learn(case, 4, |_| described_topic("set", &[name]), settled).await;
}
