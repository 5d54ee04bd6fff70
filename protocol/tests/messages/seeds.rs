//! Every API has its fuzz seeds, in every version and direction.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use ottla_protocol::wire::Reader;
use ottla_protocol::{AnyRequest, AnyResponse, ApiKey, DecodeError};

#[test]
fn every_api_version_and_direction_has_a_seed_that_decodes() {
    for_each_seed("request", |api, version, reader| {
        AnyRequest::decode_from(api, reader, version).map(drop)
    });
    for_each_seed("response", |api, version, reader| {
        AnyResponse::decode_from(api, reader, version).map(drop)
    });
}

fn for_each_seed(
    target: &str,
    decode: impl Fn(ApiKey, i16, &mut Reader<'_>) -> Result<(), DecodeError>,
) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    for &api in ApiKey::ALL {
        for version in api.versions().min..=api.versions().max {
            let path = folder.join(format!("{api}-{version}"));
            let seed = fs::read(&path);
            let seed = seed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let [code, number, body @ ..] = &seed[..] else {
                panic!("{} is short", path.display())
            };
            assert_eq!((i16::from(*code), i16::from(*number)), (api.code(), version));
            let body = Bytes::copy_from_slice(body);
            let mut reader = Reader::new(&body, false);
            assert_eq!(decode(api, version, &mut reader), Ok(()), "{}", path.display());
            assert_eq!(reader.remaining(), 0, "{}", path.display());
        }
    }
}
