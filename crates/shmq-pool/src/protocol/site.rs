//! Every access of this crate to shared memory by name; those of the rings are shmq's own.
//!
//! `docs/POOL.md` has the same table; a test compares them.

use shmq_core::sites;

sites! {
    #[cfg(feature = "testing")]
    LENT: Store Relaxed, "TABLE", "a successor or an observer reads it; the commit word of full, Release, comes after it";
    HOME: Store Relaxed, "TABLE", "a successor or an observer reads it; READ of empty, Release, and TAKE_LOG come after it";
    HELD_LEN: Store Release, "TABLE", "an observer sees a length, and not the note of the message that it is of";
    HELD: Store Release, "TABLE", "an observer sees a block held with the length of an earlier message";
    RELEASED: Store Release, "TABLE", "an observer finds a block neither held nor coming back; a kill leaves one that the reader has forgotten and not given back";
    TABLE: Load Acquire, "HELD", "an observer sees a note without what was stored before it; for a successor, the role's lock orders it";
    RECLAIM_LOG: Fence Compiler, "-", "a successor could send with the number of a note that it has not taken back yet";
    TAKE_LOG: Fence Release, "LOOK_FENCE", "an observer copies what the writer writes next, and does not see that the block was taken back; a kill leaves one noted as sent again before it is noted as taken back";
    BYTES: Load Relaxed, "-", "contents of a block: the rings order them";
    PATCH: Store Relaxed, "-", "as BYTES";
}
