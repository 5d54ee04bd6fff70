//! Decoding takes memory in proportion to the bytes, whatever they claim.
//!
//! All that is allocated while bytes are decoded is counted, which is never less than what is live
//! at once. The counter is the process's, so all of it is one test.
#![expect(clippy::unwrap_used, reason = "a suite says what failed by panicking")]

mod messages;
mod records;

use std::alloc::System;
use std::fmt::Display;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn decoding_takes_memory_in_proportion_to_the_bytes() {
    messages::an_honest_array_is_one_allocation();
    messages::the_densest_message_is_refused();
    messages::a_lying_count_buys_no_memory();
    records::a_partition_full_of_batches_takes_one_allocation_each();
    records::a_lying_batch_buys_no_memory();
    records::a_bomb_takes_what_its_cap_allows();
}

/// The bound: 32 bytes for each byte of the input, and 64 KiB.
#[track_caller]
fn check(what: &dyn Display, input: usize, allocated: Stats) {
    let allocated = allocated.bytes_allocated;
    let bound = 32 * input + 64 * 1024;
    assert!(allocated <= bound, "{what}: {allocated} bytes allocated for {input}, not {bound}");
}

/// What `work` returns, and what it allocated.
fn measure<T>(work: impl FnOnce() -> T) -> (T, Stats) {
    let region = Region::new(ALLOCATOR);
    let done = work();
    (done, region.change())
}
