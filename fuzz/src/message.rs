//! Requests and responses of every API.

use std::fmt::Debug;

use bytes::Bytes;
use ottla_protocol::wire::{Reader, Writer};
use ottla_protocol::{AnyRequest, AnyResponse, ApiKey, DecodeError, EncodeError};

/// The first byte is the API's number, the second its version, the rest the request's body.
pub fn request(data: &[u8]) {
    let Some((api, version, body)) = choose(data) else { return };
    let decode = |reader: &mut Reader<'_>| AnyRequest::decode_from(api, reader, version);
    check(body, decode, |request, writer| request.encode_into(writer, version));
}

/// The first byte is the API's number, the second its version, the rest the response's body.
pub fn response(data: &[u8]) {
    let Some((api, version, body)) = choose(data) else { return };
    let decode = |reader: &mut Reader<'_>| AnyResponse::decode_from(api, reader, version);
    check(body, decode, |response, writer| response.encode_into(writer, version));
}

fn choose(data: &[u8]) -> Option<(ApiKey, i16, Bytes)> {
    let [api, version, body @ ..] = data else { return None };
    let api = ApiKey::from_code(i16::from(*api))?;
    Some((api, i16::from(*version), Bytes::copy_from_slice(body)))
}

/// What decodes says the same after a round trip, and what does not says where.
fn check<M: Debug + Clone + PartialEq>(
    body: Bytes,
    decode: impl Fn(&mut Reader<'_>) -> Result<M, DecodeError>,
    encode: impl Fn(&M, &mut Writer) -> Result<(), EncodeError>,
) {
    let said = match decode(&mut Reader::new(&body, false)) {
        Ok(said) => said,
        Err(error) => {
            assert!(error.offset() <= body.len(), "{error}, in {} bytes", body.len());
            assert!(!error.message().is_empty() && !error.path().is_empty(), "{error}");
            return;
        }
    };
    let bytes = |message: &M| {
        let mut writer = Writer::new();
        encode(message, &mut writer).expect("what was decoded can be encoded");
        writer.finish().into_bytes()
    };
    let encoded = bytes(&said);
    let mut reader = Reader::new(&encoded, false);
    let again = decode(&mut reader).expect("what was encoded can be decoded");
    assert_eq!(reader.remaining(), 0);
    assert_eq!(bytes(&again), encoded);
    // Where a number is not a number, a message is not equal to itself.
    #[expect(clippy::eq_op, reason = "NaN")]
    let has_nan = said != said;
    assert!(has_nan || again == said, "{said:?} became {again:?}");
}
