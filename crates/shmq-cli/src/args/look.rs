//! What looks and takes nothing: `ls`, `stat`, `dump`, `doctor`.

use clap::Args;
use shmq_tool::units;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Show what a queue is doing, who holds its ends, and who waits for whom
///
/// Takes no end and disturbs nobody; needs permission to read the file only.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq stat numbers
  shmq stat numbers --json | jq .pending_messages
  shmq stat numbers --sample 5s     rates and progress over five seconds
  watch shmq stat numbers

It looks twice, a little apart, and tells what moved meanwhile. How long an end has been waiting, the end noted itself when it \
fell asleep; the largest backlog is noted only when an end comes, leaves or falls asleep, so that messages cost \
nothing. What is said of a process (its command, whether it is stopped) comes from /proc, if it can be seen from here.

JSON: one object, \"schema\":\"shmq.stat/1\"; times are nanoseconds, since 1970 unless the name says monotonic.")]
pub struct StatArgs {
    /// Name of the queue, or its path
    pub name: OsString,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Prometheus text instead, for a collector that runs commands
    #[arg(long, conflicts_with = "json")]
    pub prometheus: bool,
    /// Time between the two looks; 0s for one look only
    #[arg(long, value_name = "TIME", default_value = "250ms", value_parser = units::duration)]
    pub sample: Duration,
}

/// List the queues of this machine: state, waiting messages, who holds their ends
///
/// Files that are no queues are skipped. Takes no end and disturbs nobody.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq ls
  shmq ls /run/myservice
  shmq ls --json | jq -r '.queues[] | select(.state == \"stuck\") | .path'

States: flowing (messages move), idle, waiting (messages wait, none moved just now), stuck (somebody waits for somebody: \
`shmq stat NAME` says who), finished (end declared, messages left), done (all taken), unused, damaged, old boot (from before \
the machine last started), memory (no queue of messages). An end is shown as process id, command and how long it is \
there; `-` if none ever came.

Exit code 1 if a file could not be looked at because something failed, such as too many open files (ulimit -n); it is named \
below the table. A file that this user may not read is named as well, and is no failure.

JSON: one object, \"schema\":\"shmq.ls/1\", whose \"queues\" are what `shmq stat --json` prints.")]
pub struct LsArgs {
    /// Where to look
    #[arg(value_name = "DIR", default_value = "/dev/shm")]
    pub directory: PathBuf,
    /// One JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Time between two looks at each queue; 0s for one look only
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = units::duration)]
    pub sample: Duration,
}

/// Show what waits in a queue or a pool, without taking it; or what is in raw memory
///
/// Works on a file in use, one that nobody uses, a copy from another machine, one from before a crash, and a damaged one. Reads as far
/// as it can, and then says where it stops and why. Without a framing option it prints number, length and text of each message on a
/// line; bytes that are no text are escaped.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq dump numbers
  shmq dump numbers --hex --limit 1
  shmq dump ./copied.queue --length-prefixed > messages.bin
  shmq dump numbers --json | jq -r 'select(.sequence).text'
  shmq dump frames --hex --bytes 256     the start of each block of a pool
  shmq dump meters --limit 10            of raw memory, the first 10 elements

Exit code 5 if the file or a message in it is damaged; what comes before that is printed. Messages that the consumer takes \
meanwhile are left out.

Of a pool: the blocks that a reader which came now would get, those first that the present one holds or a dead one held. Raw memory \
is shown in hexadecimal, repeated lines as *, while others may be writing it.

JSON: an object for each message, \"schema\":\"shmq.message/1\", with \"hex\" and, if it is one, \"text\"; then one \
\"schema\":\"shmq.dump/1\" that says why there are no more. Of raw memory, \"schema\":\"shmq.region/1\" for each 4096 bytes.")]
pub struct DumpArgs {
    /// Name of the queue, or its path
    pub name: OsString,
    /// Bytes in hexadecimal and as text, 16 to a line
    #[arg(long, group = "form")]
    pub hex: bool,
    /// Each message and a line end, nothing escaped, as `shmq recv` does
    #[arg(long, group = "form")]
    pub lines: bool,
    /// Before each message its length, 4 bytes, little-endian
    #[arg(long, group = "form")]
    pub length_prefixed: bool,
    /// One JSON object for each message
    #[arg(long, group = "form")]
    pub json: bool,
    /// Stop after this many messages, blocks, or elements of raw memory
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Show only this many bytes of each message or block, or of raw memory [default: all, but 64 of a block]
    #[arg(long, value_name = "SIZE", value_parser = units::some_bytes)]
    #[arg(conflicts_with_all = ["lines", "length_prefixed"])]
    pub bytes: Option<u64>,
}

/// Check queues and the machine they are on, and say what to do
///
/// Checks of each queue the format, positions, every message, both ends and the file. Checks of the machine the shared memory, its
/// free space and the kernel's features. Takes no end and disturbs nobody, but reads each queue from end to end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq doctor                 the machine, and every queue in /dev/shm
  shmq doctor numbers
  shmq doctor ./copied.queue --json
  shmq doctor -q || page somebody

Exit codes:
  0  everything is fine
  1  something needs attention (warning or trouble), or could not be looked at
  5  a queue is damaged

JSON: one object, \"schema\":\"shmq.doctor/1\".")]
pub struct DoctorArgs {
    /// Names of queues, or their paths [default: all in /dev/shm]
    #[arg(value_name = "NAME")]
    pub names: Vec<OsString>,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Show only what is not fine
    #[arg(short, long)]
    pub quiet: bool,
}
