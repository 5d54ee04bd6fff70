//! Shows captured frames as text.
//!
//! ```text
//! cargo run -p ottla-protocol --example decode_frames -- REQUESTS [RESPONSES]
//! ```
//!
//! `REQUESTS` holds what a client sent over one connection, byte for byte, and `RESPONSES` what came
//! back: a TCP stream saved with `tshark -z follow,tcp,raw` or by a proxy. Without arguments it makes
//! up a short conversation and shows that.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::{env, fs};

use bytes::BytesMut;
use ottla_protocol::ApiKey;
use ottla_protocol::frames::{self, RequestFrame, ResponseFrame};
use ottla_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest};
use ottla_protocol::wire::take_frame;

/// What each correlation id asked for: a response does not say it again.
type Asked = HashMap<i32, (ApiKey, i16)>;

fn main() -> ExitCode {
    match run(&mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // `| head` has read what it wanted.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "decode_frames: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = env::args().skip(1).collect();
    let (requests, responses) = match &paths[..] {
        [] => conversation()?,
        [requests] => (read(requests)?, BytesMut::new()),
        [requests, responses] => (read(requests)?, read(responses)?),
        _ => return Err("give one or two files of raw bytes: REQUESTS [RESPONSES]".into()),
    };
    let asked = show_requests(out, requests)?;
    show_responses(out, responses, &asked)
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn show_requests(out: &mut impl Write, mut captured: BytesMut) -> Result<Asked, Box<dyn Error>> {
    let mut asked = Asked::new();
    while let Some(frame) = take_frame(&mut captured, usize::MAX)? {
        let frame = RequestFrame::decode(&frame)?;
        asked.insert(frame.correlation_id, (frame.api, frame.version));
        let RequestFrame { api, version, correlation_id, client_id, .. } = &frame;
        writeln!(out, "→ {api} v{version}, correlation id {correlation_id}, client {client_id:?}")?;
        match frame.request() {
            Ok(request) => writeln!(out, "{request:#?}\n")?,
            Err(error) => writeln!(out, "  cannot be read: {error}\n")?,
        }
    }
    show_rest(out, &captured)?;
    Ok(asked)
}

fn show_responses(
    out: &mut impl Write,
    mut captured: BytesMut,
    asked: &Asked,
) -> Result<(), Box<dyn Error>> {
    while let Some(frame) = take_frame(&mut captured, usize::MAX)? {
        // Every response header begins with the correlation id.
        let Some((id, _)) = frame.split_first_chunk() else {
            return Err("an empty response".into());
        };
        let Some((api, version)) = asked.get(&i32::from_be_bytes(*id)) else {
            writeln!(out, "← answers none of the requests: {frame:02x?}\n")?;
            continue;
        };
        let response = ResponseFrame::decode(&frame, *api, *version)?;
        writeln!(out, "← {api} v{version}, correlation id {}", response.correlation_id)?;
        match response.response(*api, *version) {
            Ok(response) => writeln!(out, "{response:#?}\n")?,
            Err(error) => writeln!(out, "  cannot be read: {error}\n")?,
        }
    }
    show_rest(out, &captured)?;
    Ok(())
}

fn show_rest(out: &mut impl Write, captured: &BytesMut) -> io::Result<()> {
    if !captured.is_empty() {
        writeln!(
            out,
            "{} bytes are left, the front of a frame that was cut off\n",
            captured.len()
        )?;
    }
    Ok(())
}

fn read(path: &str) -> Result<BytesMut, Box<dyn Error>> {
    let bytes = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(BytesMut::from(&bytes[..]))
}

/// Two requests, and the answer to the first.
fn conversation() -> Result<(BytesMut, BytesMut), Box<dyn Error>> {
    let versions = ApiVersionsRequest {
        client_software_name: "ottla".into(),
        client_software_version: env!("CARGO_PKG_VERSION").into(),
        ..ApiVersionsRequest::default()
    };
    let mut requests = BytesMut::new();
    let client = Some("example");
    requests.extend_from_slice(&frames::encode_request(&versions, 4, 1, client)?.into_bytes());
    let metadata = MetadataRequest::default();
    requests.extend_from_slice(&frames::encode_request(&metadata, 12, 2, client)?.into_bytes());
    let response = frames::encode_response(&ApiVersionsResponse::default(), 4, 1)?.into_bytes();
    Ok((requests, BytesMut::from(&response[..])))
}
