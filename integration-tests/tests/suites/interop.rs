//! Our client beside Java's and librdkafka's: each reads what the others wrote, and they share
//! groups.

use std::time::Duration;

use ottla_consumer::Consumer;
use ottla_integration_tests::TestCluster;
use ottla_integration_tests::tools::{Running, Tool};
use ottla_producer::Record;
use ottla_protocol::compression::{Codec, Compression};

use crate::clients::{connect, producer};
use crate::consume::{number, reader, receive};
use crate::groups::{breathe, member};

pub(crate) async fn java_reads_what_we_write_in_every_codec(cluster: &TestCluster) {
    let client = connect(cluster).await;
    let topic = cluster.create_topic("for-java", 1).await;
    let expected = write_in_every_codec(&client, &topic).await;
    let count = expected.lines().count().to_string();
    let shown = [
        "print.key=true",
        "print.headers=true",
        "print.timestamp=true",
        "null.literal=NULL",
        "key.separator=|",
        "headers.separator=,",
    ];
    let mut arguments = vec!["--topic", &topic, "--from-beginning", "--max-messages", &count];
    arguments.extend(["--timeout-ms", "60000"]);
    for property in shown {
        arguments.extend(["--formatter-property", property]);
    }
    let found = Tool::java(cluster, "kafka-console-consumer.sh", &arguments).run("").await;
    let plain = found.replace("CreateTime:", "").replace("NO_HEADERS", "");
    assert_eq!(plain, expected);
    client.close().await;
}

pub(crate) async fn librdkafka_reads_what_we_write_in_every_codec(cluster: &TestCluster) {
    let client = connect(cluster).await;
    let topic = cluster.create_topic("for-librdkafka", 1).await;
    let expected = write_in_every_codec(&client, &topic).await;
    let format = "%T|%h|%k|%s\n";
    let arguments = ["-C", "-t", &topic, "-o", "beginning", "-e", "-q", "-Z", "-f", format];
    let found = Tool::kcat(cluster, &arguments).run("").await;
    assert_eq!(found.replace('=', ":"), expected);
    client.close().await;
}

pub(crate) async fn we_read_what_java_writes_in_every_codec(cluster: &TestCluster) {
    let topic = cluster.create_topic("from-java", 1).await;
    for compression in Compression::ALL {
        let codec = compression.name();
        let mut arguments = vec!["--topic", &*topic, "--compression-codec", codec];
        for property in ["parse.key=true", "parse.headers=true", "null.marker=NULL"] {
            arguments.extend(["--reader-property", property]);
        }
        let tool = Tool::java(cluster, "kafka-console-producer.sh", &arguments);
        tool.run("a:1,a:2\tkey\tvalue\nb:3\tNULL\tno key\nc:4\tgone\tNULL\n").await;
    }
    let rows = ["a:1,a:2|key|value", "b:3|NULL|no key", "c:4|gone|NULL"];
    check_read(cluster, &topic, &rows.repeat(Compression::ALL.len())).await;
}

pub(crate) async fn we_read_what_librdkafka_writes_in_every_codec(cluster: &TestCluster) {
    let topic = cluster.create_topic("from-librdkafka", 1).await;
    for compression in Compression::ALL {
        let codec = compression.name();
        let arguments =
            ["-P", "-t", &topic, "-z", codec, "-K", "|", "-Z", "-H", "a=1", "-H", "a=2"];
        Tool::kcat(cluster, &arguments).run("key|value\ngone|\n").await;
    }
    let rows = ["a:1,a:2|key|value", "a:1,a:2|gone|NULL"];
    check_read(cluster, &topic, &rows.repeat(Compression::ALL.len())).await;
}

pub(crate) async fn a_group_of_three_clients_that_ours_leads(cluster: &TestCluster) {
    let mixed = Mixed::begin(cluster).await;
    let mut ours = mixed.ours().await;
    while ours.assignment().len() < 6 {
        breathe(&mut ours).await;
    }
    let (java, librdkafka) = (mixed.java(), mixed.librdkafka());
    mixed.check(ours, java, librdkafka).await;
}

pub(crate) async fn a_group_of_three_clients_that_ours_follows(cluster: &TestCluster) {
    let mixed = Mixed::begin(cluster).await;
    let java = mixed.java();
    while owned_by_java(&java) < 6 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let librdkafka = mixed.librdkafka();
    let ours = mixed.ours().await;
    mixed.check(ours, java, librdkafka).await;
}

/// A topic of six partitions, and a group for three clients.
struct Mixed<'a> {
    cluster: &'a TestCluster,
    client: ottla_core::net::Client,
    topic: String,
    group: String,
}

impl<'a> Mixed<'a> {
    async fn begin(cluster: &'a TestCluster) -> Self {
        let topic = cluster.create_topic("mixed", 6).await;
        Self { cluster, client: connect(cluster).await, topic, group: cluster.unique("mixed") }
    }

    async fn ours(&self) -> Consumer {
        member(&self.client, &self.group, &self.topic).build().await.expect("it is built")
    }

    fn java(&self) -> Running {
        let arguments = ["--topic", &self.topic, "--group-id", &self.group];
        Tool::java(self.cluster, "kafka-verifiable-consumer.sh", &arguments).start()
    }

    fn librdkafka(&self) -> Running {
        let settings = ["-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000"];
        let mut arguments = vec!["-u", "-G", &self.group];
        arguments.extend(settings);
        arguments.extend(["-f", "value %s\n", &self.topic]);
        Tool::kcat(self.cluster, &arguments).start()
    }

    /// Each comes to own two partitions, and to read what is in them.
    async fn check(self, mut ours: Consumer, java: Running, librdkafka: Running) {
        let settles = async {
            while ours.assignment().len() != 2
                || owned_by_java(&java) != 2
                || owned_by_librdkafka(&librdkafka) != 2
            {
                breathe(&mut ours).await;
            }
        };
        let settled = tokio::time::timeout(Duration::from_secs(90), settles).await;
        let said = || format!("java: {:#?}\nkcat: {:#?}", java.lines(), librdkafka.lines());
        assert!(settled.is_ok(), "they do not settle; {}", said());

        let producer = producer(&self.client, |builder| builder).await;
        let record = |i: i32| Record::to(&*self.topic).partition(i % 6).value(i.to_string());
        producer.send_all((0..60).map(record)).await;
        let mut read = Vec::new();
        for _ in 0..20 {
            read.push(number(&receive(&mut ours).await));
        }
        let others = || read_by_java(&java) == 20 && read_by_librdkafka(&librdkafka).len() == 20;
        while !others() {
            breathe(&mut ours).await;
        }
        read.extend(read_by_librdkafka(&librdkafka));
        read.sort_unstable();
        read.dedup();
        assert_eq!(read.len(), 40, "nobody else was given ours");
        ours.close(Duration::from_secs(10)).await.expect("it leaves");
        self.client.close().await;
    }
}

/// How many partitions Java's member was given last; its lines are JSON.
fn owned_by_java(java: &Running) -> usize {
    let lines = java.lines();
    let last = lines.iter().rfind(|line| line.contains("partitions_assigned"));
    last.map_or(0, |line| line.matches("\"partition\":").count())
}

fn read_by_java(java: &Running) -> u32 {
    let count = |line: &String| {
        let (_, rest) = line.split_once("\"records_consumed\"")?.1.split_once("\"count\":")?;
        rest.split([',', '}']).next()?.parse::<u32>().ok()
    };
    java.lines().iter().filter_map(count).sum()
}

/// How many partitions kcat was given last.
fn owned_by_librdkafka(kcat: &Running) -> usize {
    let lines = kcat.lines();
    let given = |line: &&String| line.contains("rebalanced") && line.contains("assigned:");
    let last = lines.iter().rfind(given);
    last.and_then(|line| line.split_once("assigned:"))
        .map_or(0, |(_, list)| list.matches('[').count())
}

fn read_by_librdkafka(kcat: &Running) -> Vec<u32> {
    let value = |line: &String| line.strip_prefix("value ")?.parse().ok();
    kcat.lines().iter().filter_map(value).collect()
}

/// Writes three records in each codec; returns how they are to be shown.
async fn write_in_every_codec(client: &ottla_core::net::Client, topic: &str) -> String {
    let mut expected = String::new();
    for compression in Compression::ALL {
        let producer = producer(client, |b| b.compression(Codec::new(compression))).await;
        let record = |at: i64| Record::to(topic).partition(0).timestamp(1_000_000_000_000 + at);
        let records = [
            record(0).key("key").value(compression.name()),
            record(1).key("gone"),
            record(2).value("headers").header("a", "1").header("a", "2"),
        ];
        let sent = producer.send_all(records).await;
        assert!(sent.iter().all(Result::is_ok), "{compression}: {sent:?}");
        expected += &format!("1000000000000||key|{}\n", compression.name());
        expected += "1000000000001||gone|NULL\n1000000000002|a:1,a:2|NULL|headers\n";
    }
    expected
}

/// Reads what others wrote, and compares it as `headers|key|value`.
async fn check_read(cluster: &TestCluster, topic: &str, expected: &[&str]) {
    let client = connect(cluster).await;
    let mut consumer = reader(&client, topic).await;
    for expected in expected {
        let record = receive(&mut consumer).await;
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"NULL")).into_owned();
        let header = |header: ottla_protocol::records::Header<'_>| {
            format!("{}:{}", text(Some(header.key)), text(header.value))
        };
        let headers: Vec<String> = record.headers().into_iter().map(header).collect();
        let found = [headers.join(","), text(record.key()), text(record.value())].join("|");
        assert_eq!(found, *expected);
    }
    client.close().await;
}
