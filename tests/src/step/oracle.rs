//! What successors find in a dead process's file.

use super::Spec;
use crate::ends::{AnyQueue, Op, Problem, Rx, Tx};
use crate::process::{LIMIT, Scratch, map_queue};
use shmq::{AttachError, Kind, Role};
use shmq_core::layout::PAGE;
use shmq_core::{Geometry, Map, Memory};
use std::path::Path;
use std::time::Instant;

/// A file of its own, into which it copies what a process would have left.
#[derive(Debug)]
pub struct Oracle {
    scratch: Scratch,
    queue: AnyQueue,
    map: Map,
    geometry: Geometry,
    /// States examined.
    pub examined: u64,
}

type Verdict<T = ()> = Result<T, String>;

/// Who comes when.
#[derive(Clone, Copy, Debug)]
enum Scene {
    /// Both ends are dead; the consumer's successor comes first.
    ConsumerFirst,
    /// Both ends are dead; the producer's successor comes first.
    ProducerFirst,
    /// The other end lives through it.
    PeerLives,
}

impl Oracle {
    /// For copies of this queue.
    pub fn new(original: &Path, kind: Kind) -> Self {
        let scratch = Scratch::new("oracle");
        std::fs::copy(original, scratch.path()).expect("copy a queue file");
        let queue = AnyQueue::open(scratch.path(), kind).expect("a copy of a queue");
        let (map, geometry) = map_queue(scratch.path());
        Self { scratch, queue, map, geometry, examined: 0 }
    }

    /// The file that it copies to.
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Puts an image into the file.
    pub fn write(&self, image: &[u8]) {
        assert_eq!(image.len(), self.map.len());
        // SAFETY: the whole mapping.
        unsafe { self.map.copy_in(0, image) };
    }

    /// The holder of a role is dead: it began an operation at `before` and got as far as `now`. Says which of the
    /// allowed contents, from number `from` on, the queue has.
    ///
    /// # Errors
    /// Why it can be none of them.
    pub fn examine(
        &mut self,
        before: &[u8],
        now: &[u8],
        dead: Role,
        allowed: &[Spec],
        from: usize,
    ) -> Verdict<usize> {
        self.examined += 1;
        self.keeps_to_itself(before, now, dead)?;
        let mut failures = Vec::new();
        for (i, spec) in allowed.iter().enumerate().skip(from) {
            let all = [Scene::ConsumerFirst, Scene::ProducerFirst, Scene::PeerLives];
            let found = all.into_iter().try_for_each(|scene| {
                self.play(scene, before, now, dead, spec).map_err(|why| format!("{scene:?}: {why}"))
            });
            match found {
                Ok(()) => return Ok(i),
                Err(why) => failures.push(format!("not {spec:?}: {why}")),
            }
        }
        Err(failures.join("; "))
    }

    /// Each page has one writer.
    fn keeps_to_itself(&self, before: &[u8], now: &[u8], dead: Role) -> Verdict {
        let others = self.geometry.parts.page(dead.peer());
        for page in [0, others] {
            if before[page..page + PAGE] != now[page..page + PAGE] {
                return Err(format!("the {dead} wrote to the page at {page:#x}"));
            }
        }
        Ok(())
    }

    fn play(&self, scene: Scene, before: &[u8], now: &[u8], dead: Role, spec: &Spec) -> Verdict {
        match scene {
            Scene::ConsumerFirst => {
                self.write(now);
                let mut rx = self.consumer(spec)?;
                let empty = take_all(&mut rx, spec)?;
                let tx = self.producer(&empty)?;
                self.go_on(tx, rx, empty)
            }
            Scene::ProducerFirst => {
                self.write(now);
                let Some(mut tx) = self.producer(spec)? else { return Ok(()) };
                // What it sends first, if there is room.
                let more = match tx.perform(&Op::Send(13)) {
                    Err(Problem::Nothing) => spec.clone(),
                    other => {
                        done(other)?;
                        spec.sent(&[13])
                    }
                };
                let mut rx = self.consumer(&more)?;
                let empty = take_all(&mut rx, &more)?;
                self.go_on(Some(tx), rx, empty)
            }
            Scene::PeerLives => {
                self.write(before);
                let (tx, mut rx) = match dead {
                    Role::Producer => {
                        let rx = patiently(|| self.queue.consumer())?;
                        self.store(before, now);
                        (self.producer(spec)?, rx)
                    }
                    Role::Consumer => {
                        let tx = match patiently(|| self.queue.producer()) {
                            Err(why) if !spec.finished => return Err(why),
                            tx => tx.ok(),
                        };
                        self.store(before, now);
                        (tx, self.consumer(spec)?)
                    }
                };
                let empty = take_all(&mut rx, spec)?;
                self.go_on(tx, rx, empty)
            }
        }
    }

    /// Does what the dead one did, word by word, beside a living peer.
    fn store(&self, before: &[u8], now: &[u8]) {
        for (i, (old, new)) in before.chunks_exact(8).zip(now.chunks_exact(8)).enumerate() {
            if old != new {
                // SAFETY: inside the mapping, at a multiple of 8.
                unsafe { self.map.copy_in(8 * i, new) };
            }
        }
    }

    fn consumer(&self, spec: &Spec) -> Verdict<Rx> {
        let rx = patiently(|| self.queue.consumer())?;
        match rx.next_sequence() {
            next if next == spec.first => Ok(rx),
            next => Err(format!("a consumer resumes at {next}")),
        }
    }

    /// `None` if it is told that the queue is finished, and may be.
    fn producer(&self, spec: &Spec) -> Verdict<Option<Tx>> {
        match patiently(|| self.queue.producer()) {
            Err(_) if spec.finished => Ok(None),
            Err(why) => Err(why),
            Ok(_) if spec.finished => Err("a finished queue has a new producer".into()),
            Ok(tx) if tx.next_sequence() == spec.next() => Ok(Some(tx)),
            Ok(tx) => Err(format!("a producer resumes at {}", tx.next_sequence())),
        }
    }

    /// An empty queue must be as good as new: all of its space is there, and nothing in it is taken for a message.
    fn go_on(&self, tx: Option<Tx>, mut rx: Rx, mut spec: Spec) -> Verdict {
        let Some(mut tx) = tx else {
            return match rx.perform(&Op::Recv) {
                Err(Problem::Finished) if spec.finished => Ok(()),
                Err(Problem::Nothing) if !spec.finished => Ok(()),
                other => Err(format!("{other:?} of an empty queue")),
            };
        };
        let largest = self.geometry.limits.max_message as usize;
        let lens = match spec.kind {
            Kind::Slots => vec![0; self.geometry.limits.max_messages.unwrap_or(0) as usize],
            _ => vec![13, 0, largest],
        };
        for &len in &lens {
            done(tx.perform(&Op::Send(len)))?;
            spec = spec.sent(&[len]);
        }
        if spec.kind == Kind::Slots && !matches!(tx.perform(&Op::Send(0)), Err(Problem::Nothing)) {
            return Err("more messages than its depth".into());
        }
        spec = take_all(&mut rx, &spec)?;
        // Once around, so that whatever lay in the ring is met.
        let words = if spec.kind == Kind::Records { self.geometry.parts.capacity / 8 } else { 0 };
        for _ in 0..words {
            done(tx.perform(&Op::Send(0)))?;
            spec = take_all(&mut rx, &spec.sent(&[0]))?;
        }
        done(tx.perform(&Op::Batch(vec![3; 4])))?;
        tx.finish().map_err(|problem| format!("finish: {problem:?}"))?;
        take_all(&mut rx, &Spec { finished: true, ..spec.sent(&[3; 4]) }).map(drop)
    }
}

fn done(outcome: Result<crate::ends::Done, Problem>) -> Verdict<crate::ends::Done> {
    outcome.map_err(|problem| format!("{problem:?}"))
}

/// Receives what must be there, and nothing else.
fn take_all(rx: &mut Rx, spec: &Spec) -> Verdict<Spec> {
    let mut left = spec.clone();
    while !left.lens.is_empty() {
        let got = done(rx.perform(&Op::Recv)).map_err(|e| format!("message {}: {e}", left.first))?;
        let expected = vec![(left.first, left.message(0))];
        if got.took != expected {
            return Err(format!("message {} is torn: {:x?} instead of {expected:x?}", left.first, got.took));
        }
        left = left.took(1);
    }
    match rx.perform(&Op::Recv) {
        Err(Problem::Finished) if left.finished => Ok(left),
        Err(Problem::Nothing) if !left.finished => Ok(left),
        other => Err(format!("{other:?} after the last message")),
    }
}

/// While another thread of this process starts a child, a copy of a description may hold a role that was given up.
fn patiently<R>(mut take: impl FnMut() -> Result<R, AttachError>) -> Verdict<R> {
    let begin = Instant::now();
    loop {
        match take() {
            Err(AttachError::Busy { .. }) if begin.elapsed() < LIMIT => std::thread::yield_now(),
            done => return done.map_err(|e| format!("{e:?}")),
        }
    }
}
