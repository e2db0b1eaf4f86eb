//! Every access to shared memory by name, with its ordering, its partner and what breaks if it were weaker.
//!
//! This is the only list: the code takes its orderings from here, `docs/DESIGN.md` is compared with it by a test, and
//! the tests that weaken one ordering at a time walk [`SITES`].

/// How an access is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// No ordering.
    Relaxed,
    /// Later accesses stay after it.
    Acquire,
    /// Earlier accesses stay before it.
    Release,
    /// A full fence: fences only.
    SeqCst,
    /// A fence for the compiler only: it keeps the *crash state* in order, the stores of one dying process.
    Compiler,
}

/// What a site does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Loads a word.
    Load,
    /// Stores a word.
    Store,
    /// A fence.
    Fence,
}

/// One place in the protocol that touches shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its label, unique.
    pub label: &'static str,
    /// Its ordering.
    pub order: Order,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct SiteDoc {
    /// The site itself.
    pub site: Site,
    /// Load, store or fence.
    pub access: Access,
    /// The label at the other end, `-` for none.
    pub partner: &'static str,
    /// What goes wrong if it were weaker, or why relaxed is enough.
    pub why: &'static str,
}

sites! {
    // Producer, sending.
    DIRTY: Store Relaxed, "RECOVER", "slots only; only a successor reads it, and DIRTY_LOG keeps it before the words in a crash";
    DIRTY_LOG: Fence Compiler, "-", "a kill could leave words running ahead that no successor knows to set back";
    LATER_WORD: Store Relaxed, "POLL", "the words after a batch's first are published by COMMIT";
    NEXT_WORD: Store Relaxed, "POLL", "the word at the new tail; COMMIT carries it, and nobody looks at it before";
    COMMIT: Store Release, "POLL", "torn message: the word is seen before the payload, before the rest of its batch, or before the next one is zero";
    COMMIT_LOG: Fence Compiler, "SLEEP_FENCE", "lost wake: the compiler looks for a ticket before it publishes; the processor is kept from that by membarrier, or by WAKE_FENCE";
    SEQUENCE: Store Release, "OBSERVE", "messages are counted of which the words are not seen: pending, and nothing is found; an observer calls a good ring damaged; a kill leaves a number that counts a message never committed";
    TAIL: Store Release, "OBSERVE", "an observer sees the tail beyond what is committed; a crash state with the tail leading";
    FINISH: Store Release, "POLL", "whoever sees the end does not see what the producer did before it";
    FREE_LOAD: Load Acquire, "GIVE_BACK", "new payload overwrites what the consumer still reads";
    FREED_LOAD: Load Relaxed, "FREED", "carried by FREE_LOAD";
    ROOM_FENCE: Fence Release, "LOOK_FENCE", "an observer copies new payload and does not see that the consumer had passed it; a kill leaves payload where the stored tail still points";
    UNDO_LOG: Fence Compiler, "-", "a smaller DIRTY could be stored before the words beyond it are set back: a kill leaves words that no successor knows of";

    // Producer, noting: marks, and where messages come from.
    NOTE_OPEN: Store Release, "NOTE_LOAD", "a reader finds this copy open and does not see that the other one counts; a kill leaves the newer mark written over and the message of the other not committed";
    NOTE_FENCE: Fence Release, "NOTE_LOOK_FENCE", "a reader takes a mix of two notes for one; a kill likewise";
    NOTE_WORD: Store Relaxed, "NOTE_WORD_LOAD", "NOTE carries it, and COMMIT";
    NOTE: Store Release, "NOTE_LOAD", "a reader sees the label before the note (that of a mark does not count before its commit)";
    NOTE_SET_BACK: Store Relaxed, "NOTE_LOAD", "ROOM_FENCE carries it";

    // Consumer, receiving.
    POLL: Load Acquire, "COMMIT", "torn message: payload read before the word that publishes it";
    RECEIVED: Store Relaxed, "OBSERVE", "a count that promises nothing: whoever sees it need not see what the consumer did before it took the message; READ carries it";
    READ: Store Release, "OBSERVE", "a kill loses a message not yet copied; an observer that goes on from there misses its number";
    FREED: Store Release, "OBSERVE", "a kill leaves more given back than taken, which the successor would take back; GIVE_BACK carries it to the producer";
    HAND_BACK_LOAD: Load Relaxed, "-", "what POLL has acquired";
    HAND_BACK: Store Release, "POLL", "an observer or a successor sees the word without what the producer published with it";
    PACE: Load Relaxed, "-", "how far the producer has got is a matter of speed alone";
    GIVE_BACK: Store Release, "FREE_LOAD", "new payload lands where the consumer still reads or rewrites";

    // A successor taking over.
    RECOVER: Load Acquire, "GIVE_BACK", "a successor producer writes into space that the consumer still reads or rewrites";
    WALK: Load Relaxed, "-", "the words of a predecessor in the same role, whose values nobody changes";
    WALK_READ: Load Acquire, "GIVE_BACK", "a successor producer of slots writes where the consumer still reads";
    RECOVER_SEQUENCE: Store Release, "OBSERVE", "as SEQUENCE, of what a predecessor committed";
    RECOVER_TAIL: Store Release, "OBSERVE", "as TAIL";

    // Anyone who looks.
    OBSERVE: Load Acquire, "TAIL", "positions that contradict each other";
    LOOK_FENCE: Fence Acquire, "ROOM_FENCE", "a message that was being overwritten while it was copied is shown as whole";
    NOTE_LOAD: Load Acquire, "NOTE", "a note from before its label";
    NOTE_WORD_LOAD: Load Relaxed, "NOTE_WORD", "NOTE_LOOK_FENCE orders it";
    NOTE_LOOK_FENCE: Fence Acquire, "NOTE_FENCE", "a mix of two notes is taken for one";

    // Roles.
    ROLE_LOAD: Load Acquire, "ROLE_STORE", "a peer's state from before its last stores";
    ROLE_STORE: Store Release, "ROLE_LOAD", "a clean leave is seen before the last message";
    COUNT: Store Relaxed, "-", "a counter for people";
    COUNT_LOAD: Load Relaxed, "-", "a counter for people";
    LEAVE_FENCE: Fence Release, "LOST_FENCE", "the role is seen free before the last stores";
    LOST_FENCE: Fence Acquire, "LEAVE_FENCE", "the last message is overlooked and the peer called lost too early";

    // Sleeping and waking.
    ANNOUNCE: Store Release, "SERVE_TICKET", "a successor is called left: its ticket is seen and its epoch is not; for the wake itself, SLEEP_FENCE orders it";
    SLEEP_FENCE: Fence SeqCst, "WAKE_FENCE", "lost wake: both sides look before both have stored";
    CHECK_TICKET: Load Relaxed, "ANNOUNCE", "only whether there is something to serve; WAKE_FENCE, or membarrier, orders it";
    SERVE_TICKET: Load Acquire, "ANNOUNCE", "the ticket of one who left is served, and that it left is not seen: it is never told again";
    WAKE_FENCE: Fence SeqCst, "SLEEP_FENCE", "lost wake, as SLEEP_FENCE";
    RING_BELL: Store Release, "READ_BELL", "a sleeper woken by the bell does not see the message";
    SOUND_FENCE: Fence SeqCst, "SLEEP_FENCE", "lost wake: a successor, or one who leaves, wakes one who is about to listen, and neither sees the other";
    READ_BELL: Load Acquire, "RING_BELL", "lost wake: the ticket is stored, and served, before the bell is read, so that the very change that answers it is slept on";
}
