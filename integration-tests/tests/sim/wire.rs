//! A network in which bytes take their time.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use ottla_core::net::Stream;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex,
    split,
};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

use crate::actor::spawn;

/// Connects over a distance: whatever is sent is there so much later, a connection's beginning and
/// end included.
pub(crate) async fn far<S: Stream + 'static>(
    distance: Duration,
    connecting: impl Future<Output = io::Result<S>>,
) -> io::Result<DuplexStream> {
    sleep(distance).await;
    let connected = connecting.await;
    sleep(distance).await;
    let (near, end) = duplex(WINDOW);
    let ((from_client, to_client), (from_broker, to_broker)) = (split(end), split(connected?));
    drop(spawn(carry(distance, from_client, to_broker)));
    drop(spawn(carry(distance, from_broker, to_client)));
    Ok(near)
}

/// Carries what is written at one end to the other, until one of them is gone.
async fn carry<R, W>(distance: Duration, mut from: ReadHalf<R>, mut to: WriteHalf<W>)
where
    R: AsyncRead,
    W: AsyncWrite,
{
    let (leaves, mut arrives) = mpsc::channel::<(Pin<Box<Sleep>>, BytesMut)>(CHUNKS);
    let send = async move {
        loop {
            let mut bytes = BytesMut::with_capacity(CHUNK);
            let is_end = !matches!(from.read_buf(&mut bytes).await, Ok(1..));
            // An end travels as bytes do: as none.
            let sent = leaves.send((Box::pin(sleep(distance)), bytes)).await;
            if is_end || sent.is_err() {
                return;
            }
        }
    };
    let arrive = async move {
        while let Some((journey, bytes)) = arrives.recv().await {
            journey.await;
            if bytes.is_empty() || to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        // Whoever reads there is told; one that is gone needs not be.
        drop(to.shutdown().await);
    };
    tokio::join!(send, arrive);
}

/// Bytes that wait at either end.
const WINDOW: usize = 64 << 10;

/// Bytes that travel together at most.
const CHUNK: usize = 16 << 10;

/// So many chunks are under way at most: enough that a distance takes time, and not throughput.
const CHUNKS: usize = 64;
