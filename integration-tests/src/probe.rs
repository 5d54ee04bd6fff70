//! A client of one request at a time, for what the harness itself wants to know.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use ottla_protocol::frames::{ResponseFrame, encode_request};
use ottla_protocol::wire::take_frame;
use ottla_protocol::{Message, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection to one broker. Whoever calls names the version; nothing is negotiated.
#[derive(Debug)]
pub struct Probe {
    stream: TcpStream,
    received: BytesMut,
    correlation_id: i32,
}

impl Probe {
    /// Connects to `host:port`.
    ///
    /// # Errors
    ///
    /// As TCP's; `TimedOut` after a second.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn connect(address: &str) -> io::Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: BytesMut::new(), correlation_id: 0 })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// As TCP's; `TimedOut` after `patience`; `InvalidData` when the answer is none.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the answer to a call that was dropped is taken for the next one's, which
    /// then fails.
    pub async fn call<R: Request + Sync>(
        &mut self,
        request: &R,
        version: i16,
        patience: Duration,
    ) -> io::Result<R::Response> {
        timeout(patience, self.ask(request, version)).await?
    }

    async fn ask<R: Request + Sync>(
        &mut self,
        request: &R,
        version: i16,
    ) -> io::Result<R::Response> {
        self.correlation_id += 1;
        let id = self.correlation_id;
        let mut frame = encode_request(request, version, id, Some(CLIENT_ID)).map_err(invalid)?;
        self.stream.write_all_buf(&mut frame).await?;
        let bytes = loop {
            if let Some(frame) = take_frame(&mut self.received, usize::MAX).map_err(invalid)? {
                break frame;
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let frame = ResponseFrame::decode(&bytes, R::API, version).map_err(invalid)?;
        if frame.correlation_id != id {
            return Err(invalid("the answer to another request"));
        }
        R::Response::decode(&frame.body, version).map_err(invalid)
    }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A broker that lives answers a connection at once.
const PATIENCE: Duration = Duration::from_secs(1);

const CLIENT_ID: &str = "harness";
