//! Where settings come from.
//!
//! Every setting has the name that Java gives it, and where librdkafka has another, that one too.
//! `CONFIGURATION.md` in the repository lists them all, with defaults and reasons.
//!
//! ```no_run
//! # async fn run() -> Result<(), ottla::Error> {
//! let kafka = ottla::Kafka::builder()
//!     .properties_file("client.properties")?
//!     .env_prefix("KAFKA_") // KAFKA_LINGER_MS is linger.ms
//!     .set("compression.type", "lz4")
//!     .client_id("orders-api")
//!     .connect()
//!     .await?;
//!
//! for explanation in kafka.explain() {
//!     println!("{explanation}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The last source wins. A name that nobody knows is an error, with the nearest name. All names and
//! values that are wrong are told at once, before the first connection is made; whether those of a
//! role fit one another is told, all at once too, when that is built.
//!
//! Defaults are Java's, where `CONFIGURATION.md` does not say why they are not. Programs that come from
//! librdkafka find three of them changed that matter to records:
//!
//! | setting | here | librdkafka | what changes |
//! |---|---|---|---|
//! | `partitioner` | `murmur2_random` | `consistent_random` | records of a key go to another partition than those before |
//! | `isolation.level` | `read_uncommitted` | `read_committed` | what was aborted is seen |
//! | `enable.idempotence` | `true` | `false` | `acks` must be `all`, and at most five requests are in flight |
//!
//! Builders of the roles have typed methods for what programs set most:
//!
//! ```no_run
//! # async fn run(kafka: ottla::Kafka) -> Result<(), ottla::Error> {
//! use std::time::Duration;
//!
//! let producer = kafka.producer().linger(Duration::from_millis(20)).build().await?;
//! # Ok(())
//! # }
//! ```
