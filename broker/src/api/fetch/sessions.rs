//! Fetch sessions (KIP-227): what a fetcher asked for before need not be asked again.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ottla_protocol::messages::FetchRequest;
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use ottla_protocol::{ByteString, ErrorCode, Uuid};

use crate::world::catalog::TopicKey;
use crate::world::{Context, NodeId, World};

/// What a fetcher wants of one partition.
#[derive(Debug, Clone)]
pub(super) struct Want {
    pub(super) topic: ByteString,
    pub(super) topic_id: Uuid,
    by_id: bool,
    pub(super) partition: i32,
    pub(super) current_leader_epoch: i32,
    pub(super) fetch_offset: i64,
    pub(super) last_fetched_epoch: i32,
    pub(super) max_bytes: usize,
}

/// Which session, if any, a fetch belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    /// None: everything is asked and everything answered.
    None,
    /// One is made when the answer is built: a full fetch that is parked makes one, not two.
    New,
    /// This one: only news is answered.
    Known(i32),
}

/// The sessions of every node. They are lost with it.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_id: BTreeMap<(NodeId, i32), Cached>,
}

/// How a session knows a partition: by the id where the request has ids, else by the name.
type Slot = (ByteString, Uuid, i32);

#[derive(Debug)]
struct Cached {
    /// The epoch that the next request must have.
    epoch: i32,
    by_topic_id: bool,
    created: Duration,
    used: Duration,
    /// In the order in which they are served.
    order: BTreeMap<u64, Entry>,
    places: HashMap<Slot, u64>,
    next_place: u64,
}

#[derive(Debug)]
struct Entry {
    want: Want,
    /// What the fetcher was last told; −1 when that was an error.
    high_watermark: i64,
    log_start: i64,
}

impl Want {
    fn new(topic: &FetchTopic, by_id: bool, partition: &FetchPartition) -> Self {
        Self {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            by_id,
            partition: partition.partition,
            current_leader_epoch: partition.current_leader_epoch,
            fetch_offset: partition.fetch_offset,
            last_fetched_epoch: partition.last_fetched_epoch,
            max_bytes: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
        }
    }

    pub(super) fn key(&self) -> TopicKey<'_> {
        TopicKey::of(&self.topic, self.topic_id, self.by_id)
    }

    fn slot(&self) -> Slot {
        (self.topic.clone(), self.topic_id, self.partition)
    }

    /// A want that outlives its request, whose memory it must not pin.
    fn detached(&self) -> Self {
        Self { topic: ByteString::from(&*self.topic), ..self.clone() }
    }
}

impl Sessions {
    /// Finds out what a request wants, in its session.
    ///
    /// The epoch advances here, when the request is accepted: a client that reconnects and says
    /// the same again is told so.
    pub(super) fn begin(
        &mut self,
        cx: &Context,
        request: FetchRequest,
    ) -> Result<(Vec<Want>, Session), ErrorCode> {
        let at = (cx.node, request.session_id);
        match request.session_epoch {
            NO_SESSION | 0 => {
                self.by_id.remove(&at);
                let full = request.session_epoch == 0;
                Ok((wants(cx, &request), if full { Session::New } else { Session::None }))
            }
            epoch => {
                let session = self.by_id.get_mut(&at).ok_or(ErrorCode::FetchSessionIdNotFound)?;
                session.accept(cx, epoch, &request)?;
                if session.order.is_empty() {
                    self.by_id.remove(&at);
                    return Ok((Vec::new(), Session::None));
                }
                let wants = session.order.values().map(|entry| entry.want.clone()).collect();
                Ok((wants, Session::Known(request.session_id)))
            }
        }
    }

    /// Whether a row belongs in the answer: all do but those of an incremental fetch that say
    /// nothing new.
    pub(super) fn is_news(
        &mut self,
        node: NodeId,
        session: &Session,
        id: i32,
        want: &Want,
        row: &PartitionData,
    ) -> bool {
        let Some(cached) = self.by_id.get_mut(&(node, id)) else { return true };
        let news = cached.update(want, row);
        news || !matches!(session, Session::Known(_))
    }

    /// A node that went down has none any more.
    pub(crate) fn forget_node(&mut self, node: NodeId) {
        self.by_id.retain(|(of, _), _| *of != node);
    }

    /// Makes room for one of `size` partitions; returns whether there is any.
    fn make_room(&mut self, cx: &Context, slots: usize, size: usize) -> bool {
        let own = self.by_id.range((cx.node, 0)..=(cx.node, i32::MAX));
        let all: Vec<_> = own.collect();
        if all.len() < slots {
            return true;
        }
        let long = |from: Duration, to: Duration| to.saturating_sub(from) > IDLE;
        let idle = all.iter().filter(|(_, session)| long(session.used, cx.now.mono));
        let oldest = idle.min_by_key(|(at, session)| (session.used, **at));
        // A larger newcomer takes the place of who had it for long enough.
        let grown = all.iter().filter(|(_, session)| long(session.created, session.used));
        let smaller = grown.filter(|(_, session)| session.order.len() < size);
        let smallest = smaller.min_by_key(|(at, session)| (session.order.len(), **at));
        let victim = oldest.or(smallest).map(|(at, _)| **at);
        victim.is_some_and(|at| self.by_id.remove(&at).is_some())
    }
}

impl World {
    /// The id of the session that an answer belongs to, made now if it is to be new; 0 for none.
    pub(super) fn establish(&mut self, cx: &Context, session: &Session, wants: &[Want]) -> i32 {
        match session {
            Session::None => 0,
            Session::Known(id) => *id,
            Session::New => self.new_session(cx, wants),
        }
    }

    fn new_session(&mut self, cx: &Context, wants: &[Want]) -> i32 {
        let slots = self.settings.number("max.incremental.fetch.session.cache.slots");
        let slots = usize::try_from(slots).unwrap_or(0);
        if !self.sessions.make_room(cx, slots, wants.len()) {
            return 0;
        }
        let mut id = self.random.positive_i32();
        while self.sessions.by_id.contains_key(&(cx.node, id)) {
            id = self.random.positive_i32();
        }
        let mut session = Cached {
            epoch: 1,
            by_topic_id: cx.version >= FIRST_WITH_IDS,
            created: cx.now.mono,
            used: cx.now.mono,
            order: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        };
        wants.iter().for_each(|want| session.put(want.detached()));
        self.sessions.by_id.insert((cx.node, id), session);
        id
    }
}

impl Cached {
    fn accept(
        &mut self,
        cx: &Context,
        epoch: i32,
        request: &FetchRequest,
    ) -> Result<(), ErrorCode> {
        if epoch != self.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if self.by_topic_id != (cx.version >= FIRST_WITH_IDS) {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        self.epoch = epoch.checked_add(1).unwrap_or(1);
        self.used = cx.now.mono;
        wants(cx, request).iter().for_each(|want| self.put(want.detached()));
        for topic in &request.forgotten_topics_data {
            for partition in &topic.partitions {
                self.remove(&(topic.topic.clone(), topic.topic_id, *partition));
            }
        }
        Ok(())
    }

    fn put(&mut self, want: Want) {
        if let Some(entry) = self.places.get(&want.slot()).and_then(|at| self.order.get_mut(at)) {
            entry.want = want;
            return;
        }
        self.push(Entry { want, high_watermark: -1, log_start: -1 });
    }

    fn push(&mut self, entry: Entry) {
        self.places.insert(entry.want.slot(), self.next_place);
        self.order.insert(self.next_place, entry);
        self.next_place += 1;
    }

    fn remove(&mut self, slot: &Slot) -> Option<Entry> {
        self.places.remove(slot).and_then(|at| self.order.remove(&at))
    }

    /// Takes note of what the fetcher is told; returns whether it is news.
    fn update(&mut self, want: &Want, row: &PartitionData) -> bool {
        let slot = want.slot();
        let Some(entry) = self.places.get(&slot).and_then(|at| self.order.get_mut(at)) else {
            return true;
        };
        let has_records = row.records.as_ref().is_some_and(|records| !records.is_empty());
        let news = has_records
            || row.error_code != 0
            || row.diverging_epoch.is_some()
            || row.preferred_read_replica >= 0
            || row.high_watermark != entry.high_watermark
            || row.log_start_offset != entry.log_start;
        entry.high_watermark = row.high_watermark;
        entry.log_start = row.log_start_offset;
        // What returned data is served last next time, so that nobody starves.
        if has_records && let Some(entry) = self.remove(&slot) {
            self.push(entry);
        }
        news
    }
}

fn wants(cx: &Context, request: &FetchRequest) -> Vec<Want> {
    let by_id = cx.version >= FIRST_WITH_IDS;
    let of_topic = |topic: &FetchTopic| {
        let want = |partition| Want::new(topic, by_id, partition);
        topic.partitions.iter().map(want).collect::<Vec<_>>()
    };
    request.topics.iter().flat_map(of_topic).collect()
}

/// The `session_epoch` of who wants no session; 0 is of who wants a new one.
const NO_SESSION: i32 = -1;

/// The first version of Fetch that names topics by id (KIP-516).
const FIRST_WITH_IDS: i16 = 13;

/// How long a session must have been unused before a newcomer may take its place, and how long it
/// must have been used before a larger one may.
const IDLE: Duration = Duration::from_secs(120);
