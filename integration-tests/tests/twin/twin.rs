//! Two brokers that are asked the same, or one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::{self, ErrorKind};
use std::time::Duration;

use ottla_integration_tests::Probe;
use ottla_protocol::{ApiKey, ByteString, Request, Uuid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::fields::{Fields, fields};

/// One of the brokers, with what it has told so far.
#[derive(Debug)]
pub(crate) struct Side {
    address: String,
    probe: Probe,
    /// The ids of topics, by name.
    pub(crate) topics: BTreeMap<String, Uuid>,
    /// The member id that the group was joined with last.
    pub(crate) member: ByteString,
    /// The producer of the transactional id that was initialised last.
    pub(crate) producer: (i64, i16),
    /// The fetch session that was made last.
    pub(crate) session: i32,
}

/// A request, and what each side made of it.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The API and version, and what is special about the request.
    pub(crate) what: String,
    /// The fields of the answer, or what happened instead of one.
    pub(crate) said: Vec<Result<Fields, String>>,
}

/// The brokers, and what has been said.
#[derive(Debug)]
pub(crate) struct Twin {
    sides: Vec<Side>,
    exchanges: Vec<Exchange>,
    answered: BTreeSet<(ApiKey, i16)>,
}

impl Side {
    pub(crate) fn topic(&self, name: &str) -> Uuid {
        *self.topics.get(name).expect("it was created before")
    }

    async fn ask<R: Request + Sync>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, ErrorKind> {
        let answer = self.probe.call(request, version, PATIENCE).await;
        if answer.is_err() {
            self.probe = connect(&self.address).await;
        }
        answer.map_err(|error| error.kind())
    }
}

impl Twin {
    /// As many brokers as there are addresses.
    pub(crate) async fn new(addresses: Vec<String>) -> Self {
        let mut sides = Vec::new();
        for address in addresses {
            sides.push(Side {
                probe: connect(&address).await,
                address,
                topics: BTreeMap::new(),
                member: ByteString::new(),
                producer: (-1, -1),
                session: 0,
            });
        }
        Self { sides, exchanges: Vec::new(), answered: BTreeSet::new() }
    }

    pub(crate) fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }

    pub(crate) fn was_answered(&self, api: ApiKey, version: i16) -> bool {
        self.answered.contains(&(api, version))
    }

    /// Asks each side, and notes what it says.
    pub(crate) async fn ask<R: Request + Sync>(
        &mut self,
        case: &str,
        version: i16,
        request: impl Fn(&Side) -> R,
    ) where
        R::Response: Debug,
    {
        self.learn(case, version, request, |_, _| true).await;
    }

    /// As [`Self::ask`], and lets each side take note of its answer, and ask again until it is
    /// content: Kafka does some things a moment later.
    pub(crate) async fn learn<R: Request + Sync>(
        &mut self,
        case: &str,
        version: i16,
        request: impl Fn(&Side) -> R,
        learn: impl Fn(&mut Side, &R::Response) -> bool,
    ) where
        R::Response: Debug,
    {
        let mut said = Vec::new();
        for side in &mut self.sides {
            let mut answer = Err(ErrorKind::Other);
            for _ in 0..ATTEMPTS {
                let asked = request(side);
                answer = side.ask(version, &asked).await;
                if answer.as_ref().map_or(true, |a| learn(side, a) && !is_passing(&fields(a))) {
                    break;
                }
                sleep(INTERVAL).await;
            }
            if answer.is_ok() {
                self.answered.insert((R::API, version));
            }
            said.push(answer.as_ref().map(fields).map_err(|kind| kind.to_string()));
        }
        let what = format!("{} {version} {case}", R::API).trim_end().to_owned();
        self.exchanges.push(Exchange { what, said });
    }

    /// Sends each side bytes on a connection of their own, and notes the bytes of the answer.
    pub(crate) async fn send_bytes(&mut self, case: &str, bytes: &[u8]) {
        let mut said = Vec::new();
        for side in &self.sides {
            let answer = timeout(PATIENCE, answer_to(&side.address, bytes)).await;
            let answer = answer.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
            said.push(answer.map_err(|error| error.kind().to_string()));
        }
        self.exchanges.push(Exchange { what: format!("bytes {case}"), said });
    }
}

/// Whether an answer is of the kind that Kafka gives while a coordinator comes up, or while the end
/// of a transaction is still being written.
fn is_passing(fields: &Fields) -> bool {
    let codes = fields.iter().filter(|(path, _)| path.ends_with("error_code"));
    codes.into_iter().any(|(_, code)| PASSING.contains(&&**code))
}

/// `COORDINATOR_LOAD_IN_PROGRESS`, `COORDINATOR_NOT_AVAILABLE`, `NOT_COORDINATOR` and
/// `CONCURRENT_TRANSACTIONS`.
const PASSING: &[&str] = &["14", "15", "16", "51"];

/// The frame that answers `bytes`, as one field.
async fn answer_to(address: &str, bytes: &[u8]) -> io::Result<Fields> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes).await?;
    // However a connection ends, it is closed.
    let closed = |_| io::Error::from(ErrorKind::UnexpectedEof);
    let len = stream.read_i32().await.map_err(closed)?;
    let mut frame = vec![0; usize::try_from(len).expect("a length")];
    stream.read_exact(&mut frame).await.map_err(closed)?;
    Ok(Fields::from([("bytes".to_owned(), format!("{frame:02x?}"))]))
}

async fn connect(address: &str) -> Probe {
    Probe::connect(address).await.expect("it listens")
}

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(3);

/// What Kafka does a moment later, it does within a second or two.
const ATTEMPTS: u32 = 200;
const INTERVAL: Duration = Duration::from_millis(20);
