//! Brokers that answer as no broker does, met by fetches, groups, commits and administrative calls:
//! each is survived, or a typed error in its time that says what is wrong; others go on meanwhile.

use std::time::Duration;

use bytes::{Buf, Bytes};
use ottla_admin::Admin;
use ottla_consumer::Consumer;
use ottla_consumer::config::ConsumerConfig;
use ottla_consumer::error::{ConsumerError, FetchError};
use ottla_consumer::machine::commit::Offset;
use ottla_core::net::Client;
use ottla_core::types::TopicPartition;
use ottla_producer::{Producer, Record};
use ottla_protocol::messages::{ApiVersionsResponse, FetchResponse};
use ottla_protocol::{ApiKey, Message};
use tokio::time::Instant;

use crate::bed::{Bed, CALL, all_partitions, read_up_to, reader, said, within};
use crate::stranger::{Answer, BLIND};

#[tokio::test(start_paused = true)]
async fn a_fetch_that_is_answered_badly_is_asked_again() {
    for answer in BLIND {
        let bed = Bed::start().await;
        let mut consumer = assigned(&bed.client().await).await;
        let mut next = [0; 3];
        for round in 1..6 {
            bed.produce(next[0]..round * 5).await;
            if round == 2 {
                bed.stranger.answer(ApiKey::Fetch, answer, 2);
            }
            let begun = Instant::now();
            read_up_to(&mut consumer, &mut next, &[0, 1, 2], round * 5).await;
            assert!(begun.elapsed() < Duration::from_secs(12), "{answer:?}: {:?}", begun.elapsed());
        }
        assert!(bed.stranger.hits() > 0, "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_answers_fetches_badly_stalls_its_own_partitions_alone() {
    for answer in BLIND {
        let bed = Bed::start().await;
        let mut consumer = assigned(&bed.client().await).await;
        bed.stranger.answer_at(1, ApiKey::Fetch, answer);
        bed.produce(0..50).await;
        let begun = Instant::now();
        let mut next = [0; 3];
        read_up_to(&mut consumer, &mut next, &[1, 2], 50).await;
        assert!(begun.elapsed() < Duration::from_secs(2), "{answer:?}: {:?}", begun.elapsed());
        let mut friend = assigned(&bed.friend().await).await;
        read_up_to(&mut friend, &mut [0; 3], &[0, 1, 2], 50).await;
        bed.stranger.go();
        read_up_to(&mut consumer, &mut next, &[0], 50).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_survives_any_bad_answer_of_its_coordinator() {
    let apis = [
        ApiKey::FindCoordinator,
        ApiKey::JoinGroup,
        ApiKey::SyncGroup,
        ApiKey::Heartbeat,
        ApiKey::OffsetFetch,
        ApiKey::ListOffsets,
        ApiKey::Metadata,
    ];
    for (api, answer) in apis.into_iter().flat_map(|api| BLIND.map(|answer| (api, answer))) {
        let bed = Bed::start().await;
        bed.produce(0..10).await;
        let client = bed.client().await;
        bed.stranger.answer(api, answer, 1);
        // A join may be answered as late as the slowest member polls, and is waited for so long.
        let polls = |config: &mut ConsumerConfig| config.max_poll_interval = PATIENCE / 2;
        let member = reader(&client).configure(polls).group("g").subscribe(["t"]);
        let mut member = member.build().await.unwrap();
        let mut next = [0; 3];
        let read = read_up_to(&mut member, &mut next, &[0, 1, 2], 10);
        let read = tokio::time::timeout(PATIENCE, read).await;
        assert!(read.is_ok(), "{api:?} {answer:?}");
        // Long enough for heartbeats, and for metadata to be asked for again.
        drop(tokio::time::timeout(Duration::from_secs(60), member.recv()).await);
        client.request_refresh();
        bed.produce(10..12).await;
        read_up_to(&mut member, &mut next, &[0, 1, 2], 12).await;
        assert!(bed.stranger.hits() > 0, "{api:?} {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_cannot_be_joined_can_be_left_in_time() {
    for answer in BLIND {
        let bed = Bed::start().await;
        bed.produce(0..10).await;
        let client = bed.client().await;
        bed.stranger.answer_always(ApiKey::JoinGroup, answer);
        let mut member = reader(&client).group("g").subscribe(["t"]).build().await.unwrap();
        let polled = tokio::time::timeout(Duration::from_secs(20), member.recv()).await;
        assert!(!matches!(polled, Ok(Ok(_))), "{answer:?}: nothing is owned");
        drop(within(Duration::from_secs(5), member.close(Duration::from_secs(5))).await);
        // Another group, of a client that nobody stands in front of.
        let friend = bed.friend().await;
        let mut other = reader(&friend).group("other").subscribe(["t"]).build().await.unwrap();
        read_up_to(&mut other, &mut [0; 3], &[0, 1, 2], 10).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_answered_badly_says_so_in_time() {
    for (answer, expected) in BLIND.into_iter().zip(SAID) {
        let bed = Bed::start().await;
        bed.produce(0..10).await;
        let mut consumer = committing(&bed.client().await).await;
        read_up_to(&mut consumer, &mut [0; 3], &[0, 1, 2], 10).await;
        bed.stranger.answer_always(ApiKey::OffsetCommit, answer);
        let error = within(CALL, consumer.commit()).await.unwrap_err();
        check_said(&said(error), expected, answer);
        // Another one's commit goes on, and this one's, once that is over.
        let other = reader(&bed.friend().await).group("other").manual_commit();
        let mut other = other.assign(all_partitions()).build().await.unwrap();
        read_up_to(&mut other, &mut [0; 3], &[0, 1, 2], 10).await;
        within(CALL, other.commit()).await.unwrap();
        bed.stranger.go();
        within(CALL, consumer.commit()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn committed_offsets_that_cannot_be_had_are_an_error_in_time() {
    for (answer, expected) in BLIND.into_iter().zip(SAID) {
        let bed = Bed::start().await;
        let consumer = committing(&bed.client().await).await;
        bed.stranger.answer_always(ApiKey::OffsetFetch, answer);
        let error = within(CALL, consumer.committed(all_partitions())).await.unwrap_err();
        check_said(&said(error), expected, answer);
    }
}

#[tokio::test(start_paused = true)]
async fn an_administrative_call_that_is_answered_badly_says_so_in_time() {
    for (answer, expected) in BLIND.into_iter().zip(SAID) {
        let bed = Bed::start().await;
        let admin = Admin::new(bed.client().await);
        for api in [ApiKey::CreateTopics, ApiKey::DeleteTopics, ApiKey::DescribeCluster] {
            bed.stranger.answer_always(api, answer);
        }
        let error = within(CALL, async { admin.create_topic("new").await }).await.unwrap_err();
        check_said(&chain(&error), expected, answer);
        let error = within(CALL, async { admin.delete_topic("t").await }).await.unwrap_err();
        check_said(&chain(&error), expected, answer);
        let error = within(CALL, async { admin.describe_cluster().await }).await.unwrap_err();
        check_said(&chain(&error), expected, answer);
        bed.stranger.go();
        within(CALL, async { admin.describe_cluster().await }).await.unwrap();
    }
}

/// By way of the advertised address of broker 1, nobody is reached.
#[tokio::test(start_paused = true)]
async fn an_advertised_address_that_leads_nowhere_is_named() {
    let bed = Bed::start().await;
    bed.produce(0..5).await;
    bed.cluster.group("g").move_coordinator(1).unwrap();
    let client = bed.client().await;
    bed.stranger.hide(1);
    let expected = ["n1.mem:9092", "advertised.listeners"];

    let mut consumer = assigned(&client).await;
    read_up_to(&mut consumer, &mut [0; 3], &[1, 2], 5).await;

    let group = reader(&client).group("g").manual_commit().assign(all_partitions());
    let error = within(CALL, group.build()).await.unwrap_err();
    expected.iter().for_each(|part| check_said(&said(error.clone()), part, "group"));

    let delivery = Duration::from_secs(20);
    let producer = Producer::builder(&client).delivery_timeout(delivery).build().await.unwrap();
    let (lost, sent) = tokio::join!(
        within(delivery, producer.send(Record::to("t").partition(0).value("lost"))),
        within(Duration::from_secs(1), producer.send(Record::to("t").partition(1).value("sent"))),
    );
    sent.unwrap();
    let error = lost.unwrap_err().error().clone();
    let expected = ["n1.mem:9092", "delivery.timeout.ms"];
    expected.iter().for_each(|part| check_said(&said(error.clone()), part, "send"));
}

#[tokio::test(start_paused = true)]
async fn an_api_in_versions_that_nobody_knows_is_an_error_that_says_so() {
    let bed = Bed::start().await;
    bed.produce(0..5).await;
    bed.stranger.answer_always(ApiKey::ApiVersions, Answer::Edited(from_another_age));
    let client = bed.client().await;
    let mut consumer = assigned(&client).await;
    let error = within(CALL, consumer.recv()).await.unwrap_err();
    check_said(&said(error), "speaks Fetch in versions 100", "fetch");
    let mut group = committing(&client).await;
    let offsets = [(TopicPartition::new("t", 1), Offset::new(5))].into();
    let error = within(CALL, group.commit_offsets(offsets)).await.unwrap_err();
    check_said(&said(error), "speaks OffsetCommit in versions 100", "commit");
    drop(within(CALL, group.close(CALL)).await);
    let admin = Admin::new(client);
    let error = within(CALL, async { admin.create_topic("new").await }).await.unwrap_err();
    check_said(&chain(&error), "speaks CreateTopics in versions 100", "create");
}

#[tokio::test(start_paused = true)]
async fn records_that_end_in_the_middle_of_a_batch_are_fetched_again() {
    let bed = Bed::start().await;
    bed.produce(0..5).await;
    bed.stranger.answer(ApiKey::Fetch, Answer::Edited(without_the_last_bytes), 3);
    let mut consumer = assigned(&bed.client().await).await;
    read_up_to(&mut consumer, &mut [0; 3], &[0, 1, 2], 5).await;
    assert_eq!(bed.stranger.hits(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_partition_with_a_wrong_checksum_is_an_error_and_the_others_are_read() {
    let bed = Bed::start().await;
    bed.produce(0..5).await;
    bed.stranger.answer_at(1, ApiKey::Fetch, Answer::Edited(with_another_last_byte));
    let mut consumer = assigned(&bed.client().await).await;
    let (mut records, mut errors) = (0, 0);
    while records < 10 || errors < 1 {
        match within(Duration::from_secs(5), consumer.recv()).await {
            Ok(record) => {
                assert_ne!(record.unwrap().partition(), 0);
                records += 1;
            }
            Err(ConsumerError::Fetch(error @ FetchError::Unreadable { offset: 0, .. })) => {
                assert_eq!(error.partition(), &TopicPartition::new("t", 0));
                let text = said(ConsumerError::from(error));
                check_said(&text, "seek past them to go on", "a wrong checksum");
                errors += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    bed.stranger.go();
    consumer.seek(&TopicPartition::new("t", 0), 0).unwrap();
    read_up_to(&mut consumer, &mut [0, 5, 5], &[0], 5).await;
}

/// A consumer of all partitions, without a group.
async fn assigned(client: &Client) -> Consumer {
    reader(client).assign(all_partitions()).build().await.unwrap()
}

/// A consumer of all partitions that commits.
async fn committing(client: &Client) -> Consumer {
    let builder = reader(client).group("g").manual_commit();
    builder.assign(all_partitions()).build().await.unwrap()
}

/// Fetches, commits and new topics come in versions 100 and 101.
fn from_another_age(version: i16, frame: Bytes) -> Vec<u8> {
    edit(version, frame, |answer: &mut ApiVersionsResponse| {
        for row in &mut answer.api_keys {
            let odd = [ApiKey::Fetch, ApiKey::OffsetCommit, ApiKey::CreateTopics];
            if odd.iter().any(|api| api.code() == row.api_key) {
                (row.min_version, row.max_version) = (100, 101);
            }
        }
    })
}

fn without_the_last_bytes(version: i16, frame: Bytes) -> Vec<u8> {
    edit_records(version, frame, |records| records.truncate(records.len().saturating_sub(7)))
}

fn with_another_last_byte(version: i16, frame: Bytes) -> Vec<u8> {
    edit_records(version, frame, |records| {
        if let Some(last) = records.last_mut() {
            *last ^= 1;
        }
    })
}

fn edit_records(version: i16, frame: Bytes, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    edit(version, frame, |answer: &mut FetchResponse| {
        for row in answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            let mut records = row.records.take().unwrap_or_default().into_bytes().to_vec();
            change(&mut records);
            row.records = Some(Bytes::from(records).into());
        }
    })
}

/// Decodes an answer behind its header, changes it, and encodes it again.
fn edit<M: Message>(version: i16, frame: Bytes, change: impl FnOnce(&mut M)) -> Vec<u8> {
    // The answer to ApiVersions has the oldest header in all versions.
    let flexible = version >= M::FIRST_FLEXIBLE && M::NAME != "ApiVersionsResponse";
    let header = 4 + usize::from(flexible);
    let mut answer = M::decode(&frame.slice(header..), version).unwrap();
    change(&mut answer);
    let mut body = answer.encode(version).unwrap();
    let length = body.remaining();
    let body = body.copy_to_bytes(length);
    [&frame[..header], &body].concat()
}

/// An error with what stands behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let behind = error.source().map(|source| format!(": {}", chain(source)));
    format!("{error}{}", behind.unwrap_or_default())
}

#[track_caller]
fn check_said(text: &str, expected: &str, what: impl std::fmt::Debug) {
    assert!(text.contains(expected), "{what:?}: `{expected}` is not in: {text}");
}

/// What a member may need to join, with one bad answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is said of each of [`BLIND`].
const SAID: [&str; 7] = [
    "sent an answer that cannot be read",
    "where",
    "sent what is no frame",
    "closed the connection",
    "request.timeout.ms",
    "request.timeout.ms",
    "sent what is no frame",
];
