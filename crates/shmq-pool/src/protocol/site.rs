//! Every access of this crate to shared memory by name; those of the rings are shmq's own.
//!
//! `docs/POOL.md` has the same table; a test compares them.

use shmq_core::sites;
use shmq_core::{Access, Order, Site, SiteDoc};

sites! {
    LENT: Store Relaxed, "TABLE", "only a successor writer reads it; the commit word of full, Release, comes after it";
    HOME: Store Relaxed, "TABLE", "only a successor writer reads it; READ of empty, Release, comes after it";
    HELD_LEN: Store Relaxed, "TABLE", "as HELD";
    HELD: Store Relaxed, "TABLE", "only a successor reader reads it; READ of full, Release, comes after it";
    RETURN_LOG: Fence Compiler, "-", "a kill could leave a block that the reader has forgotten and not given back";
    RELEASED: Store Relaxed, "TABLE", "only a successor reader reads it; RETURN_LOG keeps it behind the commit word of empty";
    TABLE: Load Acquire, "-", "the role's lock orders it already; costs nothing";
    RECLAIM_LOG: Fence Compiler, "-", "a successor could send with the number of a note that it has not taken back yet";
    TAKE_LOG: Fence Compiler, "-", "a block could be noted as sent again before it is noted as taken back";
    BYTES: Load Relaxed, "-", "contents of a block: the rings order them";
    PATCH: Store Relaxed, "-", "as BYTES";
}
