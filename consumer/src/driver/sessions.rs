//! The end of the fetch sessions.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use ottla_core::net::{Client, Target};
use ottla_core::retry::Deadline;
use ottla_core::types::NodeId;
use ottla_protocol::messages::FetchRequest;

/// Tells brokers that sessions are over, so that they need not keep them until others need the room.
/// Goes over connections for calls, because those of the fetches may be waiting for records.
pub(super) async fn end(client: Client, last: Vec<(NodeId, FetchRequest)>, deadline: Deadline) {
    let now = client.runtime().now();
    let deadline = Deadline::after(now, deadline.left(now).min(PATIENCE));
    let mut calls: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
    for (node, request) in last {
        let client = client.clone();
        calls.push(Box::pin(async move {
            if let Err(error) = client.call(&Target::Node(node), &request, deadline).await {
                tracing::debug!(%node, %error, "the fetch session was not closed");
            }
        }));
    }
    let ended = poll_fn(|cx| {
        calls.retain_mut(|call| call.as_mut().poll(cx).is_pending());
        if calls.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    });
    // A call over a connection that is throttled may outlast its own deadline; a close may not.
    tokio::select! {
        biased;
        () = ended => {}
        () = client.runtime().sleep_until(Some(deadline.instant())) => {}
    }
}

/// How long a close waits for it: a broker forgets a session by itself, later.
const PATIENCE: Duration = Duration::from_millis(100);
