//! One connection: one request at a time, answers in order, as a real broker has it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use ottla_protocol::frames::{RequestFrame, encode_any_response};
use ottla_protocol::wire::Frame;
use ottla_protocol::{AnyResponse, ApiKey, ByteString};
use tokio::io::AsyncWriteExt;

use super::idle::Idle;
use super::inbox::Inbox;
use super::{BoxStream, Shell, Step, watch};
use crate::api::{Admission, admit};
use crate::clock::aside;
use crate::fault::Damage;
use crate::world::{Context, Flow, NodeId, Now, Parked, Prepared, Reply, Why};

/// Whether a node serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    /// It does.
    Up,
    /// It accepts and reads, but does nothing: a process that was stopped.
    Paused,
    /// Its connections are gone.
    Down,
}

/// What bounds a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of the largest request (`socket.request.max.bytes`).
    pub(crate) frame: usize,
    /// How long it may stay unused (`connections.max.idle.ms`); `None` for ever.
    pub(crate) idle: Option<Duration>,
}

/// Serves a connection until either side ends it.
pub(crate) async fn serve(
    shell: Arc<Shell>,
    node: NodeId,
    (stream, client_address): (BoxStream, Option<IpAddr>),
    power: watch::Receiver<Power>,
    limits: Limits,
) {
    let id = shell.new_connection();
    let inbox = Inbox::new(limits.frame);
    let idle = Idle::new(shell.clock(), limits.idle);
    let mut connection = Connection { shell, node, id, client_address, stream, power, inbox, idle };
    let why = connection.run().await;
    tracing::debug!(connection = id, node = node.0, ?why, "connection closed");
}

#[derive(Debug)]
enum Closed {
    /// The client went, or its bytes were not Kafka's.
    ByPeer,
    /// The broker wanted it so.
    ByBroker,
    /// Nobody used it.
    Idle,
    /// The node went down.
    NodeDown,
}

struct Connection {
    shell: Arc<Shell>,
    node: NodeId,
    id: u64,
    client_address: Option<IpAddr>,
    stream: BoxStream,
    power: watch::Receiver<Power>,
    inbox: Inbox,
    idle: Idle,
}

/// A request that is being served.
struct Call {
    api: ApiKey,
    correlation_id: i32,
    cx: Context,
}

impl Connection {
    async fn run(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.serve_one().await {
                return closed;
            }
        }
    }

    async fn serve_one(&mut self) -> Result<(), Closed> {
        let bytes = self.next_frame().await?;
        self.until_up().await?;
        let len = bytes.len();
        let frame = RequestFrame::decode(&bytes).map_err(|error| self.refuse(&error))?;
        drop(bytes);
        let mut call = self.call(&frame);
        match admit(&frame) {
            Admission::Serve => {}
            Admission::Close => return Err(self.refuse(&"a version that is not served")),
            Admission::Downgrade(response) => {
                return self.send(&call, &response.into(), 0, None).await;
            }
        }
        let request = frame.request().map_err(|error| self.refuse(&error))?;
        drop(frame);
        let prepared = Prepared::new(request, call.cx.version, len);
        let flow = self.settle(&mut call, prepared).await?;
        self.answer(&call, flow).await
    }

    fn call(&self, frame: &RequestFrame) -> Call {
        let client_id = frame.client_id.as_deref().map_or_else(ByteString::new, ByteString::from);
        let mut cx = Context::new(Now::default(), self.node, frame.version);
        cx.connection = self.id;
        cx.client_id = client_id;
        cx.client_address = self.client_address;
        Call { api: frame.api, correlation_id: frame.correlation_id, cx }
    }

    fn refuse(&self, why: &dyn std::fmt::Display) -> Closed {
        tracing::info!(connection = self.id, node = self.node.0, %why, "closing a connection");
        Closed::ByBroker
    }

    /// Gives a request to the world, and waits with it for as long as it is parked.
    async fn settle(&mut self, call: &mut Call, request: Prepared) -> Result<Flow, Closed> {
        let mut step = self.shell.handle(&mut call.cx, request);
        loop {
            match step {
                Step::Now(flow) => return Ok(flow),
                Step::Wait(parked, woken) => {
                    let (parked, why) = if parked.wants_records_read() {
                        let ticket = parked.ticket;
                        let read = self.read_records(parked).await;
                        (read.inspect_err(|_| self.shell.forget(ticket))?, Why::Expired)
                    } else {
                        let why = self.wait(&parked, woken).await;
                        let why = why.inspect_err(|_| self.shell.abandon(&parked))?;
                        (parked, why)
                    };
                    let is_up = self.until_up().await;
                    is_up.inspect_err(|_| self.shell.abandon(&parked))?;
                    step = self.shell.resume(&mut call.cx, *parked, why);
                }
            }
        }
    }

    /// Unpacks records where that holds up nobody else, once it is this request's turn: as many at a
    /// time as there are processors. In memory the shell does it in turn: there time may be
    /// simulated, and one order of events is to follow from one seed.
    async fn read_records(&mut self, mut parked: Box<Parked>) -> Result<Box<Parked>, Closed> {
        if self.client_address.is_none() {
            return Ok(parked);
        }
        let read = aside(self.shell.readers(), move || {
            parked.read_records();
            parked
        });
        tokio::select! {
            biased;
            () = down(&mut self.power) => Err(Closed::NodeDown),
            read = read => read.ok_or_else(|| self.refuse(&"records that could not be read")),
        }
    }

    async fn wait(
        &mut self,
        parked: &Parked,
        woken: tokio::sync::oneshot::Receiver<()>,
    ) -> Result<Why, Closed> {
        let clock = self.shell.clock();
        tokio::select! {
            biased;
            () = down(&mut self.power) => Err(Closed::NodeDown),
            _ = woken => Ok(Why::Woken),
            () = clock.sleep_until(parked.until) => Ok(Why::Expired),
            () = hung_up(&mut self.stream, &mut self.inbox), if !parked.outlives_its_client() => {
                Err(Closed::ByPeer)
            }
            // Kafka does not ask whether a request is being served.
            () = self.idle.passed() => self.leave_idle().await,
        }
    }

    /// The next frame, without its length.
    async fn next_frame(&mut self) -> Result<Bytes, Closed> {
        loop {
            match self.inbox.take_frame() {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(error) => return Err(self.refuse(&error)),
            }
            tokio::select! {
                biased;
                () = down(&mut self.power) => return Err(Closed::NodeDown),
                read = self.inbox.read_from(&mut self.stream) => match read {
                    Ok(1..) => self.idle.note_use(self.shell.clock().now().mono),
                    Ok(0) | Err(_) => return Err(Closed::ByPeer),
                },
                () = self.idle.passed() => return self.leave_idle().await,
            }
        }
    }

    /// The connection is closed, by a paused node as soon as that goes on.
    async fn leave_idle<T>(&mut self) -> Result<T, Closed> {
        self.until_up().await?;
        Err(Closed::Idle)
    }

    /// A paused node takes nothing up.
    async fn until_up(&mut self) -> Result<(), Closed> {
        match self.power.wait_for(|power| power != Power::Paused).await {
            Ok(Power::Up) => Ok(()),
            _ => Err(Closed::NodeDown),
        }
    }

    async fn answer(&mut self, call: &Call, flow: Flow) -> Result<(), Closed> {
        match flow {
            Flow::Reply(Reply { response, mute, damage }) => {
                self.send(call, &response, call.cx.version, damage).await?;
                self.mute(mute).await
            }
            Flow::Silent => Ok(()),
            Flow::Close | Flow::Park(_) => Err(Closed::ByBroker),
        }
    }

    /// The client has its answer; what it sends next waits (KIP-219).
    async fn mute(&mut self, mute: Duration) -> Result<(), Closed> {
        if mute.is_zero() {
            return Ok(());
        }
        let until = self.shell.clock().now().mono + mute;
        tokio::select! {
            biased;
            () = down(&mut self.power) => Err(Closed::NodeDown),
            () = self.shell.clock().sleep_until(Some(until)) => Ok(()),
        }
    }

    async fn send(
        &mut self,
        call: &Call,
        response: &AnyResponse,
        version: i16,
        damage: Option<Damage>,
    ) -> Result<(), Closed> {
        let frame = encode_any_response(response, version, call.correlation_id);
        let mut frame = frame.map_err(|error| {
            // A broken rule of ours; the client is better off with a lost connection than a lie.
            tracing::error!(api = %call.api, %error, "an answer could not be encoded");
            Closed::ByBroker
        })?;
        if let Some(damage) = damage {
            frame = damaged(frame, damage);
        }
        tokio::select! {
            biased;
            () = down(&mut self.power) => return Err(Closed::NodeDown),
            sent = self.stream.write_all_buf(&mut frame) => sent.map_err(|_| Closed::ByPeer)?,
        }
        self.idle.note_use(call.cx.now.mono);
        if matches!(damage, Some(Damage::Cut(_))) { Err(Closed::ByBroker) } else { Ok(()) }
    }
}

fn damaged(mut frame: Frame, damage: Damage) -> Frame {
    let whole = frame.remaining();
    let len = if let Damage::Cut(len) = damage { len.min(whole) } else { whole };
    let mut bytes = BytesMut::from(&*frame.copy_to_bytes(len));
    if damage == Damage::Flip {
        bytes.iter_mut().skip(LENGTH_AND_CORRELATION_ID).for_each(|byte| *byte = !*byte);
    }
    Frame::from(bytes.freeze())
}

/// Waits until the node is down.
pub(crate) async fn down(power: &mut watch::Receiver<Power>) {
    // An error means that the whole cluster is gone.
    let _gone = power.wait_for(|power| power == Power::Down).await;
}

/// Waits until the client has gone. What it sends meanwhile is kept, up to a limit: it must not
/// fill memory while its request is parked.
async fn hung_up(stream: &mut BoxStream, inbox: &mut Inbox) {
    while inbox.len() < READ_AHEAD {
        match inbox.read_from(stream).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
    std::future::pending::<()>().await;
}

/// Bytes of an answer that say how long it is and what it answers.
const LENGTH_AND_CORRELATION_ID: usize = 8;

/// What is read, in bytes, while a request is parked.
const READ_AHEAD: usize = 64 * 1024;
