//! Whole frames: length, header and message.

use bytes::Bytes;

use crate::messages::{AnyRequest, AnyResponse, ApiKey, RequestHeader, ResponseHeader};
use crate::wire::{
    DecodeError, DecodeErrorKind, EncodeError, Frame, Message, Reader, Request, Response,
    UnknownTaggedFields, Writer,
};

/// A request as it goes over a connection: length, header, body.
///
/// # Errors
///
/// [`EncodeError`], when `version` is unknown or cannot carry the request.
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Frame, EncodeError> {
    let header = request_header(R::API, version, correlation_id, client_id);
    let header_version = R::API.request_header_version(version);
    encode_frame(&header, header_version, |writer| request.encode_into(writer, version))
}

/// As [`encode_request`], for a request of any API.
///
/// # Errors
///
/// As [`encode_request`].
pub fn encode_any_request(
    request: &AnyRequest,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Frame, EncodeError> {
    let api = request.api();
    let header = request_header(api, version, correlation_id, client_id);
    let header_version = api.request_header_version(version);
    encode_frame(&header, header_version, |writer| request.encode_into(writer, version))
}

/// A response as it goes over a connection: length, header, body.
///
/// # Errors
///
/// [`EncodeError`], when `version` is unknown or cannot carry the response.
pub fn encode_response<R: Response>(
    response: &R,
    version: i16,
    correlation_id: i32,
) -> Result<Frame, EncodeError> {
    let header = ResponseHeader { correlation_id, ..ResponseHeader::default() };
    let header_version = R::API.response_header_version(version);
    encode_frame(&header, header_version, |writer| response.encode_into(writer, version))
}

/// As [`encode_response`], for a response of any API.
///
/// # Errors
///
/// As [`encode_response`].
pub fn encode_any_response(
    response: &AnyResponse,
    version: i16,
    correlation_id: i32,
) -> Result<Frame, EncodeError> {
    let header = ResponseHeader { correlation_id, ..ResponseHeader::default() };
    let header_version = response.api().response_header_version(version);
    encode_frame(&header, header_version, |writer| response.encode_into(writer, version))
}

/// A request frame taken apart as far as its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFrame {
    /// The API that is asked.
    pub api: ApiKey,
    /// The version of the request. It may be one that is not known here: see
    /// [`ApiKey::versions`].
    pub version: i16,
    /// What the response must carry, so that the client knows which request it answers.
    pub correlation_id: i32,
    /// What the client calls itself; `None` for null.
    pub client_id: Option<bytestring::ByteString>,
    /// Tagged fields of the header that are not known here. A proxy that passes the request on
    /// passes them on, too.
    pub unknown_tagged_fields: UnknownTaggedFields,
    /// The request behind the header, sharing the memory of the frame.
    pub body: Bytes,
}

impl RequestFrame {
    /// Reads the header of `frame`, which comes without its length.
    ///
    /// The header of a version that is not known here is read as that of a flexible one, so that a
    /// broker can answer `ApiVersions` from a client newer than itself (KIP-511).
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when the API is not known here or the bytes are not a request header.
    pub fn decode(frame: &Bytes) -> Result<Self, DecodeError> {
        let in_header = |error: DecodeError| error.in_message(RequestHeader::NAME);
        let mut start = Reader::new(frame, false);
        let code = start.i16("request_api_key").map_err(in_header)?;
        let version = start.i16("request_api_version").map_err(in_header)?;
        let unknown = DecodeErrorKind::UnknownType { code };
        let api = ApiKey::from_code(code)
            .ok_or_else(|| in_header(DecodeError::new("request_api_key", 0, unknown)))?;
        let mut reader = Reader::new(frame, false);
        let header = RequestHeader::decode_from(&mut reader, api.request_header_version(version))?;
        let RequestHeader { correlation_id, client_id, unknown_tagged_fields, .. } = header;
        let body = reader.into_rest();
        Ok(Self { api, version, correlation_id, client_id, unknown_tagged_fields, body })
    }

    /// Reads the request.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when the version is unknown, or the body is not such a request or goes on
    /// after it.
    pub fn request(&self) -> Result<AnyRequest, DecodeError> {
        let mut reader = Reader::new(&self.body, false);
        let request = AnyRequest::decode_from(self.api, &mut reader, self.version)?;
        reader.expect_end("end").map_err(|error| error.in_message(request.name()))?;
        Ok(request)
    }
}

/// A response frame taken apart as far as its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseFrame {
    /// The correlation id of the request that this answers.
    pub correlation_id: i32,
    /// Tagged fields of the header that are not known here.
    pub unknown_tagged_fields: UnknownTaggedFields,
    /// The response behind the header, sharing the memory of the frame.
    pub body: Bytes,
}

impl ResponseFrame {
    /// Reads the header of `frame`, which comes without its length and answers a request of `api`
    /// in `version`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when the bytes are not a response header.
    pub fn decode(frame: &Bytes, api: ApiKey, version: i16) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame, false);
        let header_version = api.response_header_version(version);
        let header = ResponseHeader::decode_from(&mut reader, header_version)?;
        let ResponseHeader { correlation_id, unknown_tagged_fields } = header;
        Ok(Self { correlation_id, unknown_tagged_fields, body: reader.into_rest() })
    }

    /// Reads the response.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when `version` is unknown, or the body is not such a response or goes on
    /// after it.
    pub fn response(&self, api: ApiKey, version: i16) -> Result<AnyResponse, DecodeError> {
        let mut reader = Reader::new(&self.body, false);
        let response = AnyResponse::decode_from(api, &mut reader, version)?;
        reader.expect_end("end").map_err(|error| error.in_message(response.name()))?;
        Ok(response)
    }
}

fn request_header(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> RequestHeader {
    RequestHeader {
        request_api_key: api.code(),
        request_api_version: version,
        correlation_id,
        client_id: client_id.map(Into::into),
        unknown_tagged_fields: UnknownTaggedFields::new(),
    }
}

fn encode_frame(
    header: &impl Message,
    header_version: i16,
    body: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<Frame, EncodeError> {
    let mut writer = Writer::with_capacity(FRAME_CAPACITY);
    // The length, known only when everything behind it has been written.
    writer.i32(0);
    header.encode_into(&mut writer, header_version)?;
    body(&mut writer)?;
    writer.patch_frame_length()?;
    Ok(writer.finish())
}

/// Room for the frames of most APIs, in bytes, so that they are written without growing.
const FRAME_CAPACITY: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::produce::{PartitionProduceData, TopicProduceData};
    use crate::messages::{
        ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, ProduceRequest,
    };
    use crate::wire::{UnknownTaggedField, take_frame};
    use bytes::{Buf, BytesMut};

    #[test]
    fn a_request_says_who_asks_what_in_which_version() {
        let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
        for version in MetadataRequest::VERSIONS.iter().skip(1) {
            let frame = encode_request(&request, version, 7, Some("billing")).unwrap();
            let read = RequestFrame::decode(&without_length(frame)).unwrap();
            assert_eq!((read.api, read.version), (ApiKey::Metadata, version));
            assert_eq!((read.correlation_id, read.client_id.as_deref()), (7, Some("billing")));
            assert_eq!(read.request(), Ok(AnyRequest::Metadata(request.clone())));
        }
    }

    #[test]
    fn a_response_is_read_with_the_api_and_version_of_its_request() {
        let response = ApiVersionsResponse { error_code: 35, ..ApiVersionsResponse::default() };
        for version in ApiVersionsResponse::VERSIONS.iter() {
            let frame = without_length(encode_response(&response, version, 8).unwrap());
            let read = ResponseFrame::decode(&frame, ApiKey::ApiVersions, version).unwrap();
            assert_eq!(read.correlation_id, 8);
            let expected = Ok(AnyResponse::ApiVersions(response.clone()));
            assert_eq!(read.response(ApiKey::ApiVersions, version), expected);
        }
    }

    #[test]
    fn the_header_of_an_api_versions_response_never_grows() {
        // A client that asks in version 3 does not know yet whether it will be answered in it.
        let response = encode_response(&ApiVersionsResponse::default(), 3, 8).unwrap();
        let body = ApiVersionsResponse::default().encode(3).unwrap();
        assert_eq!(without_length(response).len(), size_of::<i32>() + body.len());
    }

    #[test]
    fn the_header_of_a_version_from_the_future_can_be_read() {
        let frame = encode_request(&ApiVersionsRequest::default(), 4, 9, None).unwrap();
        let mut bytes = without_length(frame).to_vec();
        bytes[3] = 99;
        let read = RequestFrame::decode(&bytes.into()).unwrap();
        assert_eq!((read.version, read.correlation_id), (99, 9));
        assert!(!read.api.versions().contains(read.version));
        assert!(matches!(
            read.request().unwrap_err().kind(),
            DecodeErrorKind::UnsupportedVersion { version: 99, .. }
        ));
    }

    #[test]
    fn tagged_fields_of_a_header_that_are_not_known_are_kept() {
        // A header ends with the count of its tagged fields.
        let (one, field) = (1_u8, [7_u8, 2, 0xca, 0xfe]);
        let tagged = UnknownTaggedField { tag: 7, data: Bytes::from_static(&[0xca, 0xfe]) };
        let expected: UnknownTaggedFields = [tagged].into_iter().collect();

        let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
        let body = request.encode(12).unwrap().len();
        let plain = without_length(encode_request(&request, 12, 7, None).unwrap());
        let (header, body) = plain.split_at(plain.len() - body);
        let header = &header[..header.len() - 1];
        let read = RequestFrame::decode(&[header, &[one], &field, body].concat().into()).unwrap();
        assert_eq!(read.unknown_tagged_fields, expected);
        assert_eq!(read.request(), Ok(AnyRequest::Metadata(request)));

        let response = [&[0, 0, 0, 7, one][..], &field].concat();
        let read = ResponseFrame::decode(&response.into(), ApiKey::Metadata, 12).unwrap();
        assert_eq!((read.correlation_id, read.unknown_tagged_fields), (7, expected));
        assert!(read.body.is_empty());
    }

    #[test]
    fn an_unknown_api_is_refused_by_its_number() {
        let refused = RequestFrame::decode(&Bytes::from_static(&[0x7f, 0, 0, 0, 0, 0, 0, 1]));
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), DecodeErrorKind::UnknownType { code: 0x7f00 });
        assert_eq!(refused.path(), "request_api_key");
    }

    #[test]
    fn record_batches_go_to_the_socket_from_where_they_lie() {
        let records = Bytes::from(vec![7; 5_000]);
        let partition = PartitionProduceData {
            records: Some(records.clone().into()),
            ..PartitionProduceData::default()
        };
        let topic = TopicProduceData {
            partition_data: vec![partition.clone(), partition],
            ..TopicProduceData::default()
        };
        let request = ProduceRequest { topic_data: vec![topic], ..ProduceRequest::default() };
        let frame = encode_request(&request, 9, 1, None).unwrap();
        let in_place = frame.chunks().filter(|chunk| chunk.as_ptr() == records.as_ptr()).count();
        assert_eq!(in_place, 2);
        let mut length = frame.clone();
        assert_eq!(usize::try_from(length.get_i32()), Ok(frame.len() - size_of::<i32>()));
    }

    fn without_length(frame: Frame) -> Bytes {
        let mut received = BytesMut::from(&frame.into_bytes()[..]);
        take_frame(&mut received, usize::MAX).unwrap().unwrap()
    }
}
