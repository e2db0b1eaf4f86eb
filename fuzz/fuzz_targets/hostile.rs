//! See `shmq_tests::fuzz_bodies::hostile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shmq_tests::fuzz_bodies::hostile(data));
