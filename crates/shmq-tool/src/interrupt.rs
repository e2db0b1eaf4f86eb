//! Signals that ask a command to end: SIGINT, SIGTERM and SIGHUP.
//!
//! A command with nothing to put away is left to the system, which ends it at once. One that has ([`Interrupt::catch`])
//! is told by a flag; and what it waits in, a write to a full pipe say, is interrupted, again and again until it has
//! looked: a call may begin just after the signal came. Should it not look for `GRACE`, or not be done by `MOST`,
//! it is ended as the system would have done it.
//!
//! The first process of a PID namespace, as a container has one, is not ended by a signal that it does not handle. So
//! there [`first_process`] does it.

use crate::failure::Failure;
use crate::signal::end_by;
use libc::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, c_int};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// The signals that ask for the end.
const ENDS: [c_int; 3] = [SIGINT, SIGTERM, SIGHUP];
/// Microseconds between two interruptions.
const TICK: libc::suseconds_t = 10_000;
/// Ticks until a signal must have been noticed: one second.
const GRACE: i32 = 100;
/// Ticks until everything must have been put away: ten seconds.
const MOST: i32 = 1000;

/// The first signal that came, 0 if none.
static CAME: AtomicI32 = AtomicI32::new(0);
/// Whether the command has looked since.
static NOTICED: AtomicBool = AtomicBool::new(false);
static TICKS: AtomicI32 = AtomicI32::new(0);
/// Whether a SIGHUP came that asks for no end.
static HUNG_UP: AtomicBool = AtomicBool::new(false);

/// Flags that signals set. A second signal ends the process at once.
#[derive(Debug)]
pub struct Interrupt(());

impl Interrupt {
    /// From now on. A signal that was ignored, as `nohup` has it, stays so.
    ///
    /// # Errors
    /// What the system said.
    pub fn catch() -> Result<Self, Failure> {
        handle(SIGALRM, tick)?;
        for signal in ENDS {
            if !is_ignored(signal) {
                handle(signal, note)?;
            }
        }
        Ok(Self(()))
    }

    /// As [`Interrupt::catch`], but SIGHUP asks for something else: see [`Interrupt::hung_up`].
    ///
    /// # Errors
    /// What the system said.
    pub fn catch_but_hang_up() -> Result<Self, Failure> {
        let this = Self::catch()?;
        handle(SIGHUP, note_hang_up)?;
        Ok(this)
    }

    /// Whether none came yet.
    ///
    /// # Errors
    /// The signal that came.
    pub fn check(&self) -> Result<(), Failure> {
        match CAME.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => {
                NOTICED.store(true, Ordering::Relaxed);
                Err(Failure::Signal(signal))
            }
        }
    }

    /// Whether a SIGHUP came since the last call.
    pub fn hung_up(&self) -> bool {
        HUNG_UP.swap(false, Ordering::Relaxed)
    }
}

/// To be called first: signals end also the first process of a PID namespace.
pub fn first_process() {
    if std::process::id() == 1 {
        for signal in [SIGQUIT].into_iter().chain(ENDS) {
            let _ = handle(signal, end_by_handler);
        }
    }
}

/// From now on others handle these signals: undoes [`first_process`].
pub fn leave_to_others() {
    if std::process::id() == 1 {
        for signal in [SIGQUIT].into_iter().chain(ENDS) {
            // SAFETY: a plain system call.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
}

/// A signal that asks for the end is waited for in a thread of its own, which puts away what must not stay and ends the process. To be
/// called before there is another thread: those that come later do not hear the signal. One that was ignored stays so.
pub fn put_away_first(put_away: impl Fn() + Send + 'static) {
    // SAFETY: the set is initialised by the call that empties it; the others are plain system calls with a valid set.
    let set = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in ENDS.into_iter().filter(|&signal| !is_ignored(signal)) {
            libc::sigaddset(&mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    };
    std::thread::spawn(move || {
        let mut signal = 0;
        // SAFETY: a set and a place for the answer. With an empty set nothing ever comes.
        while unsafe { libc::sigwait(&set, &mut signal) } != 0 {}
        put_away();
        end_by(signal)
    });
}

extern "C" fn end_by_handler(signal: c_int) {
    end_by(signal)
}

extern "C" fn note(signal: c_int) {
    if CAME.swap(signal, Ordering::Relaxed) != 0 {
        end_by(signal);
    }
    let every = libc::timeval { tv_sec: 0, tv_usec: TICK };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: a plain system call with a valid argument, allowed in a handler.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
}

extern "C" fn note_hang_up(_: c_int) {
    HUNG_UP.store(true, Ordering::Relaxed);
}

/// That it comes is enough to interrupt a call.
extern "C" fn tick(_: c_int) {
    let most = if NOTICED.load(Ordering::Relaxed) { MOST } else { GRACE };
    if TICKS.fetch_add(1, Ordering::Relaxed) >= most {
        end_by(CAME.load(Ordering::Relaxed));
    }
}

/// Calls that it hits are interrupted, not begun again.
fn handle(signal: c_int, handler: extern "C" fn(c_int)) -> Result<(), Failure> {
    // SAFETY: zero is a value of this struct: no flags, nothing blocked meanwhile.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    // SAFETY: the action is valid, and the handlers here do only what a handler may.
    match unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(Failure::io("catch signals", &std::io::Error::last_os_error())),
    }
}

fn is_ignored(signal: c_int) -> bool {
    // SAFETY: zero is a value of this struct, and the call fills it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}
