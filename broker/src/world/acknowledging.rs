//! Appends that are told of when the in-sync replicas have them.

use std::time::Duration;

use ottla_protocol::{ErrorCode, Uuid};

use super::catalog::TopicKey;
use super::{Context, WaitKey, Why, World};

/// The end of an append, as long as it may be lost with its leader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unacknowledged {
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
    /// Offset of its last record.
    pub(crate) last: i64,
    /// The leader epoch it was made in.
    pub(crate) epoch: i32,
}

/// Appends that a request waits for, each with its place in the answer.
#[derive(Debug)]
pub(crate) struct Acknowledgements<At> {
    waiting: Vec<(At, Unacknowledged)>,
    pub(crate) until: Duration,
}

impl Unacknowledged {
    /// Whether the in-sync replicas have it.
    fn outcome(&self, world: &World, cx: &Context) -> Result<bool, ErrorCode> {
        let topic = world.catalog.topic(TopicKey::Id(self.topic));
        let topic = topic.map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
        let partition = topic.partition(self.partition)?;
        let log = partition.led_by(cx.node)?;
        if partition.epoch() != self.epoch {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if log.high_watermark() <= self.last {
            return Ok(false);
        }
        if partition.in_sync().len() < partition.min_in_sync(topic.settings.at(Some(cx.node))) {
            return Err(ErrorCode::NotEnoughReplicasAfterAppend);
        }
        Ok(true)
    }
}

impl<At> Acknowledgements<At> {
    /// None so far; none is waited for after `until`.
    pub(crate) fn new(until: Duration) -> Self {
        Self { waiting: Vec::new(), until }
    }

    pub(crate) fn push(&mut self, at: At, append: Unacknowledged) {
        self.waiting.push((at, append));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What there is to wait for.
    pub(crate) fn keys(&self) -> Vec<WaitKey> {
        self.waiting.iter().map(|(_, a)| WaitKey::Partition(a.topic, a.partition)).collect()
    }

    /// Stops waiting for what is settled, and for all once it is too late; returns what failed.
    pub(crate) fn settle(&mut self, world: &World, cx: &Context, why: Why) -> Vec<(At, ErrorCode)> {
        let mut failed = Vec::new();
        for (at, append) in std::mem::take(&mut self.waiting) {
            match append.outcome(world, cx) {
                Ok(true) => {}
                Ok(false) if why == Why::Expired => failed.push((at, ErrorCode::RequestTimedOut)),
                Ok(false) => self.waiting.push((at, append)),
                Err(code) => failed.push((at, code)),
            }
        }
        failed
    }
}
