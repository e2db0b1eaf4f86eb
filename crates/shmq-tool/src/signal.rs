//! The end by a signal.

use libc::c_int;

/// Ends the process as a signal does that nobody handles, so that its parent sees why. The first process of a PID namespace,
/// whom no signal of its own ends, exits with a shell's code for it. Safe in a signal handler.
pub fn end_by(signal: c_int) -> ! {
    // SAFETY: plain system calls, allowed in a handler; the set is initialised by the call that fills it.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        libc::raise(signal);
        libc::_exit(128 + signal)
    }
}
