//! When the surviving brokers know a new leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_integration_tests::Probe;
use ottla_integration_tests::TestCluster;
use ottla_protocol::messages::MetadataRequest;
use ottla_protocol::messages::metadata::MetadataRequestTopic;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

/// Asks a survivor every 50 ms who leads.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    watching: JoinHandle<BTreeMap<i32, Instant>>,
}

impl Watch {
    pub(crate) fn start(cluster: &TestCluster, topic: &str, victim: i32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ids = cluster.broker_ids().into_iter();
        let survivors = ids.zip(cluster.bootstrap_servers()).filter(|(id, _)| *id != victim);
        let address = survivors.map(|(_, address)| address).next().expect("there are three");
        let watching = watch(address, topic.to_owned(), victim, Arc::clone(&stop));
        Self { stop, watching: tokio::spawn(watching) }
    }

    /// By partition, when it was first seen with another leader.
    pub(crate) async fn stop(self) -> BTreeMap<i32, Instant> {
        self.stop.store(true, Ordering::Relaxed);
        self.watching.await.expect("watching does not panic")
    }
}

async fn watch(
    address: String,
    topic: String,
    victim: i32,
    stop: Arc<AtomicBool>,
) -> BTreeMap<i32, Instant> {
    let mut elected = BTreeMap::new();
    let mut probe = Probe::connect(&address).await.expect("a survivor answers");
    let wanted = MetadataRequestTopic { name: Some((&*topic).into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![wanted]), ..Default::default() };
    let mut ticks = interval(Duration::from_millis(50));
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let asked = probe.call(&request, 12, Duration::from_secs(10)).await;
        let answer = asked.expect("a survivor answers");
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            // A partition that another broker led before is not of interest, and does no harm.
            if partition.leader_id >= 0 && partition.leader_id != victim {
                elected.entry(partition.partition_index).or_insert_with(Instant::now);
            }
        }
    }
    elected
}
