//! Can a record be lost, doubled or reordered?
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
