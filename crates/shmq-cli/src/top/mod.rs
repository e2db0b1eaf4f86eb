//! `shmq top`: queues watched over time, in one of three ways.
//!
//! | module | what happens there |
//! |---|---|
//! | [`watch`] | which queues there are, looked at again and again; their history |
//! | [`cells`] | what a column says, the same in text and on the screen |
//! | [`once`] | two looks as text or JSON |
//! | [`listen`] | the numbers of every look over HTTP, for Prometheus |
//! | [`ui`] | what the keys do: which queue is chosen, how they are sorted |
//! | [`draw`] | the picture |
//! | [`live`](mod@live) | looking, drawing and listening to the keys, in turn |
//! | [`terminal`] | taking the terminal over, and giving it back whatever happens |
//!
//! The last four are the feature `top`.

mod cells;
#[cfg(feature = "top")]
mod draw;
mod listen;
#[cfg(feature = "top")]
mod live;
mod once;
#[cfg(feature = "top")]
mod terminal;
#[cfg(feature = "top")]
mod ui;
mod watch;

use crate::args::TopArgs;
use crate::view::guard;
use shmq_tool::failure::Failure;
use watch::Watch;

pub fn run(args: &TopArgs) -> Result<(), Failure> {
    let watch = Watch::new(&args.names);
    if args.listen.is_none() && !args.once {
        return live(watch, args);
    }
    guard();
    match args.listen {
        Some(address) => listen::run(watch, address),
        None => once::run(watch, args.interval, args.json),
    }
}

#[cfg(feature = "top")]
fn live(watch: Watch, args: &TopArgs) -> Result<(), Failure> {
    live::run(watch, args.interval, args.plant_panic)
}

#[cfg(not(feature = "top"))]
fn live(_: Watch, _: &TopArgs) -> Result<(), Failure> {
    Err(Failure::usage("this shmq was built without the live view; use --once, or --listen"))
}
