//! Fetch sessions: what was asked before need not be asked again (KIP-227).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_core::types::{LeaderEpoch, TopicName};
use ottla_protocol::messages::FetchRequest;
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic};
use ottla_protocol::{ErrorCode, Uuid};

use super::{Generation, Slot};

/// What is asked of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The topic.
    pub topic: TopicName,
    /// Its id; `None` where the cluster has none.
    pub topic_id: Option<Uuid>,
    /// The partition.
    pub partition: i32,
    /// Where to read from.
    pub offset: i64,
    /// The epoch of the leader as it is known here.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Bytes at most.
    pub max_bytes: u32,
    /// Of the partition when this was asked: an answer of another is stale.
    pub generation: Generation,
}

impl Want {
    /// What a session knows a partition by.
    fn place(&self) -> (&TopicName, Option<Uuid>, i32) {
        (&self.topic, self.topic_id, self.partition)
    }

    /// Whether a broker that was told `other` knows all of this.
    fn is_known_by(&self, other: &Self) -> bool {
        let Self { topic, topic_id, partition, offset, leader_epoch, max_bytes, generation: _ } =
            self;
        (topic, topic_id, partition, offset, leader_epoch, max_bytes)
            == (
                &other.topic,
                &other.topic_id,
                &other.partition,
                &other.offset,
                &other.leader_epoch,
                &other.max_bytes,
            )
    }
}

/// The fetch session with one broker.
///
/// ```text
/// Full --answered with an id--> Incremental(1) --answered--> Incremental(2) ...
///  ^  \--answered without--> Full                  |
///  \------------- error, lost connection, other topic keys -/
/// ```
#[derive(Debug, Default)]
pub struct FetchSession {
    /// 0 for none.
    id: i32,
    /// The epoch of the next request; 0 begins a session, in place of the one with this id.
    epoch: i32,
    /// What the broker has been told.
    known: BTreeMap<Slot, Arc<Want>>,
    /// Whether topics go by their ids.
    by_id: bool,
}

/// How a request is written, which the version decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wording {
    /// Whether there are sessions: version 7 and up.
    pub sessions: bool,
    /// Whether topics go by their ids: version 13 and up.
    pub by_id: bool,
}

impl Wording {
    /// That of a version.
    #[must_use]
    pub fn of(version: i16) -> Self {
        Self { sessions: version >= 7, by_id: version >= 13 }
    }
}

impl FetchSession {
    /// What the broker has been told of a partition, which the answer to the last request goes by.
    #[must_use]
    pub fn known(&self, slot: Slot) -> Option<&Want> {
        self.known.get(&slot).map(|want| &**want)
    }

    /// Whether the next request must say everything.
    #[must_use]
    pub fn is_full(&self, wording: Wording) -> bool {
        self.epoch == 0 || !wording.sessions || self.by_id != wording.by_id
    }

    /// Puts all of `wants` into `request`, in their order, and begins a session.
    pub fn ask_all<'a>(
        &mut self,
        request: &mut FetchRequest,
        wants: impl Iterator<Item = (Slot, &'a Arc<Want>)>,
        wording: Wording,
    ) {
        self.epoch = 0;
        self.by_id = wording.by_id;
        self.known.clear();
        for (slot, want) in wants {
            ask(&mut request.topics, want);
            self.known.insert(slot, Arc::clone(want));
        }
        request.session_id = if wording.sessions { self.id } else { 0 };
        request.session_epoch = if wording.sessions { 0 } else { -1 };
    }

    /// Puts into `request` what has changed: of each slot, what is wanted now or that nothing is.
    pub fn ask_changes<'a>(
        &mut self,
        request: &mut FetchRequest,
        changes: impl Iterator<Item = (Slot, Option<&'a Arc<Want>>)>,
    ) {
        let mut gone = Vec::new();
        for (slot, want) in changes {
            gone.extend(self.change(request, slot, want));
        }
        // A partition that was given up and assigned again has another slot. The broker drops what is
        // forgotten after it took what is asked, and would go on without it.
        if !gone.is_empty() {
            let kept: BTreeSet<_> = self.known.values().map(|want| want.place()).collect();
            for want in gone.iter().filter(|want| !kept.contains(&want.place())) {
                forget(&mut request.forgotten_topics_data, want);
            }
        }
        request.session_id = self.id;
        request.session_epoch = self.epoch;
    }

    /// What the slot no longer stands for is returned: it must be forgotten, or the broker goes on
    /// with it.
    fn change(
        &mut self,
        request: &mut FetchRequest,
        slot: Slot,
        want: Option<&Arc<Want>>,
    ) -> Option<Arc<Want>> {
        let known = self.known.remove(&slot);
        let Some(want) = want else { return known };
        if !known.as_ref().is_some_and(|known| want.is_known_by(known)) {
            ask(&mut request.topics, want);
        }
        self.known.insert(slot, Arc::clone(want));
        known.filter(|known| want.place() != known.place())
    }

    /// Takes note of an answer.
    ///
    /// # Errors
    ///
    /// The code, when there is no such session any more: everything must be said again.
    pub fn handle_answer(&mut self, code: ErrorCode, session_id: i32) -> Result<(), ErrorCode> {
        if code.is_error() {
            if code == ErrorCode::FetchSessionIdNotFound {
                self.id = 0;
            }
            self.restart();
            return Err(code);
        }
        match (self.epoch, session_id) {
            (0, 0) => self.id = 0,
            (0, id) => (self.id, self.epoch) = (id, 1),
            // A session ends with its last partition, which has no id in the answer.
            (_, 0) => (self.id, self.epoch) = (0, 0),
            (i32::MAX, _) => self.epoch = 1,
            (epoch, _) => self.epoch = epoch + 1,
        }
        Ok(())
    }

    /// Begins anew with the next request, because nobody knows what the broker has heard. The
    /// session there, if any, is closed by that request.
    pub fn restart(&mut self) {
        self.epoch = 0;
        self.known.clear();
    }

    /// The last request of the session; `None` where there is none.
    pub fn close(&mut self) -> Option<FetchRequest> {
        let session_id = std::mem::take(&mut self.id);
        self.restart();
        (session_id != 0).then(|| FetchRequest {
            session_id,
            session_epoch: -1,
            ..FetchRequest::default()
        })
    }
}

/// Puts `wants` into `request`, which belongs to no session and begins none.
pub(super) fn ask_alone<'a>(request: &mut FetchRequest, wants: impl Iterator<Item = &'a Want>) {
    wants.for_each(|want| ask(&mut request.topics, want));
    request.session_epoch = -1;
}

/// Adds a partition, under the topic of the one before where that is the same.
fn ask(topics: &mut Vec<FetchTopic>, want: &Want) {
    let topic_id = want.topic_id.unwrap_or_default();
    let same = |last: &&mut FetchTopic| *last.topic == *want.topic && last.topic_id == topic_id;
    let partition = FetchPartition {
        partition: want.partition,
        current_leader_epoch: LeaderEpoch::to_wire(want.leader_epoch),
        fetch_offset: want.offset,
        partition_max_bytes: i32::try_from(want.max_bytes).unwrap_or(i32::MAX),
        ..FetchPartition::default()
    };
    match topics.last_mut().filter(same) {
        Some(last) => last.partitions.push(partition),
        None => topics.push(FetchTopic {
            topic: want.topic.to_wire(),
            topic_id,
            partitions: vec![partition],
            ..FetchTopic::default()
        }),
    }
}

fn forget(topics: &mut Vec<ForgottenTopic>, known: &Want) {
    let topic_id = known.topic_id.unwrap_or_default();
    let same =
        |last: &&mut ForgottenTopic| *last.topic == *known.topic && last.topic_id == topic_id;
    match topics.last_mut().filter(same) {
        Some(last) => last.partitions.push(known.partition),
        None => topics.push(ForgottenTopic {
            topic: known.topic.to_wire(),
            topic_id,
            partitions: std::iter::once(known.partition).collect(),
            ..ForgottenTopic::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_is_used_again_forgets_what_it_stood_for() {
        let mut session = FetchSession::default();
        let wording = Wording { sessions: true, by_id: true };
        let (old, new) = (Arc::new(want(2)), Arc::new(want(0)));
        session.ask_all(&mut FetchRequest::default(), [(Slot(2), &old)].into_iter(), wording);
        assert_eq!(session.handle_answer(ErrorCode::None, 7), Ok(()));
        let mut request = FetchRequest::default();
        session.ask_changes(&mut request, [(Slot(2), Some(&new))].into_iter());
        assert_eq!(request.topics[0].partitions[0].partition, 0);
        assert_eq!(request.forgotten_topics_data[0].partitions[..], [2]);
    }

    #[test]
    fn a_partition_that_gets_another_slot_is_not_forgotten() {
        let mut session = FetchSession::default();
        let wording = Wording { sessions: true, by_id: true };
        let (old, new) = (Arc::new(want(0)), Arc::new(Want { offset: 3, ..want(0) }));
        session.ask_all(&mut FetchRequest::default(), [(Slot(0), &old)].into_iter(), wording);
        assert_eq!(session.handle_answer(ErrorCode::None, 7), Ok(()));
        let mut request = FetchRequest::default();
        session.ask_changes(&mut request, [(Slot(0), None), (Slot(2), Some(&new))].into_iter());
        assert_eq!(request.topics[0].partitions[0].fetch_offset, 3);
        assert!(request.forgotten_topics_data.is_empty());
    }

    fn want(partition: i32) -> Want {
        Want {
            topic: "orders".into(),
            topic_id: Some(Uuid::from(1)),
            partition,
            offset: 0,
            leader_epoch: None,
            max_bytes: 1,
            generation: Generation(0),
        }
    }
}
