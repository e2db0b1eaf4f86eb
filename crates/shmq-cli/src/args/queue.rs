//! `create` and `rm`, and how a new queue is to be.

use clap::Args;
use shmq::Options;
use shmq_tool::units;
use std::ffi::OsString;

/// Make a queue; its shape and its limits cannot be changed later
///
/// Messages have any length up to a limit. With --slots all have exactly the same size, which is faster for small messages.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq create prices
  shmq create prices --capacity 16MiB --max-message 1MiB
  shmq create jobs --max-messages 100 --mode 0660 --tag jobs/1
  shmq create ticks --slots 64 --depth 1000    1000 of exactly 64 bytes each")]
pub struct CreateArgs {
    /// Name of the queue, or its path
    pub name: OsString,
    #[command(flatten)]
    pub options: QueueOptions,
}

/// How a new queue is to be.
#[derive(Debug, Default, Args)]
pub struct QueueOptions {
    /// Ring size: a power of two [default: 1MiB, more if --max-message needs it]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub capacity: Option<u64>,
    /// Largest message, at most half the capacity less 16 bytes [default: 64KiB, less in a small ring]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub max_message: Option<u64>,
    /// Most messages waiting at a time [default: as many as fit]
    #[arg(long, value_name = "N")]
    pub max_messages: Option<u64>,
    /// Every message has exactly this many bytes, instead of any length up to a limit
    #[arg(long, value_name = "SIZE", value_parser = units::some_bytes, requires = "depth")]
    #[arg(conflicts_with_all = ["capacity", "max_message", "max_messages"])]
    pub slots: Option<u64>,
    /// With --slots: the number of messages that fit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), requires = "slots")]
    pub depth: Option<u64>,
    /// Who may open it, in octal; both ends must be able to write it [default: 0600]
    #[arg(long, value_parser = units::mode)]
    pub mode: Option<u32>,
    /// Up to 32 bytes that name the schema of the messages; an end with another tag is refused
    #[arg(long, value_name = "TEXT", value_parser = units::tag)]
    pub tag: Option<String>,
}

impl QueueOptions {
    pub fn options(&self) -> Options {
        let mut options = Options::new();
        if let Some(bytes) = self.capacity {
            options = options.capacity(bytes);
        }
        if let Some(bytes) = self.max_message {
            options = options.max_message(bytes);
        }
        if let Some(messages) = self.max_messages {
            options = options.max_messages(messages);
        }
        if let Some(bits) = self.mode {
            options = options.mode(bits);
        }
        if let Some(tag) = &self.tag {
            options = options.tag(tag);
        }
        options
    }

    /// Size and depth, if fixed-size messages were asked for.
    pub fn slots(&self) -> Option<(u64, u64)> {
        self.slots.zip(self.depth)
    }

    /// Whether a limit was given that only records have.
    pub fn any_records_limit(&self) -> bool {
        [self.capacity, self.max_message, self.max_messages].iter().any(Option::is_some)
    }

    /// Whether anything was given that only counts for a new queue.
    pub fn any_limit(&self) -> bool {
        self.any_records_limit() || self.slots.is_some() || self.mode.is_some()
    }
}

/// Remove queues, and the messages in them
///
/// Takes both ends first, so a queue in use is not removed. Waits half a second for a process that is just leaving.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq rm prices
  shmq rm prices jobs
  shmq rm --force prices     also when a process still uses it")]
pub struct RmArgs {
    /// Names of the queues, or their paths
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<OsString>,
    /// Remove them even if a process uses them or they are damaged; no error if there is none
    #[arg(long)]
    pub force: bool,
}
