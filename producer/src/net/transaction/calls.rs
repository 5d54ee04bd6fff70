//! Asking coordinators.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use ottla_core::cluster::CoordinatorKind;
use ottla_core::error::{ErrorCode, RequestError};
use ottla_core::net::{Answered, CallLink, Client, Purpose};
use ottla_core::retry::Deadline;
use ottla_core::types::{NodeId, Offsets};
use ottla_protocol::{ApiKey, Request, VersionRange};
use parking_lot::Mutex;

use crate::machine::transaction::wire::{self, TopicIds};
use crate::machine::transaction::{Call, Reply};

/// Asks the coordinators of one transactional id and of its groups, over connections of its own.
#[derive(Debug)]
pub(super) struct Calls {
    client: Client,
    id: ByteString,
    timeout: Duration,
    request_timeout: Duration,
    links: Mutex<BTreeMap<NodeId, Arc<CallLink>>>,
}

/// What came of asking a coordinator.
enum Asked<R> {
    Answer(R),
    Failed(Arc<RequestError>),
    /// Another broker coordinates by now.
    Moved,
}

impl<R> Asked<R> {
    fn reply(self, read: impl FnOnce(R) -> Reply) -> Reply {
        match self {
            Self::Answer(answer) => read(answer),
            Self::Failed(error) => Reply::Failed(error),
            Self::Moved => Reply::Moved,
        }
    }
}

/// A request under way.
pub(super) type Asking = Pin<Box<dyn Future<Output = Reply> + Send>>;

impl Calls {
    pub(super) fn new(
        client: Client,
        id: ByteString,
        timeout: Duration,
        request_timeout: Duration,
    ) -> Arc<Self> {
        Arc::new(Self { client, id, timeout, request_timeout, links: Mutex::default() })
    }

    /// Sends a request to whoever coordinates now.
    pub(super) fn ask(self: &Arc<Self>, call: Call) -> Asking {
        let calls = Arc::clone(self);
        Box::pin(async move { calls.reply(call).await })
    }

    async fn reply(&self, call: Call) -> Reply {
        let id = &self.id;
        match call {
            Call::Init { expected } => {
                let request = wire::init_request(id, self.timeout, expected);
                let ours = ApiKey::InitProducerId.stable_versions();
                let asked = self.of_transaction(ours, request, |it| it.error_code).await;
                asked.reply(|answer| Reply::Identity(wire::init_reply(&answer)))
            }
            Call::AddPartitions { identity, partitions } => {
                let request = wire::add_partitions_request(id, identity, &partitions);
                let first = |answer: &_| {
                    let codes = wire::add_partitions_codes(answer);
                    codes.values().next().map_or(0, |code| code.code())
                };
                let asked = self.of_transaction(wire::ADD_PARTITIONS, request, first).await;
                asked.reply(|answer| Reply::Partitions(wire::add_partitions_codes(&answer)))
            }
            Call::AddGroup { identity, group_id } => {
                let request = wire::add_group_request(id, identity, &group_id);
                let ours = ApiKey::AddOffsetsToTxn.stable_versions();
                let asked = self.of_transaction(ours, request, |it| it.error_code).await;
                asked.reply(|answer| Reply::Code(ErrorCode::from_code(answer.error_code)))
            }
            Call::CommitOffsets { identity, protocol, group, offsets } => {
                let ids = self.topic_ids(&offsets);
                let ours = wire::offsets_versions(protocol, &offsets, &ids);
                let request = wire::offsets_request(id, identity, &group, &offsets, &ids);
                let elsewhere = |answer: &_| {
                    let codes = wire::offsets_codes(answer, &ids);
                    codes.values().find(|code| is_elsewhere(**code)).map_or(0, |code| code.code())
                };
                let kind = CoordinatorKind::Group;
                let asked = self.coordinator_of(kind, &group.group_id, ours, request, elsewhere);
                asked.await.reply(|it| Reply::Partitions(wire::offsets_codes(&it, &ids)))
            }
            Call::End { identity, protocol, decision } => {
                let request = wire::end_request(id, identity, decision);
                let ours = wire::end_versions(protocol);
                let asked = self.of_transaction(ours, request, |it| it.error_code).await;
                asked.reply(|answer| Reply::Identity(wire::end_reply(&answer)))
            }
        }
    }

    async fn of_transaction<R>(
        &self,
        ours: VersionRange,
        request: R,
        code: impl Fn(&R::Response) -> i16,
    ) -> Asked<R::Response>
    where
        R: Request + Clone + Send + Sync + 'static,
        R::Response: Send + 'static,
    {
        self.coordinator_of(CoordinatorKind::Transaction, &self.id, ours, request, code).await
    }

    /// Asks a coordinator once. One that says it is none, or is not there, is forgotten; one that
    /// does not answer is doubted, and left if another has taken over.
    async fn coordinator_of<R>(
        &self,
        kind: CoordinatorKind,
        key: &str,
        ours: VersionRange,
        request: R,
        code: impl Fn(&R::Response) -> i16,
    ) -> Asked<R::Response>
    where
        R: Request + Clone + Send + Sync + 'static,
        R::Response: Send + 'static,
    {
        let deadline = Deadline::after(self.client.runtime().now(), self.request_timeout);
        let node = match self.client.coordinator(kind, key, deadline).await {
            Ok(node) => node,
            Err(error) => return Asked::Failed(Arc::new(error)),
        };
        let link = self.link(node);
        let answer = link.call_within(ours, move |_| request.clone(), self.request_timeout);
        let answered = tokio::select! {
            biased;
            answered = answer => answered,
            () = self.moved(kind, key, node) => return Asked::Moved,
        };
        match answered {
            Ok(Answered { response, .. }) => {
                if is_elsewhere(ErrorCode::from_code(code(&response))) {
                    self.client.forget_coordinator(kind, key, node);
                }
                Asked::Answer(response)
            }
            Err(error) => {
                self.client.forget_coordinator(kind, key, node);
                Asked::Failed(Arc::new(error))
            }
        }
    }

    /// Ends when another broker coordinates than `node`.
    async fn moved(&self, kind: CoordinatorKind, key: &str, node: NodeId) {
        let runtime = self.client.runtime();
        loop {
            runtime.sleep(DOUBT).await;
            self.client.forget_coordinator(kind, key, node);
            let deadline = Deadline::after(runtime.now(), self.request_timeout);
            let found = self.client.coordinator(kind, key, deadline).await;
            if found.is_ok_and(|found| found != node) {
                return;
            }
        }
    }

    /// The connection to a coordinator. Those to brokers that are none any more are closed.
    fn link(&self, node: NodeId) -> Arc<CallLink> {
        let mut links = self.links.lock();
        if links.len() >= MOST_LINKS {
            links.retain(|known, _| *known == node);
        }
        let open = || Arc::new(self.client.open_calls(node, Purpose::Transaction));
        Arc::clone(links.entry(node).or_insert_with(open))
    }

    fn topic_ids(&self, offsets: &Offsets) -> TopicIds {
        let snapshot = self.client.snapshot();
        let id = |name| snapshot.topic(name).and_then(|topic| topic.id);
        offsets
            .keys()
            .filter_map(|partition| Some((partition.topic.clone(), id(&partition.topic)?)))
            .collect()
    }
}

/// Whether a broker says that another one is the coordinator.
fn is_elsewhere(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable)
}

/// How long a coordinator may be silent before another broker is asked whether it still is the one,
/// and again after that.
const DOUBT: Duration = Duration::from_millis(1_500);

/// Connections to coordinators: of the transaction, of a group or two, and of those before.
const MOST_LINKS: usize = 8;
