//! The task that asks leaders where partitions begin, end, and part from what was read.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::error::RequestError;
use ottla_core::net::Target;
use ottla_core::retry::Deadline;

use super::Shared;
use crate::machine::fetch::{Lookup, LookupKind};

/// Asks what is to be asked, until the consumer is closed. Lookups go over connections of their own,
/// because a fetch that waits would make them wait; one that is slow delays no other.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        let now = shared.now();
        let wall_clock = shared.client().runtime().wall_clock_ms();
        let (lookups, timeout) = shared.with(|fetcher| {
            fetcher.handle_timeout(now);
            (fetcher.poll_lookups(wall_clock), fetcher.next_timeout())
        });
        for lookup in lookups {
            let asking = ask(Arc::clone(&shared), lookup);
            shared.client().runtime().spawn("consumer lookup", asking);
        }
        tokio::select! {
            biased;
            () = shared.lookups_wanted() => {}
            () = shared.client().runtime().sleep_until(timeout) => {}
        }
        if !shared.is_open() {
            return;
        }
    }
}

async fn ask(shared: Arc<Shared>, lookup: Lookup) {
    let outcome = {
        let runtime = shared.client().runtime();
        let mut answer = Box::pin(call(&shared, &lookup));
        loop {
            tokio::select! {
                biased;
                outcome = &mut answer => break outcome,
                // The machine asks another broker as soon as the metadata shows one.
                () = runtime.sleep(STALL) => shared.client().suspect(lookup.node),
            }
        }
    };
    let now = shared.now();
    shared.with(|fetcher| match outcome {
        Ok(answers) => {
            for (item, answer) in lookup.items.iter().zip(answers) {
                match lookup.kind {
                    LookupKind::Offsets => fetcher.handle_offset(item, answer, now),
                    LookupKind::Epochs => fetcher.handle_epoch_end(item, answer, now),
                }
            }
        }
        Err(RequestError::UnsupportedVersion { .. }) if lookup.kind == LookupKind::Epochs => {
            fetcher.handle_epochs_unsupported(&lookup, now);
        }
        Err(_) => fetcher.handle_lookup_failure(&lookup, now),
    });
}

async fn call(
    shared: &Shared,
    lookup: &Lookup,
) -> Result<Vec<crate::machine::fetch::Found>, RequestError> {
    let client = shared.client();
    let deadline = Deadline::after(shared.now(), client.config().request_timeout);
    let target = Target::Node(lookup.node);
    Ok(match lookup.kind {
        LookupKind::Offsets => {
            let request = lookup.list_offsets(shared.config().isolation_level);
            lookup.read_offsets(&client.call(&target, &request, deadline).await?)
        }
        LookupKind::Epochs => {
            let request = lookup.offset_for_leader_epoch();
            lookup.read_epoch_ends(&client.call(&target, &request, deadline).await?)
        }
    })
}

/// How long a leader that is well may take.
const STALL: Duration = Duration::from_secs(1);
