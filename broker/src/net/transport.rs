//! Streams over TCP, and within the process.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A connection, whatever it is made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A [`Stream`] of some kind.
pub type BoxStream = Box<dyn Stream>;

/// Where a node's connections come from.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Memory(mpsc::UnboundedReceiver<DuplexStream>),
}

impl Listener {
    /// The next connection, with where it comes from, if that is a network.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost.
    pub(crate) async fn accept(&mut self) -> io::Result<(BoxStream, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are written in one go; waiting for more to send only delays them.
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Some(peer.ip())))
            }
            Self::Memory(accepted) => {
                let stream = accepted.recv().await.ok_or(io::ErrorKind::NotConnected)?;
                Ok((Box::new(stream), None))
            }
        }
    }
}

/// The addresses within this process that somebody listens on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    listening: Arc<Mutex<Registry>>,
}

type Registry = HashMap<(String, u16), mpsc::UnboundedSender<DuplexStream>>;

impl Memory {
    /// Listens on an address; who listened there before no longer does.
    pub(crate) fn listen(&self, host: &str, port: u16) -> Listener {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.with(|registry| registry.insert((host.to_owned(), port), sender));
        Listener::Memory(receiver)
    }

    /// Nobody listens on an address any more.
    pub(crate) fn close(&self, host: &str, port: u16) {
        self.with(|registry| registry.remove(&(host.to_owned(), port)));
    }

    /// Connects to an address.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` when nobody listens there.
    pub(crate) fn connect(&self, host: &str, port: u16) -> io::Result<BoxStream> {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let address = (host.to_owned(), port);
        let sender = self.with(|registry| registry.get(&address).cloned());
        let sent = sender.is_some_and(|sender| sender.send(theirs).is_ok());
        if sent { Ok(Box::new(ours)) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
    }

    fn with<R>(&self, act: impl FnOnce(&mut Registry) -> R) -> R {
        act(&mut self.listening.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Bytes that one direction holds: little enough that back-pressure is real.
const BUFFER: usize = 64 * 1024;
