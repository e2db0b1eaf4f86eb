//! What takes an end to get something done: `drain`, `copy`, `pipe`.

use super::QueueOptions;
use clap::Args;
use shmq_tool::units;
use std::ffi::OsString;
use std::time::Duration;

/// Empty a queue or a pool: discard what waits, or print it
///
/// Takes the receiving end, and is refused while a consumer holds it. Takes what waited when it began. What a producer sends meanwhile
/// stays. The blocks of a pool go back to its writer, also those that a dead reader held.
///
/// What is printed is taken once it was written. If this process is killed, at most 64 KiB or one message, written just before, are
/// printed again by the next.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq drain numbers                  discards all, says how much it was
  shmq drain numbers --lines > saved  prints it first
  shmq drain numbers --keep 100       all but the newest 100
  shmq drain numbers --count 1        only the oldest, say a fatal one

JSON: one object, \"schema\":\"shmq.drain/1\".")]
pub struct DrainArgs {
    /// Name of the queue, or its path
    pub name: OsString,
    /// Leave the newest N messages
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub keep: u64,
    /// Take this many at most
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// Print each message and a line end, before it is taken
    #[arg(long, group = "framing")]
    pub lines: bool,
    /// Print the messages and nothing between them
    #[arg(long, group = "framing")]
    pub raw: bool,
    /// Print before each message its length, 4 bytes, little-endian
    #[arg(long, group = "framing")]
    pub length_prefixed: bool,
    /// One JSON object that says what was taken
    #[arg(long, conflicts_with = "framing")]
    pub json: bool,
}

impl DrainArgs {
    /// Whether anything goes to standard output.
    pub fn prints(&self) -> bool {
        self.lines || self.raw || self.length_prefixed || self.json
    }
}

/// Copy what waits in a queue into another, a larger one for instance
///
/// Only looks at the source, so it also saves what can be read of a damaged one. With --move each message is taken from the source after
/// it was sent; the source must then have no consumer. If there is no DST, it is made like SRC, except for the options given. Messages
/// get new sequence numbers.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq copy jobs /tmp/jobs.saved            what waits; jobs stays as it is
  shmq copy ./broken.queue jobs2            what can be read of a damaged one
  shmq copy jobs jobs.new --move --capacity 64MiB
  mv /dev/shm/jobs.new /dev/shm/jobs        while no end is attached

Exit code 3 if DST has no room, 5 if SRC is damaged; what comes before that is copied, and the last line says how many. If \
it is killed during --move, at most one message is in both.

JSON: one object, \"schema\":\"shmq.copy/1\".")]
pub struct CopyArgs {
    /// Name of the queue to read, or its path
    #[arg(value_name = "SRC")]
    pub source: OsString,
    /// Name of the queue to fill, or its path
    #[arg(value_name = "DST")]
    pub destination: OsString,
    /// Take the messages from SRC
    #[arg(long = "move")]
    pub take: bool,
    /// Declare the end of data in DST, if it was declared in SRC and everything was copied
    #[arg(long)]
    pub finish: bool,
    /// Give up when DST stays full for this long although it has a consumer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::duration)]
    pub timeout: Duration,
    /// One JSON object that says what was copied
    #[arg(long)]
    pub json: bool,
    #[command(flatten, next_help_heading = "For a new DST; otherwise as SRC")]
    pub options: QueueOptions,
}

/// Run any program as one end of a queue
///
/// With --send, each line that COMMAND prints is sent as a message. With --recv, COMMAND reads each message as a line from its standard
/// input. The exit status of COMMAND is passed on. If COMMAND fails, the end of data is not declared, so that the receiver learns of it.
///
/// A message that was written to COMMAND has left the queue, whether COMMAND read it or not. If COMMAND dies, up to 64 KiB in the pipe are
/// lost. With --ack nothing is lost: COMMAND prints a line with the number of messages it has finished since the last such line (an
/// empty line means 1). Only those are taken, and the next COMMAND gets the rest.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq pipe log --send --create -- tail -F app.log
  shmq pipe log --recv -- gzip -c > log.gz
  shmq pipe frames --recv --length-prefixed -- ./decoder
  shmq pipe jobs --recv --ack -- ./worker   prints a line for each job done
  shmq pipe frames --send --chunk 64KiB -- cat /dev/video0

With --ack and --length-prefixed, what COMMAND prints are numbers of 4 bytes, little-endian. SIGTERM and SIGHUP are passed on to COMMAND.

Exit code: that of COMMAND if it failed, 128 and the signal if it was killed; otherwise as `shmq send` and `shmq recv`; 127 if \
it cannot be started.

JSON: one object on standard error, \"schema\":\"shmq.pipe/1\", as standard output belongs to COMMAND.")]
pub struct PipeArgs {
    /// Name of the queue, or its path
    pub name: OsString,
    /// COMMAND sends
    #[arg(long, group = "end", required_unless_present = "recv")]
    pub send: bool,
    /// COMMAND receives
    #[arg(long, group = "end")]
    pub recv: bool,
    /// Each line is a message [default]
    #[arg(long, group = "framing")]
    pub lines: bool,
    /// A stream of bytes
    #[arg(long, group = "framing")]
    pub raw: bool,
    /// Before each message its length, 4 bytes, little-endian
    #[arg(long, group = "framing")]
    pub length_prefixed: bool,
    /// With --send: messages of this many bytes, the last one may be shorter
    #[arg(long, value_name = "SIZE", group = "framing", value_parser = units::chunk, conflicts_with = "recv")]
    pub chunk: Option<u64>,
    /// With --send: make the queue if there is none
    #[arg(long, conflicts_with = "recv")]
    pub create: bool,
    /// With --recv: take only what COMMAND acknowledges, on its standard output
    #[arg(long, conflicts_with_all = ["send", "raw"])]
    pub ack: bool,
    /// With --recv: go on when the sender has left or died, until the end of data
    #[arg(long, conflicts_with = "send")]
    pub follow: bool,
    /// Print what was done as one JSON object, on standard error
    #[arg(long)]
    pub json: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
