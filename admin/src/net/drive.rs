//! The loop that carries a plan out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ottla_core::cluster::CoordinatorKind;
use ottla_core::error::RequestError;
use ottla_core::net::{Answered, Client, Target};
use ottla_core::retry::Deadline;

use super::racing::Racing;
use crate::Results;
use crate::call::{
    AdminCall, Ask, Asked, Effect, Found, Lookup, Place, Plan, ResponseOf, Settings,
};

/// Carries `call` out for all of `keys`, which may be none. It returns at the deadline at the
/// latest.
///
/// # Cancel safety
///
/// Cancel safe, in that the client stays usable; what was asked may be done.
pub(super) async fn drive<C: AdminCall>(
    client: &Client,
    call: C,
    keys: impl IntoIterator<Item = C::Key> + Send,
    deadline: Deadline,
) -> Results<C::Key, C::Value> {
    let call = Arc::new(call);
    let mut racing = Racing::new();
    let mut plan = {
        let (now, snapshot) = (client.runtime().now(), client.snapshot());
        Plan::new(Arc::clone(&call), keys, Settings::from(client.config()), snapshot, deadline, now)
    };
    let mut seen = client.snapshot().version;
    loop {
        while let Some(effect) = plan.poll_effect(client.runtime().now()) {
            begin(client, &call, effect, deadline, &mut racing);
        }
        if plan.is_done() {
            return plan.into_results();
        }
        tokio::select! {
            biased;
            event = racing.next() => handle(client, &mut plan, event),
            changed = client.changed(seen, deadline) => match changed {
                Ok(snapshot) => {
                    seen = snapshot.version;
                    plan.handle_snapshot(snapshot, client.runtime().now());
                }
                Err(RequestError::DeadlineExceeded { .. }) => {
                    hear_out(client, &mut plan, &mut racing).await;
                    plan.handle_timeout(client.runtime().now());
                }
                Err(error) => plan.fail_all(&error),
            },
            () = client.runtime().sleep_until(Some(plan.next_timeout())) => {
                if deadline.is_over(client.runtime().now()) {
                    hear_out(client, &mut plan, &mut racing).await;
                }
                plan.handle_timeout(client.runtime().now());
            }
        }
    }
}

/// Lets requests that end with their call say why there was no answer.
async fn hear_out<C: AdminCall>(
    client: &Client,
    plan: &mut Plan<C>,
    racing: &mut Racing<Event<C>>,
) {
    let (now, runtime) = (client.runtime().now(), client.runtime());
    while !plan.is_done() && !racing.is_empty() {
        tokio::select! {
            biased;
            event = racing.next() => handle(client, plan, event),
            () = runtime.sleep_until(Some(now + LAST_WORD)) => return,
        }
    }
}

/// What a last word may take once the time is up.
const LAST_WORD: Duration = Duration::from_millis(5);

/// What became of an effect.
enum Event<C: AdminCall> {
    Found(Lookup, Result<Found, RequestError>),
    Answered { id: u64, outcome: Result<Answered<ResponseOf<C>>, RequestError>, attempts: u32 },
}

fn begin<C: AdminCall>(
    client: &Client,
    call: &Arc<C>,
    effect: Effect<C::Key>,
    deadline: Deadline,
    racing: &mut Racing<Event<C>>,
) {
    match effect {
        Effect::LookUp(lookup) => racing.push(look_up(client.clone(), lookup, deadline)),
        Effect::Ask(ask) => racing.push(answer(client.clone(), Arc::clone(call), ask, deadline)),
        Effect::Refresh => client.request_refresh(),
        Effect::Forget(group, node) => {
            client.forget_coordinator(CoordinatorKind::Group, &group, node);
        }
    }
}

async fn look_up<C: AdminCall>(client: Client, lookup: Lookup, deadline: Deadline) -> Event<C> {
    let found = match &lookup {
        Lookup::Topic(name) => client.topic(name, deadline).await.map(Found::Topic),
        Lookup::Coordinator(group) => client
            .coordinator(CoordinatorKind::Group, group, deadline)
            .await
            .map(Found::Coordinator),
        Lookup::Cluster => client.refreshed(deadline).await.map(Found::Cluster),
    };
    Event::Found(lookup, found)
}

async fn answer<C: AdminCall>(
    client: Client,
    call: Arc<C>,
    ask: Ask<C::Key>,
    deadline: Deadline,
) -> Event<C> {
    let Ask { id, place, keys, timeout } = ask;
    let target = match place {
        Place::AnyBroker => Target::AnyBroker,
        Place::Controller => Target::Controller,
        Place::Node(node) => Target::Node(node),
    };
    // The request is built anew for each connection that it is written to.
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    let build = move |version| {
        counter.fetch_add(1, Ordering::Relaxed);
        call.request(&Asked { keys: &keys, version, place, timeout })
    };
    let outcome = client.call_versioned(&target, build, deadline).await;
    Event::Answered { id, outcome, attempts: attempts.load(Ordering::Relaxed) }
}

fn handle<C: AdminCall>(client: &Client, plan: &mut Plan<C>, event: Event<C>) {
    let (now, random) = (client.runtime().now(), client.runtime().random());
    match event {
        Event::Found(lookup, found) => plan.handle_lookup(&lookup, found, now, random),
        Event::Answered { id, outcome: Ok(Answered { response, version }), attempts } => {
            plan.handle_answer(id, version, response, attempts, now, random);
        }
        Event::Answered { id, outcome: Err(error), .. } => {
            tracing::debug!(%error, "an administrative request got no answer");
            plan.handle_failure(id, &error);
        }
    }
}
