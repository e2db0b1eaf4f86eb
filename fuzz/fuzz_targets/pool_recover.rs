//! See `shmq_tests::fuzz_bodies::pool_recover`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shmq_tests::fuzz_bodies::pool_recover(data));
