//! Every seed through its target, without libFuzzer.

use std::{fs, path::Path};

use ottla_fuzz::{batch, broker, codec, fetch_view, frame, request, response, worn_broker};
use ottla_protocol::compression::Compression;

#[test]
fn requests_hold_what_their_target_demands() {
    run("seeds/request", request);
}

#[test]
fn responses_hold_what_their_target_demands() {
    run("seeds/response", response);
}

#[test]
fn frames_hold_what_their_target_demands() {
    run("seeds/frame", frame);
}

#[test]
fn batches_hold_what_their_target_demands() {
    run("../protocol/golden/batches", batch);
}

#[test]
fn clusters_hold_what_their_target_demands() {
    run("seeds/broker", broker);
}

#[test]
fn clusters_hold_it_when_they_have_been_told_much() {
    // Enough for the cluster to be replaced a few times.
    for _ in 0..100 {
        run("seeds/broker", worn_broker);
    }
}

#[test]
fn walks_hold_what_their_target_demands() {
    run("seeds/fetch_view", fetch_view);
}

#[test]
fn codecs_hold_what_their_target_demands() {
    for compression in Compression::ALL.into_iter().skip(1) {
        run(&format!("seeds/{compression}"), |data| codec(compression, data));
    }
}

fn run(folder: &str, target: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let seeds = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut count = 0;
    for seed in seeds {
        target(&fs::read(seed.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "{folder:?} is empty");
}
