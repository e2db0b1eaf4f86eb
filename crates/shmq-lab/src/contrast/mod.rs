//! `shmq-lab contrast`: the same traffic through raw shared memory, a seqlock cell, the two shapes of shmq and what the kernel
//! has; how fast it goes, and how much of it arrives.
//!
//! | module | what happens there |
//! |---|---|
//! | [`traffic`] | the messages, and what the reader makes of them |
//! | [`medium`] | what carries them, and its two ends |
//! | [`kernel`] | pipes, sockets, POSIX message queues |
//! | [`report`] | the table and the JSON |
//! | [`page`] | the page with charts |

mod kernel;
mod medium;
mod page;
mod report;
mod traffic;

use crate::args::{ContrastArgs, Medium};
use clap::ValueEnum;
use indicatif::ProgressBar;
use medium::{Cell, Measured};
use report::{Report, Row};
use shmq_tool::failure::Failure;
use shmq_tool::interrupt::Interrupt;
use std::io::IsTerminal;
use std::time::Duration;
use traffic::SIZES;

pub use medium::write;

/// Raw memory is read so many times longer, if that is what it takes to see it torn: on one processor, or a busy one.
const LONGER: u32 = 100;

/// All media at all sizes, one after the other.
pub fn run(args: &ContrastArgs) -> Result<(), Failure> {
    // Before the first file is made, so that Ctrl-C leaves none behind.
    let interrupt = Interrupt::catch()?;
    let media = Medium::value_variants();
    let cells = media.len() * SIZES.len();
    let time = Duration::from_secs(args.seconds) / cells as u32;
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new(cells as u64) } else { ProgressBar::hidden() };
    let mut rows = Vec::new();
    for size in SIZES {
        for &medium in media {
            interrupt.check()?;
            bar.set_message(medium.title());
            let name = format!("shmq-lab-{}-contrast", std::process::id());
            let cell = Cell { medium, size, time, name, interrupt: &interrupt };
            // A signal may show first as a call that it cut short.
            let measured = measure(&cell).or_else(|failure| interrupt.check().and(Err(failure)))?;
            rows.push(Row::new(medium, size, measured));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let report = Report::new(rows);
    if let Some(file) = &args.html {
        std::fs::write(file, page::html(&report))
            .map_err(|e| Failure::io(format_args!("write {}", shmq_tool::units::shown(file)), &e))?;
    }
    report.print(args.json)
}

/// One cell; the reason if this system cannot have it.
fn measure(cell: &Cell<'_>) -> Result<Result<Measured, String>, Failure> {
    let must_tear = report::must_tear(cell.medium, cell.size);
    let mut all: Option<Measured> = None;
    for _ in 0..LONGER {
        cell.interrupt.check()?;
        let measured = match cell.measure() {
            Ok(measured) => measured,
            Err(Failure::Said(_, text)) if cell.medium == Medium::MessageQueue => return Ok(Err(text)),
            Err(failure) => return Err(failure),
        };
        let sum = match all {
            None => measured,
            Some(before) => before.and(&measured),
        };
        if !must_tear || sum.count.torn > 0 {
            return Ok(Ok(sum));
        }
        all = Some(sum);
    }
    all.map(Ok).ok_or_else(|| Failure::new("nothing was measured"))
}
