//! Which process this is: told apart from every child of it, however that was made.
//!
//! The id will not do: in a PID namespace of its own a child may have its parent's. So the number of a process lies on a page that the
//! kernel zeroes in a child (`MADV_WIPEONFORK`), and a child that is asked gets the next one. Where the kernel cannot do that, a
//! handler of `fork` does it.
#![allow(clippy::disallowed_types, reason = "bookkeeping of this process, not shared bytes")]

use std::io;
use std::ptr::{null_mut, with_exposed_provenance_mut};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// The page; never unmapped.
static PAGE: AtomicPtr<AtomicUsize> = AtomicPtr::new(null_mut());
/// The last number given, here or in an ancestor: in ordinary memory, which children inherit.
static GIVEN: AtomicUsize = AtomicUsize::new(0);

fn own() -> Option<&'static AtomicUsize> {
    // SAFETY: null, or a page that stays mapped and begins with this word, for which zero is a value.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

/// The number of this process, not zero.
pub(super) fn number() -> io::Result<usize> {
    let own = match own() {
        Some(own) => own,
        None => page()?,
    };
    match own.load(Ordering::Relaxed) {
        0 => {
            let next = GIVEN.fetch_add(1, Ordering::Relaxed) + 1;
            // Another thread may have been faster.
            let won = own.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed);
            Ok(won.map_or_else(|first| first, |_| next))
        }
        number => Ok(number),
    }
}

/// Whether that is the number of this process. May be called by a signal handler.
pub(super) fn is(number: usize) -> bool {
    own().is_some_and(|own| own.load(Ordering::Relaxed) == number)
}

fn page() -> io::Result<&'static AtomicUsize> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: plain system calls with valid arguments; the page is new.
    let page = unsafe { libc::mmap(null_mut(), 4096, protection, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // Since Linux 4.14.
    // SAFETY: as above.
    unsafe { libc::madvise(page, 4096, libc::MADV_WIPEONFORK) };
    let order = (Ordering::AcqRel, Ordering::Acquire);
    if PAGE.compare_exchange(null_mut(), page.cast(), order.0, order.1).is_err() {
        // Another thread was faster.
        // SAFETY: nobody else knows of this one.
        unsafe { libc::munmap(page, 4096) };
    }
    own().ok_or_else(|| io::Error::other("a page that was there is not"))
}

/// The number, if one was given; zero otherwise. For a handler of `fork`.
pub(super) fn known() -> usize {
    own().map_or(0, |own| own.load(Ordering::Relaxed))
}

/// In a child of `fork`: its parent's number is not its own.
pub(super) fn forget() {
    if let Some(own) = own() {
        own.store(0, Ordering::Relaxed);
    }
}

/// Puts a range out of reach that is not mapped in this child, so that nothing else comes to lie there. If something does
/// already, put there by an earlier handler of the program's own, this child could write to it through an end that
/// it must not use; then it ends here.
pub(super) fn fence_off(base: usize, len: usize) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    let at = with_exposed_provenance_mut::<libc::c_void>(base);
    // SAFETY: the range is not mapped, or the call fails.
    let done = unsafe { libc::mmap(at, len, libc::PROT_NONE, flags, -1, 0) };
    if done != at {
        let says = b"shmq: in a forked child, something else lies where an end of its parent's was mapped\n";
        // SAFETY: plain system calls.
        unsafe {
            libc::write(2, says.as_ptr().cast(), says.len());
            libc::abort();
        }
    }
}
