//! The blocks of a pool: what a reader that came now would get.

use super::show::{End, Entry, show, wanted};
use crate::args::DumpArgs;
use shmq::{Corruption, Damage, PendingEnd};
use shmq_pool::{Inspector, Place};
use std::io::{self, Write};

/// Bytes of each, unless told otherwise: blocks are large.
const GLANCE: u64 = 64;

pub fn show_all(args: &DumpArgs, pool: &Inspector, out: &mut impl Write) -> io::Result<End> {
    let pending = pool.pending();
    let mut end = End { shown: 0, skipped: 0, why: Some(pending.end) };
    let mut bytes = Vec::new();
    for block in &pending.blocks {
        if args.limit.is_some_and(|limit| end.shown >= limit) {
            end.why = None;
            break;
        }
        let len = block.len.min(wanted(args, GLANCE)) as usize;
        bytes.clear();
        if bytes.try_reserve_exact(len).is_err() {
            end.why = Some(PendingEnd::NoMemory { bytes: block.len });
            break;
        }
        bytes.resize(len, 0);
        if !pool.read_at(block, 0, &mut bytes) {
            if let Some(stop) = pool.queue().torn() {
                end.why = Some(stop);
                break;
            }
            if pool.queue().damage().is_none() {
                // Given back meanwhile.
                end.skipped += 1;
                continue;
            }
            let damage = Damage {
                what: Corruption::Truncated,
                position: block.sequence,
                file_offset: block.file_offset,
                expected: format!("a block with {} bytes", block.len),
                found: "the end of the file in it or before it".into(),
            };
            end.why = Some(PendingEnd::Damaged(damage));
            break;
        }
        let place = match block.place {
            Place::Held => "held",
            Place::UnderWay => "under_way",
        };
        let (sequence, len, block) = (block.sequence, block.len, Some((block.block, place)));
        show(args, &Entry { sequence, position: sequence, len, block, bytes: &bytes }, out)?;
        end.shown += 1;
    }
    Ok(end)
}
