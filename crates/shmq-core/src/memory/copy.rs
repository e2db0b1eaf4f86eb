//! Block copies that are sound while another process writes the same bytes.
//!
//! Words move as relaxed 8-byte atomics. On x86-64, more than that moves in assembly, 16 bytes at a time through vector
//! registers and long blocks 32 at a time: what the other side does meanwhile can then change the bytes
//! that arrive and nothing else, because the compiler knows nothing about them. `memcpy` would be as fast, but a race
//! through it is undefined behaviour. Everything on other processors takes the word loop.
//!
//! Not the string instructions: where the destination lies less than a line behind the source, counted within their pages,
//! `rep movsb` takes twenty times as long on the processors it was measured on (Zen 4), and up to 1 KiB it takes longer
//! anyway. A loop that first gets to a whole vector of the destination is never slower.
//!
//! A processor can forward a store that still waits for its line to a load inside it, but not two stores to one wider load,
//! which then waits until both have reached the cache, behind all the stores to the ring before them. So bytes that were
//! just written, a field at a time, are loaded by words; and what arrives is stored 16 bytes at a time, as wide as the
//! compiler loads it to move it on.
#![allow(
    clippy::disallowed_types,
    reason = "the other place where raw atomics may be named: block copies of shared bytes"
)]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// From this many bytes on a call and an aligned destination pay, out of shared memory and into it. Later into it, for the
/// reason above: what was just written is loaded in wider pieces there.
#[cfg(target_arch = "x86_64")]
const LONG: usize = 256;
#[cfg(target_arch = "x86_64")]
const LONG_IN: usize = 512;

#[inline(always)]
unsafe fn word<'a>(at: *mut u8) -> &'a AtomicU64 {
    // SAFETY: the caller passes an 8-aligned address inside a live mapping.
    unsafe { AtomicU64::from_ptr(at.cast()) }
}

/// Copies `from` to shared memory and zeroes the rest of the last word.
///
/// # Safety
/// `to` is 8-aligned and valid for `from.len()` bytes rounded up to 8.
#[inline(always)]
pub(super) unsafe fn copy_in(to: *mut u8, from: &[u8]) {
    let whole = from.len() & !7;
    #[cfg(target_arch = "x86_64")]
    if from.len() >= LONG_IN {
        // SAFETY: `whole` bytes are inside both ranges.
        unsafe { long_copy(to, from.as_ptr(), whole) };
        // SAFETY: the last word is inside the rounded-up range.
        return unsafe { last_in(to, from, whole) };
    }
    let mut at = 0;
    #[cfg(target_arch = "x86_64")]
    while at + 16 <= whole {
        // SAFETY: `at + 16 <= whole`, inside both ranges.
        unsafe { vector_in(to.add(at), from.as_ptr().add(at)) };
        at += 16;
    }
    while at < whole {
        // SAFETY: `at + 8 <= whole`, inside both ranges; the source may be unaligned.
        unsafe { word(to.add(at)).store(from.as_ptr().add(at).cast::<u64>().read_unaligned(), Relaxed) };
        at += 8;
    }
    // SAFETY: the last word is inside the rounded-up range.
    unsafe { last_in(to, from, whole) }
}

#[inline(always)]
unsafe fn last_in(to: *mut u8, from: &[u8], whole: usize) {
    let rest = &from[whole..];
    if !rest.is_empty() {
        // SAFETY: the caller's: this word is inside the range.
        unsafe { word(to.add(whole)).store(u64::from_le(gather(rest)), Relaxed) };
    }
}

/// Up to 7 bytes as the low bytes of a word, without a call to `memcpy`.
#[inline(always)]
fn gather(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Copies `len` bytes of shared memory.
///
/// # Safety
/// `from` is 8-aligned and valid for `len` bytes rounded up to 8; `into` is valid for writes of `len` bytes that nobody else sees.
#[inline(always)]
pub(super) unsafe fn copy_out(from: *const u8, into: *mut u8, len: usize) {
    let whole = len & !7;
    let from = from.cast_mut();
    #[cfg(target_arch = "x86_64")]
    if len >= LONG {
        // SAFETY: `whole` bytes are inside both ranges.
        unsafe { long_copy(into, from, whole) };
        // SAFETY: the last word is inside the rounded-up range.
        return unsafe { last_out(from.add(whole), into.add(whole), len - whole) };
    }
    let mut at = 0;
    #[cfg(target_arch = "x86_64")]
    while at + 16 <= whole {
        // SAFETY: `at + 16 <= whole`, inside both ranges.
        unsafe { vector_out(into.add(at), from.add(at)) };
        at += 16;
    }
    while at < whole {
        // SAFETY: `at + 8 <= whole`, inside both ranges; the destination may be unaligned.
        unsafe { into.add(at).cast::<u64>().write_unaligned(word(from.add(at)).load(Relaxed)) };
        at += 8;
    }
    // SAFETY: the last word is inside the rounded-up range.
    unsafe { last_out(from.add(whole), into.add(whole), len - whole) }
}

/// Copies less than a word.
#[inline(always)]
unsafe fn last_out(from: *mut u8, into: *mut u8, len: usize) {
    if len != 0 {
        // SAFETY: the caller's: this word is inside the range.
        let last = unsafe { word(from).load(Relaxed) }.to_le_bytes();
        for (at, &byte) in last[..len].iter().enumerate() {
            // SAFETY: the caller's: these bytes are, too.
            unsafe { into.add(at).write(byte) };
        }
    }
}

/// Asks for the line at an address, to be written. Wherever that is: nothing is read or written there.
#[inline(always)]
pub(super) fn expect_store(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; it neither faults nor changes memory.
    unsafe {
        std::arch::asm!("prefetchw [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly));
    }
}

/// Asks for the line at an address, to be read. As `expect_store`.
#[inline(always)]
pub(super) fn expect_load(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; it neither faults nor changes memory.
    unsafe {
        std::arch::asm!("prefetcht0 [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly));
    }
}

/// A loop over long blocks in vectors of `$width` bytes: the first and the last wherever they lie, all others at multiples of
/// that in the destination. Some bytes are moved twice.
#[cfg(target_arch = "x86_64")]
macro_rules! vectors {
    ($to:ident, $from:ident, $len:ident: $width:literal, $mov:literal, $v:literal, $end:literal) => {
        std::arch::asm!(
            concat!($mov, " ", $v, "4, [{from}]"),
            concat!($mov, " ", $v, "5, [{from} + {len} - ", $width, "]"),
            concat!($mov, " [{to}], ", $v, "4"),
            concat!("2: lea rcx, [rdx + 4*", $width, "]"),
            "cmp rcx, {len}",
            "ja 3f",
            concat!($mov, " ", $v, "0, [{from} + rdx]"),
            concat!($mov, " ", $v, "1, [{from} + rdx + ", $width, "]"),
            concat!($mov, " ", $v, "2, [{from} + rdx + 2*", $width, "]"),
            concat!($mov, " ", $v, "3, [{from} + rdx + 3*", $width, "]"),
            concat!($mov, " [{to} + rdx], ", $v, "0"),
            concat!($mov, " [{to} + rdx + ", $width, "], ", $v, "1"),
            concat!($mov, " [{to} + rdx + 2*", $width, "], ", $v, "2"),
            concat!($mov, " [{to} + rdx + 3*", $width, "], ", $v, "3"),
            "mov rdx, rcx",
            "jmp 2b",
            concat!("3: lea rcx, [rdx + ", $width, "]"),
            "cmp rcx, {len}",
            "ja 4f",
            concat!($mov, " ", $v, "0, [{from} + rdx]"),
            concat!($mov, " [{to} + rdx], ", $v, "0"),
            "mov rdx, rcx",
            "jmp 3b",
            concat!("4: ", $mov, " [{to} + {len} - ", $width, "], ", $v, "5"),
            $end,
            to = in(reg) $to, from = in(reg) $from, len = in(reg) $len, out("rcx") _,
            inout("rdx") $width - $to.addr() % $width => _, clobber_abi("sysv64"), options(nostack))
    };
}

/// Copies a long block, of which either side may be shared.
///
/// # Safety
/// Both ranges are valid for `len` bytes, at least 32, and do not overlap.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
unsafe fn long_copy(to: *mut u8, from: *const u8, len: usize) {
    if std::arch::is_x86_feature_detected!("avx") {
        // SAFETY: every vector lies inside both ranges, and the processor has them.
        unsafe { vectors!(to, from, len: 32, "vmovdqu", "ymm", "vzeroupper") }
    } else {
        // SAFETY: as above.
        unsafe { vectors!(to, from, len: 16, "movups", "xmm", "") }
    }
}

/// Stores 16 private bytes to shared memory: loads by words, one store.
///
/// # Safety
/// Both ranges are valid for 16 bytes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn vector_in(to: *mut u8, from: *const u8) {
    // SAFETY: the caller's; `from` is private, and may be unaligned.
    let [low, high] = unsafe { from.cast::<[u64; 2]>().read_unaligned() };
    // As two general registers, because the compiler would make one wide load of anything else.
    // SAFETY: the caller's.
    unsafe {
        std::arch::asm!("movq {a}, {low}", "movq {b}, {high}", "punpcklqdq {a}, {b}", "movups xmmword ptr [{to}], {a}",
            to = in(reg) to, low = in(reg) low, high = in(reg) high, a = out(xmm_reg) _, b = out(xmm_reg) _,
            options(nostack, preserves_flags));
    }
}

/// Loads 16 shared bytes into private memory.
///
/// # Safety
/// Both ranges are valid for 16 bytes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn vector_out(to: *mut u8, from: *const u8) {
    use std::arch::x86_64::{__m128i, _mm_storeu_si128};
    let bytes: __m128i;
    // SAFETY: the caller's. Not `pure`: each call is one look at bytes that may change.
    unsafe {
        std::arch::asm!("movdqu {bytes}, [{from}]", from = in(reg) from, bytes = out(xmm_reg) bytes,
            options(readonly, nostack, preserves_flags));
    }
    // SAFETY: the caller's; `to` is private.
    unsafe { _mm_storeu_si128(to.cast::<__m128i>(), bytes) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_round_trips_and_leaves_its_neighbours() {
        for len in (0..600).chain([4095, 4096, 4097]) {
            let mut shared = vec![u64::MAX; len / 8 + 3];
            let from: Vec<u8> = (0..len + 1).map(|i| (i * 7 + 1) as u8).collect();
            let at = shared[1..].as_mut_ptr().cast::<u8>();
            // SAFETY: `shared` has two words more than the message needs.
            unsafe { copy_in(at, &from[1..]) };
            let mut into = vec![0xaa; len + 2];
            // SAFETY: as above.
            unsafe { copy_out(at, into[1..=len].as_mut_ptr(), len) };
            assert_eq!(&into[1..=len], &from[1..]);
            assert_eq!((into[0], into[len + 1]), (0xaa, 0xaa));
            let words = len.div_ceil(8);
            assert_eq!((shared[0], shared[words + 1]), (u64::MAX, u64::MAX));
            if len % 8 != 0 {
                assert_eq!(shared[words] >> (len % 8 * 8), 0, "the rest of the last word is zero");
            }
        }
    }

    /// What processors without AVX do, which few of those that run this are.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn narrow_vectors_copy_every_length_at_every_offset_and_leave_the_neighbours() {
        for len in 32..300usize {
            for (to_at, from_at) in [(0, 0), (8, 3), (1, 8), (15, 15)] {
                let mut to = vec![0xee_u8; len + 32];
                let from: Vec<u8> = (0..len + 32).map(|i| (i * 7 + 1) as u8).collect();
                let (at, source) = (to[to_at..].as_mut_ptr(), from[from_at..].as_ptr());
                // SAFETY: both have `len` bytes and more from there on.
                unsafe { vectors!(at, source, len: 16, "movups", "xmm", "") }
                assert_eq!(to[to_at..to_at + len], from[from_at..from_at + len]);
                assert!(to[..to_at].iter().chain(&to[to_at + len..]).all(|&b| b == 0xee));
            }
        }
    }
}
