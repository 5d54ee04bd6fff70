//! Frames cut out of a stream, and the headers in them.

use bytes::{Bytes, BytesMut};
use ottla_protocol::ApiKey;
use ottla_protocol::frames::{
    RequestFrame, ResponseFrame, encode_any_request, encode_any_response,
};
use ottla_protocol::wire::{FrameError, take_frame};

/// The longest frame that is accepted.
const LIMIT: usize = 64 * 1024;

/// The first byte says in what pieces the rest arrives.
pub fn frame(data: &[u8]) {
    let [step, stream @ ..] = data else { return };
    let whole = frames(stream, stream.len().max(1));
    assert_eq!(frames(stream, usize::from(*step) + 1), whole, "pieces make other frames");
    for frame in whole.0 {
        check_request(&frame);
        check_response(&frame);
    }
}

/// The frames of `stream`, received `step` bytes at a time, and the error that ended it.
fn frames(stream: &[u8], step: usize) -> (Vec<Bytes>, Option<FrameError>) {
    let (mut received, mut frames) = (BytesMut::new(), Vec::new());
    for piece in stream.chunks(step) {
        received.extend_from_slice(piece);
        loop {
            match take_frame(&mut received, LIMIT) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn check_request(frame: &Bytes) {
    let Ok(header) = RequestFrame::decode(frame) else { return };
    let Ok(request) = header.request() else { return };
    let RequestFrame { version, correlation_id, client_id, .. } = &header;
    let encoded = encode_any_request(&request, *version, *correlation_id, client_id.as_deref())
        .expect("what was decoded can be encoded")
        .into_bytes();
    let again = RequestFrame::decode(&only_frame(&encoded)).expect("our own header");
    assert_eq!((&again.version, &again.correlation_id), (version, correlation_id));
    assert_eq!((&again.client_id, again.api), (client_id, header.api));
    let again = again.request().expect("our own request");
    let twice = encode_any_request(&again, *version, *correlation_id, client_id.as_deref());
    assert_eq!(twice.expect("encoded before").into_bytes(), encoded);
}

/// A response does not say what it answers: here, the low bytes of its correlation id choose the
/// version and the API.
fn check_response(frame: &Bytes) {
    let Some(&[_, _, version, api]) = frame.first_chunk() else { return };
    let (version, api) = (i16::from(version), ApiKey::from_code(i16::from(api)));
    let Some(api) = api else { return };
    let Ok(header) = ResponseFrame::decode(frame, api, version) else { return };
    let Ok(response) = header.response(api, version) else { return };
    let ResponseFrame { correlation_id, .. } = header;
    let encoded = encode_any_response(&response, version, correlation_id)
        .expect("what was decoded can be encoded")
        .into_bytes();
    let again = ResponseFrame::decode(&only_frame(&encoded), api, version);
    let again = again.expect("our own header");
    assert_eq!(again.correlation_id, correlation_id);
    let again = again.response(api, version).expect("our own response");
    let twice = encode_any_response(&again, version, correlation_id);
    assert_eq!(twice.expect("encoded before").into_bytes(), encoded);
}

/// `encoded` without its length, which counts all of it.
fn only_frame(encoded: &Bytes) -> Bytes {
    let (frames, error) = frames(encoded, encoded.len());
    assert_eq!((frames.len(), error), (1, None), "a frame of our own");
    frames[0].clone()
}
