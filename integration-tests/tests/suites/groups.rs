//! Members of groups, and what they commit.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_consumer::config::AssignmentStrategy;
use ottla_consumer::{Consumer, ConsumerBuilder};
use ottla_core::net::Client;
use ottla_core::types::TopicPartition;
use ottla_integration_tests::TestCluster;

use crate::clients::{connect, producer};
use crate::consume::{from_the_beginning, number, receive};
use crate::produce::enqueue_all;

pub(crate) async fn two_members_share_the_partitions_by_range(cluster: &TestCluster) {
    check_shared(cluster, AssignmentStrategy::Range).await;
}

pub(crate) async fn two_members_share_the_partitions_in_turn(cluster: &TestCluster) {
    check_shared(cluster, AssignmentStrategy::RoundRobin).await;
}

pub(crate) async fn two_members_share_the_partitions_and_keep_them(cluster: &TestCluster) {
    check_shared(cluster, AssignmentStrategy::Sticky).await;
}

pub(crate) async fn two_members_share_the_partitions_step_by_step(cluster: &TestCluster) {
    check_shared(cluster, AssignmentStrategy::CooperativeSticky).await;
}

pub(crate) async fn a_member_that_closes_hands_its_partitions_over(cluster: &TestCluster) {
    let topic = cluster.create_topic("handed-over", 4).await;
    let group = cluster.unique("handing-over");
    let client = connect(cluster).await;
    let mut first = member(&client, &group, &topic).build().await.expect("it is built");
    let mut second = member(&client, &group, &topic).build().await.expect("it is built");
    until(&mut first, &mut second, |first, second| first.len() == 2 && second.len() == 2).await;
    first.close(Duration::from_secs(10)).await.expect("it leaves");
    while second.assignment().len() < 4 {
        breathe(&mut second).await;
    }
    client.close().await;
}

pub(crate) async fn a_group_goes_on_where_it_committed(cluster: &TestCluster) {
    let topic = cluster.create_topic("committed", 1).await;
    let group = cluster.unique("committing");
    let client = connect(cluster).await;
    let producer = producer(&client, |builder| builder).await;
    enqueue_all(&producer, &topic, 0..10).await;
    let mut first = member(&client, &group, &topic).manual_commit().build().await.expect("built");
    for expected in 0..4 {
        assert_eq!(number(&receive(&mut first).await), expected);
    }
    first.commit().await.expect("it is a member");
    first.close(Duration::from_secs(10)).await.expect("it leaves");
    let mut second = member(&client, &group, &topic).build().await.expect("it is built");
    assert_eq!(number(&receive(&mut second).await), 4);
    client.close().await;
}

pub(crate) async fn closing_commits_what_was_processed(cluster: &TestCluster) {
    let topic = cluster.create_topic("closed", 1).await;
    let group = cluster.unique("closing");
    let client = connect(cluster).await;
    let producer = producer(&client, |builder| builder).await;
    enqueue_all(&producer, &topic, 0..10).await;
    let mut first = member(&client, &group, &topic).build().await.expect("it is built");
    assert_eq!(number(&receive(&mut first).await), 0);
    first.close(Duration::from_secs(10)).await.expect("it leaves");
    let mut second = member(&client, &group, &topic).build().await.expect("it is built");
    assert_eq!(number(&receive(&mut second).await), 1);
    client.close().await;
}

// What a crash between processing and committing means. The crash is a consumer that is dropped,
// with its connections, without a word; it is no member of the group, so nobody waits for it.

pub(crate) async fn committing_before_processing_is_at_most_once(cluster: &TestCluster) {
    let crash = Crash::begin(cluster).await;
    let mut consumer = crash.consumer(|builder| builder.manual_commit()).await;
    let mut processed = Vec::new();
    for _ in 0..3 {
        let record = receive(&mut consumer).await;
        consumer.commit().await.expect("the coordinator is there");
        if number(&record) < 2 {
            processed.push(number(&record));
        }
        // The third is committed, and then comes the crash.
    }
    processed.extend(crash.rest(consumer).await);
    assert_eq!(processed, [0, 1, 3, 4], "the third is lost, and none comes twice");
}

pub(crate) async fn committing_after_processing_is_at_least_once(cluster: &TestCluster) {
    let crash = Crash::begin(cluster).await;
    let mut consumer = crash.consumer(|builder| builder.manual_commit()).await;
    let mut processed = Vec::new();
    for _ in 0..3 {
        processed.push(number(&receive(&mut consumer).await));
        if processed.len() < 3 {
            consumer.commit().await.expect("the coordinator is there");
        }
    }
    processed.extend(crash.rest(consumer).await);
    assert_eq!(processed, [0, 1, 2, 2, 3, 4], "the third comes twice, and none is lost");
}

pub(crate) async fn committing_automatically_is_at_least_once(cluster: &TestCluster) {
    let crash = Crash::begin(cluster).await;
    let automatic = |builder: ConsumerBuilder| {
        builder.configure(|config| config.auto_commit_interval = Duration::from_millis(50))
    };
    let mut consumer = crash.consumer(automatic).await;
    let mut processed = Vec::new();
    for _ in 0..3 {
        processed.push(number(&receive(&mut consumer).await));
    }
    // The third is not done with before a fourth is asked for, so no commit covers it, however
    // often the interval passes.
    while crash.committed(&consumer).await != Some(2) {}
    processed.extend(crash.rest(consumer).await);
    assert_eq!(processed, [0, 1, 2, 2, 3, 4], "the third comes twice, and none is lost");
}

/// Five records, and a consumer that does not survive them.
struct Crash {
    client: Client,
    survivor: Client,
    partition: TopicPartition,
    group: String,
}

impl Crash {
    async fn begin(cluster: &TestCluster) -> Self {
        let topic = cluster.create_topic("crash", 1).await;
        let survivor = connect(cluster).await;
        let producer = producer(&survivor, |builder| builder).await;
        // A batch each: within a batch, `recv` counts nothing as processed but on request.
        for value in 0..5 {
            enqueue_all(&producer, &topic, value..value + 1).await;
        }
        let (client, group) = (connect(cluster).await, cluster.unique("crash"));
        Self { client, survivor, partition: TopicPartition::new(topic, 0), group }
    }

    async fn consumer(
        &self,
        settings: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder,
    ) -> Consumer {
        let builder = from_the_beginning(&self.client).group(&self.group);
        let built = settings(builder).assign([self.partition.clone()]).build().await;
        built.expect("the partition exists")
    }

    async fn committed(&self, consumer: &Consumer) -> Option<i64> {
        let committed = consumer.committed([self.partition.clone()]).await;
        let mut committed = committed.expect("the coordinator is there");
        committed.remove(&self.partition)?.map(|found| found.offset)
    }

    /// Crashes the consumer, and processes what another one is given after it.
    async fn rest(self, consumer: Consumer) -> Vec<u32> {
        drop(consumer);
        self.client.close().await;
        let builder = from_the_beginning(&self.survivor).group(&self.group).manual_commit();
        let built = builder.assign([self.partition.clone()]).build().await;
        let mut consumer = built.expect("the partition exists");
        let mut processed = Vec::new();
        while processed.last() != Some(&4) {
            processed.push(number(&receive(&mut consumer).await));
        }
        self.survivor.close().await;
        processed
    }
}

async fn check_shared(cluster: &TestCluster, strategy: AssignmentStrategy) {
    let topic = cluster.create_topic("shared", 4).await;
    let group = cluster.unique("sharing");
    let client = connect(cluster).await;
    let with = |builder: ConsumerBuilder| {
        builder.configure(|config| config.partition_assignment_strategy = vec![strategy])
    };
    let mut first = with(member(&client, &group, &topic)).build().await.expect("it is built");
    while first.assignment().len() < 4 {
        breathe(&mut first).await;
    }
    let mut second = with(member(&client, &group, &topic)).build().await.expect("it is built");
    until(&mut first, &mut second, |first, second| {
        first.len() == 2 && second.len() == 2 && first.is_disjoint(second)
    })
    .await;
    first.close(Duration::from_secs(10)).await.expect("it leaves");
    second.close(Duration::from_secs(10)).await.expect("it leaves");
    client.close().await;
}

/// A member from the beginning of the topic.
pub(crate) fn member(client: &Client, group: &str, topic: &str) -> ConsumerBuilder {
    from_the_beginning(client).group(group).subscribe([topic])
}

/// Polls two members until what they own is so.
async fn until(
    first: &mut Consumer,
    second: &mut Consumer,
    wanted: impl Fn(&BTreeSet<TopicPartition>, &BTreeSet<TopicPartition>) -> bool,
) {
    let settled = async {
        loop {
            let owned = |member: &Consumer| member.assignment().into_iter().collect();
            if wanted(&owned(first), &owned(second)) {
                return;
            }
            tokio::join!(breathe(first), breathe(second));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("the group settles");
}

/// Lets a member do what polling does, where there is nothing to read.
pub(crate) async fn breathe(member: &mut Consumer) {
    let polled = tokio::time::timeout(Duration::from_millis(20), member.recv()).await;
    assert!(!matches!(polled, Ok(Err(_))), "{polled:?}");
}
