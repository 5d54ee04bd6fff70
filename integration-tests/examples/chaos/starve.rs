//! What a client uses of a core while its brokers have little.

use std::fmt;
use std::time::Duration;

use ottla_consumer::ConsumerBuilder;
use ottla_integration_tests::TestCluster;
use tokio::time::{Instant, sleep, timeout};

use crate::load::{Load, Outcome};
use crate::{PARTITIONS, client, producer};

/// What was measured.
#[derive(Debug)]
pub(crate) struct Restraint {
    acknowledged: usize,
    failed: usize,
    consumed: usize,
    /// Processor time of this process, of all that went by.
    share: f64,
}

impl Restraint {
    pub(crate) fn is_met(&self) -> bool {
        self.share <= 0.06 && self.failed == 0
    }
}

impl fmt::Display for Restraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, failed, consumed, share } = self;
        write!(
            f,
            "starve: {acknowledged} acknowledged, {failed} failed, {consumed} consumed; \
             the client used {:.1} % of a core",
            share * 100.0
        )
    }
}

/// Produces and consumes 400 records a second.
pub(crate) async fn measure(cluster: &TestCluster) -> Restraint {
    let settings = [("min.insync.replicas", "2")];
    let topic = cluster.create_topic_with("starve", PARTITIONS, &settings).await;
    let client = client(cluster).await;
    let producer = producer(&client).await;
    for broker in cluster.broker_ids() {
        cluster.starve(broker).await;
    }
    sleep(Duration::from_secs(5)).await;
    let (began, used) = (Instant::now(), processor_time());
    let load = Load::start(&producer, &topic, PARTITIONS, 2);
    let consuming =
        ConsumerBuilder::new(client.clone()).assign((0..PARTITIONS).map(|p| (&*topic, p)));
    let mut consumer = consuming.build().await.expect("the settings fit");
    let mut consumed = 0;
    while let Some(left) = MEASURED.checked_sub(began.elapsed()) {
        if let Ok(polled) = timeout(left, consumer.poll()).await {
            let batch = polled.expect("nothing is wrong").expect("nobody shuts it down");
            consumed += batch.records().count();
        }
    }
    let share = (processor_time() - used).as_secs_f64() / began.elapsed().as_secs_f64();
    let sent = load.stop().await;
    let all = sent.iter().flatten();
    let failed = all.clone().filter(|sent| matches!(sent.outcome, Outcome::Failed(_))).count();
    Restraint { acknowledged: all.count() - failed, failed, consumed, share }
}

/// Of this process, in user and system mode.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this is Linux");
    // Behind the name, which may have spaces: the state is field 3, the times are 14 and 15.
    let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    // A tick is a hundredth of a second, whatever the kernel's own are.
    Duration::from_millis(ticks * 10)
}

const MEASURED: Duration = Duration::from_secs(60);
