//! Questions that any broker can answer.

use std::sync::Arc;

use ottla_protocol::Request;

use super::calls::Answered;
use super::race::{PATIENCE, first_success};
use super::shared::Shared;
use crate::error::{Certainty, RequestError};

/// Asks one broker after the other, the best first: the next joins when one fails, or has not
/// answered for a while. A broker that hangs costs that while, not its timeout.
pub(super) async fn ask<R, F>(
    shared: &Arc<Shared>,
    build: F,
) -> Result<Answered<R::Response>, RequestError>
where
    R: Request + 'static,
    R::Response: Send + 'static,
    F: Fn(i16) -> R + Clone + Send + Sync + 'static,
{
    let candidates = shared.metadata().candidates(shared.runtime().random());
    let attempts = candidates.into_iter().map(|candidate| {
        let (shared, build) = (Arc::clone(shared), build.clone());
        async move {
            let link = shared.control(candidate.into());
            link.call_versioned(build, shared.config().request_timeout).await
        }
    });
    first_success(attempts, PATIENCE).await.map_err(|failure| {
        failure.unwrap_or(RequestError::Closed { certainty: Certainty::NotWritten })
    })
}
