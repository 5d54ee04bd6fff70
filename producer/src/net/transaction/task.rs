//! The task that brings transactions about.

use std::future::pending;
use std::sync::Arc;

use super::calls::{Asking, Calls};
use crate::accumulator::Enlistment;
use crate::machine::transaction::Reply;
use crate::net::shared::Shared;

/// Sends what the machine wants to be sent, and does what follows from the answers, until it is
/// stopped. What was begun goes on whoever waits for it.
pub(in crate::net) async fn run(shared: Arc<Shared>) {
    let common = &shared.accumulator.common;
    let Some(transaction) = &common.transaction else { return };
    let (id, timeout) = {
        let machine = transaction.machine();
        (machine.id().clone(), machine.timeout())
    };
    let (client, runtime) = (shared.client.clone(), shared.client.runtime());
    let calls = Calls::new(client, id, timeout, common.config.request_timeout);
    let mut asking = None;
    loop {
        let timeout = advance(&shared, transaction, &calls, &mut asking);
        tokio::select! {
            biased;
            reply = answered(&mut asking) => handle(&shared, transaction, reply),
            () = shared.signals.transaction.notified() => {}
            () = runtime.sleep_until(timeout) => {
                transaction.machine().handle_timeout(runtime.now());
            }
        }
    }
}

/// Does what needs no waiting, and says when to look again.
fn advance(
    shared: &Arc<Shared>,
    transaction: &Enlistment,
    calls: &Arc<Calls>,
    asking: &mut Option<Asking>,
) -> Option<std::time::Instant> {
    settle_batches(shared, transaction);
    let now = shared.client.runtime().now();
    let (call, awaits, timeout) = {
        let mut machine = transaction.machine();
        let call = machine.poll_call(now);
        (call, machine.awaits_reply(), machine.next_timeout())
    };
    match call {
        Some(call) => *asking = Some(calls.ask(call)),
        None if !awaits => *asking = None,
        None => {}
    }
    let ended = transaction.machine().needs_release();
    if ended {
        transaction.release();
        transaction.machine().handle_released();
    }
    shared.signals.transactions.notify_waiters();
    timeout
}

/// Gives batches up, or lets them go, as the transaction's state wants.
fn settle_batches(shared: &Arc<Shared>, transaction: &Enlistment) {
    let common = &shared.accumulator.common;
    let (abandonment, drains) = {
        let machine = transaction.machine();
        (machine.abandonment(), machine.awaits_drain())
    };
    if let Some(why) = abandonment {
        transaction.abandon(&why, common);
    }
    if drains {
        transaction.drain(common);
        if let Some(gaps) = transaction.drained() {
            transaction.machine().handle_drained(gaps);
        }
    }
}

fn handle(shared: &Arc<Shared>, transaction: &Enlistment, reply: Reply) {
    let runtime = shared.client.runtime();
    let (now, random) = (runtime.now(), runtime.random());
    let admitted = transaction.machine().handle_reply(reply, now, random);
    if let Some((identity, partitions)) = admitted {
        transaction.admit(&partitions, identity, &shared.accumulator.common);
    }
}

/// What comes of the request under way.
async fn answered(asking: &mut Option<Asking>) -> Reply {
    let Some(under_way) = asking else { return pending().await };
    let reply = under_way.await;
    *asking = None;
    reply
}
