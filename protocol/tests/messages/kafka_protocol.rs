//! Against the `kafka-protocol` crate: another generator, and another codec, for the same messages.
//!
//! It speaks Kafka 4.1. What it lacks and where it disagrees stands in `differences`; nothing else
//! is left out. A message has no map in either crate, so equal means equal byte for byte.

mod differences;
mod peer;

use ::kafka_protocol::messages::ApiKey as PeerApi;
use bytes::Bytes;
use differences::{DIVERGENCES, LACKING_VERSIONS, lacking_messages};
use ottla_codegen::sample::{Fill, Random, Sample};
use ottla_codegen::schema::Message as MessageSchema;
use ottla_protocol::ApiKey;
use peer::{Peer, peer};

use crate::golden::for_each_golden;
use crate::support::{every_schema, message};

#[test]
fn what_we_write_they_read_and_write_alike() {
    for_each_shared_version(|schema, peer, version| {
        for seed in 0..SEEDS {
            let sample = Sample::new(schema, version, Fill::Random(Random::new(seed)));
            check(&schema.name, peer, version, &sample.bytes.into());
        }
    });
}

#[test]
fn what_kafka_writes_they_read_and_write_alike() {
    for_each_golden(|schema, golden| {
        let Some(peer) = peer(&schema.name) else { return };
        if peer.versions.contains(&golden.version) {
            check(&schema.name, &peer, golden.version, &golden.bytes);
        }
    });
}

#[test]
fn their_defaults_are_ours() {
    for_each_shared_version(|schema, peer, version| {
        let ours = (message(&schema.name).encode_default)(version).unwrap();
        let theirs = (peer.encode_default)(version);
        assert_eq!(theirs.as_ref(), Ok(&ours), "{} version {version}", schema.name);
        assert_eq!(recode(&schema.name, &ours, version), ours, "{} version {version}", schema.name);
    });
}

/// Kafka has the third vote. Its bytes are what we write, as `golden` makes sure, so whoever does
/// not read them alike is wrong.
#[test]
fn every_divergence_shows_in_what_kafka_writes() {
    for divergence in DIVERGENCES {
        for version in divergence.versions.clone() {
            let mut shown = false;
            for_each_golden(|schema, golden| {
                shown |= golden.version == version
                    && divergence.covers(&schema.name, version, &golden.bytes);
            });
            assert!(shown, "{} version {version}", divergence.message);
        }
    }
}

#[test]
fn the_messages_they_lack_are_listed() {
    macro_rules! names {
        ($($message:ident)*) => { [$(stringify!($message)),*] };
    }
    let listed = lacking_messages!(names);
    for schema in every_schema() {
        let is_listed = listed.contains(&&schema.name[..]);
        assert_eq!(peer(&schema.name).is_none(), is_listed, "{}", schema.name);
    }
    // Which panics at a name that is not ours.
    assert!(listed.iter().all(|name| peer(name).is_none()));
}

#[test]
fn the_versions_they_lack_are_listed() {
    let mut lacking = Vec::new();
    for (schema, peer) in shared() {
        let missing = schema.versions.iter().filter(|version| !peer.versions.contains(version));
        lacking.extend(missing.map(|version| (schema.name.clone(), version)));
        for version in peer.versions {
            assert!(schema.versions.contains(version), "{} version {version}", schema.name);
        }
    }
    let listed = LACKING_VERSIONS.iter().map(|(name, version, _)| ((*name).to_owned(), *version));
    assert_eq!(lacking, listed.collect::<Vec<_>>());
}

#[test]
fn they_put_the_same_headers_in_front() {
    for &api in ApiKey::ALL {
        let Some(peer) = peer(&format!("{api}Request")) else { continue };
        let their_api = PeerApi::try_from(api.code()).unwrap();
        assert_eq!(format!("{their_api:?}"), api.name());
        for version in peer.versions {
            let ours = (api.request_header_version(version), api.response_header_version(version));
            let theirs = (
                their_api.request_header_version(version),
                their_api.response_header_version(version),
            );
            assert_eq!(ours, theirs, "{api} version {version}");
        }
    }
}

/// Holds the two codecs to the same opinion of `bytes`, or to another where that is listed.
#[track_caller]
fn check(name: &str, peer: &Peer, version: i16, bytes: &Bytes) {
    let ours = recode(name, bytes, version);
    let theirs = (peer.recode)(&ours, version);
    let mut divergences = DIVERGENCES.iter();
    if let Some(listed) = divergences.find(|listed| listed.covers(name, version, &ours)) {
        assert_ne!(theirs, Ok(ours), "{name} version {version}, no more: {}", listed.reason);
        return;
    }
    let show = || (message(name).show)(bytes, version);
    assert_eq!(theirs.as_ref(), Ok(&ours), "{name} version {version}: {:?}", show());
    assert_eq!(recode(name, &ours, version), ours, "{name} version {version}: {:?}", show());
}

/// What we write after reading `bytes`.
#[track_caller]
fn recode(name: &str, bytes: &Bytes, version: i16) -> Bytes {
    let again = (message(name).recode)(bytes, version);
    let again = again.unwrap_or_else(|error| panic!("{name} version {version}: {error}"));
    again.unwrap_or_else(|error| panic!("{name} version {version}: {error}"))
}

fn for_each_shared_version(check: impl Fn(&MessageSchema, &Peer, i16)) {
    for (schema, peer) in shared() {
        let versions = schema.versions.iter().filter(|version| peer.versions.contains(version));
        versions.for_each(|version| check(schema, &peer, version));
    }
}

/// Every message that both crates have.
fn shared() -> impl Iterator<Item = (&'static MessageSchema, Peer)> {
    every_schema().iter().filter_map(|schema| {
        let peer = peer(&schema.name)?;
        Some((schema, peer))
    })
}

/// Random messages of each version.
const SEEDS: u64 = 100;
