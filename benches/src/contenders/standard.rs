//! The channels of the standard library.

use super::trial::Trial;
use crate::payload::{Payload, Sum, Words, fill};
use crate::run::Task;
use bytemuck::Pod;
use std::sync::mpsc::{channel, sync_channel};

const BOUNDED: &str = "std::sync::mpsc sync_channel";
const UNBOUNDED: &str = "std::sync::mpsc channel";

pub fn fixed<const N: usize>(task: Task) -> Vec<Trial>
where
    [u64; N]: Pod,
{
    let depth = task.depth(8 * N);
    vec![
        Trial::new(BOUNDED, "try", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (tx, rx) = sync_channel::<[u64; N]>(depth);
                Ok((
                    move || move |n, _| u64::from(tx.try_send([n; N]).is_ok()),
                    move || move |_, sum: &mut Sum| rx.try_recv().map_or(0, |message| sum.words(&message)),
                ))
            })
        }),
        Trial::new(BOUNDED, "recv", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (tx, rx) = sync_channel::<[u64; N]>(depth);
                Ok((
                    move || move |n, _| u64::from(tx.send([n; N]).is_ok()),
                    move || move |_, sum: &mut Sum| sum.words(&rx.recv().expect("a message")),
                ))
            })
        }),
        // It has no ring: its memory grows with what is pending, and that is what its users get.
        Trial::new(UNBOUNDED, "recv", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (tx, rx) = channel::<[u64; N]>();
                Ok((
                    move || move |n, _| u64::from(tx.send([n; N]).is_ok()),
                    move || move |_, sum: &mut Sum| sum.words(&rx.recv().expect("a message")),
                ))
            })
        }),
    ]
}

/// Message `n` in a block of its own, as queues of values pass on what is large or of any length.
pub fn boxed<P: Payload>(n: u64) -> Box<[u8]> {
    let mut message = vec![0; P::len(n)].into_boxed_slice();
    fill(&mut message, n);
    message
}

pub fn any<P: Payload>(task: Task) -> Vec<Trial> {
    let depth = task.depth(P::MEAN);
    vec![Trial::new(BOUNDED, "recv, boxes", move |count| {
        task.run::<P, _, _, _, _>(count, || {
            let (tx, rx) = sync_channel::<Box<[u8]>>(depth);
            Ok((
                move || move |n, _| u64::from(tx.send(boxed::<P>(n)).is_ok()),
                move || move |_, sum: &mut Sum| sum.bytes(&rx.recv().expect("a message")),
            ))
        })
    })]
}
