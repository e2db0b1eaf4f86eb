//! What successors find in a dead process's file.

use super::Spec;
use crate::ends::{AnyQueue, Op, Problem, Rx, Tx};
use crate::process::{LIMIT, Scratch, map_queue};
use shmq::{AttachError, Kind, Role};
use shmq_core::layout::PAGE;
use shmq_core::{Geometry, Map, Memory, word};
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
                sees_mark(&rx, &empty)?;
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
            Ok(tx) if tx.next_sequence() == spec.next() => has_notes(&tx, spec).map(|()| Some(tx)),
            Ok(tx) => Err(format!("a producer resumes at {}", tx.next_sequence())),
        }
    }

    /// An empty queue must be as good as new: all of its space is there, and nothing in it is taken for a message or a mark.
    fn go_on(&self, tx: Option<Tx>, mut rx: Rx, mut spec: Spec) -> Verdict {
        sees_mark(&rx, &spec)?;
        let Some(mut tx) = tx else {
            return match rx.perform(&Op::Recv) {
                Err(Problem::Finished) if spec.finished => Ok(()),
                Err(Problem::Nothing) if !spec.finished => Ok(()),
                other => Err(format!("{other:?} of an empty queue")),
            };
        };
        let limits = self.geometry.limits;
        if spec.kind == Kind::Records {
            // The largest has room in any empty ring, but wherever it lies only in an empty one.
            for lens in [&[13, 0][..], &[limits.max_message as usize]] {
                spec = send_all(&mut tx, &spec, lens)?;
                spec = take_all(&mut rx, &spec)?;
            }
        }
        spec = send_all(&mut tx, &spec, &vec![FILL; self.most(spec.kind) as usize])?;
        if !matches!(tx.perform(&Op::Send(FILL)), Err(Problem::Nothing)) {
            return Err("more messages than there is room for".into());
        }
        spec = take_all(&mut rx, &spec)?;
        // Once around, so that whatever lay in the ring is met.
        let words = if spec.kind == Kind::Records { self.geometry.parts.capacity / 8 } else { 0 };
        for _ in 0..words {
            spec = send_all(&mut tx, &spec, &[0])?;
            spec = take_all(&mut rx, &spec)?;
        }
        // So many numbers on, a mark that a dead producer was about to commit would count.
        has_notes(&tx, &spec)?;
        for op in [Op::Mark(3), Op::Batch(vec![3; 4])] {
            done(tx.perform(&op)).map_err(|problem| format!("{op:?} to an empty queue: {problem}"))?;
            spec = spec.during(&op).pop().unwrap_or(spec);
        }
        has_notes(&tx, &spec)?;
        tx.finish().map_err(|problem| format!("finish: {problem:?}"))?;
        spec = take_all(&mut rx, &Spec { finished: true, ..spec })?;
        sees_mark(&rx, &spec)
    }

    /// So many messages of length [`FILL`] have room in an empty queue, wherever in the ring it is empty.
    fn most(&self, kind: Kind) -> u64 {
        let limits = self.geometry.limits;
        let depth = limits.max_messages.unwrap_or(u64::MAX);
        // Their size divides that of the ring: what is lost at its end, and the word behind the last, are less than one more.
        let records = limits.capacity / word::size(FILL as u64) - 1;
        if kind == Kind::Slots { depth } else { records.min(depth) }
    }
}

/// What a queue is filled with. Values of this length take the fast path.
const FILL: usize = 24;

/// Sends messages that must have room.
fn send_all(tx: &mut Tx, spec: &Spec, lens: &[usize]) -> Verdict<Spec> {
    for &len in lens {
        let sent = done(tx.perform(&Op::Send(len)));
        sent.map_err(|problem| format!("sending {len} bytes to a queue that has room: {problem}"))?;
    }
    Ok(spec.sent(lens))
}

/// What a producer finds noted.
fn has_notes(tx: &Tx, spec: &Spec) -> Verdict {
    let (found, expected) = ((tx.mark(), tx.origin()), (spec.mark(), spec.origin()));
    if found == expected {
        Ok(())
    } else {
        Err(format!("mark and origin are {found:x?} instead of {expected:x?}"))
    }
}

/// The mark that a consumer finds which has taken all there was. (Before that, the count of a dead producer may lag.)
fn sees_mark(rx: &Rx, spec: &Spec) -> Verdict {
    let (found, expected) = (rx.peer_mark(), spec.mark());
    if found == expected {
        Ok(())
    } else {
        Err(format!("the peer's mark is {found:x?} instead of {expected:x?}"))
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
