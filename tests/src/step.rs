//! One machine instruction at a time.
//!
//! A child goes through a script of operations while its parent single-steps it (ptrace). A stopped process's shared
//! memory is exactly what SIGKILL would leave there, so one run visits every point at which it can be killed.
//! Whenever the mapped file has changed, [`Oracle`] takes a copy, lets successors come, and holds what they find
//! against [`Spec`]: the queue must be as before the operation or as after it, and once after, always after.

mod oracle;
mod script;
mod tracer;

pub use oracle::Oracle;
pub use script::{Spec, Step, script};
pub use tracer::{Failure, Tally, Wreck, trace};

/// To be called in the child: asks to be traced by the parent, or says why not.
///
/// # Errors
/// Where the kernel forbids it.
pub fn be_traced() -> std::io::Result<()> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: a plain system call; the other arguments are not used.
    match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, none, none) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// To be called in the child, before and after what is to be traced: hands over to the parent.
pub fn mark() {
    // SAFETY: a plain system call; the parent lets this process go on.
    unsafe { libc::raise(libc::SIGSTOP) };
}
