//! What a client says of those at the other end who are no broker, or a broken one.
#![expect(clippy::disallowed_methods, reason = "the strangers are tasks of the test")]
#![expect(clippy::unwrap_used, reason = "a test bed that does not stand up is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use ottla_core::config::ClientConfig;
use ottla_core::error::RequestError;
use ottla_core::net::{BoxStream, Client, Dialer, Runtime};
use ottla_core::types::HostPort;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

#[tokio::test(start_paused = true)]
async fn a_tls_port_is_recognised_by_its_alert() {
    check(b"\x15\x03\x03\x00\x02\x02\x46", "its plaintext port").await;
}

#[tokio::test(start_paused = true)]
async fn an_http_server_is_recognised() {
    check(b"HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP server answers").await;
}

#[tokio::test(start_paused = true)]
async fn a_length_of_two_gigabytes_is_refused() {
    check(b"\x7f\xff\xff\xff", "not a Kafka broker").await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_correlation_id_is_named() {
    check(&[0, 0, 0, 10, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0], "answered request 77 where 0 was next")
        .await;
}

#[tokio::test(start_paused = true)]
async fn garbage_in_an_honest_frame_is_no_broker() {
    check(&[0, 0, 0, 6, 0, 0, 0, 0, 0xff, 0xff], "not a Kafka broker").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_at_once_is_suspected_to_want_tls() {
    check(b"", "closed the connection before its first answer").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_costs_the_setup_timeout() {
    let error = connect(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    });
    let error = error.await;
    assert!(error.contains("no connection within 10 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_sends_one_byte_a_second_costs_no_more() {
    let error = connect(|mut stream: DuplexStream| async move {
        let answer = [0, 0, 1, 0].into_iter().chain(std::iter::repeat(0));
        for byte in answer {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    });
    let error = error.await;
    assert!(error.contains("no connection within 10 s"), "{error}");
}

/// Connects to a server that answers the first request with `answer` and closes.
async fn check(answer: &'static [u8], expected: &str) {
    let error = connect(move |mut stream: DuplexStream| async move {
        stream.read_u32().await.unwrap();
        stream.write_all(answer).await.unwrap();
    });
    let error = error.await;
    assert!(error.contains(expected), "{error}");
    assert!(error.contains("stranger:9092"), "{error}");
}

/// What a client says that connects to `serve`.
async fn connect<F>(serve: impl Fn(DuplexStream) -> F + Send + Sync + Copy + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let dialer: Dialer = Arc::new(move |_| {
        Box::pin(async move {
            let (ours, theirs) = tokio::io::duplex(1 << 10);
            tokio::task::spawn(serve(theirs));
            Ok(Box::new(ours) as BoxStream)
        })
    });
    let config = ClientConfig {
        bootstrap_servers: vec![HostPort::new("stranger", 9092)],
        ..ClientConfig::default()
    };
    let runtime = Runtime::builder().dialer(dialer).seed(1).build();
    let error: RequestError = Client::connect(config, runtime).await.unwrap_err();
    error.to_string()
}
