//! Many queues in a `calloop` event loop, as Wayland programs have, beside a timer.
//!
//! The loop is handed a duplicate of the set's descriptor and watches it level-triggered. The set and its queues are part of the loop's
//! data, where every callback reaches them.

use calloop::generic::Generic;
use calloop::timer::{TimeoutAction, Timer};
use calloop::{EventLoop, Interest, LoopSignal, Mode, PostAction};
use shmq::{Consumer, Event, Options, TryRecvError, Until, WaitSet, What, each, pair};
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

const QUEUES: usize = 12;
const EACH: u64 = 10_000;

struct State {
    set: WaitSet,
    events: Vec<Event>,
    /// The queues that are not at their end, by key.
    queues: BTreeMap<usize, Consumer>,
    messages: u64,
    ticks: u64,
    signal: LoopSignal,
}

impl State {
    /// What there is, a bounded number from each queue; what is left keeps the descriptor readable.
    fn receive(&mut self) -> io::Result<()> {
        let (set, queues) = (&mut self.set, &mut self.queues);
        let mut ends = each(|visit| queues.iter_mut().for_each(|(key, rx)| visit(*key, rx)));
        set.poll(&mut ends, &mut self.events).map_err(io::Error::other)?;
        for event in self.events.iter().filter(|event| event.what == What::Ready) {
            let Some(rx) = queues.get_mut(&event.key) else { continue };
            match rx.try_drain(64, |_| {}) {
                Ok(taken) => self.messages += taken as u64,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Finished) => drop(queues.remove(&event.key)),
                Err(broken) => return Err(io::Error::other(broken)),
            }
        }
        if queues.is_empty() {
            self.signal.stop();
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut queues = BTreeMap::new();
    let mut senders = Vec::new();
    for key in 0..QUEUES {
        let (mut tx, rx) = pair(&Options::new().max_message(8))?;
        queues.insert(key, rx);
        senders.push(thread::spawn(move || -> Result<(), shmq::Error> {
            for n in 0..EACH {
                tx.send_value(&n, Until::Forever)?;
            }
            tx.finish()?;
            Ok(())
        }));
    }

    let mut event_loop: EventLoop<'_, State> = EventLoop::try_new()?;
    let (set, signal) = (WaitSet::new()?, event_loop.get_signal());
    let descriptor = set.as_fd().try_clone_to_owned()?;
    let source = Generic::new(descriptor, Interest::READ, Mode::Level);
    event_loop.handle().insert_source(source, |_, _, state| {
        state.receive()?;
        Ok(PostAction::Continue)
    })?;
    let timer = Timer::immediate();
    event_loop.handle().insert_source(timer, |_, _, state| {
        state.ticks += 1;
        TimeoutAction::ToDuration(Duration::from_millis(10))
    })?;

    let mut state = State { set, events: Vec::new(), queues, messages: 0, ticks: 0, signal };
    // The set says nothing before it was asked once.
    state.receive()?;
    event_loop.run(None, &mut state, |_| {})?;
    for sender in senders {
        sender.join().map_err(|_| "a sender panicked")??;
    }
    assert_eq!(state.messages, EACH * QUEUES as u64);
    println!("{} messages of {QUEUES} queues and {} ticks, in one calloop", state.messages, state.ticks);
    Ok(())
}
