//! From a host and a port to a stream.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::race::first_success;
use crate::types::HostPort;

/// A connection, whatever it is made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A [`Stream`] of some kind.
pub type BoxStream = Box<dyn Stream>;

/// A connection in the making.
pub type DialFuture = Pin<Box<dyn Future<Output = io::Result<BoxStream>> + Send>>;

/// Makes connections: the seam where a test puts its own network.
pub type Dialer = Arc<dyn Fn(HostPort) -> DialFuture + Send + Sync>;

/// What is set on each socket.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SocketOptions {
    /// In bytes; `None` leaves it to the system.
    pub(crate) send_buffer: Option<u32>,
    /// In bytes; `None` leaves it to the system.
    pub(crate) receive_buffer: Option<u32>,
}

/// Connects over TCP.
pub(crate) fn tcp(options: SocketOptions) -> Dialer {
    Arc::new(move |address| Box::pin(connect(address, options)))
}

/// Resolves the host anew, because names move, and tries every address: the next one joins when the
/// last has not answered for a while, so that a dead one costs little (RFC 8305).
async fn connect(address: HostPort, options: SocketOptions) -> io::Result<BoxStream> {
    let addresses = lookup_host((&*address.host, address.port)).await?.collect();
    let stream = first_of(interleave(addresses), options).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// The first address to connect; the last failure if none does.
async fn first_of(addresses: Vec<SocketAddr>, options: SocketOptions) -> io::Result<TcpStream> {
    let attempts = addresses.into_iter().map(|address| attempt(address, options));
    first_success(attempts, PATIENCE).await.map_err(|failure| {
        failure
            .unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
    })
}

async fn attempt(address: SocketAddr, options: SocketOptions) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.connect(address).await
}

/// The addresses with the two families in turn, beginning with the family of the first.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv4) else { return addresses };
    let (mut one, mut other): (Vec<_>, Vec<_>) =
        addresses.into_iter().rev().partition(|address| address.is_ipv4() == first);
    let mut turns = Vec::with_capacity(one.len() + other.len());
    while !(one.is_empty() && other.is_empty()) {
        turns.extend(one.pop());
        turns.extend(other.pop());
    }
    turns
}

/// How long an address is tried alone: RFC 8305's recommendation.
const PATIENCE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let addresses = ["[::1]:1", "[::2]:1", "10.0.0.1:1", "10.0.0.2:1", "[::3]:1"];
        let parsed = addresses.map(|address| address.parse().unwrap()).into();
        let turns: Vec<String> = interleave(parsed).iter().map(ToString::to_string).collect();
        assert_eq!(turns, ["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "[::3]:1"]);
    }

    #[tokio::test]
    async fn a_dead_address_is_passed_over() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = listener.local_addr().unwrap();
        // Port 1 of a loopback address: nobody listens there.
        let dead = "127.0.0.2:1".parse().unwrap();
        let stream = first_of(vec![dead, live], SocketOptions::default()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live);
    }

    #[tokio::test]
    async fn without_a_live_address_the_last_failure_is_told() {
        let dead = "127.0.0.2:1".parse().unwrap();
        let refused = first_of(vec![dead], SocketOptions::default()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
