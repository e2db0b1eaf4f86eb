//! The fuzz targets' bodies as plain tests: every seed, and pseudo-random inputs that are always the same.

use shmq_core::Fault;
use shmq_tests::fuzz_bodies::{
    BODIES, Body, Seen, inputs, pool_hostile_seen, pool_recover_with, slots_hostile_seen, slots_recover_with,
};
use std::path::Path;

fn replay(name: &str, random: usize) {
    let body: Body = BODIES.iter().find(|b| b.0 == name).expect("a body of that name").1;
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus-seed").join(name);
    let mut many = 0;
    for entry in std::fs::read_dir(&seeds).expect("a folder of seeds") {
        let path = entry.expect("a readable folder").path();
        println!("{}", path.display());
        body(&std::fs::read(&path).expect("a readable seed"));
        many += 1;
    }
    assert!(many >= 3, "only {many} seeds in {}", seeds.display());
    inputs(name.len() as u64 + 0xf022, random).for_each(|input| body(&input));
}

#[test]
fn p5_image_seeds_and_random_inputs() {
    replay("image", 3000);
}

#[test]
fn p5_hostile_seeds_and_random_inputs() {
    replay("hostile", 20_000);
}

#[test]
fn raw_seeds_and_random_inputs() {
    replay("raw", 10_000);
}

#[test]
fn p2_model_seeds_and_random_inputs() {
    replay("model", 5000);
}

#[test]
fn p4_recover_seeds_and_random_inputs() {
    replay("recover", 5000);
}

#[test]
fn p5_hostile_slots_seeds_and_random_inputs() {
    replay("slots_hostile", 20_000);
}

#[test]
fn p2_slots_model_seeds_and_random_inputs() {
    replay("slots_model", 5000);
}

#[test]
fn p4_slots_recover_seeds_and_random_inputs() {
    replay("slots_recover", 5000);
}

#[test]
fn p5_lies_about_slots_get_far() {
    let mut seen = Seen::default();
    inputs(0x5107, 20_000).for_each(|input| seen += slots_hostile_seen(&input));
    println!("{seen:?}");
    assert!(
        seen.attached > 1000 && seen.sent > 1000 && seen.received > 1000 && seen.corrupt > 1000,
        "{seen:?}"
    );
}

#[test]
fn p4_null_control_planted_bugs_in_slots_are_found() {
    let find = |fault| {
        inputs(0xb06, 5000)
            .any(|input| std::panic::catch_unwind(|| slots_recover_with(&input, fault)).is_err())
    };
    let labels = ["DIRTY", "LATER_WORD", "COMMIT", "FINISH", "GIVE_BACK"];
    for fault in labels.map(Fault::Drop).into_iter().chain([Fault::PublishFirst]) {
        assert!(find(fault), "{fault:?} was not noticed");
    }
    assert!(!find(Fault::None));
}

#[test]
fn p5_hostile_pool_seeds_and_random_inputs() {
    replay("pool_hostile", 20_000);
}

#[test]
fn p4_pool_recover_seeds_and_random_inputs() {
    replay("pool_recover", 5000);
}

#[test]
fn p5_lies_about_pools_get_far() {
    let mut seen = Seen::default();
    inputs(0x9001, 20_000).for_each(|input| seen += pool_hostile_seen(&input));
    println!("{seen:?}");
    assert!(
        seen.attached > 1000 && seen.sent > 1000 && seen.received > 1000 && seen.corrupt > 1000,
        "{seen:?}"
    );
}

#[test]
fn p4_null_control_planted_bugs_in_pools_are_found() {
    let find = |fault| {
        inputs(0xb00, 5000)
            .any(|input| std::panic::catch_unwind(|| pool_recover_with(&input, fault)).is_err())
    };
    let labels = ["LENT", "HOME", "HELD", "RELEASED", "COMMIT", "GIVE_BACK"];
    for fault in labels.map(Fault::Drop) {
        assert!(find(fault), "{fault:?} was not noticed");
    }
    assert!(!find(Fault::None));
}
