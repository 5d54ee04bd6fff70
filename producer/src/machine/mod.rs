//! What decides: partitions, their batches and sequences, memory. No clock, socket or task.

pub(crate) mod batch;
pub(crate) mod budget;
pub(crate) mod delivery;
pub(crate) mod identity;
pub(crate) mod outcome;
pub(crate) mod pool;
pub(crate) mod queue;
pub(crate) mod split;
pub(crate) mod transaction;
