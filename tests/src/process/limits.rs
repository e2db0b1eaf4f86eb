//! What makes an environment hard to live in, for a child of a test: limits, small file systems, missing system calls.

use std::ffi::CString;
use std::io::{Error, Result};

fn done(status: libc::c_int) -> Result<()> {
    if status == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// Becomes a process that may mount in a namespace of its own. It must have one thread only.
///
/// # Errors
/// Where that is not allowed.
pub fn own_mounts() -> Result<()> {
    // SAFETY: plain system calls.
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    let own = if uid == 0 { libc::CLONE_NEWNS } else { libc::CLONE_NEWNS | libc::CLONE_NEWUSER };
    // SAFETY: a plain system call.
    done(unsafe { libc::unshare(own) })?;
    if uid != 0 {
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    }
    let (none, root, private) = (c"none".as_ptr(), c"/".as_ptr(), libc::MS_REC | libc::MS_PRIVATE);
    // Nothing must leak out of the namespace.
    // SAFETY: the strings are valid and end in zero.
    done(unsafe { libc::mount(none, root, std::ptr::null(), private, std::ptr::null()) })
}

/// Mounts a file system without a device.
///
/// # Errors
/// Where that is not allowed.
pub fn mount(kind: &str, directory: &str, flags: libc::c_ulong, options: &str) -> Result<()> {
    let [kind, directory, options] = [CString::new(kind)?, CString::new(directory)?, CString::new(options)?];
    let (none, data) = (c"none".as_ptr(), options.as_ptr().cast());
    // SAFETY: the strings are valid and end in zero.
    done(unsafe { libc::mount(none, directory.as_ptr(), kind.as_ptr(), flags, data) })
}

/// Gives up all privileges, if there are any.
///
/// # Errors
/// Where that is not allowed.
pub fn become_nobody() -> Result<()> {
    let nobody = 65534;
    // SAFETY: plain system calls; the list of groups is empty.
    unsafe {
        if libc::getuid() != 0 {
            return Ok(());
        }
        done(libc::setgroups(0, std::ptr::null()))?;
        done(libc::setgid(nobody))?;
        done(libc::setuid(nobody))?;
        // A change of user clears it.
        done(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))
    }
}

/// Sets both limits on a resource.
///
/// # Errors
/// Where that is not allowed.
pub fn limit(resource: libc::__rlimit_resource_t, most: u64) -> Result<()> {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the argument is valid.
    done(unsafe { libc::setrlimit(resource, &limit) })
}

/// A system call that is to fail.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    /// Its number.
    pub call: libc::c_long,
    /// Only if this argument, masked, has this value.
    pub only: Option<(u32, u32, u32)>,
    /// With this error.
    pub errno: libc::c_int,
}

/// From here on this process lives on a kernel without this.
///
/// # Errors
/// Where filters are not allowed.
pub fn without(missing: Missing) -> Result<()> {
    let load = |at: u32| libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: at };
    let equal = |k: u32, no: u8| libc::sock_filter { code: 0x15, jt: 0, jf: no, k };
    let and = |k: u32| libc::sock_filter { code: 0x54, jt: 0, jf: 0, k };
    let end = |k: u32| libc::sock_filter { code: 0x06, jt: 0, jf: 0, k };
    let fail = libc::SECCOMP_RET_ERRNO | missing.errno as u32;
    // `seccomp_data`: number, architecture, instruction pointer, six arguments; little-endian.
    let mut filter = match missing.only {
        None => vec![load(0), equal(missing.call as u32, 1), end(fail)],
        Some((argument, mask, value)) => vec![
            load(0),
            equal(missing.call as u32, 4),
            load(16 + 8 * argument),
            and(mask),
            equal(value, 1),
            end(fail),
        ],
    };
    filter.push(end(libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: plain system calls; the program is valid.
    unsafe {
        done(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        done(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program))
    }
}
