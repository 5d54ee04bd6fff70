//! Batches of one partition, from the first record to the last attempt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_core::error::Certainty;
use ottla_protocol::compression::{Codec, Compressor};
use ottla_protocol::records::{BatchBuilder, SealError, SealOptions, SealedBatch};
use parking_lot::Mutex;

use super::budget::{ByteBudget, Charge};
use super::delivery::{BatchDone, BatchFailure, Outcome};
use super::identity::Identity;
use super::pool::BatchPool;
use super::split;
use crate::config::{MAX_IDEMPOTENT_IN_FLIGHT, ProducerConfig};
use crate::error::SendError;

/// What all partitions of a producer have in common.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) linger: Duration,
    pub(crate) batch_size: usize,
    pub(crate) delivery_timeout: Duration,
    /// Batches of a partition that may be under way.
    pub(crate) window: usize,
    pub(crate) idempotent: bool,
    /// Whether batches belong to transactions.
    pub(crate) transactional: bool,
    pub(crate) codec: Codec,
    pub(crate) retry_backoff: Duration,
    pub(crate) retry_backoff_max: Duration,
    pub(crate) pool: Arc<BatchPool>,
    pub(crate) budget: Arc<ByteBudget>,
    pub(crate) compressors: Compressors,
}

impl Terms {
    /// What `config` says, with memory and contexts of its own.
    pub(crate) fn new(config: &ProducerConfig) -> Self {
        let in_flight = config.max_in_flight_requests_per_connection.max(1);
        let most = if config.enable_idempotence { MAX_IDEMPOTENT_IN_FLIGHT } else { usize::MAX };
        Self {
            linger: config.linger,
            batch_size: config.batch_size,
            delivery_timeout: config.delivery_timeout,
            window: in_flight.min(most),
            idempotent: config.enable_idempotence,
            transactional: config.transactional_id.is_some(),
            codec: config.compression,
            retry_backoff: config.retry_backoff,
            retry_backoff_max: config.retry_backoff_max,
            pool: BatchPool::new(config.buffer_memory),
            budget: ByteBudget::new(config.buffer_memory),
            compressors: Compressors::default(),
        }
    }

    /// How batches are sealed.
    pub(crate) fn seal_options(&self) -> SealOptions {
        SealOptions { transactional: self.transactional, ..SealOptions::default() }
    }
}

/// Contexts of codecs, kept for the next batch.
#[derive(Debug, Default)]
pub(crate) struct Compressors(Mutex<Vec<Compressor>>);

impl Compressors {
    /// Calls `f` with a compressor of its own.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Compressor) -> T) -> T {
        let kept = self.0.lock().pop();
        let mut compressor = kept.unwrap_or_default();
        let result = f(&mut compressor);
        self.0.lock().push(compressor);
        result
    }
}

/// A batch that still takes records.
#[derive(Debug)]
pub(crate) struct OpenBatch {
    pub(crate) id: u64,
    pub(crate) builder: BatchBuilder,
    pub(crate) charge: Charge,
    pub(crate) done: Arc<BatchDone>,
    pub(crate) due: Instant,
    pub(crate) expires: Instant,
    /// Whether it goes as soon as it can, rather than at its time.
    pub(crate) eager: bool,
}

/// A batch that takes no more records.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Ascends in the order of the records; the parts of a split batch share that of the whole.
    pub(crate) id: u64,
    pub(crate) done: Arc<BatchDone>,
    pub(crate) records: i32,
    pub(crate) expires: Instant,
    pub(crate) body: Body,
    pub(crate) place: Place,
    /// Whose sequence it has; `None` before it is stamped, and without idempotence.
    pub(crate) identity: Option<Identity>,
    /// The sequence of its first record, where it has an identity.
    pub(crate) sequence: i32,
    /// Counts the batches of one run of sequences.
    pub(crate) ordinal: u64,
    /// Whether the log certainly has it: the leader has acknowledged one that follows it, and takes
    /// none out of order. It is sent again all the same, to learn its offset.
    pub(crate) written: bool,
    /// Whether the log may have it with the sequence that it has now. Only an answer can tell.
    pub(crate) unknown: bool,
    /// What all attempts together leave open. Never improves.
    pub(crate) certainty: Certainty,
    pub(crate) attempts: u32,
    /// Whether those who wait have been told. What is under way cannot be taken back, so it stays
    /// until its answer comes.
    pub(crate) resolved: bool,
}

/// The bytes of a batch.
#[derive(Debug)]
pub(crate) enum Body {
    /// It waits for a codec.
    Unsealed(BatchBuilder, Charge),
    /// A codec has it.
    Sealing,
    /// Nobody else has seen it.
    Fresh(SealedBatch, Charge),
    /// It was sent: these bytes never change, since a connection may still be writing them.
    Sent(Bytes),
}

/// Where a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Waiting,
    OnWire { attempt: u64 },
}

impl Batch {
    pub(crate) fn is_waiting(&self) -> bool {
        self.place == Place::Waiting
    }

    pub(crate) fn is_on_wire(&self) -> bool {
        self.place != Place::Waiting
    }

    pub(crate) fn is_attempt(&self, wanted: u64) -> bool {
        self.place == Place::OnWire { attempt: wanted }
    }

    /// Whether its bytes are those that are sent: no codec has it, or is to have it.
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.body, Body::Fresh(..) | Body::Sent(_))
    }

    /// Gives it to a codec, if it waits for one.
    pub(crate) fn begin_seal(&mut self) -> Option<SealWork> {
        match std::mem::replace(&mut self.body, Body::Sealing) {
            Body::Unsealed(builder, charge) => Some(SealWork { id: self.id, builder, charge }),
            other => {
                self.body = other;
                None
            }
        }
    }

    /// Bytes on the wire; 0 until it is sealed.
    pub(crate) fn len(&self) -> usize {
        match &self.body {
            Body::Unsealed(..) | Body::Sealing => 0,
            Body::Fresh(sealed, _) => sealed.as_bytes().len(),
            Body::Sent(bytes) => bytes.len(),
        }
    }

    /// Stamps it, and gives the bytes to send.
    pub(crate) fn stamp(&mut self, identity: Identity, sequence: i32, terms: &Terms) -> Bytes {
        self.identity = Some(identity);
        self.sequence = sequence;
        self.bytes(terms, |sealed| sealed.stamp_producer(identity.stamp(sequence)))
    }

    /// The bytes to send, as they were sent before if they were.
    pub(crate) fn as_sent(&mut self, terms: &Terms) -> Bytes {
        match &self.body {
            Body::Sent(bytes) => bytes.clone(),
            _ => self.bytes(terms, |_| ()),
        }
    }

    fn bytes(&mut self, terms: &Terms, change: impl FnOnce(&mut SealedBatch)) -> Bytes {
        let bytes = match std::mem::replace(&mut self.body, Body::Sealing) {
            Body::Unsealed(..) | Body::Sealing => Bytes::new(),
            Body::Fresh(mut sealed, charge) => {
                change(&mut sealed);
                terms.pool.freeze(sealed.into_buffer(), charge)
            }
            // A connection may still be writing these: change a copy.
            Body::Sent(sent) => copy(&sent, terms, change).unwrap_or(sent),
        };
        self.body = Body::Sent(bytes.clone());
        bytes
    }

    /// A copy of its bytes, for giving its records back.
    pub(crate) fn body_copy(&self) -> Option<Bytes> {
        match &self.body {
            Body::Unsealed(..) | Body::Sealing => None,
            Body::Fresh(sealed, _) => Some(Bytes::copy_from_slice(sealed.as_bytes())),
            Body::Sent(bytes) => Some(Bytes::copy_from_slice(bytes)),
        }
    }

    /// Its end without success.
    pub(crate) fn failed(&self, error: SendError) -> Finished {
        let refused = BTreeMap::new();
        let failure = BatchFailure { error, refused, body: self.body_copy() };
        Finished {
            done: Arc::clone(&self.done),
            records: self.records,
            outcome: Outcome::Failed(failure),
        }
    }
}

fn copy(sent: &Bytes, terms: &Terms, change: impl FnOnce(&mut SealedBatch)) -> Option<Bytes> {
    let class = BatchPool::class(sent.len());
    let mut buffer = terms.pool.take(class);
    buffer.extend_from_slice(sent);
    let mut sealed = SealedBatch::from_buffer(buffer).ok()?;
    change(&mut sealed);
    Some(terms.pool.freeze(sealed.into_buffer(), terms.budget.force_charge(class)))
}

/// A batch for a codec to seal.
#[derive(Debug)]
pub(crate) struct SealWork {
    pub(crate) id: u64,
    pub(crate) builder: BatchBuilder,
    pub(crate) charge: Charge,
}

impl SealWork {
    /// Seals it as it is, because it is not sent: only its records are wanted.
    pub(crate) fn give_up(self, terms: &Terms) -> Body {
        Body::Fresh(self.builder.seal(&terms.seal_options()), self.charge)
    }

    /// Seals it. Takes up to milliseconds: not for the task of a connection, where the codec is
    /// slow.
    pub(crate) fn run(self, terms: &Terms) -> (u64, Sealed) {
        let Self { id, builder, mut charge } = self;
        let whole = BatchPool::class(builder.len());
        let out = terms.pool.take(whole);
        let options = terms.seal_options();
        let sealed = terms
            .compressors
            .with(|compressor| builder.seal_compressed(&options, terms.codec, compressor, out));
        let sealed = match sealed {
            Ok(mut batch) => {
                terms.pool.give_back(builder.into_buffer());
                // What is charged is to be what is held, and most of a batch may be gone now.
                let class = BatchPool::class(batch.as_bytes().len());
                if class < whole {
                    terms.pool.give_back(batch.move_to(terms.pool.take(class)));
                }
                charge.resize(class);
                Sealed { batch, charge, fault: None }
            }
            Err(fault) => Sealed { batch: builder.seal(&options), charge, fault: Some(fault) },
        };
        (id, sealed)
    }
}

/// What a codec made of a batch.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// As it was, where the codec failed: its records are given back.
    pub(crate) batch: SealedBatch,
    pub(crate) charge: Charge,
    /// Why it cannot be sent.
    pub(crate) fault: Option<SealError>,
}

impl Finished {
    /// The end of a batch that the log has, at an offset that nobody can tell any more.
    pub(crate) fn written(batch: &Batch) -> Self {
        let outcome = Outcome::Acknowledged { base_offset: None, log_append_time: None };
        Self { done: Arc::clone(&batch.done), records: batch.records, outcome }
    }
}

/// A batch of which it is known what became of it, for telling those who wait once no lock is held.
#[derive(Debug)]
#[must_use = "somebody waits to be told"]
pub(crate) struct Finished {
    pub(crate) done: Arc<BatchDone>,
    pub(crate) records: i32,
    pub(crate) outcome: Outcome,
}

/// The batch `whole` in two, in its place; `None` if it cannot be split.
pub(crate) fn split(whole: &Batch, terms: &Terms) -> Option<(Finished, [Batch; 2])> {
    let bytes = whole.body_copy()?;
    let halves = terms
        .compressors
        .with(|it| split::halves(&bytes, &terms.seal_options(), terms.codec, it))?;
    let parts = halves.map(|(first, sealed)| (first, part(whole, sealed, terms)));
    let done = parts.each_ref().map(|(first, part)| (*first, Arc::clone(&part.done)));
    let finished = Finished {
        done: Arc::clone(&whole.done),
        records: 0,
        outcome: Outcome::Split(done.into()),
    };
    Some((finished, parts.map(|(_, part)| part)))
}

fn part(whole: &Batch, sealed: SealedBatch, terms: &Terms) -> Batch {
    let charge = terms.budget.force_charge(sealed.as_bytes().len());
    Batch {
        id: whole.id,
        done: whole.done.part(),
        records: sealed.header().record_count,
        expires: whole.expires,
        body: Body::Fresh(sealed, charge),
        place: Place::Waiting,
        identity: None,
        sequence: 0,
        ordinal: 0,
        written: false,
        unknown: false,
        certainty: whole.certainty,
        attempts: whole.attempts,
        resolved: false,
    }
}
