//! Apache Kafka's wire protocol: bytes ⇄ messages, record batches and compression.
//!
//! Every message that a client, or the side of a broker that faces clients, speaks in Apache Kafka
//! 4.4.0, in every version and both directions. There is no clock, no socket and no policy here:
//! bytes go in, values come out, and the other way round.
//!
//! The bytes are hostile until proven otherwise. Whatever is decoded, nothing panics, loops, or
//! allocates more than a small multiple of the bytes that are there; an error says which field, at
//! which byte, is wrong in which way.
//!
//! | module | what it is for |
//! |---|---|
//! | [`messages`] | the messages, [`ApiKey`], and [`AnyRequest`] and [`AnyResponse`] over all of them |
//! | [`frames`] | whole frames: length, header, message |
//! | [`records`] | record batches: building, stamping, walking, iterating |
//! | [`compression`] | gzip, snappy, lz4, zstd with levels, reused contexts and a cap on output |
//! | [`wire`] | what messages are read from and written into |
//! | [`FetchView`] | the answer a consumer lives on, walked where it lies |
//!
//! # Messages
//!
//! A message is a plain structure with Kafka's field names. Encoding asks for a version, and refuses
//! what that version cannot say; decoding shares the memory of the frame.
//!
//! ```
//! use ottla_protocol::Message;
//! use ottla_protocol::messages::MetadataRequest;
//! use ottla_protocol::messages::metadata::MetadataRequestTopic;
//!
//! let topic = MetadataRequestTopic { name: Some("orders".into()), ..Default::default() };
//! let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
//! let bytes = request.encode(12)?.into_bytes();
//! assert_eq!(MetadataRequest::decode(&bytes, 12)?, request);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Record batches
//!
//! ```
//! use ottla_protocol::records::{BatchBuilder, BatchDecoder, NewRecord, SealOptions};
//!
//! let mut builder = BatchBuilder::new();
//! builder.append(NewRecord::new(1_700_000_000_000, Some(b"key"), Some(b"value")))?;
//! let batch = builder.seal(&SealOptions::default()).freeze();
//!
//! batch.verify_crc()?;
//! for record in BatchDecoder::new(1 << 20).records(&batch)? {
//!     assert_eq!(record?.value, Some(&b"value"[..]));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A proxy
//!
//! A proxy takes frames off what each side sends, looks into them, and passes them on. It remembers
//! which API and version each correlation id asked for, because a response does not say.
//!
//! ```
//! use std::collections::HashMap;
//!
//! use bytes::BytesMut;
//! use ottla_protocol::frames::{self, RequestFrame, ResponseFrame};
//! use ottla_protocol::messages::ApiVersionsRequest;
//! use ottla_protocol::wire::take_frame;
//! use ottla_protocol::{AnyRequest, ApiKey};
//!
//! /// Kafka's `socket.request.max.bytes`.
//! const LIMIT: usize = 100 << 20;
//!
//! let mut asked: HashMap<i32, (ApiKey, i16)> = HashMap::new();
//! let mut on_request = |received: &mut BytesMut| -> Result<(), Box<dyn std::error::Error>> {
//!     while let Some(frame) = take_frame(received, LIMIT)? {
//!         let frame = RequestFrame::decode(&frame)?;
//!         asked.insert(frame.correlation_id, (frame.api, frame.version));
//!         if let AnyRequest::ApiVersions(request) = frame.request()? {
//!             assert_eq!(&request.client_software_name[..], "ottla");
//!         }
//!     }
//!     Ok(())
//! };
//!
//! let request = ApiVersionsRequest { client_software_name: "ottla".into(), ..Default::default() };
//! let sent = frames::encode_request(&request, 3, 1, Some("proxied"))?.into_bytes();
//! on_request(&mut BytesMut::from(&sent[..]))?;
//!
//! // On the way back, `ResponseFrame::decode` gives the correlation id; `response` the rest.
//! let (api, version) = asked[&1];
//! assert_eq!((api, version), (ApiKey::ApiVersions, 3));
//! # let response = ottla_protocol::messages::ApiVersionsResponse::default();
//! # let mut received = BytesMut::from(&frames::encode_response(&response, 3, 1)?.into_bytes()[..]);
//! let frame = take_frame(&mut received, LIMIT)?.ok_or("the response is not there yet")?;
//! let response = ResponseFrame::decode(&frame, api, version)?.response(api, version)?;
//! # assert_eq!(response.api(), api);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! `gzip`, `snappy`, `lz4` and `zstd`, all on by default, bring their codec; without one, its batches
//! are refused with an error that names the feature. `zstd-pure` is a zstd without C, several times
//! slower, and it refuses what refers further back than 8 MiB: batches that are larger, of levels 20
//! to 22. Where both are on, `zstd` is used.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod api;
pub mod compression;
mod error_code;
mod fetch_view;
pub mod frames;
#[rustfmt::skip]
pub mod messages;
pub mod records;
mod uuid;
mod version;
pub mod wire;

pub use bytestring::ByteString;
pub use error_code::{ErrorClass, ErrorCode};
pub use fetch_view::{AbortedTransactions, FetchView, PartitionView};
pub use messages::{AnyRequest, AnyResponse, ApiKey};
pub use uuid::{Uuid, UuidError};
pub use version::VersionRange;
pub use wire::{DecodeError, EncodeError, Frame, Message, Request, Response};
