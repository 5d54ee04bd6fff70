//! Questions that any broker can answer.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::{ErrorCode, Request};

use super::calls::Answered;
use super::race::{PATIENCE, first_success};
use super::shared::Shared;
use crate::error::RequestError;
use crate::retry::Deadline;

/// Asks one broker after the other, the best first: the next joins when one fails, or has not
/// answered for a while. A broker that hangs costs that while, not `timeout`, which is that of all of
/// them together.
pub(super) async fn ask<R, F>(
    shared: &Arc<Shared>,
    build: F,
    timeout: Duration,
) -> Result<Answered<R::Response>, RequestError>
where
    R: Request + 'static,
    R::Response: Send + 'static,
    F: Fn(i16) -> R + Clone + Send + Sync + 'static,
{
    let until = Deadline::after(shared.runtime().now(), timeout);
    let candidates = shared.metadata().candidates(shared.runtime().random());
    let attempts = candidates.into_iter().map(|candidate| {
        let (shared, build) = (Arc::clone(shared), build.clone());
        async move {
            let link = shared.control(candidate.into());
            link.call_versioned(build, until.left(shared.runtime().now())).await
        }
    });
    first_success(attempts, PATIENCE).await.map_err(|failure| {
        failure.unwrap_or(RequestError::Unroutable { code: ErrorCode::BrokerNotAvailable })
    })
}
