//! Against bytes written straight from the schema files.

use bytes::Bytes;
use ottla_codegen::sample::{Fill, Random, Sample};
use proptest::prelude::*;

use crate::support::{every_schema, message};

#[test]
fn every_message_says_after_a_round_trip_what_it_said_before() {
    for schema in every_schema() {
        for version in schema.versions.iter() {
            for seed in 0..40 {
                let sample = Sample::new(schema, version, Fill::Random(Random::new(seed)));
                check(&schema.name, version, &sample.bytes);
            }
            for fill in [Fill::Numbered, Fill::Nulls, Fill::EmptyArrays] {
                check(&schema.name, version, &Sample::new(schema, version, fill).bytes);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// As above, with seeds that are new in each run.
    #[test]
    fn any_message_survives_a_round_trip(
        which in any::<prop::sample::Index>(),
        version in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let schemas = every_schema();
        let schema = which.get(schemas);
        let versions: Vec<i16> = schema.versions.iter().collect();
        let version = *version.get(&versions);
        let sample = Sample::new(schema, version, Fill::Random(Random::new(seed)));
        check(&schema.name, version, &sample.bytes);
    }
}

#[track_caller]
fn check(name: &str, version: i16, bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let again = (message(name).recode)(&bytes, version);
    let again = again.unwrap_or_else(|error| panic!("version {version}: {error}\n{bytes:02x?}"));
    let again = again.unwrap_or_else(|error| panic!("version {version}: {error}\n{bytes:02x?}"));
    assert_eq!(
        again,
        bytes,
        "{name} version {version}: {:?}",
        (message(name).show)(&bytes, version)
    );
}
