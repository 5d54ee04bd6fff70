//! What went wrong, and what to do.
//!
//! Each operation has its own error, such as [`SendError`](crate::SendError), and each becomes an
//! [`Error`](crate::Error) with `?`. What a broker or a connection can get over is retried inside,
//! until the deadline of the operation; what comes out is final for that operation.
//!
//! ```no_run
//! use ottla::{ErrorKind, Kafka, Record};
//!
//! # async fn run(kafka: Kafka) -> Result<(), ottla::Error> {
//! # let producer = kafka.producer().build().await?;
//! if let Err(undelivered) = producer.send(Record::to("orders").value("paid")).await {
//!     let error = ottla::Error::from(undelivered.clone());
//!     match error.kind() {
//!         ErrorKind::UnknownTopic => println!("create it first: {error}"),
//!         _ if error.possibly_written() => println!("it may be there: {error}"),
//!         _ => println!("not written: {error}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | predicate | means |
//! |---|---|
//! | [`is_retriable`](crate::Error::is_retriable) | the same call may succeed later |
//! | [`requires_abort`](crate::Error::requires_abort) | the transaction must be aborted |
//! | [`is_fatal`](crate::Error::is_fatal) | the producer, consumer or client it came from must be given up |
//! | [`possibly_written`](crate::Error::possibly_written) | a broker may have acted on it |
//!
//! An error prints as one line, which says why. `{:#}` adds what else its causes have to say.
