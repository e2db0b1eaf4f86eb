//! Whether everything in a queue is as it must be: the invariants of `docs/FORMAT.md`, one after the other.
//!
//! Both ends may go on meanwhile. So what looks wrong is looked at again a little later, and is wrong only if it still
//! stands although neither end has moved past it. Where nobody holds an end, nothing moves, and it is not waited for.

use super::inspector::Inspector;
use super::seen::Seen;
use super::walk::{PendingEnd, Walk};
use crate::layout::{DIRTY, FREE, FREED, READ, RECEIVED, Role, SEQUENCE, TAIL};
use crate::memory::{Memory, Window, at};
use crate::ring::distance;
use crate::ring::find_sequence;
use crate::role::PeerState;
use crate::slot_layout::{END, SlotLayout};
use std::time::Duration;

/// One thing that was checked.
///
/// ```
/// # let name = format!("shmq-doc-check-{}", std::process::id());
/// let queue = shmq::Queue::create(&name, &shmq::Options::new())?;
/// let it = queue.inspect()?;
/// assert!(it.check().iter().all(|check| matches!(check.outcome, shmq::Outcome::Fine { .. })));
/// # let path = queue.path().unwrap();
/// // A stray write where the next message will be.
/// # use std::os::unix::fs::FileExt;
/// std::fs::File::options().write(true).open(path)?.write_all_at(b"oops", 3 * 4096)?;
/// let wrong = it.check().into_iter().find(|c| matches!(c.outcome, shmq::Outcome::Damaged { .. })).unwrap();
/// assert_eq!(wrong.what, "messages");
/// # queue.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What: `geometry`, `positions`, `messages`, `words` (fixed-size messages only), `roles`.
    pub what: &'static str,
    /// How it is.
    pub outcome: Outcome,
}

/// How a check came out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// As it must be.
    Fine {
        /// What was found.
        said: String,
    },
    /// It could not be checked.
    Unchecked {
        /// Why.
        why: String,
    },
    /// It is not as it must be.
    Damaged {
        /// What is wrong, and where.
        said: String,
    },
}

use Outcome::{Damaged, Fine, Unchecked};

impl Inspector {
    /// Checks everything that must hold: geometry, positions, each pending message, roles. Nothing is taken,
    /// and both ends may go on meanwhile.
    ///
    /// Reads the whole ring; allocates; makes no system call but to sleep a little when it has to look again.
    pub fn check(&self) -> Vec<Check> {
        all(self)
    }
}

/// Looks at something that seems wrong this often before it is.
const LOOKS: usize = 20;
const BETWEEN: Duration = Duration::from_millis(1);

pub(super) fn all(it: &Inspector) -> Vec<Check> {
    let mut checks = vec![Check { what: "geometry", outcome: geometry(it) }];
    let Some(window) = it.ring() else { return checks };
    let limits = &it.geometry.limits;
    let ring: Vec<_> = match it.geometry.slot_layout() {
        None => records(|| it.is_held(), window, limits.max_message, limits.max_messages).into(),
        Some(layout) => it.check_ring(window, &layout).into(),
    };
    let names = ["positions", "messages", "words"];
    checks.extend(names.into_iter().zip(ring).map(|(what, outcome)| Check { what, outcome }));
    checks.push(Check { what: "roles", outcome: roles(it) });
    if it.is_torn() {
        // Of zeros, the others say nothing.
        checks = vec![Check { what: "geometry", outcome: geometry(it) }];
    }
    checks
}

impl Inspector {
    /// Looks until it is fine, or was often enough not. Where no end is held, what is wrong once is wrong: but whoever
    /// held it may have left during the look, so it takes a second one.
    #[doc(hidden)]
    pub fn look_again(&self, look: impl FnMut() -> Outcome) -> Outcome {
        again(|| self.is_held(), look)
    }

    /// A ring of fixed-size messages, checked: its positions, its messages, its other words. For a pool, which has two.
    #[doc(hidden)]
    pub fn check_ring(&self, window: &Window<Seen>, layout: &SlotLayout) -> [Outcome; 3] {
        let [counts, messages] = slots(|| self.is_held(), window, layout);
        let words = if self.is_mostly_hole() {
            Unchecked { why: "large parts of the file have no memory, and a look would make it".into() }
        } else {
            self.look_again(|| words(window, layout))
        };
        [counts, messages, words]
    }

    /// Whether to read all of it would make much memory of what has none.
    fn is_mostly_hole(&self) -> bool {
        let crate::role::Probe::File(file, _) = &self.probe else { return false };
        self.length() > 64 << 20 && !crate::segment::has_all_blocks(file, self.length())
    }

    /// Whether anybody may move anything.
    fn is_held(&self) -> bool {
        [Role::Producer, Role::Consumer].into_iter().any(|role| self.state(role) == PeerState::Attached)
    }
}

fn records<M: Memory>(
    moves: impl Fn() -> bool,
    window: &Window<M>,
    max_message: u64,
    max_messages: Option<u64>,
) -> [Outcome; 2] {
    [
        again(&moves, || positions(window, max_messages)),
        again(&moves, || messages(Walk::records(window, max_message))),
    ]
}

fn slots<M: Memory>(moves: impl Fn() -> bool, window: &Window<M>, layout: &SlotLayout) -> [Outcome; 2] {
    [again(&moves, || counts(window, layout)), again(&moves, || messages(Walk::slots(window, layout)))]
}

fn again(moves: impl Fn() -> bool, mut look: impl FnMut() -> Outcome) -> Outcome {
    for _ in 1..LOOKS {
        match look() {
            Damaged { .. } if moves() => std::thread::sleep(BETWEEN),
            Damaged { .. } => break,
            done => return done,
        }
    }
    look()
}

fn geometry(it: &Inspector) -> Outcome {
    match (it.damage(), it.torn()) {
        (Some(damage), _) => Damaged { said: damage.to_string() },
        (None, Some(torn)) => Damaged { said: torn.to_string() },
        (None, None) => Fine { said: format!("format, limits and checksum of a file of {}", it.kind()) },
    }
}

fn roles(it: &Inspector) -> Outcome {
    let seen = it.snapshot();
    for role in [Role::Producer, Role::Consumer] {
        let end = seen.end(role);
        if end.from_another_boot && end.state != PeerState::Attached {
            let said = format!(
                "the last {role} came before the machine last started and did not leave cleanly, so the contents may be \
                 any mix of old and new, and nobody can take a role; dump what is there, then remove the queue"
            );
            return Damaged { said };
        }
    }
    Fine { said: format!("producer {}, consumer {}", seen.producer.state, seen.consumer.state) }
}

fn positions<M: Memory>(window: &Window<M>, max_messages: Option<u64>) -> Outcome {
    let word = |control| window.load(control, at::OBSERVE);
    // In this order each later one can only be further on.
    let (free, freed) = (word(FREE), word(FREED));
    let (received, read) = (word(RECEIVED), word(READ));
    let (sequence, tail) = (word(SEQUENCE), word(TAIL));
    let capacity = window.capacity();
    let wrong = |said: String| Damaged { said };
    if (free | read | tail) & 7 != 0 {
        return wrong(format!("a position is not a multiple of 8: free {free}, read {read}, tail {tail}"));
    }
    if read.wrapping_sub(free) > capacity {
        return wrong(format!(
            "the consumer has read up to {read} and given back up to {free}; a ring has {capacity} bytes"
        ));
    }
    if distance(tail, read).unsigned_abs() > capacity {
        return wrong(format!(
            "the producer is at {tail} and the consumer at {read}; a ring has {capacity} bytes"
        ));
    }
    if distance(tail, free) > capacity as i64 - 8 {
        return wrong(format!(
            "the producer is at {tail}, but has been given space up to {} only",
            free.wrapping_add(capacity)
        ));
    }
    if distance(received, freed) < 0 {
        return wrong(format!("{freed} messages were given back, but only {received} received"));
    }
    let most = max_messages.unwrap_or(u64::MAX).min(capacity / 8);
    if distance(sequence, freed) > most as i64 {
        return wrong(format!(
            "{sequence} messages were sent and {freed} given back, more apart than the {most} that fit"
        ));
    }
    Fine { said: format!("free {free}, read {read}, tail {tail}") }
}

fn counts<M: Memory>(window: &Window<M>, layout: &SlotLayout) -> Outcome {
    let (read, sequence) = (window.load(READ, at::OBSERVE), window.load(SEQUENCE, at::OBSERVE));
    if read.abs_diff(sequence) > layout.depth + layout.group {
        let said = format!(
            "the producer counts {sequence} messages and the consumer {read}, more apart than the {} that fit",
            layout.depth
        );
        return Damaged { said };
    }
    let dirty = window.load(DIRTY, at::OBSERVE);
    // The words say how many there are: nobody takes one before its word says so.
    match find_sequence(window, layout, at::OBSERVE) {
        Err(what) => Damaged {
            said: format!("{what}: how many messages were sent, from {sequence} on, cannot be told"),
        },
        Ok((sent, _)) if sent < read => {
            Damaged { said: format!("the consumer has taken {read} messages, but only {sent} were sent") }
        }
        Ok((sent, _)) if dirty.saturating_sub(sent) > layout.depth => Damaged {
            said: format!(
                "the producer may have prepared messages up to {dirty}, beyond its space from {sent} on"
            ),
        },
        Ok(_) => Fine { said: format!("read {read}, sequence {sequence}") },
    }
}

/// Counts the messages up to where the walk ends, and says why it does.
fn run<M: Memory>(walk: &mut Walk<'_, M>) -> (u64, u64, PendingEnd) {
    let (mut messages, mut bytes) = (0, 0u64);
    loop {
        match walk.look() {
            Ok(found) => {
                if walk.pass(&found) {
                    (messages, bytes) = (messages + 1, bytes.saturating_add(found.len));
                }
            }
            Err(end) => return (messages, bytes, end),
        }
    }
}

fn messages<M: Memory>(mut walk: Walk<'_, M>) -> Outcome {
    let (messages, bytes, end) = run(&mut walk);
    match end {
        PendingEnd::CaughtUp => Fine { said: format!("{messages} pending, {bytes} bytes") },
        PendingEnd::Finished => {
            Fine { said: format!("{messages} pending, {bytes} bytes, then the end of data") }
        }
        PendingEnd::Overtaken => Fine { said: format!("{messages} looked at while they were taken") },
        PendingEnd::Damaged(damage) => Damaged { said: format!("after {messages} good ones: {damage}") },
        end => Unchecked { why: end.to_string() },
    }
}

fn whole(window: &Window<Seen>) -> bool {
    window.memory().present() == window.memory().len() as u64
}

/// Of fixed-size messages: no word of the ring says more than was published or is being prepared.
fn words(window: &Window<Seen>, layout: &SlotLayout) -> Outcome {
    let mut walk = Walk::slots(window, layout);
    if !whole(window) {
        return Unchecked { why: "a part of the file is missing".into() };
    }
    let (_, _, end) = run(&mut walk);
    match end {
        PendingEnd::CaughtUp | PendingEnd::Finished => {}
        PendingEnd::Overtaken => {
            return Unchecked { why: "messages move too fast; see again when it is quieter".into() };
        }
        _ => return Unchecked { why: "where it begins is not known, see the messages".into() },
    }
    let tail = walk.position();
    let dirty = window.load(DIRTY, at::OBSERVE);
    let ring = window.parts().ring as u64;
    // The group that the tail is in, and the next lap of all others.
    let current = tail / layout.group;
    for group in current..current.saturating_add(layout.groups) {
        let first = group.saturating_mul(layout.group);
        let place = ring + layout.word_offset(first);
        let word = window.load_at(place, at::OBSERVE);
        let (count, most) = (word & !END, if group == current { tail } else { first.max(dirty) });
        let ended = word & END != 0 && group != current;
        if count > most || ended {
            let more = if ended { " and the end of data" } else { "" };
            let said = format!(
                "the word at byte {:#x} of the file expected to say at most {most}, found {count}{more}",
                place
            );
            return Damaged { said };
        }
    }
    Fine { said: format!("{} groups, none of which says too much", layout.groups) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_wrong_is_looked_at_again() {
        let mut looks = 0;
        let outcome = again(
            || true,
            || {
                looks += 1;
                if looks < 3 { Damaged { said: String::new() } } else { Fine { said: String::new() } }
            },
        );
        assert!(matches!(outcome, Fine { .. }) && looks == 3);
        assert!(matches!(again(|| true, || Damaged { said: String::new() }), Damaged { .. }));
    }

    /// What an end has stored in part while somebody looks is not damage: whatever of it is looked at.
    #[cfg(feature = "testing")]
    #[test]
    fn no_part_of_a_ring_is_damaged_that_is_in_order_at_the_next_look() {
        use crate::layout::{PAGE, Parts};
        use crate::memory::testing::Words;
        use crate::ring::word::{RecordKind, word};

        let in_order = |outcomes: &[Outcome]| outcomes.iter().all(|o| matches!(o, Fine { .. }));
        let layout = SlotLayout::new(8, 2, 1).unwrap();
        let parts = Parts { producer: 0, consumer: PAGE, ring: 2 * PAGE, capacity: 256 };
        // A position that leads the word which it counts.
        let window = |leads, value| {
            let window = Window::new(Words::new(2 * PAGE + 256), parts).unwrap();
            window.store(leads, value, at::TAIL);
            window
        };
        let ring = window(TAIL, 8);
        let first = word(RecordKind::Message, 0, 0);
        let arrives = || (ring.store_word(0, first, at::COMMIT), true).1;
        assert!(!in_order(&records(|| false, &ring, 8, None)));
        assert!(in_order(&records(arrives, &ring, 8, None)));
        let ring = window(SEQUENCE, 1);
        let arrives = || (ring.store_at(parts.ring as u64 + layout.word_offset(0), 1, at::COMMIT), true).1;
        assert!(!in_order(&slots(|| false, &ring, &layout)));
        assert!(in_order(&slots(arrives, &ring, &layout)));
    }

    #[test]
    fn where_nobody_holds_an_end_it_is_not_waited_for() {
        let mut looks = 0;
        let outcome = again(
            || false,
            || {
                looks += 1;
                Damaged { said: String::new() }
            },
        );
        assert!(matches!(outcome, Damaged { .. }) && looks == 2);
    }
}
