//! What the machine itself needs: no queue, and nothing that a queue must do.
//!
//! For round trips, two cache lines: one word each way, whatever the size of the message; and the same with the message on lines of its
//! own, behind which the word is stored, as in any queue whose messages do not share a line with what publishes them. For streams, a buffer of the same
//! bytes as the rings, in four parts; a part is handed over as a whole, so that handing over costs next to nothing.

#![allow(clippy::disallowed_types, reason = "the limits are what the queues are measured against")]

use super::trial::Trial;
use crate::payload::{Payload, Scratch, Sum, fill};
use crate::run::{Kind, Task};
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const FAMILY: &str = "limit";

/// Parts of the buffer.
const PARTS: u64 = 4;
/// Where its bytes begin, after the words.
const BYTES: usize = 4096;

/// Words on lines of their own, and a buffer, in memory that a forked process shares.
struct Shared {
    memory: MmapRaw,
    bytes: usize,
}

impl Shared {
    fn new(bytes: usize) -> Arc<Self> {
        let file = memfd_create("limit", MemfdFlags::CLOEXEC).expect("a memory file");
        let length = BYTES + bytes;
        ftruncate(&file, length as u64).expect("room in it");
        let memory = MmapOptions::new().len(length).populate().map_raw(&file).expect("map it");
        Arc::new(Self { memory, bytes })
    }

    /// Word `which` of the 32 that there are.
    fn word(&self, which: usize) -> &AtomicU64 {
        // SAFETY: within the first page of the mapping, which lives as long as `self`, aligned, and only ever used as an atomic.
        unsafe { AtomicU64::from_ptr(self.memory.as_mut_ptr().add(which % 32 * 128).cast()) }
    }

    /// Part `which` of the buffer.
    fn part(&self, which: u64) -> *mut u8 {
        let at = BYTES + (which % PARTS) as usize * self.part_len();
        // SAFETY: the parts lie inside the mapping.
        unsafe { self.memory.as_mut_ptr().add(at) }
    }

    fn part_len(&self) -> usize {
        self.bytes / PARTS as usize
    }
}

/// The words: parts handed over, parts given back, and from [`COUNTS`] on the messages in each part.
const SENT: usize = 0;
const TAKEN: usize = 1;
const COUNTS: usize = 2;

/// Where an end is in the buffer.
struct Place {
    shared: Arc<Shared>,
    /// Parts done with.
    part: u64,
    /// Bytes into the current one, and messages.
    at: usize,
    messages: u64,
}

impl Place {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, part: 0, at: 0, messages: 0 }
    }

    fn finish(&mut self, word: usize) {
        self.part += 1;
        (self.at, self.messages) = (0, 0);
        self.shared.word(word).store(self.part, Ordering::Release);
    }

    fn hand_over(&mut self) {
        self.shared.word(COUNTS + (self.part % PARTS) as usize).store(self.messages, Ordering::Relaxed);
        self.finish(SENT);
    }

    /// Room for the next message, `None` if the other end has not given it back yet. `last`: hand over what there is.
    fn send<P: Payload>(&mut self, n: u64, last: bool, write: impl FnOnce(&mut [u8])) -> u64 {
        let len = P::len(n);
        if self.at + len > self.shared.part_len() {
            self.hand_over();
        }
        if self.messages == 0 && self.part >= self.shared.word(TAKEN).load(Ordering::Acquire) + PARTS {
            return 0;
        }
        // SAFETY: within the part, which the other end has given back and does not touch until it is handed over.
        write(unsafe { std::slice::from_raw_parts_mut(self.shared.part(self.part).add(self.at), len) });
        self.at += len.next_multiple_of(8);
        self.messages += 1;
        if last {
            self.hand_over();
        }
        1
    }

    fn recv<P: Payload>(&mut self, n: u64, read: impl FnOnce(&[u8])) -> u64 {
        if self.messages == 0 && self.part >= self.shared.word(SENT).load(Ordering::Acquire) {
            return 0;
        }
        let len = P::len(n);
        // SAFETY: within the part, which the other end has handed over and does not touch until it gets it back.
        read(unsafe { std::slice::from_raw_parts(self.shared.part(self.part).add(self.at), len) });
        self.at += len.next_multiple_of(8);
        self.messages += 1;
        let count = self.shared.word(COUNTS + (self.part % PARTS) as usize).load(Ordering::Relaxed);
        if self.messages == count {
            self.finish(TAKEN);
        }
        1
    }
}

pub fn any<P: Payload>(task: Task) -> Vec<Trial> {
    match task.kind {
        Kind::RoundTrips => vec![
            lines::<P>(task, "two lines", |_, _| {}, |_, n, sum| sum.unread::<P>(n)),
            lines::<P>(task, "two lines and the bytes", write::<P>, read::<P>),
        ],
        Kind::Stream => vec![
            Trial::new(FAMILY, "memcpy, free hand-over", move |count| {
                task.run::<P, _, _, _, _>(count, || {
                    let shared = Shared::new(task.ring);
                    let (mut tx, mut rx) = (Place::new(Arc::clone(&shared)), Place::new(shared));
                    Ok((
                        move || {
                            let mut scratch = Scratch::new::<P>();
                            move |n: u64, max: u64| {
                                let message = scratch.message::<P>(n);
                                tx.send::<P>(n, max == 1, |room| room.copy_from_slice(message))
                            }
                        },
                        move || {
                            let (mut buffer, mut taken) = (vec![0; P::MAX], 0);
                            move |_, sum: &mut Sum| {
                                let got = rx.recv::<P>(taken, |message| {
                                    buffer[..message.len()].copy_from_slice(message);
                                    sum.bytes(&buffer[..message.len()]);
                                });
                                taken += got;
                                got
                            }
                        },
                    ))
                })
            }),
            Trial::new(FAMILY, "in place, free hand-over", move |count| {
                task.run::<P, _, _, _, _>(count, || {
                    let shared = Shared::new(task.ring);
                    let (mut tx, mut rx) = (Place::new(Arc::clone(&shared)), Place::new(shared));
                    let mut taken = 0;
                    Ok((
                        move || move |n: u64, max: u64| tx.send::<P>(n, max == 1, |room| fill(room, n)),
                        move || {
                            move |_, sum: &mut Sum| {
                                let got = rx.recv::<P>(taken, |message| {
                                    sum.bytes(message);
                                });
                                taken += got;
                                got
                            }
                        },
                    ))
                })
            }),
        ],
    }
}

/// One word there and one back; `write` is called before it is stored, `read` when it has arrived, with the message's number.
fn lines<P: Payload>(
    task: Task,
    name: &'static str,
    write: fn(&Shared, u64),
    read: fn(&Shared, u64, &mut Sum) -> u64,
) -> Trial {
    Trial::new(FAMILY, name, move |count| {
        task.run::<P, _, _, _, _>(count, || {
            let shared = Shared::new(PARTS as usize * P::MAX.next_multiple_of(64));
            let other = Arc::clone(&shared);
            let mut seen = 0;
            Ok((
                move || {
                    move |n, _| {
                        write(&shared, n);
                        shared.word(SENT).store(n + 1, Ordering::Release);
                        1
                    }
                },
                move || {
                    move |_, sum: &mut Sum| {
                        let word = other.word(SENT).load(Ordering::Acquire);
                        if word == seen {
                            return 0;
                        }
                        seen = word;
                        read(&other, word - 1, sum)
                    }
                },
            ))
        })
    })
}

fn write<P: Payload>(shared: &Shared, n: u64) {
    // SAFETY: within a part, at which the other end does not look before the word says so, and which it has answered before.
    fill(unsafe { std::slice::from_raw_parts_mut(shared.part(n), P::len(n)) }, n);
}

fn read<P: Payload>(shared: &Shared, n: u64, sum: &mut Sum) -> u64 {
    // SAFETY: within a part, which is not written again before this end has answered.
    sum.bytes(unsafe { std::slice::from_raw_parts(shared.part(n), P::len(n)) })
}
