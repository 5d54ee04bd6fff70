//! Sending and reading.
//!
//! # Send
//!
//! Three verbs, and they differ in what they wait for.
//!
//! ```no_run
//! use ottla::{ErrorKind, Kafka, Record};
//!
//! # async fn run(kafka: Kafka) -> Result<(), ottla::Error> {
//! let producer = kafka.producer().build().await?;
//!
//! // The acknowledgement: where the record is.
//! let sent = producer.send(Record::to("orders").key("42").value("paid")).await?;
//! println!("partition {} offset {}", sent.partition, sent.offset);
//!
//! // Room in memory. What becomes of the record can be awaited later, or not at all.
//! let delivery = producer.enqueue(Record::to("orders").value("shipped")).await?;
//! delivery.await?;
//!
//! // Nothing: works outside of async code, and gives the record back when it would have to wait.
//! let tried = producer.try_enqueue(Record::to("orders").value("returned"));
//! if let Err(undelivered) = tried {
//!     let record = undelivered.into_record();
//!     println!("{record:?} was not taken");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! At the end, [`close`](crate::Producer::close) waits for what was taken, and reports what was not
//! delivered.
//!
//! # Read
//!
//! ```no_run
//! use ottla::{AutoOffsetReset, Kafka};
//!
//! # async fn run(kafka: Kafka) -> Result<(), ottla::Error> {
//! let mut consumer = kafka
//!     .consumer("billing")
//!     .subscribe(["orders"])
//!     .start_at(AutoOffsetReset::Earliest)
//!     .build()
//!     .await?;
//! while let Some(batch) = consumer.poll().await? {
//!     for record in &batch {
//!         println!("{}: {:?} = {:?}", record.offset(), record.key(), record.value());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`poll`](crate::Consumer::poll) lends a batch, whose records are views of what was received: the
//! fastest way. [`recv`](crate::Consumer::recv) gives one record at a time, which can be kept and sent
//! to other tasks; [`into_stream`](crate::Consumer::into_stream) is the same as a `Stream`.
