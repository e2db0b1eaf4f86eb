//! The command line of what watches queues and of what helps at the shell.

use clap::Args;
use shmq_tool::units;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Watch queues: how fast, how full, who is there, what is wrong
///
/// A live view of the queues named, or of all in /dev/shm. Takes no role and disturbs nobody. Keys: arrows choose a queue, Enter shows its
/// peers and history, s sorts, a hides what is well, space pauses the view, + and - change the pace, q ends it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq top
  shmq top prices orders --interval 250ms
  shmq top --once                          two looks, one second apart, as text
  shmq top --once --json | jq '.queues[] | select(.advice != [])'
  shmq top --listen 127.0.0.1:9469         serves metrics for Prometheus

Exit codes of --once: 1 if a queue that was named, or is there, could not be read, 0 otherwise, whatever the alerts \
are.

JSON: one object, \"schema\":\"shmq.top/1\". NO_COLOR turns colours off.")]
pub struct TopArgs {
    /// Names of the queues, or their paths [default: every queue in /dev/shm, also new ones]
    #[arg(value_name = "NAME")]
    pub names: Vec<OsString>,
    /// Time between two looks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = units::pace)]
    pub interval: Duration,
    /// Look twice, print the difference as text, and end
    #[arg(long, conflicts_with = "listen")]
    pub once: bool,
    /// With --once: one JSON object instead of text
    #[arg(long, requires = "once")]
    pub json: bool,
    /// Show nothing; serve Prometheus text over HTTP at this address. There is no password: keep to 127.0.0.1, or to a network
    /// whose members may see the numbers
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<std::net::SocketAddr>,
    /// Panics in the live view: for the test that the terminal is given back
    #[arg(long, hide = true)]
    pub plant_panic: bool,
}

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq completions bash > ~/.local/share/bash-completion/completions/shmq
  shmq completions zsh > ~/.zfunc/_shmq        with ~/.zfunc in fpath
  shmq completions fish > ~/.config/fish/completions/shmq.fish")]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Print the man page, or write one for each command to a folder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shmq man | man -l -
  shmq man ~/.local/share/man/man1 && man shmq-send")]
pub struct ManArgs {
    /// Where to write the pages; made if it is not there [default: the main page to standard output]
    pub dir: Option<PathBuf>,
}
