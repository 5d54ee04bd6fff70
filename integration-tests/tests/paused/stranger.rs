//! Answers as no broker gives them: somebody stands between the client and the brokers.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_broker::Cluster;
use ottla_core::net::{BoxStream, Dialer};
use ottla_core::types::HostPort;
use ottla_protocol::ApiKey;
use ottla_protocol::wire::take_frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::sleep;

/// What becomes of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// An honest frame with the right correlation id, and nonsense in it.
    Garbage,
    /// It is given to another request.
    WrongCorrelation,
    /// It claims to be two gigabytes long.
    TwoGigabytes,
    /// The connection ends in the middle of it.
    CutShort,
    /// It never comes.
    Silence,
    /// It comes, one byte a second.
    ByteASecond,
    /// A TLS alert comes instead.
    Tls,
    /// What the function makes of it, which is given the version and all behind the length.
    Edited(fn(i16, Bytes) -> Vec<u8>),
}

/// All that a broker can do wrong without knowing what it does.
pub(crate) const BLIND: [Answer; 7] = [
    Answer::Garbage,
    Answer::WrongCorrelation,
    Answer::TwoGigabytes,
    Answer::CutShort,
    Answer::Silence,
    Answer::ByteASecond,
    Answer::Tls,
];

/// Who stands there, and what it is to do. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stranger(Arc<Mutex<Rules>>);

#[derive(Debug, Default)]
struct Rules {
    rules: Vec<Rule>,
    /// Hosts whose address leads nowhere.
    unreachable: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    api: ApiKey,
    host: Option<String>,
    answer: Answer,
    left: u32,
    hits: u32,
}

impl Stranger {
    /// So many answers of that API become so.
    pub(crate) fn answer(&self, api: ApiKey, answer: Answer, times: u32) {
        self.add(Rule { api, host: None, answer, left: times, hits: 0 });
    }

    /// All answers of that API become so.
    pub(crate) fn answer_always(&self, api: ApiKey, answer: Answer) {
        self.answer(api, answer, u32::MAX);
    }

    /// All answers of that API by one broker become so.
    pub(crate) fn answer_at(&self, node: i32, api: ApiKey, answer: Answer) {
        self.add(Rule { api, host: Some(host(node)), answer, left: u32::MAX, hits: 0 });
    }

    /// A broker's address leads nowhere.
    pub(crate) fn hide(&self, node: i32) {
        self.0.lock().unwrap().unreachable.push(host(node));
    }

    /// From now on, everything is as the brokers say.
    pub(crate) fn go(&self) {
        *self.0.lock().unwrap() = Rules::default();
    }

    /// How many answers were touched.
    pub(crate) fn hits(&self) -> u32 {
        self.0.lock().unwrap().rules.iter().map(|rule| rule.hits).sum()
    }

    /// Connects to the brokers of a cluster by way of this stranger.
    pub(crate) fn dialer(&self, cluster: &Cluster) -> Dialer {
        let (connector, stranger) = (cluster.connector(), self.clone());
        Arc::new(move |address: HostPort| {
            let (connector, stranger) = (connector.clone(), stranger.clone());
            Box::pin(async move {
                if stranger.0.lock().unwrap().unreachable.iter().any(|host| **host == *address.host)
                {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                let broker = connector.connect(&address.host, address.port).await?;
                let (client, ours) = tokio::io::duplex(1 << 16);
                spawn(stranger.stand_between(ours, Box::new(broker), address.host.to_string()));
                Ok(Box::new(client) as BoxStream)
            })
        })
    }

    fn add(&self, rule: Rule) {
        self.0.lock().unwrap().rules.push(rule);
    }

    fn meet(&self, api: i16, host: &str) -> Option<Answer> {
        let mut rules = self.0.lock().unwrap();
        let fits = |rule: &&mut Rule| {
            let here = rule.host.as_deref().is_none_or(|wanted| wanted == host);
            rule.api.code() == api && here && rule.left > 0
        };
        let rule = rules.rules.iter_mut().find(fits)?;
        rule.left -= 1;
        rule.hits += 1;
        Some(rule.answer)
    }

    /// Passes on what both say, until one of them goes.
    async fn stand_between(self, mut client: DuplexStream, mut broker: BoxStream, host: String) {
        let (mut requests, mut answers) = (BytesMut::new(), BytesMut::new());
        // Brokers answer in order.
        let mut asked = VecDeque::new();
        loop {
            tokio::select! {
                biased;
                Ok(read) = client.read_buf(&mut requests) => {
                    while let Some(frame) = take_frame(&mut requests, usize::MAX).unwrap() {
                        asked.push_back((short(&frame, 0), short(&frame, 2)));
                        if pass(&mut broker, &frame).await.is_err() {
                            return;
                        }
                    }
                    if read == 0 {
                        return;
                    }
                }
                Ok(read) = broker.read_buf(&mut answers) => {
                    while let Some(frame) = take_frame(&mut answers, usize::MAX).unwrap() {
                        let (api, version) = asked.pop_front().unwrap();
                        let given = match self.meet(api, &host) {
                            None => pass(&mut client, &frame).await,
                            Some(answer) => answer.give(&mut client, version, frame).await,
                        };
                        if given.is_err() {
                            return;
                        }
                    }
                    if read == 0 {
                        return;
                    }
                }
            }
        }
    }
}

impl Answer {
    /// Gives it to the client; an error ends the connection.
    async fn give(self, client: &mut DuplexStream, version: i16, frame: Bytes) -> io::Result<()> {
        match self {
            Self::Garbage => pass(client, &[&frame[..4], &[0xff; 40]].concat()).await,
            Self::WrongCorrelation => {
                let other = i32::from_be_bytes(frame[..4].try_into().unwrap()) + 1_000;
                pass(client, &[&other.to_be_bytes(), &frame[4..]].concat()).await
            }
            Self::TwoGigabytes => client.write_all(&i32::MAX.to_be_bytes()).await,
            Self::CutShort => {
                client.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).await?;
                client.write_all(&frame[..frame.len() / 2]).await?;
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Self::Silence => Ok(()),
            Self::ByteASecond => {
                let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
                for byte in length.iter().chain(&frame) {
                    sleep(Duration::from_secs(1)).await;
                    client.write_all(&[*byte]).await?;
                }
                Ok(())
            }
            Self::Tls => client.write_all(b"\x15\x03\x03\x00\x02\x02\x46").await,
            Self::Edited(edit) => pass(client, &edit(version, frame)).await,
        }
    }
}

async fn pass(to: &mut (impl AsyncWriteExt + Unpin), frame: &[u8]) -> io::Result<()> {
    to.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).await?;
    to.write_all(frame).await
}

fn short(frame: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(frame[at..at + 2].try_into().unwrap())
}

/// What the embedded cluster calls its brokers.
fn host(node: i32) -> String {
    format!("n{node}.mem")
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}
