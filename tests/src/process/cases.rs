//! Cases that run in a child process of their own, and that not every machine can make.

use super::{Child, Scratch};
use std::os::unix::process::ExitStatusExt;

/// Runs a case, in a directory in memory. `signal`: what it is to die of. One that cannot be made here says so and passes; with
/// `SHMQ_NO_SKIPS=1` it fails.
#[track_caller]
pub fn case(helper: &str, name: &str, expected: &str, signal: Option<i32>) {
    let directory = Scratch::directory(name);
    let child = Child::spawn(helper, &["resource", name, directory.name()]);
    let said = child.try_line();
    match said.as_deref() {
        Some(skipped) if skipped.starts_with("skipped") => {
            assert!(std::env::var_os("SHMQ_NO_SKIPS").is_none(), "{name}: {skipped}");
            eprintln!("SKIPPED, {name} was not tried: {skipped}; run as root or with user namespaces");
            return;
        }
        said => assert_eq!(said, Some(expected), "{name}"),
    }
    // Only then: a process that waits to be asked for its status must have said its line.
    let status = child.wait();
    assert_eq!(status.signal(), signal, "{name} ended with {status}");
}
