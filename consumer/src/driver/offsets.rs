//! Asking leaders for offsets, for a caller who waits.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use ottla_core::error::RequestError;
use ottla_core::net::{Client, Target};
use ottla_core::retry::{Backoff, Deadline};
use ottla_core::types::{NodeId, TopicPartition};
use ottla_protocol::messages::ListOffsetsResponse;

use crate::config::IsolationLevel;
use crate::error::ConsumerError;
use crate::machine::OffsetSpec;
use crate::machine::offsets::{FoundOffsets, OffsetCall, OffsetQuery, OffsetRefusal};

/// Asks the leaders until all is known. A leader that is silent is asked no longer once metadata
/// shows another.
pub(crate) async fn find(
    client: &Client,
    wanted: BTreeMap<TopicPartition, OffsetSpec>,
    isolation: IsolationLevel,
    deadline: Deadline,
) -> Result<FoundOffsets, ConsumerError> {
    let (runtime, config) = (client.runtime(), client.config());
    let backoff = Backoff::new(config.retry_backoff, config.retry_backoff_max);
    let mut query = OffsetQuery::new(wanted, isolation, backoff);
    let _in_use = client.use_topics(query.topics());
    let mut calls = Calls::default();
    loop {
        let snapshot = client.snapshot();
        for call in query.poll_calls(&snapshot, runtime.now()) {
            calls.put(client.clone(), call, deadline);
        }
        if let Some(found) = query.poll_found() {
            return Ok(found);
        }
        if query.poll_refresh() {
            client.request_refresh();
        }
        tokio::select! {
            biased;
            (node, answer) = calls.next() => {
                let (now, random) = (runtime.now(), runtime.random());
                match answer {
                    Ok(answer) => query.handle_answer(node, &answer, now, random)?,
                    Err(error) if error.class().is_retriable() => {
                        query.handle_failure(node, now, random);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            changed = client.changed(snapshot.version, deadline) => {
                changed.map_err(|error| late(&query, error))?;
            }
            () = runtime.sleep_until(query.next_timeout()) => {}
        }
    }
}

/// What the brokers said last says more than that there was no time left.
fn late(query: &OffsetQuery, error: RequestError) -> ConsumerError {
    match (query.last_refusal(), &error) {
        (Some(refusal), RequestError::DeadlineExceeded { .. }) => refusal.into(),
        _ => error.into(),
    }
}

impl From<OffsetRefusal> for ConsumerError {
    fn from(OffsetRefusal { partition, code }: OffsetRefusal) -> Self {
        Self::Offsets { partition, code }
    }
}

/// Requests under way.
#[derive(Default)]
struct Calls(Vec<Pin<Box<dyn Future<Output = Answer> + Send>>>);

type Answer = (NodeId, Result<ListOffsetsResponse, RequestError>);

impl Calls {
    fn put(&mut self, client: Client, call: OffsetCall, deadline: Deadline) {
        self.0.push(Box::pin(async move {
            let OffsetCall { node, request } = call;
            let target = Target::Node(node);
            let mut answer = Box::pin(client.call(&target, &request, deadline));
            loop {
                tokio::select! {
                    biased;
                    answer = &mut answer => return (node, answer),
                    () = client.runtime().sleep(STALL) => client.suspect(node),
                }
            }
        }));
    }

    /// The next answer; never, without calls.
    async fn next(&mut self) -> Answer {
        poll_fn(|cx| {
            for at in 0..self.0.len() {
                let Some(call) = self.0.get_mut(at) else { break };
                if let Poll::Ready(answer) = call.as_mut().poll(cx) {
                    drop(self.0.swap_remove(at));
                    return Poll::Ready(answer);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// How long a leader that is well may take.
const STALL: Duration = Duration::from_secs(1);
