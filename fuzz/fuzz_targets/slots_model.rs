//! See `shmq_tests::fuzz_bodies::slots_model`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shmq_tests::fuzz_bodies::slots_model(data));
