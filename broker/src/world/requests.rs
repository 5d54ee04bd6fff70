//! What was asked, for tests to look at.

use std::collections::VecDeque;

use ottla_protocol::{ApiKey, ByteString};

use super::{Context, NodeId, Now};

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its number in the cluster, from 0 on.
    pub sequence: u64,
    /// When it came.
    pub at: Now,
    /// The broker that was asked.
    pub node: NodeId,
    /// The connection it came over.
    pub connection: u64,
    /// The API.
    pub api: ApiKey,
    /// Its version.
    pub version: i16,
    /// What the client calls itself; empty for null.
    pub client_id: ByteString,
}

/// The latest requests, oldest first; switched off unless asked for.
#[derive(Debug, Default)]
pub struct Requests {
    keep: usize,
    next: u64,
    seen: VecDeque<Seen>,
}

impl Requests {
    /// Keeps the latest `count` requests from now on.
    pub fn keep(&mut self, count: usize) {
        self.keep = count;
    }

    pub(crate) fn note(&mut self, cx: &Context, api: ApiKey) {
        if self.keep == 0 {
            return;
        }
        if self.seen.len() >= self.keep {
            self.seen.pop_front();
        }
        // Copied, because the client id is a slice of the whole request.
        let client_id = ByteString::from(&*cx.client_id);
        let (at, node, connection) = (cx.now, cx.node, cx.connection);
        let (sequence, version) = (self.next, cx.version);
        self.next += 1;
        self.seen.push_back(Seen { sequence, at, node, connection, api, version, client_id });
    }

    /// Those that are kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter()
    }
}
