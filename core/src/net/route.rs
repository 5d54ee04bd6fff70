//! From whom a call is for to who answers it.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::{ErrorClass, ErrorCode, Request};

use super::anyone;
use super::calls::Answered;
use super::client::Target;
use super::link::LinkTarget;
use super::lookup;
use super::shared::Shared;
use crate::error::{Certainty, CloseReason, RequestError};
use crate::retry::{Backoff, Deadline};

/// Asks `target` until it answers or the deadline passes.
pub(super) async fn call<R, F>(
    shared: &Arc<Shared>,
    target: &Target,
    build: &F,
    deadline: Deadline,
) -> Result<Answered<R::Response>, RequestError>
where
    R: Request + 'static,
    R::Response: Send + 'static,
    F: Fn(i16) -> R + Clone + Send + Sync + 'static,
{
    let (config, runtime) = (shared.config(), shared.runtime());
    let mut attempts = Attempts::begin(shared, deadline);
    while let Some(timeout) = deadline.attempt(runtime.now(), config.request_timeout) {
        let answered = match target {
            Target::AnyBroker => anyone::ask(shared, build.clone(), timeout).await,
            Target::Node(_) | Target::Controller | Target::Coordinator(..) => {
                one(shared, target, build, deadline, timeout).await
            }
        };
        match answered {
            Ok(answered) => return Ok(answered),
            Err(error) => attempts.failed(error)?,
        }
        shared.request_refresh();
        attempts.pause().await;
    }
    Err(attempts.too_late())
}

/// Asks the one broker that answers for `target` now.
async fn one<R, F>(
    shared: &Arc<Shared>,
    target: &Target,
    build: &F,
    deadline: Deadline,
    timeout: Duration,
) -> Result<Answered<R::Response>, RequestError>
where
    R: Request + 'static,
    R::Response: Send + 'static,
    F: Fn(i16) -> R + Clone + Send + Sync + 'static,
{
    let link = route(shared, target, deadline).await?;
    let timeout = timeout.min(deadline.left(shared.runtime().now()));
    let answered = shared.control(link.clone()).call_versioned(build.clone(), timeout).await;
    answered.inspect_err(|_| forget(shared, target, &link))
}

/// Who answers for `target` now.
async fn route(
    shared: &Arc<Shared>,
    target: &Target,
    deadline: Deadline,
) -> Result<LinkTarget, RequestError> {
    let snapshot = shared.snapshot();
    match target {
        Target::Node(node) => Ok(LinkTarget::Node(*node)),
        Target::AnyBroker => any_broker(shared),
        Target::Controller => match snapshot.controller {
            Some(node) => Ok(LinkTarget::Node(node)),
            None => any_broker(shared),
        },
        Target::Coordinator(kind, key) => {
            lookup::coordinator(shared, *kind, key, deadline).await.map(LinkTarget::Node)
        }
    }
}

fn any_broker(shared: &Arc<Shared>) -> Result<LinkTarget, RequestError> {
    let candidates = shared.metadata().candidates(shared.runtime().random());
    candidates
        .into_iter()
        .next()
        .map(LinkTarget::from)
        .ok_or(RequestError::Unroutable { code: ErrorCode::BrokerNotAvailable })
}

fn forget(shared: &Arc<Shared>, target: &Target, asked: &LinkTarget) {
    if let (Target::Coordinator(kind, key), LinkTarget::Node(node)) = (target, asked) {
        shared.coordinators().forget(*kind, key, *node);
    }
}

/// What the attempts of one call came to.
struct Attempts<'a> {
    shared: &'a Arc<Shared>,
    deadline: Deadline,
    within: Duration,
    backoff: Backoff,
    certainty: Certainty,
    last: Option<Arc<RequestError>>,
}

impl<'a> Attempts<'a> {
    fn begin(shared: &'a Arc<Shared>, deadline: Deadline) -> Self {
        let config = shared.config();
        Self {
            shared,
            deadline,
            within: deadline.left(shared.runtime().now()),
            backoff: Backoff::new(config.retry_backoff, config.retry_backoff_max),
            certainty: Certainty::NotWritten,
            last: None,
        }
    }

    /// Remembers a failure that another attempt may solve; gives back one that it cannot.
    fn failed(&mut self, error: RequestError) -> Result<(), RequestError> {
        let lost = matches!(&error, RequestError::Connection { reason, .. } if is_passing(reason));
        if !lost && !error.class().is_retriable() {
            return Err(error);
        }
        self.certainty = self.certainty.max(error.certainty());
        self.last = Some(Arc::new(error));
        Ok(())
    }

    async fn pause(&mut self) {
        let runtime = self.shared.runtime();
        let delay = self.backoff.fail(runtime.random());
        runtime.sleep(delay.min(self.deadline.left(runtime.now()))).await;
    }

    fn too_late(self) -> RequestError {
        let Self { within, certainty, last, .. } = self;
        RequestError::DeadlineExceeded { within, certainty, last }
    }
}

/// Whether a link that ended for `reason` says nothing about the broker: it was closed because
/// nobody needed it, and the next call opens another.
fn is_passing(reason: &CloseReason) -> bool {
    matches!(reason, CloseReason::Released) || reason.class() == ErrorClass::Retriable
}
