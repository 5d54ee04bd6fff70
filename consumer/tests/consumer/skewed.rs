//! Batches whose records have other offsets than the batch has: brokers keep what is not compressed as
//! it comes, and Java's consumer reads it.

use ottla_consumer::{Consumer, ConsumerBuilder};

use crate::bed::{Bed, next, t, value, values, within};

/// Beyond its batch, up to which brokers count, and up to the offset of the one after it.
const BEYOND: &[(&str, u8)] = &[("a", 1), ("b", 2), ("c", 3)];

async fn records(consumer: &mut Consumer, count: usize) -> Vec<(i64, String)> {
    let mut records = Vec::new();
    for _ in 0..count {
        let record = within(consumer.recv()).await.unwrap().unwrap();
        records.push((record.offset(), value(&record)));
    }
    records
}

fn member(bed: &Bed) -> ConsumerBuilder {
    bed.builder().group("g").manual_commit().assign([t(0)])
}

/// What is committed of partition 0, after what was stored is.
async fn committed(consumer: &mut Consumer) -> Option<i64> {
    within(consumer.commit()).await.unwrap();
    let committed = within(consumer.committed([t(0)])).await.unwrap();
    committed[&t(0)].as_ref().map(|offset| offset.offset)
}

#[tokio::test(start_paused = true)]
async fn offsets_that_do_not_ascend_end_no_partition() {
    let bed = Bed::start().await;
    assert_eq!(bed.produce_at(0, &[("a", 0), ("b", 2), ("c", 1), ("d", 2), ("e", 3)]).await, 0);
    assert_eq!(bed.produce(0, &["f"]).await, 5);
    // As in Java: what is not above the record before is passed over.
    let expected = [(0, "a"), (2, "b"), (3, "e"), (5, "f")].map(|(at, of)| (at, of.to_owned()));
    let mut consumer = bed.consumer(&[0]).await;
    let batch = next(&mut consumer).await;
    assert_eq!(values(&batch), ["a", "b", "e"]);
    assert_eq!(batch.next_offset(), 5);
    assert_eq!(values(&next(&mut consumer).await), ["f"]);
    assert_eq!(consumer.position(&t(0)).unwrap(), Some(6));
    let mut consumer = bed.consumer(&[0]).await;
    assert_eq!(records(&mut consumer, 4).await, expected);
    consumer.seek(&t(0), 1).unwrap();
    assert_eq!(records(&mut consumer, 3).await, expected[1..]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_one_offset_is_read_and_passed() {
    let bed = Bed::start().await;
    bed.produce_at(0, &[("a", 0), ("b", 0), ("c", 0)]).await;
    bed.produce(0, &["d"]).await;
    let mut consumer = bed.consumer(&[0]).await;
    assert_eq!(records(&mut consumer, 2).await, [(0, "a".to_owned()), (3, "d".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_record_beyond_its_batch_hides_none_of_the_next() {
    let bed = Bed::start().await;
    bed.produce_at(0, BEYOND).await;
    bed.produce(0, &["d"]).await;
    let expected = [(1, "a"), (2, "b"), (3, "c"), (3, "d")].map(|(at, of)| (at, of.to_owned()));
    let mut consumer = bed.consumer(&[0]).await;
    assert_eq!(records(&mut consumer, 4).await, expected);
    let mut consumer = bed.consumer(&[0]).await;
    assert_eq!(values(&next(&mut consumer).await), ["a", "b", "c"]);
    assert_eq!(values(&next(&mut consumer).await), ["d"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_beyond_its_batch_commits_none_of_the_next() {
    let bed = Bed::start().await;
    bed.produce_at(0, BEYOND).await;
    bed.produce(0, &["d"]).await;
    let mut consumer = member(&bed).build().await.unwrap();
    for expected in [2, 3, 3, 4] {
        records(&mut consumer, 1).await;
        assert_eq!(committed(&mut consumer).await, Some(expected));
    }
    let mut consumer = member(&bed).group("acks").explicit_acks().build().await.unwrap();
    for expected in [2, 3, 3, 4] {
        within(consumer.recv()).await.unwrap().unwrap().ack();
        assert_eq!(committed(&mut consumer).await, Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn records_beyond_their_batch_are_not_put_back() {
    let bed = Bed::start().await;
    bed.produce_at(0, &[("a", 0), ("b", 2), ("c", 1), ("d", 9), ("e", 10)]).await;
    bed.produce(0, &["f"]).await;
    let mut consumer = bed.consumer_with(&[0], |config| config.max_poll_records = Some(1)).await;
    let mut polled = Vec::new();
    for _ in 0..3 {
        polled.push(values(&next(&mut consumer).await).concat());
    }
    assert_eq!(polled, ["a", "bde", "f"]);
}
