//! What the rules do to requests and answers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_protocol::wire::RecordChunks;
use ottla_protocol::{AnyResponse, ApiKey, ErrorCode};

use super::{Act, Damage, Edit, Hits, Injection, Rule, RuleId, Then};
use crate::world::catalog::{Catalog, TopicKey};
use crate::world::{Context, Flow, Prepared, Reply, Resume, WaitKey, Why, World};

impl World {
    /// Adds a rule behind those that are there.
    pub fn add_rule(&mut self, rule: Rule) -> RuleId {
        RuleId(self.faults.add(rule))
    }

    /// Takes a rule away. Requests that it holds stay held until their gate opens.
    pub fn remove_rule(&mut self, id: RuleId) {
        self.faults.remove(id.0);
    }

    /// How many requests a rule has acted on, though it may be gone by now.
    #[must_use]
    pub fn hits(&self, id: RuleId) -> u32 {
        self.faults.hits(id.0)
    }

    /// Lets the requests go on that an [`Act::Hold`] rule holds, and takes the rule away.
    pub fn open_gate(&mut self, id: RuleId) {
        self.remove_rule(id);
        self.wake(&WaitKey::Gate(id.0));
    }

    /// Serves a request as the rules have it.
    pub(crate) fn admit(&mut self, cx: &Context, request: Prepared) -> Flow {
        let Some((id, act)) = self.faults.pick(cx, request.api()) else {
            return self.serve(cx, request);
        };
        let then = match act {
            Act::Respond(code) => return self.serve_injected(cx, request, id, code),
            Act::ApplyThenRespond(code) => return self.serve_twice(cx, request, id, code),
            Act::DropBefore => return Flow::Close,
            Act::Delay(by) => {
                return self.park(&[], cx.now.mono.checked_add(by), Resume::Held(request));
            }
            Act::Hang => return self.park(&[], None, Resume::Answer(None)),
            Act::Hold => return self.park(&[WaitKey::Gate(id)], None, Resume::Held(request)),
            Act::ApplyThenDrop => Then::Drop,
            Act::ApplyThenDelay(by) => Then::Delay(by),
            Act::ApplyThenHang => Then::Hang,
            Act::Throttle(by) => Then::Throttle(by),
            Act::Edit(edit) => Then::Edit(edit),
            Act::CorruptRecords => Then::CorruptRecords(id),
            Act::CorruptAnswer => Then::Damage(Damage::Flip),
            Act::CutAfter(bytes) => Then::Damage(Damage::Cut(bytes)),
        };
        let flow = self.serve(cx, request);
        self.finish(cx, flow, Some(then))
    }

    fn serve_injected(
        &mut self,
        cx: &Context,
        request: Prepared,
        id: u64,
        code: ErrorCode,
    ) -> Flow {
        let injection = self.faults.injection(id, code);
        let cx = Context { injection, ..cx.clone() };
        let flow = self.serve_reading(&cx, request);
        if cx.injection.is_some_and(|injection| injection.met.load(Ordering::Relaxed)) {
            self.faults.count(id);
        }
        flow
    }

    /// First the items that the rule is meant for are done and nobody is told, then the others,
    /// while the first are said to have failed: each is done once.
    fn serve_twice(&mut self, cx: &Context, request: Prepared, id: u64, code: ErrorCode) -> Flow {
        let injection = self.faults.injection(id, code);
        let applies = injection.filter(|injection| injection.hits == Hits::Meant);
        // A fetch that is read twice would advance its session twice.
        let applies = applies.filter(|_| request.api() != ApiKey::Fetch);
        if let Some(injection) = applies {
            let injection = Some(Injection { hits: Hits::Others, ..injection });
            let first = Context { injection, ..cx.clone() };
            if let Flow::Park(parked) = self.serve_reading(&first, request.clone()) {
                self.abandon(&parked);
            }
        }
        self.serve_injected(cx, request, id, code)
    }

    /// As [`serve`](Self::serve), and reads records at once, so under the lock: the injection is
    /// part of the context, which a parked request does not keep.
    fn serve_reading(&mut self, cx: &Context, request: Prepared) -> Flow {
        match self.serve(cx, request) {
            Flow::Park(mut parked) => match parked.read_records() {
                true => self.resume(cx, *parked, Why::Woken),
                false => Flow::Park(parked),
            },
            flow => flow,
        }
    }

    /// Does to an answer what a rule wants done after the request was served.
    pub(crate) fn finish(&mut self, cx: &Context, flow: Flow, then: Option<Then>) -> Flow {
        match (flow, then) {
            (Flow::Park(mut parked), then) => {
                parked.then = parked.then.or(then);
                Flow::Park(parked)
            }
            (Flow::Close, _) | (_, Some(Then::Drop)) => Flow::Close,
            (_, Some(Then::Hang)) => self.park(&[], None, Resume::Answer(None)),
            (Flow::Reply(reply), Some(then)) => self.change_reply(cx, reply, then),
            (flow, _) => flow,
        }
    }

    fn change_reply(&mut self, cx: &Context, mut reply: Reply, then: Then) -> Flow {
        match then {
            Then::Delay(by) => {
                let until = cx.now.mono.checked_add(by);
                return self.park(&[], until, Resume::Answer(Some(reply)));
            }
            Then::Throttle(by) => {
                reply.mute = by;
                set_throttle(&mut reply.response, by);
            }
            Then::Edit(Edit(change)) => change(&mut reply.response),
            Then::CorruptRecords(id) => self.corrupt_records(id, &mut reply.response),
            Then::Damage(damage) => reply.damage = Some(damage),
            Then::Drop | Then::Hang => {}
        }
        Flow::Reply(reply)
    }

    /// Flips a bit of the first records that the rule is meant for, if it is not gone by now.
    fn corrupt_records(&mut self, id: u64, response: &mut AnyResponse) {
        let Some(rule) = self.faults.rules.get(&id) else { return };
        if let Some(records) = fetched(response, rule, &self.catalog)
            && self.faults.count(id)
        {
            flip_last_bit(records);
        }
    }
}

/// The first records in an answer that a rule is meant for.
fn fetched<'a>(
    response: &'a mut AnyResponse,
    rule: &Rule,
    catalog: &Catalog,
) -> Option<&'a mut RecordChunks> {
    let AnyResponse::Fetch(answer) = response else { return None };
    answer.responses.iter_mut().find_map(|topic| {
        let by_id = topic.topic.is_empty();
        let key = TopicKey::of(&topic.topic, topic.topic_id, by_id);
        let name = catalog.topic(key).map(|topic| topic.name.clone()).unwrap_or_default();
        let meant = |index| rule.is_meant_for(&name, index);
        let rows = topic.partitions.iter_mut().filter(|row| meant(row.partition_index));
        rows.filter_map(|row| row.records.as_mut()).find(|records| !records.is_empty())
    })
}

fn flip_last_bit(records: &mut RecordChunks) {
    let mut bytes = BytesMut::from(&*std::mem::take(records).into_bytes());
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    *records = RecordChunks::from(Bytes::from(bytes));
}

/// Says in an answer that the client is throttled, if its API has a place for that.
macro_rules! set_throttle {
    ($response:ident, $ms:ident, $($api:ident)*) => {
        match $response {
            $(AnyResponse::$api(answer) => answer.throttle_time_ms = $ms,)*
            _ => {}
        }
    };
}

#[rustfmt::skip]
fn set_throttle(response: &mut AnyResponse, by: Duration) {
    let ms = i32::try_from(by.as_millis()).unwrap_or(i32::MAX);
    set_throttle!(
        response, ms,
        Produce Fetch ListOffsets Metadata OffsetCommit OffsetFetch FindCoordinator JoinGroup
        Heartbeat LeaveGroup SyncGroup DescribeGroups ListGroups ApiVersions CreateTopics
        DeleteTopics DeleteRecords InitProducerId OffsetForLeaderEpoch AddPartitionsToTxn
        AddOffsetsToTxn EndTxn TxnOffsetCommit DescribeConfigs AlterConfigs CreatePartitions
        DeleteGroups IncrementalAlterConfigs OffsetDelete DescribeCluster DescribeProducers
        DescribeTransactions ListTransactions DescribeTopicPartitions
    );
}
