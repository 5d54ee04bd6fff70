//! Delivery guarantees: can a record be lost, doubled or reordered?
//!
//! # What a producer promises
//!
//! With its default settings (`acks=all`, `enable.idempotence=true`):
//!
//! - An acknowledged record is on every replica that is in sync, once, behind all records that were
//!   taken before it for the same partition.
//! - Each record that was taken has one outcome, within `delivery.timeout.ms`.
//! - A failure says whether the record may be in the partition all the same:
//!   [`Certainty::NotWritten`](crate::Certainty::NotWritten) or
//!   [`PossiblyWritten`](crate::Certainty::PossiblyWritten). What is not written can be sent again
//!   without a doubt; what is possibly written can be there twice then.
//!
//! | setting | changes |
//! |---|---|
//! | `acks=1` | a leader that crashes takes acknowledged records with it |
//! | `acks=0` | nobody knows; offsets are not known either |
//! | `enable.idempotence=false` | a retry may write twice, and with `max.in.flight.requests.per.connection` above 1 it may reorder |
//! | `min.insync.replicas` of the topic | how many brokers may be lost with what they acknowledged |
//!
//! # What a consumer promises
//!
//! Records of a partition are delivered in order, none is skipped, and each jump of a position was
//! asked for or is reported as a [`ConsumerEvent`](crate::ConsumerEvent). After a crash, reading goes
//! on at the committed offset: what was processed and not committed is processed again (*at least
//! once*). Committing before processing turns that around: what was committed and not processed is
//! lost (*at most once*).
//!
//! | setting | changes |
//! |---|---|
//! | `enable.auto.commit=true`, the default | what was returned before the last poll is committed: at least once, unless records are processed elsewhere than in the loop that polls |
//! | `auto.offset.reset` | where to begin without a committed offset; `latest` passes over what was there before |
//! | `isolation.level=read_committed` | nothing of a transaction that is open or was aborted; reading goes as far as the oldest open one |
//! | `group.instance.id` | a restart within `session.timeout.ms` takes its partitions back, and nobody else is disturbed |
//!
//! # Exactly once
//!
//! A [`TransactionalProducer`](crate::TransactionalProducer) writes records, and how far a consumer has
//! read, together or not at all. So each record that is read takes effect once in what is written,
//! whatever dies: the copier, the brokers, the connections.
//!
//! ```no_run
//! use ottla::{Kafka, Pipeline, Record};
//!
//! # async fn run(kafka: Kafka) -> Result<(), ottla::Error> {
//! let mut producer = kafka.producer().transactional("shout-1").build().await?;
//! let consumer = kafka.consumer("shout").subscribe(["words"]).read_committed();
//! let mut consumer = consumer.manual_commit().build().await?;
//! let pipeline = Pipeline::new(&mut consumer, &mut producer).records(500);
//! pipeline.run(async |transaction, batches| {
//!     for record in batches.iter().flatten() {
//!         let value = record.value().unwrap_or_default().to_ascii_uppercase();
//!         transaction.post(Record::to("shouts").value(value)).await?;
//!     }
//!     Ok(())
//! }).await
//! # }
//! ```
//!
//! What is promised:
//!
//! - Who reads `shouts` with `isolation.level=read_committed` sees of each transaction all or nothing.
//! - A commit whose answer is lost is asked for again until it is known, and never aborted instead.
//! - A second producer with the same `transactional.id` fences the first, whose later writes are
//!   refused. So is a member that lost its partitions meanwhile (KIP-447).
//!
//! What is not:
//!
//! - Whatever the work does elsewhere, in a database or over HTTP, is done again when a transaction is
//!   run again.
//! - Readers with `isolation.level=read_uncommitted`, Kafka's default, see what was aborted too.
//! - Nothing is promised between clusters: offsets and records must be of one.
//!
//! | setting | changes |
//! |---|---|
//! | `transactional.id` | who this is. The same after a restart, so that what was left open ends at once; different for each instance that runs |
//! | `transaction.timeout.ms` | how long what a dead instance left open hides what is behind it, where no other takes its place |
//! | `delivery.timeout.ms`, `max.block.ms` | how long a commit is waited for before its outcome is called unknown |
//! | `transaction.version` of the cluster | from 2 on, each transaction has an epoch of its own (KIP-890): what comes late is refused. Below, a request that was held up for longer than the transaction lived may become part of the next |
