//! A cluster, clients on it, and the time, all from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ottla_broker::Cluster;
use ottla_broker::cluster::TopicSpec;
use ottla_core::cluster::ClusterSnapshot;
use ottla_core::config::ClientConfig;
use ottla_core::net::{BoxStream, Client, Runtime, SnapshotListener};
use ottla_core::types::HostPort;
use ottla_protocol::ApiKey;
use ottla_protocol::records::OwnedRecord;

use crate::check::{Violation, check};
use crate::hardship::{Forbidden, Hardships};
use crate::history::{Event, FinalLog, History};
use crate::nemesis::{TOPIC, denial};
use crate::transactions::transactional_id;
use crate::wire::far;

/// The number of brokers, numbered from 1.
pub(crate) const NODES: u16 = 3;

/// The number of partitions.
pub(crate) const PARTITIONS: i32 = 3;

/// The topic that copies go to.
pub(crate) const OUTPUT: &str = "copies";

/// A topic that nobody may use.
pub(crate) const FORBIDDEN: &str = "forbidden";

/// Where a run takes place.
pub(crate) struct Bed {
    pub(crate) cluster: Cluster,
    pub(crate) log: Log,
    pub(crate) hardships: Hardships,
    /// The logs before each crash, where it may take something from them.
    kept: Mutex<Vec<BTreeMap<i32, FinalLog>>>,
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
    pub(crate) async fn start(seed: u64, hardships: Hardships) -> Self {
        Self::start_with(seed, hardships, 2).await
    }

    /// The same with a level of `transaction.version`.
    pub(crate) async fn start_with(
        seed: u64,
        hardships: Hardships,
        transaction_version: i16,
    ) -> Self {
        let topic = |name, in_sync| {
            let topic = TopicSpec::new(name).partitions(PARTITIONS).replicas(3);
            topic.config("min.insync.replicas", in_sync)
        };
        let mut cluster = Cluster::builder().brokers(NODES).seed(seed).epoch_ms(EPOCH_MS);
        cluster = cluster.transaction_version(transaction_version);
        cluster = if hardships.unclean {
            let lossy = topic(TOPIC, "1").config("unclean.leader.election.enable", "true");
            cluster.config("replica.lag.time.max.ms", "2000").topic(lossy)
        } else {
            cluster.topic(topic(TOPIC, "2"))
        };
        cluster = cluster.topic(topic(OUTPUT, "2"));
        if hardships.forbidden.is_some() {
            cluster = cluster.topic(topic(FORBIDDEN, "2"));
        }
        let cluster = cluster.start().await.unwrap();
        let runtime = runtime(&cluster, seed, &Hardships::NONE);
        let begin = runtime.now();
        let log = Log { history: Arc::default(), runtime, begin };
        let (kept, ears) = (Mutex::default(), Mutex::default());
        log.note(Event::Fault(format!("{hardships:?}")));
        let bed = Self { cluster, log, hardships, kept, ears, seed };
        bed.forbid();
        bed
    }

    /// Denies what is denied for ever.
    fn forbid(&self) {
        let apis: &[ApiKey] = match self.hardships.forbidden {
            None => &[],
            Some(Forbidden::Describe) => &[ApiKey::Metadata],
            Some(Forbidden::Use) => &[ApiKey::Produce, ApiKey::Fetch, ApiKey::ListOffsets],
        };
        for api in apis {
            let _for_ever = self.cluster.fault(denial(*api, FORBIDDEN));
        }
    }

    /// Has a broker crash.
    pub(crate) async fn crash(&self, node: i32) {
        if self.hardships.unclean {
            let logs = final_logs(|index| self.cluster.partition(TOPIC, index).records());
            self.kept.lock().unwrap().push(logs);
        }
        self.cluster.node(node).kill().await;
    }

    /// Has a broker come back that crashed.
    pub(crate) async fn restart(&self, node: i32) {
        // Its address is a name in memory: nobody else can have taken it.
        let started = self.cluster.node(node).start().await;
        assert!(started.is_ok(), "{started:?}");
    }

    /// A client whose random numbers are its own.
    pub(crate) async fn client(&self, number: u64) -> Client {
        let servers = self.cluster.bootstrap();
        let config = ClientConfig {
            bootstrap_servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
            client_id: format!("client-{number}"),
            ..ClientConfig::default()
        };
        let seed = self.seed.wrapping_mul(1_000).wrapping_add(number);
        let runtime = runtime(&self.cluster, seed, &self.hardships);
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

    /// The partitions as their leaders have them, read from within the broker, and what they lost.
    pub(crate) fn logs(&self) -> BTreeMap<i32, FinalLog> {
        let mut logs = final_logs(|index| self.cluster.partition(TOPIC, index).records());
        for (index, log) in &mut logs {
            let there: BTreeSet<&(i64, String)> = log.records.iter().collect();
            let kept = self.kept.lock().unwrap();
            let before = kept.iter().flat_map(|logs| &logs[index].records);
            let lost: BTreeSet<_> = before.filter(|record| !there.contains(record)).collect();
            log.lost = lost.into_iter().cloned().collect();
        }
        logs
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
        FinalLog { records: records.collect(), ..FinalLog::default() }
    };
    (0..PARTITIONS).map(|index| (index, log(index))).collect()
}

fn runtime(cluster: &Cluster, seed: u64, hardships: &Hardships) -> Runtime {
    let (connector, distance) = (cluster.connector(), hardships.distance);
    let dial = move |to: HostPort| {
        let connecting = connector.connect(&to.host, to.port);
        async move {
            Ok(match distance.is_zero() {
                true => Box::new(connecting.await?) as BoxStream,
                false => Box::new(far(distance, connecting).await?),
            })
        }
    };
    let builder = Runtime::builder().dial_with(dial).wall_clock(EPOCH_MS).seed(seed);
    builder.computing_takes(hardships.computing).build()
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

/// Waits for something, but no longer than somebody who has no patience: then its future is dropped.
pub(crate) async fn patiently<T>(
    patience: Option<Duration>,
    run: impl Future<Output = T>,
) -> Option<T> {
    match patience {
        Some(patience) => tokio::time::timeout(patience, run).await.ok(),
        None => Some(run.await),
    }
}

/// What a timer may be late by.
pub(crate) const SLACK: Duration = Duration::from_secs(1);

/// `max.poll.interval.ms` of members: a join that is never answered is waited for so long, since the
/// slowest member may take as long to join.
pub(crate) const MAX_POLL_INTERVAL: Duration = Duration::from_secs(10);

/// 2024-01-01, in milliseconds since 1970.
const EPOCH_MS: i64 = 1_704_067_200_000;
