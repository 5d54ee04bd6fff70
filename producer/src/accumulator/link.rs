//! What goes to one broker.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_core::conn::{Answer, AnswerFault, Outbox, RequestSource, Token, WakeCell};
use ottla_core::error::{CloseReason, RequestError};
use ottla_core::retry::Warned;
use ottla_core::types::NodeId;
use ottla_protocol::messages::ProduceResponse;
use parking_lot::Mutex;
use tracing::Span;

use super::common::Common;
use super::partition::{Due, Partition};
use super::request::{Draft, Entry, Reading};
use crate::config::Acks;
use crate::error::Trouble;
use crate::machine::queue::{Answered, Effects, NextSend};

/// What goes to one broker: a list of partitions that may have something to send, and what is under
/// way.
///
/// A partition that has nothing to do is on no list, and nobody looks at it. As the linger is the
/// same for all, the list of opened batches is sorted by itself: it is the timer.
#[derive(Debug)]
pub(crate) struct BrokerLink {
    node: NodeId,
    common: Arc<Common>,
    lists: Mutex<Lists>,
    wake: WakeCell,
}

#[derive(Debug, Default)]
struct Lists {
    ready: VecDeque<Arc<Partition>>,
    /// Opened batches and when they are due, soonest first. One that is gone is passed over.
    opened: VecDeque<Due>,
    /// Partitions that wait out their backoff.
    delayed: BTreeMap<(Instant, u64), Arc<Partition>>,
    in_flight: BTreeMap<Token, Sent>,
    next_token: u64,
    warned: Warned,
}

/// A request under way.
#[derive(Debug)]
struct Sent {
    entries: Vec<Entry>,
    /// From when it was sent until it is answered, or known never to be.
    span: Span,
}

impl BrokerLink {
    pub(super) fn new(node: NodeId, common: Arc<Common>) -> Self {
        Self { node, common, lists: Mutex::default(), wake: WakeCell::default() }
    }

    /// Lets the link look at its lists.
    pub(super) fn wake(&self) {
        self.wake.wake();
    }

    /// Takes a partition that may have something to send; whether the link must be woken for it.
    pub(super) fn push_ready(&self, partition: Arc<Partition>) -> bool {
        let mut lists = self.lists.lock();
        lists.ready.push_back(partition);
        // With more on the list, somebody was woken and has not come yet.
        lists.ready.len() == 1
    }

    /// Takes an opened batch that is due at some time; whether the link must be woken for it.
    pub(super) fn push_opened(&self, partition: Arc<Partition>, id: u64, due: Instant) -> bool {
        let mut lists = self.lists.lock();
        lists.opened.push_back((partition, id, due));
        lists.opened.len() == 1
    }

    /// Lets go what is due, or all there is while memory is short.
    fn promote(&self, now: Instant) {
        while let Some((partition, id)) = self.pop_opened(now) {
            partition.with(&self.common, |slot, effects| {
                if slot.is_on(self) {
                    slot.queue.hurry_batch(id, effects);
                }
            });
        }
        while let Some(partition) = self.pop_delayed(now) {
            partition.with(&self.common, |slot, effects| effects.ready = slot.is_on(self));
        }
    }

    fn pop_opened(&self, now: Instant) -> Option<(Arc<Partition>, u64)> {
        let short = self.common.terms.budget.is_contended();
        let mut lists = self.lists.lock();
        lists.opened.front().filter(|(_, _, due)| *due <= now || short)?;
        lists.opened.pop_front().map(|(partition, id, _)| (partition, id))
    }

    fn pop_delayed(&self, now: Instant) -> Option<Arc<Partition>> {
        let mut lists = self.lists.lock();
        let first = lists.delayed.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }

    /// The next request: one batch each of as many partitions as there are and as fit.
    fn draft(&self, now: Instant) -> Option<Draft> {
        let mut draft = Draft::new(self.common.config.max_request_size);
        let mut again = Vec::new();
        let number = self.new_token().0;
        while let Some(partition) = self.pop_ready() {
            let (next, effects) = self.ask(&partition, number, now, draft.room());
            match next {
                Some(NextSend::Batch(sending)) => {
                    draft.add(Arc::clone(&partition), sending);
                    again.push(partition.clone());
                }
                Some(NextSend::NoRoom) => {
                    self.lists.lock().ready.push_front(Arc::clone(&partition));
                    partition.settle(&self.common, effects);
                    break;
                }
                Some(NextSend::NoIdentity) => {
                    again.push(partition.clone());
                    self.common.host.want_identity();
                    partition.settle(&self.common, effects);
                    break;
                }
                Some(NextSend::Nothing | NextSend::NotBefore(_)) | None => {}
            }
            partition.settle(&self.common, effects);
        }
        // Behind the others, and not before the request is made: it takes one batch of each.
        self.lists.lock().ready.extend(again);
        (!draft.is_empty()).then_some(draft)
    }

    /// Asks a partition from the list what it has to send, and takes it off the list if that is
    /// nothing. `None` if another link looks after it by now, or it is on the list twice, as one is
    /// that went and came back: a request has one batch of each partition.
    fn ask(
        &self,
        partition: &Arc<Partition>,
        draft: u64,
        now: Instant,
        room: usize,
    ) -> (Option<NextSend>, Effects) {
        let mut effects = Effects::default();
        let mut slot = partition.slot.lock();
        if !slot.is_on(self) || slot.drafted == Some((self.node, draft)) {
            return (None, effects);
        }
        let next = slot.queue.next_send(now, &self.common.identity, room, &mut effects);
        match &next {
            NextSend::Nothing => slot.queued = false,
            NextSend::NotBefore(at) => {
                slot.queued = false;
                self.delay(*at, Arc::clone(partition));
            }
            NextSend::Batch(_) => slot.drafted = Some((self.node, draft)),
            NextSend::NoIdentity | NextSend::NoRoom => {}
        }
        if let Some(transaction) = &self.common.transaction {
            transaction.attend(partition, &mut slot, &mut effects, &self.common);
        }
        (Some(next), effects)
    }

    fn delay(&self, at: Instant, partition: Arc<Partition>) {
        let mut lists = self.lists.lock();
        let key = (at, lists.next_token);
        lists.next_token += 1;
        lists.delayed.insert(key, partition);
    }

    fn pop_ready(&self) -> Option<Arc<Partition>> {
        self.lists.lock().ready.pop_front()
    }

    fn send(&self, now: Instant, draft: Draft, outbox: &mut Outbox<'_>) {
        let config = &self.common.config;
        let timeout = config.request_timeout;
        let token = self.new_token();
        let protocol = self.common.transaction.as_ref().map(|it| it.machine().protocol());
        let sent = draft.version(outbox, protocol).and_then(|version| {
            let request = draft.request(config);
            match config.acks {
                Acks::None => outbox.send_unanswered(&request, version, token, timeout),
                Acks::Leader | Acks::All => outbox.send(&request, version, token, timeout),
            }
        });
        let span = draft.span(self.node);
        let sending = Sent { entries: draft.into_entries(), span };
        match sent {
            Ok(()) => drop(self.lists.lock().in_flight.insert(token, sending)),
            Err(error) => self.fail(now, sending, &error),
        }
    }

    fn new_token(&self) -> Token {
        let mut lists = self.lists.lock();
        lists.next_token += 1;
        Token(lists.next_token)
    }

    fn take(&self, token: Token) -> Option<Sent> {
        self.lists.lock().in_flight.remove(&token)
    }

    /// Tells a partition what became of an attempt.
    fn answer(&self, now: Instant, entry: &Entry, answered: Answered) {
        if let Answered::Retry { trouble, .. } | Answered::OutOfOrder { trouble } = &answered {
            self.warn(now, entry, trouble);
        }
        let random = self.common.host.random();
        entry.partition.with(&self.common, |slot, effects| {
            slot.queue.handle_answer(now, entry.attempt, answered, random, effects);
        });
    }

    fn warn(&self, now: Instant, entry: &Entry, trouble: &Trouble) {
        let count = self.lists.lock().warned.count(now);
        if let Some(count) = count {
            let (node, partition) = (self.node, entry.place());
            tracing::warn!(%node, %partition, %trouble, count, "a batch failed and is sent again");
        }
    }

    fn fail(&self, now: Instant, sent: Sent, error: &RequestError) {
        let error = Arc::new(error.clone());
        sent.span.record("error.type", tracing::field::display(&error));
        let _within = sent.span.entered();
        for entry in sent.entries {
            let answered = entry.unanswered(&error);
            self.answer(now, &entry, answered);
        }
    }

    /// Whether fewer requests than allowed are under way. Those that are not answered do not count
    /// for the connection, so they do here.
    fn may_send(&self, outbox: &Outbox<'_>) -> bool {
        let most = self.common.config.max_in_flight_requests_per_connection;
        outbox.room() > 0 && self.lists.lock().in_flight.len() < most
    }

    /// Takes partitions off the list that another link looks after by now.
    fn prune(&self) {
        while let Some(partition) = self.pop_ready() {
            if partition.slot.lock().is_on(self) {
                self.lists.lock().ready.push_front(partition);
                return;
            }
        }
    }
}

impl RequestSource for BrokerLink {
    fn poll_requests(&self, now: Instant, outbox: &mut Outbox<'_>) {
        self.promote(now);
        while self.may_send(outbox) {
            let Some(draft) = self.draft(now) else { return };
            self.send(now, draft, outbox);
        }
    }

    fn handle_answer(
        &self,
        now: Instant,
        token: Token,
        answer: &Answer,
    ) -> Result<Duration, AnswerFault> {
        let response: ProduceResponse = answer.decode()?;
        let throttle =
            Duration::from_millis(response.throttle_time_ms.max(0).unsigned_abs().into());
        let Some(sent) = self.take(token) else { return Ok(throttle) };
        let _within = sent.span.entered();
        let (answers, hints, stale) = Reading::new(sent.entries, response).finish();
        // First, so that what failed goes to the new leader at once.
        if !hints.leaders.is_empty() {
            self.common.host.learn_leaders(&hints);
        }
        if stale {
            self.common.host.request_refresh();
        }
        for (entry, answered) in answers {
            self.answer(now, &entry, answered);
        }
        Ok(throttle)
    }

    fn handle_written(&self, now: Instant, token: Token) {
        let Some(sent) = self.take(token) else { return };
        let _within = sent.span.entered();
        for entry in sent.entries {
            let answered = Answered::Acknowledged { base_offset: None, log_append_time: None };
            self.answer(now, &entry, answered);
        }
    }

    fn handle_failure(&self, now: Instant, token: Token, error: &RequestError) {
        let Some(sent) = self.take(token) else { return };
        if is_trouble(error) {
            self.common.host.request_refresh();
        }
        self.fail(now, sent, error);
    }

    fn handle_disconnected(&self, now: Instant, error: &RequestError) {
        let _ = now;
        if is_trouble(error) && self.wants_connection() {
            tracing::debug!(node = %self.node, %error, "no connection to send over");
            let trouble = Trouble::Request(Arc::new(error.clone()));
            let waiting = self.lists.lock().ready.clone();
            for partition in waiting {
                partition.slot.lock().queue.note_trouble(trouble.clone());
            }
            self.common.host.request_refresh();
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let lists = self.lists.lock();
        let opened = lists.opened.front().map(|(_, _, due)| *due);
        let delayed = lists.delayed.first_key_value().map(|((at, _), _)| *at);
        [opened, delayed].into_iter().flatten().min()
    }

    fn handle_timeout(&self, now: Instant) {
        self.promote(now);
    }

    fn wants_connection(&self) -> bool {
        self.prune();
        let lists = self.lists.lock();
        !(lists.ready.is_empty() && lists.in_flight.is_empty() && lists.opened.is_empty())
    }

    fn wake_cell(&self) -> &WakeCell {
        &self.wake
    }
}

/// Whether an error says that the broker may not be where it was.
fn is_trouble(error: &RequestError) -> bool {
    !matches!(
        error,
        RequestError::Connection { reason: CloseReason::Idle | CloseReason::Released, .. }
            | RequestError::Closed { .. }
    )
}
