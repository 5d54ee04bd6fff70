//! The task that finds coordinators.

use std::sync::Arc;
use std::time::Instant;

use ottla_protocol::messages::FindCoordinatorResponse;

use super::anyone;
use super::calls::Answered;
use super::shared::Shared;
use crate::cluster::{Coordinator, CoordinatorKind, LeaderHints, Lookup};
use crate::error::{Certainty, RequestError};
use crate::retry::Deadline;
use crate::types::NodeId;

/// Looks coordinators up whenever somebody waits for one, until the client is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    while let Some(lookup) = next_lookup(&shared).await {
        let asked = lookup.clone();
        let timeout = shared.config().request_timeout;
        let answered = anyone::ask(&shared, move |version| asked.request(version), timeout).await;
        settle(&shared, &lookup, answered);
    }
}

/// The coordinator of a group or a transactional id.
pub(super) async fn coordinator(
    shared: &Arc<Shared>,
    kind: CoordinatorKind,
    key: &str,
    deadline: Deadline,
) -> Result<NodeId, RequestError> {
    let runtime = shared.runtime();
    let since = runtime.now();
    let mut settled = shared.lookups_settled();
    loop {
        // Looked at before waiting, too: nothing settles any more.
        if shared.is_closed() {
            return Err(RequestError::Closed { certainty: Certainty::NotWritten });
        }
        match find(shared, kind, key, since) {
            Coordinator::Known(node) => return Ok(node),
            Coordinator::Refused(code) => return Err(RequestError::Unroutable { code }),
            Coordinator::Searching => shared.stir_lookups(),
        }
        tokio::select! {
            biased;
            () = settled.changed() => {}
            () = runtime.sleep_until(Some(deadline.instant())) => {
                return Err(shared.too_late(since, deadline));
            }
        }
    }
}

fn find(shared: &Shared, kind: CoordinatorKind, key: &str, since: Instant) -> Coordinator {
    shared.coordinators().find(kind, key, since, shared.runtime().now())
}

/// Waits until somebody waits for a coordinator; `None` when the client is closed.
async fn next_lookup(shared: &Arc<Shared>) -> Option<Lookup> {
    let runtime = shared.runtime();
    while !shared.is_closed() {
        let (lookup, timeout) = {
            let mut coordinators = shared.coordinators();
            (coordinators.poll_request(runtime.now()), coordinators.next_timeout())
        };
        if lookup.is_some() {
            return lookup;
        }
        tokio::select! {
            biased;
            () = shared.lookups_stirred() => {}
            () = runtime.sleep_until(timeout) => {}
        }
    }
    None
}

fn settle(
    shared: &Shared,
    lookup: &Lookup,
    answered: Result<Answered<FindCoordinatorResponse>, RequestError>,
) {
    let (now, random) = (shared.runtime().now(), shared.runtime().random());
    match answered {
        Ok(Answered { response, version }) => {
            let endpoints =
                shared.coordinators().handle_answer(lookup, &response, version, now, random);
            shared.learn(&LeaderHints { endpoints, ..LeaderHints::default() });
        }
        Err(error) => {
            tracing::warn!(%error, kind = ?lookup.kind, "no broker names the coordinator");
            shared.coordinators().handle_failure(lookup, now, random);
            shared.request_refresh();
        }
    }
    shared.tell_lookups();
}
