//! See `shmq_tests::fuzz_bodies::raw`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shmq_tests::fuzz_bodies::raw(data));
