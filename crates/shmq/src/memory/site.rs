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
    DIRTY: Store Relaxed, "RECOVER", "only a successor reads it; DIRTY_LOG keeps it before the payload in a crash";
    DIRTY_LOG: Fence Compiler, "-", "a kill could leave payload bytes that no successor knows to erase";
    LATER_WORD: Store Relaxed, "POLL", "the words after a batch's first are published by COMMIT";
    COMMIT: Store Release, "POLL", "torn message: the word is seen before the payload, or before the rest of its batch";
    COMMIT_LOG: Fence Compiler, "-", "a kill could leave a sequence number that counts a message never committed";
    SEQUENCE: Store Relaxed, "RECOVER", "read by a successor, after TAIL in this order";
    TAIL: Store Release, "OBSERVE", "an observer sees the tail beyond what is committed; a crash state with the tail leading";
    FINISH: Store Release, "POLL", "whoever sees the end does not see what the producer did before it";
    FREE_LOAD: Load Acquire, "GIVE_BACK", "new payload is written, then erased by the consumer's earlier erase";
    FREED_LOAD: Load Relaxed, "FREED", "carried by FREE_LOAD";
    UNDO_LOG: Fence Compiler, "-", "a smaller DIRTY could be stored before the words beyond it are set back: a kill leaves words that no successor knows of";

    // Consumer, receiving.
    POLL: Load Acquire, "COMMIT", "torn message: payload read before the word that publishes it";
    RECEIVED: Store Relaxed, "WALK_RECEIVED", "READ carries it";
    READ: Store Release, "WALK_READ", "a successor producer resumes at a stale sequence number; a kill loses a message not yet copied";
    ERASE_FENCE: Fence Release, "WALK", "a walking successor sees the erased word but not the read position that explains it";
    FREED: Store Relaxed, "FREED_LOAD", "GIVE_BACK carries it";
    HAND_BACK_LOAD: Load Relaxed, "-", "what POLL has acquired";
    HAND_BACK: Store Release, "POLL", "a word that a successor polls, without what the producer published with it";
    PACE: Load Relaxed, "-", "how far the producer has got is a matter of speed alone";
    GIVE_BACK: Store Release, "FREE_LOAD", "erase lands on new data";

    // A successor taking over.
    RECOVER: Load Acquire, "GIVE_BACK", "a successor producer writes into space that the consumer is still erasing";
    WALK: Load Acquire, "ERASE_FENCE", "a zero word is taken for the tail although the consumer has passed it";
    WALK_READ: Load Acquire, "READ", "the walker takes an old count for the number of the next message";
    WALK_RECEIVED: Load Relaxed, "RECEIVED", "carried by WALK_READ";
    RECOVER_SEQUENCE: Store Relaxed, "OBSERVE", "RECOVER_TAIL carries it";
    RECOVER_TAIL: Store Release, "OBSERVE", "as TAIL";

    // Anyone who looks.
    OBSERVE: Load Acquire, "TAIL", "positions that contradict each other";
    LOOK_FENCE: Fence Acquire, "ERASE_FENCE", "a message that was being erased while it was copied is shown as whole";

    // Roles.
    ROLE_LOAD: Load Acquire, "ROLE_STORE", "a peer's state from before its last stores";
    ROLE_STORE: Store Release, "ROLE_LOAD", "a clean leave is seen before the last message";
    COUNT: Store Relaxed, "-", "a counter for people";
    COUNT_LOAD: Load Relaxed, "-", "a counter for people";
    LEAVE_FENCE: Fence SeqCst, "LOST_FENCE", "the role is seen free before the last stores";
    LOST_FENCE: Fence Acquire, "LEAVE_FENCE", "the last message is overlooked and the peer called lost too early";

    // Sleeping and waking.
    ANNOUNCE: Store Relaxed, "CHECK_TICKET", "SLEEP_FENCE orders it";
    SLEEP_FENCE: Fence SeqCst, "WAKE_FENCE", "lost wake: both sides look before both have stored";
    CHECK_TICKET: Load Relaxed, "ANNOUNCE", "WAKE_FENCE orders it";
    WAKE_FENCE: Fence SeqCst, "SLEEP_FENCE", "lost wake, as SLEEP_FENCE";
    RING_BELL: Store Release, "READ_BELL", "a sleeper woken by the bell does not see the message";
    SOUND_FENCE: Fence SeqCst, "SLEEP_FENCE", "lost wake: a successor wakes one who is about to listen, and neither sees the other";
    READ_BELL: Load Relaxed, "RING_BELL", "SLEEP_FENCE, right behind it, acquires";
}
