//! A client whose process was held up: paused, starved, or moved to another host.
#![expect(clippy::disallowed_methods, reason = "the broker is a task of the test")]
#![expect(clippy::unwrap_used, reason = "a test bed that does not stand up is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_core::config::ClientConfig;
use ottla_core::net::{BoxStream, Client, Dialer, Runtime};
use ottla_core::types::HostPort;
use ottla_protocol::ApiKey;
use ottla_protocol::frames::{RequestFrame, encode_response};
use ottla_protocol::messages::api_versions::ApiVersion;
use ottla_protocol::messages::metadata::MetadataResponseBroker;
use ottla_protocol::messages::{ApiVersionsResponse, MetadataResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_while_nobody_could_look_is_in_time() {
    let dialer: Dialer = Arc::new(|_| {
        Box::pin(async {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            tokio::task::spawn(serve(theirs));
            Ok(Box::new(ours) as BoxStream)
        })
    });
    let config = ClientConfig {
        bootstrap_servers: vec![HostPort::new("broker", 9092)],
        ..ClientConfig::default()
    };
    let request_timeout = config.request_timeout;
    let runtime = Runtime::builder().dialer(dialer).seed(1).build();
    let begun = runtime.now();
    let client = Client::connect(config, runtime).await.unwrap();
    assert!(client.runtime().now() - begun > request_timeout);
}

/// Answers one request after the other. Behind the first answer about the cluster, a minute passes in
/// which no task of the client runs.
async fn serve(mut stream: DuplexStream) {
    while let Ok(len) = stream.read_u32().await {
        let mut frame = vec![0; usize::try_from(len).unwrap()];
        stream.read_exact(&mut frame).await.unwrap();
        let asked = RequestFrame::decode(&Bytes::from(frame)).unwrap();
        stream.write_all(&answer(&asked)).await.unwrap();
        if asked.api == ApiKey::Metadata {
            tokio::time::advance(Duration::from_secs(60)).await;
        }
    }
}

fn answer(asked: &RequestFrame) -> Bytes {
    let RequestFrame { api, version, correlation_id, .. } = *asked;
    if api == ApiKey::ApiVersions {
        let versions = [ApiKey::ApiVersions, ApiKey::Metadata].map(|api| {
            let (api_key, versions) = (api.code(), api.stable_versions());
            let (min_version, max_version) = (versions.min, versions.max);
            ApiVersion { api_key, min_version, max_version, ..ApiVersion::default() }
        });
        let answer = ApiVersionsResponse { api_keys: versions.into(), ..Default::default() };
        return encode_response(&answer, version, correlation_id).unwrap().into_bytes();
    }
    let broker = MetadataResponseBroker {
        node_id: 1,
        host: "broker".into(),
        port: 9092,
        ..MetadataResponseBroker::default()
    };
    let answer = MetadataResponse { brokers: vec![broker], ..MetadataResponse::default() };
    encode_response(&answer, version, correlation_id).unwrap().into_bytes()
}
