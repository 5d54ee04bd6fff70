//! Numbers in `input`, which pipelines copy to `output`.

use std::time::Duration;

use ottla::runtime::Runtime;
use ottla::{
    AutoOffsetReset, Batch, Consumer, ConsumerBuilder, Error, HostPort, Kafka, Pipeline, Record,
    ShutdownHandle, Transaction, TransactionalProducer,
};
use ottla_broker::cluster::{Cluster, TopicSpec};
use tokio::task::JoinHandle;

pub(crate) const PARTITIONS: i32 = 4;
pub(crate) const GROUP: &str = "copiers";

const EPOCH_MS: i64 = 1_800_000_000_000;

pub(crate) struct Bed {
    pub(crate) cluster: Cluster,
    pub(crate) kafka: Kafka,
}

/// Runs a test with protocol 1 and with protocol 2.
#[expect(clippy::future_not_send, reason = "each test has a runtime of one thread")]
pub(crate) async fn both(test: impl AsyncFn(Bed)) {
    for level in [1, 2] {
        test(Bed::start(level).await).await;
    }
}

impl Bed {
    async fn start(level: i16) -> Self {
        let topic = |name| TopicSpec::new(name).partitions(PARTITIONS).replicas(3);
        let cluster = Cluster::builder()
            .brokers(3)
            .auto_create(false)
            .epoch_ms(EPOCH_MS)
            .transaction_version(level)
            .topic(topic("input"))
            .topic(topic("output"));
        let cluster = cluster.start().await.unwrap();
        let kafka = connect(&cluster).await;
        Self { cluster, kafka }
    }

    /// Writes the numbers from 0 to `count`, in turn to each partition.
    pub(crate) async fn fill(&self, numbers: std::ops::Range<i32>) {
        let producer = self.kafka.producer().build().await.unwrap();
        let record = |number: i32| {
            let partition = number % PARTITIONS;
            Record::to("input").partition(partition).value(number.to_string())
        };
        for sent in producer.send_all(numbers.map(record)).await {
            sent.unwrap();
        }
    }

    pub(crate) async fn copier(&self, id: &str) -> Copier {
        let producer = self.kafka.producer().transactional(id).build().await.unwrap();
        let consumer = self.consumer().build().await.unwrap();
        Copier { producer, consumer }
    }

    pub(crate) fn consumer(&self) -> ConsumerBuilder {
        let consumer = self.kafka.consumer(GROUP).subscribe(["input"]);
        consumer
            .read_committed()
            .manual_commit()
            .start_at(AutoOffsetReset::Earliest)
            .configure(|config| config.max_poll_records = Some(7))
    }

    /// What is committed of a partition of `output`.
    pub(crate) fn output(&self, partition: i32) -> Vec<i32> {
        let records = self.cluster.partition("output", partition).read_committed();
        let number = |value: &[u8]| std::str::from_utf8(value).unwrap().parse().unwrap();
        records.iter().map(|record| number(record.value().unwrap())).collect()
    }

    pub(crate) fn copied(&self) -> usize {
        (0..PARTITIONS).map(|partition| self.output(partition).len()).sum()
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.kafka.client().runtime().sleep(time).await;
    }

    /// Waits until so many numbers are copied.
    pub(crate) async fn until_copied(&self, count: usize) {
        let begun = self.kafka.client().runtime().now();
        while self.copied() < count {
            self.sleep(Duration::from_millis(50)).await;
            let passed = self.kafka.client().runtime().now() - begun;
            assert!(passed < Duration::from_secs(300), "{} of {count} copied", self.copied());
        }
    }

    /// Each number below `count` is there once, in the order of its partition.
    #[track_caller]
    pub(crate) fn check(&self, count: i32) {
        for partition in 0..PARTITIONS {
            let expected: Vec<i32> =
                (0..count).filter(|number| number % PARTITIONS == partition).collect();
            assert_eq!(self.output(partition), expected, "partition {partition}");
        }
    }
}

pub(crate) struct Copier {
    pub(crate) producer: TransactionalProducer,
    pub(crate) consumer: Consumer,
}

impl Copier {
    /// Runs it in the background, until it is stopped.
    #[expect(clippy::disallowed_methods, reason = "it is to be killed as a process is")]
    pub(crate) fn start(self) -> Running {
        let Self { mut producer, mut consumer } = self;
        let stop = consumer.shutdown_handle();
        let task = tokio::spawn(async move {
            let ended = Pipeline::new(&mut consumer, &mut producer).records(20).run(copy).await;
            let closed = consumer.close(Duration::from_secs(10)).await;
            ended?;
            Ok(closed?)
        });
        Running { stop, task }
    }
}

pub(crate) struct Running {
    stop: ShutdownHandle,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    pub(crate) async fn stop(self) -> Result<(), Error> {
        self.stop.shutdown();
        self.task.await.unwrap()
    }

    /// As a process that is killed does.
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

pub(crate) async fn copy(transaction: &Transaction<'_>, batches: &[Batch]) -> Result<(), Error> {
    for batch in batches {
        for record in batch {
            let value = record.value().unwrap_or_default().to_vec();
            let copy = Record::to("output").partition(batch.partition()).value(value);
            transaction.post(copy).await?;
        }
    }
    Ok(())
}

async fn connect(cluster: &Cluster) -> Kafka {
    let connector = cluster.connector();
    let dial = move |to: HostPort| connector.connect(&to.host, to.port);
    let runtime = Runtime::builder().dial_with(dial).wall_clock(EPOCH_MS).seed(7).build();
    let servers = cluster.bootstrap().join(",");
    Kafka::builder().bootstrap_servers(&servers).runtime(runtime).connect().await.unwrap()
}
