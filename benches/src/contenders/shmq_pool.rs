//! shmq's pool: blocks filled and read where they lie, of which only handles travel. Between threads and between processes alike, in as
//! many blocks as fit the ring of the others.

use super::trial::{Trial, because};
use crate::payload::{Payload, Sum, fill};
use crate::run::Task;
use shmq_pool::{Options, Pool};
use std::sync::Arc;

/// From so many bytes on it is what the documents recommend.
const LARGE: usize = 4 << 10;

pub fn any<P: Payload>(task: Task) -> Vec<Trial> {
    if P::MEAN < LARGE {
        return Vec::new();
    }
    let blocks = task.depth(P::MAX) as u64;
    vec![Trial::new("shmq pool", "in place, trusted", move |count| {
        task.run::<P, _, _, _, _>(count, || {
            let pool = Arc::new(Pool::anonymous(blocks, P::MAX, &Options::new()).map_err(because)?);
            let other = Arc::clone(&pool);
            Ok((
                move || {
                    let mut tx = pool.writer().expect("the writing end");
                    // SAFETY: the other process is this program, and touches the pool through its own end alone.
                    unsafe { tx.trust_peer() };
                    move |n, _| {
                        let Ok(mut loan) = tx.try_loan() else { return 0 };
                        fill(&mut loan.as_mut_slice().expect("trusted")[..P::len(n)], n);
                        u64::from(loan.send(P::len(n)).is_ok())
                    }
                },
                move || {
                    let mut rx = other.reader().expect("the reading end");
                    // SAFETY: as above.
                    unsafe { rx.trust_peer() };
                    move |_, sum: &mut Sum| {
                        rx.try_read().map_or(0, |block| {
                            let n = sum.bytes(block.as_slice().expect("trusted"));
                            block.acknowledge();
                            n
                        })
                    }
                },
            ))
        })
    })]
}
