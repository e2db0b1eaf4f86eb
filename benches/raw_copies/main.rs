//! Block copies of raw memory beside `memcpy`, as ratios within one run.
//!
//! `cargo run --release -p shmq-benches --bin raw-copies -- [--rounds N]`. For each length, one copy after the other goes
//! to and from the same places of a shared mapping, the contenders in turn; a ratio of 1.00 is the speed of `memcpy`. The
//! first table copies one block over and over, so that it stays in the cache; the second walks through 64 MiB.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use memmap2::MmapOptions;
use shmq_raw::{Options, Region};
use shmq_tool::failure::Failure;
use shmq_tool::print;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

const MEMORY: usize = 64 << 20;
/// Bytes of one sample.
const SAMPLE: usize = 32 << 20;

fn main() -> ExitCode {
    let mut rounds = 15;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--rounds" {
            rounds = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(rounds);
        }
    }
    match run(rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(rounds: usize) -> Result<(), Failure> {
    let region = Region::anonymous(&Options::new().bytes(MEMORY as u64))?;
    // The same memory once more, for memcpy; nothing else runs here, so nobody races.
    let fd = region.fd().expect("an anonymous region has a descriptor");
    let same = MmapOptions::new().offset(4096).len(MEMORY).map_raw(&fd);
    let same = same.map_err(|e| Failure::io("map the region once more", &e))?;
    let mut block = vec![0x5a; 16 << 20];
    for (title, stride) in [("one block, in the cache", 0), ("through 64 MiB", 1)] {
        if !print::out(format_args!("{title}\n{:>9} {:>9} {:>7} {:>7}\n", "bytes", "GB/s", "write", "read"))?
        {
            return Ok(());
        }
        for len in [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20] {
            let block = &mut block[..len];
            let mut samples: [Vec<f64>; 4] = Default::default();
            for round in 0..rounds {
                let at = |i: usize| ((i * stride * len) % (MEMORY - len + 1)) & !63;
                // Each goes first as often as the other.
                for turn in 0..2 {
                    if (round + turn) % 2 == 0 {
                        samples[0].push(time(len, |i| copy(black_box(block), &same, at(i))));
                        samples[2].push(time(len, |i| copy_back(black_box(block), &same, at(i))));
                    } else {
                        samples[1]
                            .push(time(len, |i| region.write_at(at(i), black_box(block)).expect("inside")));
                        samples[3]
                            .push(time(len, |i| region.read_at(at(i), black_box(block)).expect("inside")));
                    }
                }
            }
            let ratio = |raw: usize, plain: usize| {
                let pairs = samples[raw].iter().zip(&samples[plain]).map(|(raw, plain)| raw / plain);
                median(pairs.collect())
            };
            let (write, read) = (ratio(1, 0), ratio(3, 2));
            let rate = len as f64 / median(samples[0].clone());
            if !print::out(format_args!("{len:>9} {rate:>9.1} {write:>7.2} {read:>7.2}\n"))? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Nanoseconds of one call.
fn time(len: usize, mut call: impl FnMut(usize)) -> f64 {
    let calls = (SAMPLE / len).clamp(4, 200_000);
    // What the caches held before belongs to the other contender.
    (0..calls / 8 + 1).for_each(&mut call);
    let begin = Instant::now();
    (0..calls).for_each(&mut call);
    begin.elapsed().as_nanos() as f64 / calls as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn copy(block: &[u8], to: &memmap2::MmapRaw, at: usize) {
    assert!(at + block.len() <= to.len());
    // SAFETY: inside the mapping, as just checked; nobody else touches it.
    unsafe { std::ptr::copy_nonoverlapping(block.as_ptr(), to.as_mut_ptr().add(at), block.len()) }
}

fn copy_back(block: &mut [u8], from: &memmap2::MmapRaw, at: usize) {
    assert!(at + block.len() <= from.len());
    // SAFETY: as above.
    unsafe { std::ptr::copy_nonoverlapping(from.as_ptr().add(at), block.as_mut_ptr(), block.len()) }
}
