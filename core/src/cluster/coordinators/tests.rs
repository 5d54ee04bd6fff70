use super::*;
use ottla_protocol::Message;

#[test]
fn a_coordinator_is_looked_up_once_and_remembered() {
    let mut lookups = Lookups::new();
    assert_eq!(lookups.find("g"), Coordinator::Searching);
    assert_eq!(lookups.find("g"), Coordinator::Searching);
    let lookup = lookups.poll().unwrap();
    assert_eq!(lookups.poll(), None);
    let brokers = lookups.answer(&lookup, &[("g", 1, 0)]);
    assert_eq!(brokers[0].address, HostPort::new("h1", 9092));
    assert_eq!(lookups.find("g"), Coordinator::Known(node(1)));
    assert_eq!(lookups.poll(), None);
}

#[test]
fn keys_of_one_kind_are_looked_up_together() {
    let mut lookups = Lookups::new();
    for key in ["g", "h"] {
        lookups.find(key);
    }
    let now = lookups.now;
    lookups.machine.find(CoordinatorKind::Transaction, "t", now, now);
    assert_eq!(lookups.poll().map(|it| it.keys), Some(vec!["g".into(), "h".into()]));
    assert_eq!(lookups.poll().map(|it| it.keys), Some(vec!["t".into()]));
}

#[test]
fn an_old_version_asks_for_one_key_after_the_other() {
    let mut lookups = Lookups::new();
    lookups.version = 3;
    for key in ["g", "h"] {
        lookups.find(key);
    }
    let first = lookups.poll().unwrap();
    assert_eq!(first.request(3).key, "g");
    lookups.answer(&first, &[("", 1, 0)]);
    assert_eq!(lookups.find("g"), Coordinator::Known(node(1)));
    let second = lookups.poll().unwrap();
    assert_eq!(second.request(3).key, "h");
    lookups.answer(&second, &[("", 2, 0)]);
    assert_eq!(lookups.find("h"), Coordinator::Known(node(2)));
}

#[test]
fn a_coordinator_that_is_not_available_is_asked_for_again_within_milliseconds() {
    // COORDINATOR_NOT_AVAILABLE and COORDINATOR_LOAD_IN_PROGRESS.
    for code in [15, 14] {
        let mut lookups = Lookups::new();
        lookups.find("g");
        let mut waits = Vec::new();
        for _ in 0..6 {
            waits.push(lookups.wait());
            let lookup = lookups.poll().unwrap();
            lookups.answer(&lookup, &[("g", -1, code)]);
            assert_eq!(lookups.find("g"), Coordinator::Searching);
        }
        assert_eq!(waits, [0, 20, 40, 80, 160, 250]);
    }
}

#[test]
fn an_answer_without_a_usable_address_is_none_yet() {
    let mut lookups = Lookups::new();
    lookups.find("g");
    let lookup = lookups.poll().unwrap();
    assert_eq!(lookups.answer(&lookup, &[("g", -1, 0)]), []);
    assert_eq!(lookups.wait(), 20);
}

#[test]
fn a_key_that_the_answer_passes_over_is_asked_for_again() {
    let mut lookups = Lookups::new();
    lookups.find("g");
    let lookup = lookups.poll().unwrap();
    lookups.answer(&lookup, &[("stranger", 1, 0)]);
    assert_eq!(lookups.find("g"), Coordinator::Searching);
    assert_eq!(lookups.wait(), 20);
}

#[test]
fn no_answer_at_all_is_tried_again_later_and_later() {
    let mut lookups = Lookups::new();
    lookups.find("g");
    let mut waits = Vec::new();
    for _ in 0..3 {
        waits.push(lookups.wait());
        let lookup = lookups.poll().unwrap();
        lookups.machine.handle_failure(&lookup, lookups.now, EVEN);
    }
    assert_eq!(waits, [0, 100, 200]);
}

#[test]
fn a_refusal_is_for_those_who_waited() {
    let mut lookups = Lookups::new();
    lookups.find("g");
    let lookup = lookups.poll().unwrap();
    lookups.answer(&lookup, &[("g", -1, 30)]);
    let refused = Coordinator::Refused(ErrorCode::GroupAuthorizationFailed);
    assert_eq!(lookups.find("g"), refused);
    assert_eq!(lookups.poll(), None);
    let later = lookups.now + Duration::from_millis(1);
    let found = lookups.machine.find(CoordinatorKind::Group, "g", later, later);
    assert_eq!(found, Coordinator::Searching);
    lookups.now = later;
    assert!(lookups.poll().is_some());
}

#[test]
fn only_the_coordinator_that_failed_is_forgotten() {
    let mut lookups = Lookups::known("g", 2);
    lookups.machine.forget(CoordinatorKind::Group, "g", node(1));
    assert_eq!(lookups.find("g"), Coordinator::Known(node(2)));
    lookups.machine.forget(CoordinatorKind::Group, "g", node(2));
    assert_eq!(lookups.find("g"), Coordinator::Searching);
}

#[test]
fn forgetting_does_not_disturb_a_search() {
    let mut lookups = Lookups::new();
    lookups.find("g");
    let lookup = lookups.poll().unwrap();
    lookups.machine.forget(CoordinatorKind::Group, "g", node(1));
    lookups.answer(&lookup, &[("g", 1, 0)]);
    assert_eq!(lookups.find("g"), Coordinator::Known(node(1)));
}

#[test]
fn a_broker_that_left_coordinates_nothing() {
    let mut lookups = Lookups::known("g", 1);
    lookups.machine.forget_node(node(1));
    assert_eq!(lookups.find("g"), Coordinator::Searching);
}

#[test]
fn a_search_nobody_asks_about_is_given_up() {
    let mut lookups = Lookups::new();
    lookups.find("g");
    lookups.now += Duration::from_secs(30);
    assert_eq!(lookups.poll(), None);
    assert_eq!(lookups.machine.next_timeout(), None);
}

#[test]
fn a_coordinator_nobody_asks_about_is_forgotten() {
    let mut lookups = Lookups::known("g", 1);
    lookups.now += Duration::from_secs(300);
    lookups.poll();
    assert_eq!(lookups.find("g"), Coordinator::Searching);
}

#[test]
fn requests_can_be_written_in_every_version() {
    for version in 0..=6 {
        let lookup = Lookup { kind: CoordinatorKind::Group, keys: vec!["g".into(), "h".into()] };
        let request = lookup.request(version);
        assert!(request.encode(version).is_ok(), "{version}");
        assert_eq!(request.coordinator_keys.len(), if version < 4 { 0 } else { 2 });
    }
}

/// The draw that moves no delay.
const EVEN: u64 = 20;

struct Lookups {
    machine: Coordinators,
    now: Instant,
    version: i16,
}

impl Lookups {
    fn new() -> Self {
        let machine = Coordinators::new(&ClientConfig::default());
        Self { machine, now: crate::retry::test_now(), version: 6 }
    }

    fn known(key: &str, id: i32) -> Self {
        let mut lookups = Self::new();
        lookups.find(key);
        let lookup = lookups.poll().unwrap();
        lookups.answer(&lookup, &[(key, id, 0)]);
        lookups
    }

    fn find(&mut self, group: &str) -> Coordinator {
        self.machine.find(CoordinatorKind::Group, group, self.now, self.now)
    }

    fn poll(&mut self) -> Option<Lookup> {
        self.machine.poll_request(self.now)
    }

    /// Waits for what is due next, and says for how many milliseconds.
    fn wait(&mut self) -> u128 {
        let next = self.machine.next_timeout().unwrap();
        let waited = next.saturating_duration_since(self.now);
        self.now = next;
        waited.as_millis()
    }

    fn answer(&mut self, lookup: &Lookup, answers: &[(&str, i32, i16)]) -> Vec<BrokerInfo> {
        let answers = answers.iter().map(|&(key, node_id, error_code)| Answered {
            key: key.into(),
            node_id,
            host: if node_id < 0 { "".into() } else { format!("h{node_id}").into() },
            port: if node_id < 0 { -1 } else { 9092 },
            error_code,
            ..Answered::default()
        });
        let coordinators: Vec<Answered> = answers.collect();
        let response = if self.version >= FIRST_BATCHED {
            FindCoordinatorResponse { coordinators, ..Default::default() }
        } else {
            let Answered { node_id, host, port, error_code, .. } = coordinators[0].clone();
            FindCoordinatorResponse { node_id, host, port, error_code, ..Default::default() }
        };
        self.machine.handle_answer(lookup, &response, self.version, self.now, EVEN)
    }
}

fn node(id: i32) -> NodeId {
    NodeId::from_wire(id).unwrap()
}
