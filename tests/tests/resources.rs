//! P8, P6: what is lacking is an error that says so, or is done without; never a signal, except the one that is documented.
//!
//! Each case is a child process, and gives up the rights under which it would not show. A case that cannot be made here
//! says so and passes; with `SHMQ_NO_SKIPS=1` it fails.

use shmq_tests::process::cases::case;

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

macro_rules! cases {
    ($($name:ident: $case:literal, $expected:literal $(, dies of $signal:expr)?;)*) => {
        $(#[test] fn $name() {
            #[allow(unused_mut, unused_assignments, reason = "for those that do not die")]
            let mut signal = None;
            $(signal = Some($signal);)?
            case(HELPER, $case, $expected, signal);
        })*
    };
}

cases! {
    p8_a_full_tmpfs: "full", "NoSpace, NoSpace, 0 files left, then one that fits works";
    p8_a_tmpfs_that_another_fills_meanwhile: "full-meanwhile", "works or NoSpace";
    p8_a_shm_of_64_mb: "small-shm", "works, works, works, NoSpace; 3 files";
    p8_a_full_disk: "disk", "NoSpace, works, NoSpace, taken, 1 files";
    p8_no_huge_pages_left: "huge-pages", "as a wish it works, as a file NoSpace, 0 files left";
    p8_a_file_that_a_third_party_truncates: "truncated", "Truncated", dies of libc::SIGBUS;
    p8_a_limit_on_locked_memory: "locked-memory", "Lock, Lock, 0 files left, Lock, without it taken";
    p8_a_limit_on_file_sizes: "file-size", "FileSize, FileSize, 0 files left, one within the limit works, just within works, just over FileSize";
    p8_a_limit_on_address_space: "address-space", "NoSpace, 1 file, Io, a smaller one works";
    p8_a_file_system_that_is_read_only: "read-only", "ReadOnly, ReadOnly, its producer has left";
    p8_no_permission: "permission", "Denied, Denied, Denied";
    p8_too_many_descriptors: "descriptors",
        "Io, Io, Io, Io, Io, still here while attached, then ProducerLeft; 2 files, later taken";
    p8_a_kernel_without_membarrier: "membarrier", "100 of 100 came";
    p8_no_inotify_instance: "inotify", "TimedOut after slices, 10 of 10 came, then ProducerLeft";
    p8_no_inotify_watch: "watches", "TimedOut after slices, 10 of 10 came, then ProducerLeft";
    p3_a_waker_that_may_poke_nobody: "no-poke", "TimedOut after deeply, 10 of 10 came, then ProducerLeft";
    p8_a_kernel_without_populate: "populate", "works, works, 1 file";
    p8_a_sandbox_that_forbids_populate: "forbidden", "works, works, 1 file";
    p8_a_sandbox_that_forbids_madvise: "no-advice", "Io, 0 files left";
    p8_no_inodes_left_and_no_folder: "inodes", "works, works, works, NoInode, NoFolder";
    p8_no_memory_for_the_holes_of_a_copy: "holes", "NoMemory, NoMemory, later taken";
    p8_a_file_system_that_cannot_allocate_ahead: "fallocate", "works, works, 2 files, equally long";
    p8_a_file_system_without_unnamed_files: "tmpfile", "works, works, 1 file";
    p8_a_kernel_without_memfd: "memfd", "Io";
    p8_a_kernel_without_description_locks: "locks", "Io";
}
