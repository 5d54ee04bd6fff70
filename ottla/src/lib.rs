//! A client for Apache Kafka.
