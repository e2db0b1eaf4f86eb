//! Fan-out: one event goes to several consumers, by one queue for each.
//!
//! One queue per consumer means that each may be late in its own way. Two consumers here must have everything, so
//! the sender waits for room in their queues. The third is a display that wants fresh events only: when its queue is
//! full, it goes without, and sees from the number in the event what it missed.

use shmq::{Options, RecvError, TrySendError, Until, pair};
use std::error::Error;
use std::thread;
use std::time::Duration;

const EVENTS: u64 = 100_000;

/// What a consumer saw: how many, and how many it missed in between.
struct Seen {
    events: u64,
    missed: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let complete = Options::new().capacity(64 << 10).max_message(8);
    let fresh = Options::new().capacity(4 << 10).max_message(8).max_messages(4);
    let (mut to_disk, disk) = pair(&complete)?;
    let (mut to_net, net) = pair(&complete)?;
    let (mut to_display, display) = pair(&fresh)?;
    let disk = thread::spawn(move || consume(disk, Duration::ZERO));
    let net = thread::spawn(move || consume(net, Duration::ZERO));
    let display = thread::spawn(move || consume(display, Duration::from_micros(50)));

    let mut dropped = 0;
    for event in 0..EVENTS {
        to_disk.send_value(&event, Until::Forever)?;
        to_net.send_value(&event, Until::Forever)?;
        match to_display.try_send_value(&event) {
            Ok(_) => {}
            Err(TrySendError::Full) => dropped += 1,
            Err(broken) => return Err(broken.into()),
        }
    }
    for tx in [to_disk, to_net, to_display] {
        tx.finish()?;
    }

    for complete in [disk, net] {
        let seen = complete.join().map_err(|_| "a consumer panicked")??;
        assert_eq!((seen.events, seen.missed), (EVENTS, 0));
    }
    let seen = display.join().map_err(|_| "the display panicked")??;
    assert_eq!(seen.events + dropped, EVENTS);
    println!("two consumers saw all {EVENTS} events, the display {} of them", seen.events);
    println!("the display knew of {} of the {dropped} it went without", seen.missed);
    Ok(())
}

fn consume(mut rx: shmq::Consumer, pace: Duration) -> Result<Seen, RecvError> {
    let mut seen = Seen { events: 0, missed: 0 };
    let mut next = 0;
    loop {
        match rx.recv_value::<u64>(Until::Forever) {
            Ok(event) => {
                seen.missed += event - next;
                seen.events += 1;
                next = event + 1;
                if !pace.is_zero() {
                    thread::sleep(pace);
                }
            }
            Err(RecvError::Finished) => return Ok(seen),
            Err(gone) => return Err(gone),
        }
    }
}
