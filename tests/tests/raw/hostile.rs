//! Whatever stands in a seqlock cell, and whoever changes it meanwhile: an answer after bounded work.

use shmq_tests::fuzz_bodies::{RawSeen, inputs, raw_seen};

#[test]
fn seqlock_lies_get_far_and_do_no_harm() {
    let mut seen = RawSeen::default();
    inputs(0x5e91, 20_000).for_each(|input| seen += raw_seen(&input));
    println!("{seen:?}");
    assert!(
        seen.read > 1000 && seen.corrupt > 1000 && seen.overtaken > 100 && seen.wrong_size > 100,
        "{seen:?}"
    );
    assert!(seen.written > 1000 && seen.regions > 100, "{seen:?}");
}
