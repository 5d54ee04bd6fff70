//! Groups and commits.
//!
//! Consumers of one group share the partitions of their topics. When one comes, goes, or falls
//! silent for `session.timeout.ms`, the partitions are shared out anew.
//!
//! # Commits
//!
//! | way | when | after a crash |
//! |---|---|---|
//! | automatic, the default | every `auto.commit.interval.ms`, what was returned before the last poll; at a revocation; at the end | at least once |
//! | [`commit`](crate::Consumer::commit) | when you say so | what you choose |
//! | [`Batch::commit`](crate::Batch::commit) | this batch is done | at least once, batch by batch |
//! | [`ack`](crate::ConsumerRecord::ack), with [`explicit_acks`](crate::ConsumerBuilder::explicit_acks) | records are processed in any order; the contiguous prefix is committed | at least once |
//!
//! # Rebalances
//!
//! A [`RebalanceListener`](crate::RebalanceListener) is told, within `poll`:
//!
//! ```no_run
//! use ottla::{Kafka, ListenerError, RebalanceListener, Revoking};
//!
//! struct CommitOnRevoke;
//!
//! impl RebalanceListener for CommitOnRevoke {
//!     async fn revoking(&self, revoking: &Revoking<'_>) -> Result<(), ListenerError> {
//!         Ok(revoking.commit().await?)
//!     }
//! }
//!
//! # async fn run(kafka: Kafka) -> Result<(), ottla::Error> {
//! let consumer = kafka
//!     .consumer("index")
//!     .subscribe(["^events-.*"])
//!     .manual_commit()
//!     .on_rebalance(CommitOnRevoke)
//!     .build()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! A consumer that does not poll for `max.poll.interval.ms` is put out of its group, and is told so;
//! heartbeats alone do not keep it in, because a program that hangs would keep its partitions.
