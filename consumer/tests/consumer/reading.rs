//! Taking records.

use std::time::Duration;

use ottla_consumer::Consumer;
use ottla_consumer::config::ConsumerConfig;
use ottla_consumer::error::ConsumerError;
use ottla_protocol::ApiKey;
use ottla_protocol::compression::Compression;

use crate::bed::{Bed, next, t, value, values, within};

#[tokio::test(start_paused = true)]
async fn what_was_written_is_read_batch_by_batch() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b"]).await;
    bed.produce(0, &["c"]).await;
    let mut consumer = bed.consumer(&[0]).await;
    let first = next(&mut consumer).await;
    assert_eq!((first.topic_partition(), first.next_offset()), (&t(0), 2));
    assert_eq!(values(&first), ["a", "b"]);
    assert_eq!(values(&next(&mut consumer).await), ["c"]);
    assert_eq!(consumer.position(&t(0)).unwrap(), Some(3));
    assert_eq!(consumer.lag(&t(0)).unwrap(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_record_knows_all_that_the_log_knows() {
    let bed = Bed::start().await;
    bed.produce(2, &["a"]).await;
    let mut consumer = bed.consumer(&[0, 1, 2]).await;
    let record = within(consumer.recv()).await.unwrap().unwrap();
    assert_eq!((record.topic(), record.partition(), record.offset()), ("t", 2, 0));
    assert_eq!((record.timestamp(), record.key()), (1_000, Some(&b"key"[..])));
    assert_eq!(value(&record), "a");
    assert!(record.leader_epoch().is_some() && record.headers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_codec_is_read() {
    let bed = Bed::start().await;
    let mut consumer = bed.consumer(&[0]).await;
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        bed.produce_with(0, &["a", "b"], compression).await;
        let batch = next(&mut consumer).await;
        assert_eq!(values(&batch), ["a", "b"], "{compression:?}");
        let owned: Vec<String> = batch.into_records().map(|record| value(&record)).collect();
        assert_eq!(owned, ["a", "b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn partitions_take_turns() {
    let bed = Bed::start().await;
    for partition in [0, 1, 2] {
        for _ in 0..5 {
            bed.produce(partition, &["x"]).await;
        }
    }
    let mut consumer = bed.consumer(&[0, 1, 2]).await;
    let mut seen = [0_i64; 3];
    while seen.iter().sum::<i64>() < 15 {
        let batch = next(&mut consumer).await;
        let at = usize::try_from(batch.partition()).unwrap();
        assert_eq!(batch.next_offset(), seen[at] + 1);
        seen[at] += 1;
    }
    assert_eq!(seen, [5, 5, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_written_while_a_poll_waits_is_returned_at_once() {
    let bed = Bed::start().await;
    let mut consumer = bed.consumer(&[0]).await;
    let begun = bed.client.runtime().now();
    let write = async {
        bed.client.runtime().sleep(Duration::from_millis(10_200)).await;
        bed.produce(0, &["late"]).await;
    };
    let (batch, ()) = tokio::join!(next(&mut consumer), write);
    assert_eq!(values(&batch), ["late"]);
    let took = bed.client.runtime().now() - begun;
    assert!(took < Duration::from_millis(10_300), "{took:?}");
}

/// A consumer of partition 0 whose fetch waits for records, while partition 1 has the same leader.
async fn waiting(bed: &Bed) -> Consumer {
    let leader = bed.cluster.partition("t", 0).leader().unwrap();
    bed.cluster.partition("t", 1).move_leader(leader).unwrap();
    bed.produce(0, &["a"]).await;
    bed.produce(1, &["b"]).await;
    let mut consumer = bed.consumer(&[0]).await;
    next(&mut consumer).await;
    let idle = tokio::time::timeout(Duration::from_millis(1_300), consumer.poll()).await;
    assert!(idle.is_err());
    consumer
}

/// What is next and how long it takes.
async fn timed(bed: &Bed, consumer: &mut Consumer) -> (Vec<String>, Duration) {
    let begun = bed.client.runtime().now();
    let batch = next(consumer).await;
    (values(&batch), bed.client.runtime().now() - begun)
}

#[tokio::test(start_paused = true)]
async fn what_is_sought_while_a_fetch_waits_does_not_wait_for_it() {
    let bed = Bed::start().await;
    let mut consumer = waiting(&bed).await;
    consumer.seek(&t(0), 0).unwrap();
    let (values, took) = timed(&bed, &mut consumer).await;
    assert_eq!(values, ["a"]);
    assert!(took < Duration::from_millis(50), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_assigned_while_a_fetch_waits_does_not_wait_for_it() {
    let bed = Bed::start().await;
    let mut consumer = waiting(&bed).await;
    consumer.assign([t(0), t(1)]).await.unwrap();
    let (values, took) = timed(&bed, &mut consumer).await;
    assert_eq!(values, ["b"]);
    assert!(took < Duration::from_millis(50), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_written_right_after_an_assignment_is_returned_at_once() {
    let bed = Bed::start().await;
    let mut consumer = waiting(&bed).await;
    consumer.assign([t(0), t(1)]).await.unwrap();
    next(&mut consumer).await;
    for _ in 0..20 {
        bed.produce(1, &["c"]).await;
        let (_, took) = timed(&bed, &mut consumer).await;
        assert!(took < Duration::from_millis(50), "{took:?}");
        tokio::time::sleep(Duration::from_millis(37)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_dropped_has_taken_nothing() {
    let bed = Bed::start().await;
    let mut consumer = bed.consumer(&[0, 1]).await;
    let mut seen = 0;
    for round in 0..40_u64 {
        bed.produce(0, &["a", "b", "c"]).await;
        // Cut off at another moment each time, one of them while an answer arrives.
        for millis in [0, round % 7, 1] {
            let cut = tokio::time::timeout(Duration::from_millis(millis), consumer.recv()).await;
            if let Ok(record) = cut {
                assert_eq!(record.unwrap().unwrap().offset(), seen);
                seen += 1;
            }
        }
    }
    while seen < 120 {
        assert_eq!(within(consumer.recv()).await.unwrap().unwrap().offset(), seen);
        seen += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn polls_go_on_where_recv_has_stopped() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b", "c"]).await;
    let mut consumer = bed.consumer(&[0]).await;
    assert_eq!(value(&within(consumer.recv()).await.unwrap().unwrap()), "a");
    assert_eq!(consumer.position(&t(0)).unwrap(), Some(1));
    let rest = next(&mut consumer).await;
    assert_eq!(values(&rest), ["b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_poll_that_waits() {
    let bed = Bed::start().await;
    let mut consumer = bed.consumer(&[0]).await;
    let stop = consumer.shutdown_handle();
    let (ended, ()) = tokio::join!(consumer.poll(), async { stop.shutdown() });
    assert!(ended.unwrap().is_none());
    assert!(consumer.recv().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_polls_however_much_there_is_to_read() {
    let bed = Bed::start().await;
    for value in ["a", "b", "c"] {
        bed.produce(0, &[value]).await;
    }
    let mut consumer = bed
        .consumer_with(&[0], |config: &mut ConsumerConfig| config.max_poll_records = Some(1))
        .await;
    assert_eq!(values(&next(&mut consumer).await), ["a"]);
    consumer.shutdown_handle().shutdown();
    assert!(consumer.poll().await.unwrap().is_none());
    assert!(consumer.try_poll().unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_leaves_its_room_to_the_others() {
    let bed = Bed::start().await;
    let large = "x".repeat(500);
    for partition in [0, 1, 2] {
        for _ in 0..20 {
            bed.produce(partition, &[&large]).await;
        }
    }
    let small = |config: &mut ConsumerConfig| {
        config.max_partition_fetch_bytes = 200;
        config.fetch_buffer_memory = 600;
    };
    let mut consumer = bed.consumer_with(&[0, 1, 2], small).await;
    let mut partitions = consumer.partitions();
    let mut kept = within(partitions.next()).await.unwrap();
    let others =
        [within(partitions.next()).await.unwrap(), within(partitions.next()).await.unwrap()];
    // All three have brought what they may.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = bed.cluster.requests().len();
    drop(others);
    for offset in 0..20 {
        let batch = within(kept.next_batch()).await.unwrap().unwrap();
        assert_eq!(batch.next_offset(), offset + 1);
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let fetches = bed.cluster.requests().len() - before;
    assert!(fetches < 60, "the broker is asked {fetches} times for what is not there");
}

#[tokio::test(start_paused = true)]
async fn a_poll_after_the_close_is_an_error() {
    let bed = Bed::start().await;
    bed.produce(0, &["a"]).await;
    let mut consumer = bed.consumer(&[0]).await;
    next(&mut consumer).await;
    consumer.close(Duration::from_secs(5)).await.unwrap();
    assert!(matches!(consumer.poll().await, Err(ConsumerError::Closed)));
    assert!(matches!(consumer.recv().await, Err(ConsumerError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_the_fetch_session_beside_the_fetch_that_waits() {
    let bed = Bed::start().await;
    let mut consumer = waiting(&bed).await;
    let fetches = || {
        let requests = bed.cluster.requests().into_iter();
        requests.filter(|seen| seen.api == ApiKey::Fetch).map(|seen| seen.connection)
    };
    let before: Vec<u64> = fetches().collect();
    let begun = bed.client.runtime().now();
    consumer.close(Duration::from_secs(5)).await.unwrap();
    let took = bed.client.runtime().now() - begun;
    assert!(took < Duration::from_millis(50), "{took:?}");
    let after: Vec<u64> = fetches().skip(before.len()).collect();
    assert_eq!(after.len(), 1);
    assert_ne!(after.last(), before.last(), "another connection");
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_no_silent_broker() {
    let bed = Bed::start().await;
    let mut consumer = waiting(&bed).await;
    for node in [1, 2, 3] {
        bed.cluster.node(node).pause();
    }
    let begun = bed.client.runtime().now();
    consumer.close(Duration::from_secs(5)).await.unwrap();
    let took = bed.client.runtime().now() - begun;
    assert!(took <= Duration::from_millis(101), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_topic_is_an_error_that_names_it() {
    let bed = Bed::start().await;
    for (topic, partition) in [("nowhere", 0), ("t", 99)] {
        let built = bed.builder().assign([(topic, partition)]).build().await;
        let error = built.unwrap_err().to_string();
        assert!(error.contains(topic), "{error}");
    }
    assert!(matches!(bed.builder().build().await, Err(ConsumerError::NothingAssigned)));
}

#[tokio::test(start_paused = true)]
async fn settings_that_do_not_fit_are_told_together_before_anything_is_asked() {
    let bed = Bed::start().await;
    let before = bed.cluster.requests().len();
    let builder = bed.builder().group("g").configure(|config| {
        config.heartbeat_interval = config.session_timeout;
        config.fetch_max_wait = Duration::from_secs(30);
        config.partition_assignment_strategy.clear();
    });
    let error = builder.subscribe(["t"]).build().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "consumer settings: heartbeat.interval.ms=45000 must be below session.timeout.ms=45000; a \
         third is best; fetch.max.wait.ms=30000 must be below request.timeout.ms=30000; \
         partition.assignment.strategy names no strategy"
    );
    assert_eq!(bed.cluster.requests().len(), before);
}

#[tokio::test(start_paused = true)]
async fn an_interval_of_nothing_commits_often_and_spins_not() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b"]).await;
    let builder = bed.builder().group("g").assign([t(0)]);
    let builder = builder.configure(|config| config.auto_commit_interval = Duration::ZERO);
    let mut consumer = builder.build().await.unwrap();
    next(&mut consumer).await;
    let idle = tokio::time::timeout(Duration::from_secs(1), consumer.poll()).await;
    assert!(idle.is_err());
    let committed = within(consumer.committed([t(0)])).await.unwrap();
    assert_eq!(committed[&t(0)].as_ref().map(|offset| offset.offset), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_poll_lends_no_more_records_than_it_may() {
    for compression in [Compression::None, Compression::Zstd] {
        let bed = Bed::start().await;
        bed.produce_with(0, &["a", "b", "c", "d", "e"], compression).await;
        bed.produce(0, &["f"]).await;
        let mut consumer =
            bed.consumer_with(&[0], |config| config.max_poll_records = Some(2)).await;
        for expected in [["a", "b"].as_slice(), &["c", "d"], &["e"], &["f"]] {
            assert_eq!(values(&next(&mut consumer).await), expected);
        }
        consumer.seek(&t(0), 3).unwrap();
        assert_eq!(values(&next(&mut consumer).await), ["d", "e"]);
        assert_eq!(consumer.position(&t(0)).unwrap(), Some(5));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_batch_comes_before_other_partitions() {
    for compression in [Compression::None, Compression::Zstd] {
        let bed = Bed::start().await;
        let of = |partition| ["a", "b", "c", "d", "e"].map(|it| format!("{it}{partition}"));
        for partition in [0, 1] {
            let written = of(partition);
            let written: Vec<&str> = written.iter().map(String::as_str).collect();
            bed.produce_with(partition, &written, compression).await;
        }
        let mut consumer =
            bed.consumer_with(&[0, 1], |config| config.max_poll_records = Some(2)).await;
        let mut read = Vec::new();
        while read.len() < 10 {
            read.extend(values(&next(&mut consumer).await));
        }
        let (first, second) = read.split_at(5);
        let (zero, one) = (of(0), of(1));
        let in_order = first == zero && second == one || first == one && second == zero;
        assert!(in_order, "{read:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_future_of_a_record_is_small() {
    let bed = Bed::start().await;
    let mut consumer = bed.consumer(&[0]).await;
    // A future is moved to where it is awaited: each of these bytes is copied for each record.
    assert!(size_of_val(&consumer.recv()) <= 64);
}
