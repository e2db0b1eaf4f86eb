//! Accesses of any width and alignment to bytes that others write at the same time, for memory without a protocol.
//!
//! Rust knows racing accesses as atomics only, and those of two widths to the same bytes must not race. Raw memory is used in
//! every width at once. So nothing here is an access of Rust's: each is an instruction, or a routine, that the compiler
//! does not see into. What another access to the same bytes does meanwhile is then what another process could do there at
//! any time: it changes the values that arrive, and nothing else.
//!
//! Values of 1, 2, 4 and 8 bytes move with one load and one store. At a multiple of their size, the processors here make each
//! of the two indivisible. Short blocks move word by word. Long ones are moved by the C library's `memcpy`, called from
//! assembly so that it is not taken for Rust's own: compiled long ago, it reads only its source, writes only its
//! destination and does not look at what it moves, whoever writes there meanwhile. It is also the fastest there is.

use std::arch::asm;

/// From this many bytes on the call of the library's routine is faster than a loop of words.
const LONG: usize = 48;

macro_rules! moves {
    ($($name:ident: $x86:literal, $load:literal, $store:literal;)*) => {$(
        /// One load and one store.
        #[inline(always)]
        unsafe fn $name(to: *mut u8, from: *const u8) {
            // SAFETY: the caller's: both ends are valid for the width.
            unsafe {
                #[cfg(target_arch = "x86_64")]
                asm!(concat!("mov {t", $x86, "}, [{from}]"), concat!("mov [{to}], {t", $x86, "}"),
                    t = out(reg) _, from = in(reg) from, to = in(reg) to, options(nostack, preserves_flags));
                #[cfg(target_arch = "aarch64")]
                asm!(concat!($load, ", [{from}]"), concat!($store, ", [{to}]"),
                    t = out(reg) _, from = in(reg) from, to = in(reg) to, options(nostack, preserves_flags));
            }
        }
    )*};
}

moves! {
    move_2: ":x", "ldrh {t:w}", "strh {t:w}";
    move_4: ":e", "ldr {t:w}", "str {t:w}";
    move_8: ":r", "ldr {t:x}", "str {t:x}";
}

/// One load and one store.
#[inline(always)]
unsafe fn move_1(to: *mut u8, from: *const u8) {
    // SAFETY: the caller's: both ends are valid for a byte.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("mov {t}, [{from}]", "mov [{to}], {t}",
            t = out(reg_byte) _, from = in(reg) from, to = in(reg) to, options(nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("ldrb {t:w}, [{from}]", "strb {t:w}, [{to}]",
            t = out(reg) _, from = in(reg) from, to = in(reg) to, options(nostack, preserves_flags));
    }
}

/// Copies `len` bytes, either end of which may be shared.
///
/// # Safety
/// Both ranges are valid for `len` bytes and do not overlap. An end that is not shared is initialized private memory.
#[inline(always)]
pub unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: all accesses below lie inside the caller's ranges.
    unsafe {
        match len {
            0 => {}
            1 => move_1(to, from),
            2 => move_2(to, from),
            4 => move_4(to, from),
            8 => move_8(to, from),
            _ if len >= LONG => long(to, from, len),
            _ => short(to, from, len),
        }
    }
}

#[inline(always)]
unsafe fn short(to: *mut u8, from: *const u8, len: usize) {
    let mut at = 0;
    // SAFETY: `at` plus each width is at most `len`.
    unsafe {
        while at + 8 <= len {
            move_8(to.add(at), from.add(at));
            at += 8;
        }
        if len & 4 != 0 {
            move_4(to.add(at), from.add(at));
            at += 4;
        }
        if len & 2 != 0 {
            move_2(to.add(at), from.add(at));
            at += 2;
        }
        if len & 1 != 0 {
            move_1(to.add(at), from.add(at));
        }
    }
}

#[inline(always)]
unsafe fn long(to: *mut u8, from: *const u8, len: usize) {
    type Routine =
        unsafe extern "C" fn(*mut libc::c_void, *const libc::c_void, libc::size_t) -> *mut libc::c_void;
    let routine: Routine = libc::memcpy;
    // SAFETY: the caller's ranges; the call follows the C calling convention, whose clobbers are declared, and the stack
    // is aligned for it because `nostack` is not.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("call {routine}", routine = in(reg) routine,
            inout("rdi") to => _, inout("rsi") from => _, inout("rdx") len => _, clobber_abi("C"));
        #[cfg(target_arch = "aarch64")]
        asm!("blr {routine}", routine = in(reg) routine,
            inout("x0") to => _, inout("x1") from => _, inout("x2") len => _, clobber_abi("C"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_alignment_copies_and_leaves_its_neighbours() {
        let from: Vec<u8> = (0..5000).map(|i| (i * 7 + i / 256 + 1) as u8).collect();
        for len in (0..300).chain([4095, 4096, 4097]) {
            for (a, b) in [(0, 0), (1, 0), (0, 3), (5, 7), (8, 4)] {
                let mut to = vec![0xaa; len + 32];
                // SAFETY: both vectors are longer than offset and length together.
                unsafe { copy(to.as_mut_ptr().add(8 + a), from.as_ptr().add(b), len) };
                assert_eq!(to[8 + a..8 + a + len], from[b..b + len], "{len} bytes, {a} from {b}");
                assert!(to[..8 + a].iter().chain(&to[8 + a + len..]).all(|&byte| byte == 0xaa));
            }
        }
    }
}
