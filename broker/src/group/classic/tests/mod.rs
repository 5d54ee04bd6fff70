//! A group under test: time is what the test says, and waits are numbered in the order of requests.

mod joins;
mod static_members;
mod syncs;
mod table;
mod timeouts;

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::{ByteString, ErrorCode};

use super::*;
use crate::group::member::{Protocol, Timeouts};
use crate::world::config::Settings;

/// Three members called `a`, `b` and `c` at most; times are in seconds.
struct Fixture {
    group: ClassicGroup,
    now: Duration,
    waits: u64,
}

const SESSION: u64 = 10;
const REBALANCE: u64 = 60;

/// An initial delay of one second, which the second member makes twice as long.
const INITIAL: u64 = 2;

impl Fixture {
    fn new() -> Self {
        Self::with(|_| ())
    }

    /// No initial delay unless the test asks for one.
    fn with(set: impl FnOnce(&mut GroupConfig)) -> Self {
        let defaults = GroupConfig::of(&Settings::default());
        let mut config = GroupConfig { initial_rebalance_delay: Duration::ZERO, ..defaults };
        set(&mut config);
        let group = ClassicGroup::new(config, Duration::ZERO);
        Self { group, now: Duration::ZERO, waits: 0 }
    }

    /// A stable group of `members`, who joined in this order; generation 1 is that of the first.
    fn stable(members: &[&str]) -> Self {
        let mut fixture = Self::completing(members);
        fixture.sync_all(members);
        assert_eq!(fixture.group.state_name(), "Stable");
        fixture
    }

    /// As [`stable`](Self::stable), but nobody has synced yet. The first member leads.
    fn completing(members: &[&str]) -> Self {
        let mut fixture = Self::with(|config| config.initial_rebalance_delay = seconds(1));
        for id in members {
            fixture.join(attempt(id));
        }
        fixture.pass(INITIAL);
        fixture.answers();
        assert_eq!(fixture.group.state_name(), "CompletingRebalance");
        fixture
    }

    fn sync_all(&mut self, members: &[&str]) {
        for id in members.iter().rev() {
            self.sync(id, &[]);
        }
        self.answers();
    }

    fn join(&mut self, attempt: JoinAttempt) -> WaitId {
        let wait = self.next_wait();
        self.group.handle_join(attempt, wait, self.now);
        wait
    }

    fn sync(&mut self, id: &str, assignments: &[(&'static str, &'static str)]) -> WaitId {
        let generation = self.group.generation;
        self.sync_as(Claim { generation, ..claim(id) }, assignments)
    }

    fn sync_as(&mut self, claim: Claim, assignments: &[(&'static str, &'static str)]) -> WaitId {
        let assignments = assignments.iter();
        let attempt = SyncAttempt {
            claim,
            protocol_type: None,
            protocol_name: None,
            assignments: assignments.map(|(id, bytes)| ((*id).into(), (*bytes).into())).collect(),
        };
        let wait = self.next_wait();
        self.group.handle_sync(attempt, wait, self.now);
        wait
    }

    fn heartbeat(&mut self, id: &str) -> Result<(), ErrorCode> {
        let claim = Claim { generation: self.group.generation, ..claim(id) };
        self.group.handle_heartbeat(&claim, self.now)
    }

    fn leave(&mut self, id: &str) -> Result<(), ErrorCode> {
        let leaving = Leaving { member_id: id.into(), instance_id: None };
        self.group.handle_leave(&[leaving], self.now).map(|outcomes| outcomes[0])?
    }

    /// Lets time pass, in steps as small as the group asks for.
    fn pass(&mut self, by: u64) {
        let until = self.now + seconds(by);
        while let Some(at) = self.group.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.group.handle_timeout(self.now);
        }
        self.now = until;
    }

    fn answers(&mut self) -> Vec<(WaitId, Answer)> {
        std::iter::from_fn(|| self.group.poll_answer()).collect()
    }

    /// The one answer there is.
    #[track_caller]
    fn answer(&mut self) -> (WaitId, Answer) {
        let mut answers = self.answers();
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    #[track_caller]
    fn joined(&mut self, wait: WaitId) -> Joined {
        match self.answer() {
            (to, Answer::Join(Ok(joined))) if to == wait => joined,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn refused(&mut self, wait: WaitId) -> (ErrorCode, ByteString) {
        match self.answer() {
            (to, Answer::Join(Err(JoinRefused { error, member_id }))) if to == wait => {
                (error, member_id)
            }
            other => panic!("{other:?}"),
        }
    }

    fn members(&self) -> String {
        self.group.members().map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(" ")
    }

    fn next_wait(&mut self) -> WaitId {
        self.waits += 1;
        WaitId(self.waits)
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A new consumer that speaks version 3: it becomes the member `id` at once.
fn attempt(id: &str) -> JoinAttempt {
    JoinAttempt {
        member_id: None,
        fresh_id: id.into(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        timeouts: Timeouts { session: seconds(SESSION), rebalance: seconds(REBALANCE) },
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range", &["t"])],
        requires_member_id: false,
        can_skip_assignment: false,
    }
}

/// The member `id` joins again.
fn again(id: &str) -> JoinAttempt {
    JoinAttempt { member_id: Some(id.into()), ..attempt(id) }
}

/// A new static member, which becomes the member `id`.
fn instance(instance: &str, id: &str) -> JoinAttempt {
    JoinAttempt { instance_id: Some(instance.into()), ..attempt(id) }
}

fn claim(id: &str) -> Claim {
    Claim { member_id: id.into(), instance_id: None, generation: 1 }
}

/// A protocol with a version 0 subscription to one-letter topics.
fn protocol(name: &str, topics: &[&str]) -> Protocol {
    let mut metadata = vec![0, 0, 0, 0, 0, u8::try_from(topics.len()).unwrap()];
    for topic in topics {
        metadata.extend_from_slice(&[0, 1, topic.as_bytes()[0]]);
    }
    metadata.extend_from_slice(&[0xff; 4]);
    Protocol { name: name.into(), metadata: metadata.into() }
}

fn protocols(names: &[&str]) -> Vec<Protocol> {
    names.iter().map(|name| protocol(name, &[])).collect()
}

/// What everyone was answered, one per line of the table: `wait error-or-what`.
fn shown(answers: &[(WaitId, Answer)]) -> Vec<String> {
    let show = |(WaitId(wait), answer): &(WaitId, Answer)| {
        let what = match answer {
            Answer::Join(Ok(joined)) => format!("joined {}", joined.generation),
            Answer::Join(Err(refused)) => refused.error.name().to_owned(),
            Answer::Sync(Ok(synced)) => {
                format!("synced {}", String::from_utf8_lossy(&synced.assignment))
            }
            Answer::Sync(Err(error)) => error.name().to_owned(),
        };
        format!("{wait} {what}")
    };
    answers.iter().map(show).collect()
}

#[track_caller]
fn assert_answers(fixture: &mut Fixture, expected: &[&str]) {
    assert_eq!(shown(&fixture.answers()), expected);
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}
