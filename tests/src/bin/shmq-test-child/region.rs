//! A writer of a region: a seqlock cell, and behind it a block of raw bytes, both as fast as it can.

use crate::{Outcome, said};
use shmq_raw::{Options, Region, cell_bytes};
use shmq_tests::process::REGION_BLOCK;

/// Writes until it is killed. Every word of a value, and every byte of the block, tells its number.
pub fn write(name: &str) -> Outcome {
    let region = Region::open(name, &Options::new()).map_err(said)?;
    let mut writer = region.writer::<[u64; 1024]>(0).map_err(said)?;
    println!("writing");
    let mut block = vec![0; REGION_BLOCK];
    loop {
        let number = writer.next_number();
        if writer.write(&[number; 1024]) != number {
            return Err(format!("value {number} has another number"));
        }
        block.fill(number as u8);
        region.write_at(cell_bytes::<[u64; 1024]>(), &block).map_err(said)?;
    }
}
