//! The task that keeps the metadata.

use std::sync::Arc;

use ottla_protocol::messages::{MetadataRequest, MetadataResponse};

use super::anyone;
use super::calls::Answered;
use super::link::LinkTarget;
use super::shared::Shared;
use crate::cluster::Refresh;
use crate::error::{Certainty, RequestError};

/// Learns which brokers there are, from the first bootstrap server that answers.
pub(super) async fn bootstrap(shared: &Arc<Shared>) -> Result<(), RequestError> {
    match next_refresh(shared).await {
        Some(refresh) => settle(shared, ask(shared, refresh).await),
        None => Err(RequestError::Closed { certainty: Certainty::NotWritten }),
    }
}

/// Asks for metadata whenever the machine wants to know something, until the client is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    while let Some(refresh) = next_refresh(&shared).await {
        let answered = ask(&shared, refresh).await;
        if let Err(error) = settle(&shared, answered) {
            tracing::warn!(%error, "no broker answers a request for metadata");
        }
    }
}

/// Waits until the machine wants to ask something; `None` when the client is closed.
async fn next_refresh(shared: &Arc<Shared>) -> Option<Refresh> {
    let runtime = shared.runtime();
    while !shared.is_closed() {
        let (refresh, timeout) = {
            let mut metadata = shared.metadata();
            let refresh = metadata.poll_request(runtime.now(), runtime.random());
            (refresh, metadata.next_timeout())
        };
        if refresh.is_some() {
            return refresh;
        }
        tokio::select! {
            biased;
            () = shared.stirred() => {}
            () = runtime.sleep_until(timeout) => {}
        }
    }
    None
}

async fn ask(
    shared: &Arc<Shared>,
    refresh: Refresh,
) -> Result<Answered<MetadataResponse>, RequestError> {
    let timeout = shared.config().request_timeout;
    let may_create = shared.config().allow_auto_create_topics;
    let request = move |version| -> MetadataRequest { refresh.request(version, may_create) };
    anyone::ask(shared, request, timeout).await
}

/// Gives the machine what came of its request.
fn settle(
    shared: &Arc<Shared>,
    answered: Result<Answered<MetadataResponse>, RequestError>,
) -> Result<(), RequestError> {
    let runtime = shared.runtime();
    let now = runtime.now();
    match answered {
        Ok(Answered { response, version }) => {
            let snapshot = shared.metadata().handle_answer(&response, version, now);
            if let Some(snapshot) = snapshot {
                shared.publish(&snapshot, now);
                // From here on brokers are reached by the addresses that they advertise. By now those
                // may be more than the answer had.
                let snapshot = shared.snapshot();
                shared.forget_control(|target| match target {
                    LinkTarget::Node(node) => snapshot.brokers.contains_key(node),
                    LinkTarget::Bootstrap(_) => snapshot.brokers.is_empty(),
                });
            } else {
                // That nothing changed is an answer too, to whoever waits for one about a topic.
                shared.snapshot.nudge();
            }
            Ok(())
        }
        Err(error) => {
            shared.metadata().handle_failure(now, runtime.random());
            Err(error)
        }
    }
}
