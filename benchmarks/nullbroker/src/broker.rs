//! What becomes of a request: no clock, no socket.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::frames::{RequestFrame, encode_any_response, encode_response};
use ottla_protocol::messages::{ApiVersionsResponse, InitProducerIdResponse};
use ottla_protocol::records::{BatchFault, RecordsError};
use ottla_protocol::wire::Frame;
use ottla_protocol::{
    AnyRequest, AnyResponse, ApiKey, ByteString, DecodeError, EncodeError, ErrorCode,
};
use tokio::time::Instant;

use crate::canned::CannedLog;
use crate::counts::Counts;
use crate::data::Data;
use crate::directory::Directory;
use crate::offsets;
use crate::trouble::{Trouble, Troubled};
use crate::versions::Versions;

/// What a broker is told before it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients reach it; in its metadata.
    pub host: ByteString,
    /// As `host`.
    pub port: u16,
    /// Partitions of every topic. A topic is there as soon as somebody names it.
    pub partitions: i32,
    /// How new the broker looks.
    pub versions: Versions,
    /// How long answers to Produce and Fetch are held back.
    pub delay: Duration,
    /// Whether the checksum of every produced batch is verified.
    pub verify: bool,
    /// What every partition holds for consumers.
    pub log: CannedLog,
    /// What goes wrong with it.
    pub trouble: Trouble,
}

/// One broker that is all of a cluster.
#[derive(Debug)]
pub struct Broker {
    versions: Versions,
    directory: Directory,
    data: Data,
    counts: Counts,
    next_producer_id: i64,
    troubled: Troubled,
}

/// What a client is told, and when.
#[derive(Debug)]
pub struct Answer {
    /// The bytes.
    pub frame: Frame,
    /// How long they must wait.
    pub hold: Duration,
}

impl Broker {
    /// A broker that nobody has talked to.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let Config { host, port, partitions, versions, delay, verify, log, trouble } = config;
        Self {
            versions,
            directory: Directory::new(host, port, partitions),
            data: Data::new(log, delay, verify),
            counts: Counts::default(),
            next_producer_id: 0,
            troubled: Troubled::new(trouble),
        }
    }

    /// What was done since the start or the last [`reset`](Self::reset).
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Counts from zero again.
    pub fn reset(&mut self) {
        self.counts = Counts::default();
    }

    /// A client connected.
    pub fn handle_connection(&mut self) {
        self.counts.connections += 1;
    }

    /// Answers a request, which comes without its length. `None` for one that wants no answer.
    ///
    /// # Errors
    ///
    /// [`Refused`], after which the connection is of no use.
    pub fn handle_request(&mut self, frame: &Bytes) -> Result<Option<Answer>, Refused> {
        self.counts.requests += 1;
        let frame = RequestFrame::decode(frame)?;
        let (api, version) = (frame.api, frame.version);
        let served = self.versions.of(api).is_some_and(|served| served.contains(version));
        if api == ApiKey::ApiVersions {
            return Ok(Some(self.announce(&frame, served)?));
        }
        if !served {
            return Err(Refused::Version { api, version });
        }
        let (response, hold) = match frame.request()? {
            AnyRequest::Produce(request) => {
                let silent = request.acks == 0;
                let (response, hold) = self.data.produce(request, &mut self.counts.produced)?;
                if silent {
                    return Ok(None);
                }
                (response.into(), hold)
            }
            AnyRequest::Fetch(request) => {
                let (response, hold) = self.data.fetch(request, &mut self.counts.fetched);
                (response.into(), hold)
            }
            request => (self.look_up(api, version, request)?, Duration::ZERO),
        };
        let frame = encode_any_response(&response, version, frame.correlation_id)?;
        Ok(Some(Answer { frame, hold }))
    }

    /// When an answer to a request of so many bytes leaves.
    pub(crate) fn due(&mut self, answer: &Answer, bytes: usize, now: Instant) -> Instant {
        self.troubled.handle_request(bytes, now + answer.hold, now)
    }

    /// Whatever version is asked, the answer to it or to version 0 says which are served (KIP-511).
    fn announce(&self, asked: &RequestFrame, served: bool) -> Result<Answer, EncodeError> {
        let (error, version) = if served {
            (ErrorCode::None, asked.version)
        } else {
            (ErrorCode::UnsupportedVersion, 0)
        };
        let response: ApiVersionsResponse = self.versions.announcement(error);
        let frame = encode_response(&response, version, asked.correlation_id)?;
        Ok(Answer { frame, hold: Duration::ZERO })
    }

    fn look_up(
        &mut self,
        api: ApiKey,
        version: i16,
        request: AnyRequest,
    ) -> Result<AnyResponse, Refused> {
        Ok(match request {
            AnyRequest::Metadata(request) => self.directory.metadata(request).into(),
            AnyRequest::FindCoordinator(request) => {
                self.directory.coordinator(version, request).into()
            }
            AnyRequest::InitProducerId(_) => self.init_producer_id().into(),
            AnyRequest::ListOffsets(request) => offsets::list(self.data.end(), request).into(),
            AnyRequest::OffsetForLeaderEpoch(request) => {
                offsets::epoch_ends(self.data.end(), request).into()
            }
            AnyRequest::OffsetCommit(request) => offsets::commit(request).into(),
            AnyRequest::OffsetFetch(request) => offsets::fetch(version, request).into(),
            _ => return Err(Refused::Version { api, version }),
        })
    }

    fn init_producer_id(&mut self) -> InitProducerIdResponse {
        let producer_id = self.next_producer_id;
        self.next_producer_id += 1;
        InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() }
    }
}

/// Why a connection is closed.
#[derive(Debug)]
pub enum Refused {
    /// It was not announced.
    Version {
        /// The API.
        api: ApiKey,
        /// The version of the request.
        version: i16,
    },
    /// The bytes are not such a request.
    Decode(DecodeError),
    /// What was produced is no batch.
    Batch(BatchFault),
    /// A produced batch does not match its checksum.
    Checksum(RecordsError),
    /// The answer does not fit into the version.
    Encode(EncodeError),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { api, version } => write!(f, "{api:?} {version} is not served"),
            Self::Decode(error) => error.fmt(f),
            Self::Batch(error) => error.fmt(f),
            Self::Checksum(error) => error.fmt(f),
            Self::Encode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<BatchFault> for Refused {
    fn from(error: BatchFault) -> Self {
        Self::Batch(error)
    }
}

impl From<RecordsError> for Refused {
    fn from(error: RecordsError) -> Self {
        Self::Checksum(error)
    }
}

impl From<EncodeError> for Refused {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}
