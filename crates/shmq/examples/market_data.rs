//! A stream of plain structs, as market data is: typed at both ends, one copy into the ring and one out of it.
//!
//! The tag in the file names the layout of the struct. A reader that was built for another one is refused when it
//! opens the queue, not when it misreads a price.

use bytemuck::{Pod, Zeroable};
use shmq::{Consumer, OpenError, Options, Queue, RecvError, Until};
use std::error::Error;
use std::process::Command;

/// Change the name whenever the struct changes.
const SCHEMA: &str = "example.quote/1";
const QUOTES: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Quote {
    instrument: u32,
    flags: u32,
    bid: i64,
    ask: i64,
    time_ns: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(name) => read(&name),
        None => feed(&format!("shmq-example-market-{}", std::process::id())),
    }
}

fn feed(name: &str) -> Result<(), Box<dyn Error>> {
    let options = Options::new().tag(SCHEMA).max_message(size_of::<Quote>() as u64);
    let _file = Scratch(name);
    let mut tx = Queue::create(name, &options)?.producer()?;

    let other = Queue::open_with(name, &Options::new().tag("example.quote/2"));
    assert!(matches!(&other, Err(OpenError::Tag { found, .. }) if found == SCHEMA));

    let mut reader = Command::new(std::env::current_exe()?).arg(name).spawn()?;
    for n in 0..QUOTES {
        let mid = 100_000 + (n as i64 * 7919) % 501 - 250;
        let quote = Quote { instrument: (n % 16) as u32, flags: 0, bid: mid - 1, ask: mid + 1, time_ns: n };
        tx.send_value(&quote, Until::Forever)?;
    }
    tx.finish()?;
    assert!(reader.wait()?.success());
    Ok(())
}

fn read(name: &str) -> Result<(), Box<dyn Error>> {
    let mut rx: Consumer = Queue::open_with(name, &Options::new().tag(SCHEMA))?.consumer()?;
    let (mut seen, mut widest, mut highest) = (0, 0, i64::MIN);
    loop {
        match rx.recv_value::<Quote>(Until::Forever) {
            Ok(quote) => {
                assert_eq!((quote.time_ns, quote.instrument), (seen, (seen % 16) as u32));
                widest = widest.max(quote.ask - quote.bid);
                highest = highest.max(quote.bid);
                seen += 1;
            }
            Err(RecvError::Finished) => break,
            Err(gone) => return Err(gone.into()),
        }
    }
    assert_eq!((seen, widest), (QUOTES, 2));
    println!("{seen} quotes in order, highest bid {highest}");
    Ok(())
}

/// Removes its file at the end, however it comes.
struct Scratch<'a>(&'a str);

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(format!("/dev/shm/{}", self.0));
    }
}
