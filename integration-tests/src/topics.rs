//! What tests do with topics, past the client under test.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::alter_partition_reassignments::{
    ReassignablePartition, ReassignableTopic,
};
use ottla_protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::elect_leaders::TopicPartitions;
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic};
use ottla_protocol::messages::metadata::MetadataResponsePartition;
use ottla_protocol::messages::{
    AlterPartitionReassignmentsRequest, CreateTopicsRequest, ElectLeadersRequest, FetchRequest,
};
use ottla_protocol::records::{Batch, BatchDecoder, Batches, OwnedRecord};

use crate::cluster::eventually;
use crate::{Backend, TestCluster};

impl TestCluster {
    /// A name that no topic or group of this or another run has.
    #[must_use]
    pub fn unique(&self, name: &str) -> String {
        static RUN: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
        static NEXT: AtomicU32 = AtomicU32::new(1);
        format!("{name}-{:08x}-{}", *RUN >> 32, NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Creates a topic with a replica on each of up to three brokers, under a name that begins so,
    /// and waits until every replica is in sync and every broker knows it. Returns its name.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; the topic may be there.
    pub async fn create_topic(&self, name: &str, partitions: i32) -> String {
        self.create_topic_with(name, partitions, &[]).await
    }

    /// As [`Self::create_topic`], with topic settings by Kafka's names. Records are kept for ever,
    /// whatever their timestamps, unless `retention.ms` is among them.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; the topic may be there.
    pub async fn create_topic_with(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> String {
        let name = self.unique(name);
        let brokers = self.metadata(None).await.brokers.len();
        let has_retention = configs.iter().any(|(name, _)| *name == "retention.ms");
        let kept: &[(&str, &str)] = if has_retention { &[] } else { &[("retention.ms", "-1")] };
        let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
            ..Default::default()
        };
        let topic = CreatableTopic {
            name: name.as_str().into(),
            num_partitions: partitions,
            replication_factor: i16::try_from(brokers.min(3)).unwrap_or(3),
            configs: kept.iter().chain(configs).map(config).collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        eventually("a broker creates the topic", async || {
            let broker = *self.unhurt().first()?;
            let mut probe = self.probe(broker).await.ok()?;
            let answer = probe.call(&request, 5, PATIENCE).await.ok()?;
            let code = ErrorCode::from_code(answer.topics.first()?.error_code);
            matches!(code, ErrorCode::None | ErrorCode::TopicAlreadyExists).then_some(())
        })
        .await;
        self.until_in_sync(&name).await;
        name
    }

    /// Waits until every broker that is not hurt knows every partition of a topic with a leader and
    /// all its replicas in sync.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn until_in_sync(&self, topic: &str) {
        for broker in self.unhurt() {
            eventually("every replica is in sync", async || {
                let partitions = self.partitions_of(broker, topic).await?;
                let whole = |partition: &MetadataResponsePartition| {
                    partition.leader_id >= 0
                        && partition.isr_nodes.len() == partition.replica_nodes.len()
                };
                (!partitions.is_empty() && partitions.iter().all(whole)).then_some(())
            })
            .await;
        }
    }

    /// The leader of each partition that has one, as the first broker that answers says.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn leaders(&self, topic: &str) -> BTreeMap<i32, i32> {
        let answer = self.metadata(Some(topic)).await;
        let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
        let led = partitions.filter(|partition| partition.leader_id >= 0);
        led.map(|partition| (partition.partition_index, partition.leader_id)).collect()
    }

    /// Waits until a partition has a leader that `wanted` accepts, and returns it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn await_leader(
        &self,
        topic: &str,
        partition: i32,
        wanted: impl Fn(i32) -> bool + Send + Sync,
    ) -> i32 {
        eventually("the partition has such a leader", async || {
            let leader = self.leaders(topic).await.get(&partition).copied()?;
            wanted(leader).then_some(leader)
        })
        .await
    }

    /// Makes another broker the leader of a partition, and waits until that is known.
    ///
    /// # Panics
    ///
    /// When the broker has no replica of the partition.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; the leader may move.
    pub async fn move_leader(&self, topic: &str, partition: i32, to: i32) {
        if self.backend() == Backend::Embedded {
            let moved = self.embedded().partition(topic, partition).move_leader(to);
            moved.expect("the broker has a replica in sync");
        } else {
            self.prefer_leader(topic, partition, to).await;
        }
        self.await_leader(topic, partition, |leader| leader == to).await;
    }

    /// The committed records of a partition, as its leader has them, oldest first. Control records
    /// are left out; every checksum is verified.
    ///
    /// # Panics
    ///
    /// When a batch does not decode.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    pub async fn records(&self, topic: &str, partition: i32) -> Vec<OwnedRecord> {
        let mut found = Vec::new();
        let mut decoder = BatchDecoder::new(usize::MAX);
        let mut position = 0;
        loop {
            let (batches, high_watermark) = self.fetch(topic, partition, position).await;
            for batch in batches {
                position = batch.next_offset();
                read(&batch, &mut decoder, &mut found);
            }
            if position >= high_watermark {
                return found;
            }
        }
    }

    async fn fetch(&self, topic: &str, partition: i32, position: i64) -> (Vec<Batch>, i64) {
        eventually("the leader gives its records", async || {
            let leader = self.leaders(topic).await.get(&partition).copied()?;
            let request = fetch(topic, partition, position);
            let mut probe = self.probe(leader).await.ok()?;
            let answer = probe.call(&request, 12, PATIENCE).await.ok()?;
            let row = answer.responses.into_iter().next()?.partitions.into_iter().next()?;
            if row.error_code != 0 {
                return None;
            }
            let bytes = row.records.unwrap_or_default().into_bytes();
            let whole = Batches::new(bytes).map(|batch| batch.expect("a batch is whole"));
            Some((whole.collect(), row.high_watermark))
        })
        .await
    }

    /// Puts a broker first among a partition's replicas and has the preferred leader elected.
    async fn prefer_leader(&self, topic: &str, partition: i32, to: i32) {
        let metadata = self.metadata(Some(topic)).await;
        let mut partitions = metadata.topics.iter().flat_map(|topic| &topic.partitions);
        let found = partitions.find(|found| found.partition_index == partition);
        let old: Vec<i32> = found.expect("the partition exists").replica_nodes.to_vec();
        assert!(old.contains(&to), "broker {to} has no replica of {topic}-{partition}");
        let others = old.into_iter().filter(|replica| *replica != to);
        let replicas: Vec<i32> = std::iter::once(to).chain(others).collect();
        let reassign = reassignment(topic, partition, replicas);
        let elect = ElectLeadersRequest {
            topic_partitions: Some(vec![TopicPartitions {
                topic: topic.into(),
                partitions: vec![partition].into(),
                ..Default::default()
            }]),
            ..Default::default()
        };
        eventually("the preferred leader is elected", async || {
            let mut probe = self.probe(*self.unhurt().first()?).await.ok()?;
            probe.call(&reassign, 0, PATIENCE).await.ok()?;
            probe.call(&elect, 2, PATIENCE).await.ok()?;
            (self.leaders(topic).await.get(&partition) == Some(&to)).then_some(())
        })
        .await;
    }

    async fn partitions_of(
        &self,
        broker: i32,
        topic: &str,
    ) -> Option<Vec<MetadataResponsePartition>> {
        let answer = self.metadata_of(broker, Some(topic)).await.ok()?;
        Some(answer.topics.into_iter().next()?.partitions)
    }
}

fn read(batch: &Batch, decoder: &mut BatchDecoder, found: &mut Vec<OwnedRecord>) {
    let Batch::V2(batch) = batch else { panic!("a broker of today keeps no old messages") };
    batch.verify_crc().expect("the checksum is right");
    if batch.header().attributes.is_control() {
        return;
    }
    let records = decoder.owned_records(batch).expect("the batch decompresses");
    found.extend(records.map(|record| record.expect("the record decodes")));
}

fn fetch(topic: &str, partition: i32, position: i64) -> FetchRequest {
    let partition = FetchPartition {
        partition,
        fetch_offset: position,
        partition_max_bytes: 8 << 20,
        ..Default::default()
    };
    let topic =
        FetchTopic { topic: topic.into(), partitions: vec![partition], ..Default::default() };
    FetchRequest {
        max_wait_ms: 100,
        min_bytes: 0,
        max_bytes: 8 << 20,
        topics: vec![topic],
        ..Default::default()
    }
}

fn reassignment(
    topic: &str,
    partition: i32,
    replicas: Vec<i32>,
) -> AlterPartitionReassignmentsRequest {
    let partition = ReassignablePartition {
        partition_index: partition,
        replicas: Some(replicas.into()),
        ..Default::default()
    };
    let topic =
        ReassignableTopic { name: topic.into(), partitions: vec![partition], ..Default::default() };
    AlterPartitionReassignmentsRequest { topics: vec![topic], ..Default::default() }
}

/// How long a broker may take over an administrative request.
const PATIENCE: Duration = Duration::from_secs(10);
