//! What depends on the maker of the processor, as measured: docs/BENCHMARKS.md has the figures.
#![allow(clippy::disallowed_types, reason = "private to this process")]

use std::sync::atomic::{AtomicU8, Ordering};

/// What was found out, or said: 0 is nothing yet.
static REWRITES: AtomicU8 = AtomicU8::new(0);
const YES: u8 = 1;
const NO: u8 = 2;

/// Whether a consumer stores each line that it has read once more before it gives it back. A line that was only read stays in both
/// caches, and the producer's next store there has to take it away from the other first. Where that costs more than the store, as on
/// AMD's processors by a multiple, lines are rewritten. On Intel's the store costs more.
pub fn rewrites_lines() -> bool {
    match REWRITES.load(Ordering::Relaxed) {
        YES => true,
        NO => false,
        _ => {
            // Asked once: in a virtual machine the question takes tens of microseconds.
            let yes = !is_intel();
            set_rewrites_lines(yes);
            yes
        }
    }
}

/// For benchmarks: it is so for ends that are attached from here on, whoever made the processor.
pub fn set_rewrites_lines(yes: bool) {
    REWRITES.store(if yes { YES } else { NO }, Ordering::Relaxed);
}

/// The vendor's name, in the order of the registers.
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "a safe call in later versions of Rust")]
fn is_intel() -> bool {
    // SAFETY: every processor of this architecture has the instruction.
    let leaf = unsafe { std::arch::x86_64::__cpuid(0) };
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}

#[cfg(not(target_arch = "x86_64"))]
fn is_intel() -> bool {
    false
}
