//! What a producer notes on its own page besides its messages: a mark, and where the messages come from.
//!
//! A note lies there twice ([`NoteCells`]). The older copy is written over, and counts once its label is stored and, of a
//! mark, once its message is committed; the newer one stands until then. So there is no moment without one. A mark needs no
//! commit of its own: its label is the sequence number behind its message, and labels beyond what is committed do not count.
//!
//! **What happens on a crash?** A producer killed while it notes leaves the newer copy as it was. Killed between a mark and
//! the commit of its message, it leaves a label that does not count yet, but would as soon as so many messages are sent. So
//! a successor sets it back (`set_back`) before it sends anything.

use super::distance;
use crate::layout::{MARK, NoteCells, ORIGIN};
use crate::memory::{Memory, Window, at};

/// Of a copy in which there is nothing.
const NONE: u64 = 0;
/// No label of an honest producer is beyond it: how often something was said.
const ALL: u64 = i64::MAX as u64;
/// So often a reader looks again when the producer has written meanwhile. Each time it takes two notes to disturb it.
const LOOKS: usize = 1000;

/// What a producer had noted with the last message it marked: see `shmq::Producer::mark`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// Sequence number of that message; of a batch, of its last one.
    pub sequence: u64,
    /// What was noted.
    pub note: [u8; 16],
}

/// Which queue this one continues, as its producer has said: see `shmq::Producer::set_origin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Id of that queue.
    pub queue_id: [u8; 16],
    /// Sequence number there of what is to be sent here next.
    pub next: u64,
}

impl Mark {
    fn new(label: u64, [a, b, _]: [u64; 3]) -> Self {
        Self { sequence: label.wrapping_sub(1), note: bytemuck::cast([a, b]) }
    }
}

impl Origin {
    fn new([a, b, shift]: [u64; 3], sequence: u64) -> Self {
        Self { queue_id: bytemuck::cast([a, b]), next: sequence.wrapping_add(shift) }
    }
}

/// Which copy counts: the newer of those that are not beyond `limit`.
fn newest([a, b]: [u64; 2], limit: u64) -> Option<usize> {
    let counts = |label| label != NONE && distance(label, limit) <= 0;
    match (counts(a), counts(b)) {
        (true, true) => Some(usize::from(distance(b, a) > 0)),
        (true, false) => Some(0),
        (false, true) => Some(1),
        (false, false) => None,
    }
}

/// Writes over the copy that does not count.
fn write<M: Memory>(
    ring: &Window<M>,
    cells: &NoteCells,
    limit: u64,
    label: impl Fn(u64) -> u64,
    note: &[u64],
) {
    let labels = cells.0.map(|cell| ring.load(cell.label, at::WALK));
    let newest = newest(labels, limit);
    let cell = &cells.0[newest.map_or(0, |newest| 1 - newest)];
    ring.store(cell.label, NONE, at::NOTE_OPEN);
    ring.fence(at::NOTE_FENCE);
    for (&word, &value) in cell.words.iter().zip(note) {
        ring.store(word, value, at::NOTE_WORD);
    }
    ring.store(cell.label, label(newest.map_or(NONE, |newest| labels[newest])), at::NOTE);
}

/// Notes a mark for the messages before `end`, which are committed next; those before `sequence` are. (Before one message in
/// 2^64 there is no label for it, and so no mark.)
pub(super) fn mark<M: Memory>(ring: &Window<M>, sequence: u64, end: u64, note: &[u8; 16]) {
    write(ring, &MARK, sequence, |_| end, &bytemuck::cast::<_, [u64; 2]>(*note));
}

/// Notes which queue the messages from `sequence` on continue, and from where on.
pub(super) fn set_origin<M: Memory>(ring: &Window<M>, sequence: u64, origin: &Origin) {
    let [a, b] = bytemuck::cast(origin.queue_id);
    let note = [a, b, origin.next.wrapping_sub(sequence)];
    write(ring, &ORIGIN, ALL, |before| before.wrapping_add(1), &note);
}

/// Part of taking over: a mark whose message was never committed must not become that of another one.
pub(super) fn set_back<M: Memory>(ring: &Window<M>, sequence: u64) {
    for cell in MARK.0 {
        let label = ring.load(cell.label, at::WALK);
        if label != NONE && distance(label, sequence) > 0 {
            ring.store(cell.label, NONE, at::NOTE_SET_BACK);
        }
    }
}

/// The copy that counts, read while its producer may go on. `limit` is asked behind the labels: whoever opens a copy has
/// published the message of the other one. And before the note: a successor may use the label again that its predecessor had
/// stored and it has set back; but once that counts, the successor's note is there.
fn read<M: Memory>(ring: &Window<M>, cells: &NoteCells, limit: impl Fn() -> u64) -> Option<(u64, [u64; 3])> {
    let look = || cells.0.map(|cell| ring.load(cell.label, at::NOTE_LOAD));
    for _ in 0..LOOKS {
        let labels = look();
        let newest = newest(labels, limit());
        let note = newest.map(|newest| cells.0[newest].words.map(|word| ring.load(word, at::NOTE_WORD_LOAD)));
        ring.fence(at::NOTE_LOOK_FENCE);
        if look() == labels {
            return Some((labels[newest?], note?));
        }
        std::hint::spin_loop();
    }
    None
}

/// The mark of the last marked message, of those that are published. How many are, `published` says, asked behind the labels.
pub fn mark_of<M: Memory>(ring: &Window<M>, published: impl Fn() -> u64) -> Option<Mark> {
    read(ring, &MARK, published).map(|(label, note)| Mark::new(label, note))
}

/// Which queue this one continues, if its producer has said so; the next message has number `sequence`.
pub fn origin_of<M: Memory>(ring: &Window<M>, sequence: u64) -> Option<Origin> {
    read(ring, &ORIGIN, || ALL).map(|(_, note)| Origin::new(note, sequence))
}
