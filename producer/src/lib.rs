//! The producer: batching, idempotence, transactions.
