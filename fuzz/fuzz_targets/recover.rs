//! See `shmq_tests::fuzz_bodies::recover`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shmq_tests::fuzz_bodies::recover(data));
