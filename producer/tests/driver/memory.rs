//! When brokers take records more slowly than they come.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use ottla_broker::cluster::TopicSpec;
use ottla_broker::fault::{Act, Rule};
use ottla_producer::{Producer, Record, SendError};
use ottla_protocol::ApiKey;

use super::bed::{Bed, one};

/// A producer with room for a few records, over a broker that holds them.
async fn small(bed: &Bed) -> Producer {
    with_memory(bed, 64 << 10).await
}

/// A producer whose largest record takes all of its memory.
async fn with_memory(bed: &Bed, bytes: usize) -> Producer {
    let config = ottla_producer::config::ProducerConfig {
        linger: Duration::from_millis(5),
        batch_size: 16 << 10,
        buffer_memory: bytes,
        max_request_size: bytes,
        max_block: Duration::from_secs(5),
        ..Default::default()
    };
    let producer = bed.builder().config(config).build().await.unwrap();
    producer.topic("one").await.unwrap();
    producer
}

fn kilobytes(count: usize) -> Record {
    one("x".repeat(count << 10))
}

#[tokio::test(start_paused = true)]
async fn without_room_a_record_comes_back_at_once_or_in_time_and_then_all_goes_on() {
    let bed = Bed::start().await;
    let producer = small(&bed).await;
    let gate = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Hold));
    let mut taken = Vec::new();
    let refused = loop {
        match producer.try_enqueue(kilobytes(10)) {
            Ok(delivery) => taken.push(delivery),
            Err(refused) => break refused,
        }
    };
    assert_eq!(taken.len(), 4, "16 KiB each");
    assert!(matches!(refused.error(), SendError::BufferFull { .. }), "{refused}");
    let begun = bed.client.runtime().now();
    let record = refused.into_record().unwrap();
    let late = producer.enqueue(record).await.unwrap_err();
    assert!(matches!(late.error(), SendError::NoRoom { .. }), "{late}");
    assert_eq!(bed.passed(begun), Duration::from_secs(5));
    gate.open();
    producer.enqueue(late.into_record().unwrap()).await.unwrap().await.unwrap();
    for delivery in taken {
        delivery.await.unwrap();
    }
    assert_eq!(bed.values("one", 0).len(), 5);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_order() {
    let bed = Bed::start().await;
    let producer = small(&bed).await;
    let gate = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Hold));
    while producer.try_enqueue(kilobytes(10)).is_ok() {}
    let first = producer.send(one("a".repeat(9 << 10)));
    let second = producer.send(one("b".repeat(9 << 10)));
    let third = async {
        bed.sleep(Duration::from_millis(1)).await;
        gate.open();
        producer.send(one("c".repeat(9 << 10))).await
    };
    let (first, second, third) = tokio::join!(biased; first, second, third);
    let offsets = [first, second, third].map(|it| it.unwrap().offset.known().unwrap());
    assert_eq!(offsets, [4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_leaves_nothing_behind() {
    let bed = Bed::start().await;
    let producer = small(&bed).await;
    let gate = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Hold));
    while producer.try_enqueue(kilobytes(10)).is_ok() {}
    let waits = tokio::time::timeout(Duration::from_secs(1), producer.enqueue(kilobytes(60)));
    assert!(waits.await.is_err());
    gate.open();
    producer.flush().await;
    assert_eq!(bed.values("one", 0).len(), 4);
    producer.send(kilobytes(60)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_future_that_has_told_takes_no_second_record() {
    let bed = Bed::start().await;
    let producer = small(&bed).await;
    let topic = producer.topic("one").await.unwrap();
    let mut there = pin!(topic.enqueue(None, Some(b"there is room")));
    there.as_mut().await.unwrap().await.unwrap();
    assert!(is_pending(there.as_mut()).await);

    let gate = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Hold));
    let mut held = 0;
    while producer.try_enqueue(kilobytes(10)).is_ok() {
        held += 1;
    }
    let value = [b'x'; 9 << 10];
    let mut waits = pin!(topic.enqueue(None, Some(&value)));
    assert!(is_pending(waits.as_mut()).await);
    gate.open();
    waits.as_mut().await.unwrap().await.unwrap();
    assert!(is_pending(waits.as_mut()).await);
    producer.flush().await;
    assert_eq!(bed.values("one", 0).len(), held + 2);
}

async fn is_pending(mut future: Pin<&mut impl Future>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[tokio::test(start_paused = true)]
async fn the_largest_record_that_is_allowed_has_room_whatever_the_sizes_of_buffers() {
    let huge = TopicSpec::new("huge").partitions(1).config("max.message.bytes", "2000000");
    for bytes in [512 << 10, 1 << 20, 1_100_000] {
        let bed = Bed::with([huge.clone()]).await;
        let producer = with_memory(&bed, bytes).await;
        let record = |len: usize| Record::to("huge").value("x".repeat(len));
        for len in [300 << 10, bytes - 100] {
            producer.send(record(len)).await.unwrap();
        }
        let report = producer.close(Duration::from_secs(1)).await.unwrap();
        assert_eq!(report.delivered, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_and_room_together_are_waited_for_no_longer_than_one_of_them() {
    let bed = Bed::start().await;
    let producer = small(&bed).await;
    let _gate = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Hold));
    while producer.try_enqueue(kilobytes(10)).is_ok() {}
    let _slow = bed.cluster.fault(Rule::new(ApiKey::Metadata, Act::Delay(Duration::from_secs(4))));
    let begun = bed.client.runtime().now();
    let late = producer.enqueue(Record::to("t").value("x")).await.unwrap_err();
    assert!(matches!(late.error(), SendError::NoRoom { .. }), "{late}");
    assert_eq!(bed.passed(begun), Duration::from_secs(5));
}
