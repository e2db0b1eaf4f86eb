//! An answer to truncated files, for those who ask for it.
//!
//! Whoever may write a named file may also truncate it, and whoever then touches a page of it that is gone gets SIGBUS, which
//! ends the process. With [`install`] a handler puts zeroed memory of this process's own in the place of the lost
//! pages, and the end whose file it was reports [`crate::Corruption::Truncated`] from then on. An anonymous queue is
//! sealed and needs none of this.
//!
//! **How an end learns of it** without a look at a flag for every message: the handler replaces all of the mapping but its
//! first page, and writes a mark into both tickets. A ticket is what each call that publishes looks at anyway, to see
//! whether the other end sleeps; one that has changed leads off the fast path, and only there the flag is looked at. A
//! receiver finds the zeroed ring empty, and looks before it says so.
//!
//! The first page stays, because the mapping of the file is what holds the role.
//!
//! # Safety
//!
//! The handler runs in the middle of anything: it reads atomics of a list that is never freed ([`crate::memory::list`]), calls
//! `mmap`, and stores two words. What it replaces is the very mapping that was being accessed, and that is of this process: a
//! forked child has the list but not all of the mappings.
#![allow(clippy::disallowed_types, reason = "bookkeeping of this process, not shared bytes")]

use crate::memory::list::{Mapping, entries};
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut, with_exposed_provenance_mut};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// A ticket that nobody draws.
const MARK: u64 = u64::from_le_bytes(*b"truncate");

static PAGE_SIZE: AtomicUsize = AtomicUsize::new(4096);
/// What was there before; leaked.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(null_mut());
static INSTALLED: Mutex<bool> = Mutex::new(false);

/// Turns SIGBUS on a truncated queue file into an error: see the [module](self). For the whole process, and for good; ends
/// that exist already are included. A second call does nothing.
///
/// The handler that was there before is kept, and called for every other address and for errors of the memory itself. So
/// install this one *after* those of other libraries, and let whoever installs one later do the same for this one.
///
/// What it cannot save: a message that was being read or filled in place at that very moment, or
/// fixed-size messages of the group that was just being taken, may read as zeros without an error; the next call reports it.
/// Messages that were sent and not received are gone with the file. An [`crate::inspect::Inspector`] sees zeros, see
/// [`crate::inspect::Inspector::is_torn`]. On hugetlbfs only the pages of who looks are replaced, not those of an end.
///
/// ```
/// # let name = format!("shmq-doc-sigbus-{}", std::process::id());
/// use shmq::{Corruption, Options, Producer, TrySendError};
/// shmq::sigbus::install()?;
/// let mut tx = Producer::create(&name, &Options::new())?;
/// tx.try_send(b"while all is well")?;
/// std::fs::File::options().write(true).open(shmq::path_of(&name).unwrap())?.set_len(0)?;
/// let truncated = TrySendError::Corrupt { what: Corruption::Truncated };
/// assert_eq!(tx.try_send(b"too late"), Err(truncated));
/// # drop(tx);
/// # std::fs::remove_file(shmq::path_of(&name).unwrap())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the kernel refuses the handler, as a sandbox may have it do.
pub fn install() -> io::Result<()> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *installed {
        return Ok(());
    }
    // SAFETY: plain system calls with valid arguments. Zero is a value of `sigaction`: the default, no flags, an empty mask.
    unsafe {
        if let Ok(size @ 4096..) = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)) {
            PAGE_SIZE.store(size, Ordering::Relaxed);
        }
        let mut previous = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        let mut own = previous;
        own.sa_sigaction = handle as *const () as usize;
        // On the stack for signals, where there is one.
        own.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        // Known before the handler can need it.
        if libc::sigaction(libc::SIGBUS, null(), &mut previous) != 0 {
            return Err(refused());
        }
        PREVIOUS.store(Box::into_raw(Box::new(previous)), Ordering::Release);
        if libc::sigaction(libc::SIGBUS, &own, null_mut()) != 0 {
            return Err(refused());
        }
    }
    *installed = true;
    Ok(())
}

fn refused() -> io::Error {
    let e = io::Error::last_os_error();
    io::Error::new(
        e.kind(),
        format!("cannot handle SIGBUS: sigaction says {e}; does a sandbox (seccomp) forbid it?"),
    )
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel's arguments are valid; the place of `errno` is this thread's own.
    unsafe {
        let errno = *libc::__errno_location();
        let ours = (*info).si_code == libc::BUS_ADRERR && replace((*info).si_addr() as usize);
        *libc::__errno_location() = errno;
        if !ours {
            pass_on(signal, info, context);
        }
    }
}

/// Puts memory of our own in the place of a mapping that has lost its file. `false`: not one of ours.
fn replace(address: usize) -> bool {
    let page = PAGE_SIZE.load(Ordering::Relaxed);
    for entry in entries() {
        let Some(mapping) = entry.read(|| ()) else { continue };
        let Mapping { base, len, tickets, writable, .. } = mapping;
        if !(base..base.saturating_add(len)).contains(&address) || !mapping.is_here() {
            continue;
        }
        // The first page of an end's, the geometry's, is not touched any more, and stays the file's: it holds the role. Who only
        // looks has all of it replaced, which on hugetlbfs, where no part of a huge page can be, is the only way.
        let start = if writable && address >= base + page { base + page } else { base };
        let protection = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        let (len, at) = (base + len - start, with_exposed_provenance_mut::<libc::c_void>(start));
        // SAFETY: the range is ours: it belongs to the living mapping that is being accessed, whose owner only ever reads and
        // writes it as bytes that may change at any moment.
        if unsafe { libc::mmap(at, len, protection, flags, -1, 0) } == libc::MAP_FAILED {
            return false;
        }
        if !mapping.inherited() {
            // SAFETY: as above; a child has as little of it as of the file.
            unsafe { libc::madvise(at, len, libc::MADV_DONTFORK) };
        }
        for ticket in tickets.into_iter().filter(|&ticket| ticket != 0 && base + ticket >= start) {
            // SAFETY: inside the mapping, aligned, and new.
            unsafe { with_exposed_provenance_mut::<u64>(base + ticket).write_volatile(MARK) };
        }
        entry.tear();
        return true;
    }
    false
}

/// Does what would have been done without us.
unsafe fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: a leaked action of the kernel's own making, and its handler called as its flags say; the other calls are
    // plain system calls with valid arguments.
    unsafe {
        let Some(previous) = PREVIOUS.load(Ordering::Acquire).as_ref() else { return };
        let sent = (*info).si_code <= 0;
        match previous.sa_sigaction {
            libc::SIG_IGN if sent => {}
            libc::SIG_DFL | libc::SIG_IGN => {
                // The default is to end. An access that failed is tried again when we return, and fails again.
                let default = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
                libc::sigaction(signal, &default, null_mut());
                if sent {
                    libc::raise(signal);
                }
            }
            handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
                type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
                std::mem::transmute::<usize, Handler>(handler)(signal, info, context);
            }
            handler => std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler)(signal),
        }
    }
}
