//! A cluster, clients on it, and the time, all from one seed.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ottla_broker::Cluster;
use ottla_broker::cluster::TopicSpec;
use ottla_core::cluster::ClusterSnapshot;
use ottla_core::config::ClientConfig;
use ottla_core::net::{Client, Runtime, SnapshotListener};
use ottla_core::types::HostPort;
use ottla_protocol::records::OwnedRecord;

use crate::check::{Violation, check};
use crate::history::{Event, FinalLog, History};
use crate::nemesis::TOPIC;
use crate::transactions::transactional_id;

/// The number of brokers, numbered from 1.
pub(crate) const NODES: u16 = 3;

/// The number of partitions.
pub(crate) const PARTITIONS: i32 = 3;

/// The topic that copies go to.
pub(crate) const OUTPUT: &str = "copies";

/// Where a run takes place.
pub(crate) struct Bed {
    pub(crate) cluster: Cluster,
    pub(crate) log: Log,
    /// Listeners live as long as somebody holds them.
    ears: Mutex<Vec<Arc<dyn SnapshotListener>>>,
    pub(crate) seed: u64,
}

/// The history of a run, as those write it who take part. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Log {
    history: Arc<Mutex<History>>,
    runtime: Runtime,
    begin: Instant,
}

impl Log {
    /// Notes what happens now.
    pub(crate) fn note(&self, event: Event) {
        let at = self.runtime.now().saturating_duration_since(self.begin);
        self.history.lock().unwrap().add(at, event);
    }

    /// All that was noted.
    pub(crate) fn history(&self) -> History {
        self.history.lock().unwrap().clone()
    }
}

impl Bed {
    /// A cluster of three brokers with the topics, each partition on all of them.
    pub(crate) async fn start(seed: u64) -> Self {
        Self::start_with(seed, 2).await
    }

    /// The same with a level of `transaction.version`.
    pub(crate) async fn start_with(seed: u64, transaction_version: i16) -> Self {
        let topic = |name| {
            let topic = TopicSpec::new(name).partitions(PARTITIONS).replicas(3);
            topic.config("min.insync.replicas", "2")
        };
        let cluster = Cluster::builder().brokers(NODES).seed(seed).epoch_ms(EPOCH_MS);
        let cluster = cluster.transaction_version(transaction_version);
        let cluster = cluster.topic(topic(TOPIC)).topic(topic(OUTPUT)).start().await.unwrap();
        let runtime = runtime(&cluster, seed);
        let begin = runtime.now();
        let log = Log { history: Arc::default(), runtime, begin };
        Self { cluster, log, ears: Mutex::default(), seed }
    }

    /// A client whose random numbers are its own.
    pub(crate) async fn client(&self, number: u64) -> Client {
        let servers = self.cluster.bootstrap();
        let config = ClientConfig {
            bootstrap_servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
            client_id: format!("client-{number}"),
            ..ClientConfig::default()
        };
        let runtime = runtime(&self.cluster, self.seed.wrapping_mul(1_000).wrapping_add(number));
        let client = loop {
            match Client::connect(config.clone(), runtime.clone()).await {
                Ok(client) => break client,
                // No broker is up, or none that answers.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        let ear: Arc<dyn SnapshotListener> = Arc::new(Ear { number, log: self.log.clone() });
        client.add_listener(Arc::downgrade(&ear));
        self.ears.lock().unwrap().push(ear);
        client
    }

    /// Waits until every broker is up and every replica in sync again.
    pub(crate) async fn healed(&self) {
        let whole = |cluster: &Cluster| {
            let places = [TOPIC, OUTPUT].into_iter();
            let mut places = places.flat_map(|topic| (0..PARTITIONS).map(move |at| (topic, at)));
            places.all(|(topic, index)| {
                let partition = cluster.partition(topic, index);
                partition.leader().is_some() && partition.in_sync().len() == usize::from(NODES)
            })
        };
        for _ in 0..600 {
            if whole(&self.cluster) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the cluster did not heal within a minute");
    }

    /// The partitions as their leaders have them, read from within the broker.
    pub(crate) fn logs(&self) -> BTreeMap<i32, FinalLog> {
        final_logs(|index| self.cluster.partition(TOPIC, index).records())
    }

    /// What of the copies a reader of committed records can see, read from within the broker.
    pub(crate) fn output(&self) -> BTreeMap<i32, FinalLog> {
        final_logs(|index| self.cluster.partition(OUTPUT, index).read_committed())
    }

    /// The transactions that have not ended, and the partitions in which something is still open.
    pub(crate) fn open_transactions(&self) -> Vec<String> {
        let ids = (0..4).map(transactional_id);
        let ended = |state: &str| matches!(state, "Empty" | "CompleteCommit" | "CompleteAbort");
        let open = ids.filter_map(|id| {
            let state = self.cluster.transaction(&id).state().filter(|state| !ended(state))?;
            Some(format!("{id} ({state})"))
        });
        let stuck = (0..PARTITIONS).filter_map(|index| {
            let partition = self.cluster.partition(OUTPUT, index);
            let stable = partition.last_stable() == partition.high_watermark();
            (!stable).then(|| format!("something in partition {index}"))
        });
        open.chain(stuck).collect()
    }

    /// Holds the run against what was promised; a violation ends the test with the whole history.
    pub(crate) fn judge(&self, deadline: Duration) -> History {
        let found = check(&self.log.history(), &self.logs(), deadline);
        self.judge_found(&found)
    }

    /// Ends the test where promises were broken.
    pub(crate) fn judge_found(&self, found: &[Violation]) -> History {
        let history = self.log.history();
        if !found.is_empty() {
            let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
            let file = std::env::temp_dir().join(format!("sim-{}.txt", self.seed));
            let kept = std::fs::write(&file, history.render());
            panic!(
                "seed {} broke {} promises (history: {}, {kept:?}):\n{}",
                self.seed,
                shown.len(),
                file.display(),
                shown.iter().take(60).cloned().collect::<Vec<_>>().join("\n")
            );
        }
        history
    }
}

/// Notes each leader epoch that a client hears of.
struct Ear {
    number: u64,
    log: Log,
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ear({})", self.number)
    }
}

impl SnapshotListener for Ear {
    fn handle_snapshot(&self, snapshot: &Arc<ClusterSnapshot>, _now: Instant) {
        for partition in 0..PARTITIONS {
            let found = snapshot.partition(TOPIC, partition);
            if let Some(epoch) = found.and_then(|found| found.leader_epoch) {
                let (client, epoch) = (self.number, epoch.number());
                self.log.note(Event::Epoch { client, partition, epoch });
            }
        }
    }
}

fn final_logs(records: impl Fn(i32) -> Vec<OwnedRecord>) -> BTreeMap<i32, FinalLog> {
    let value =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let log = |index| {
        let records = records(index);
        let records = records.iter().map(|record| (record.offset(), value(record.value())));
        FinalLog { records: records.collect() }
    };
    (0..PARTITIONS).map(|index| (index, log(index))).collect()
}

fn runtime(cluster: &Cluster, seed: u64) -> Runtime {
    let connector = cluster.connector();
    let dial = move |to: HostPort| connector.connect(&to.host, to.port);
    Runtime::builder().dial_with(dial).wall_clock(EPOCH_MS).seed(seed).build()
}

/// Waits for something that has a time limit of its own, and notes when it misses that.
pub(crate) async fn in_limit<T>(
    log: &Log,
    what: &str,
    limit: Duration,
    run: impl Future<Output = T>,
) -> T {
    let begun = log.runtime.now();
    let done = run.await;
    let took = log.runtime.now().saturating_duration_since(begun);
    if took > limit + SLACK {
        log.note(Event::Late { what: format!("{what} took {took:?}"), limit });
    }
    done
}

/// What a timer may be late by.
pub(crate) const SLACK: Duration = Duration::from_secs(1);

/// `max.poll.interval.ms` of members: a join that is never answered is waited for so long, since the
/// slowest member may take as long to join.
pub(crate) const MAX_POLL_INTERVAL: Duration = Duration::from_secs(10);

/// 2024-01-01, in milliseconds since 1970.
const EPOCH_MS: i64 = 1_704_067_200_000;
