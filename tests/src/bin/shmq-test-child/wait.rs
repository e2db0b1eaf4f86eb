//! Ends that wait: how much it costs, and whether every wake arrives.

use crate::{Outcome, said, waiting};
use shmq::testing::{Park, Poll, RecordRx, RecordTx, Refused, Signals};
use shmq::{Queue, RecvError, Role, Until};
use shmq_tests::process::{Dice, Rigged, map_queue};
use std::path::Path;
use std::time::Duration;

fn cost() -> (u64, u64) {
    // SAFETY: `rusage` is plain data, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the argument is valid.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    (cpu.tv_sec as u64 * 1_000_000_000 + cpu.tv_nsec as u64, usage.ru_nvcsw as u64)
}

/// Waits for a message that does not come, and says what that cost: nanoseconds of processor time, context switches; and
/// the processor time of sleeping as long in slices of 10 ms, without anything else.
pub fn blocked(name: &str, wait: &str, millis: u64) -> Outcome {
    let mut rx = Queue::open(name).map_err(said)?.consumer().map_err(said)?;
    rx.set_waiting(waiting(wait));
    let before = cost();
    match rx.recv(Until::After(Duration::from_millis(millis))) {
        Err(RecvError::TimedOut) => {}
        other => return Err(format!("{other:?}")),
    }
    let after = cost();
    let bare = cost();
    for _ in 0..millis / 10 {
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("{} {} {}", after.0 - before.0, after.1 - before.1, cost().0 - bare.0);
    Ok(())
}

/// Longer than any delay: whoever sleeps so long was not woken.
const PATIENCE: Duration = Duration::from_secs(2);

/// One end of a queue of depth 1, with random delays, so that either end sleeps much of the time. Says how often a
/// sleep ended by itself: with the slices of the library that would pass unnoticed. `forget-wake`, the planted bug,
/// leaves out every hundredth wake.
pub fn hand_over(name: &str, role: &str, messages: u64, planted: &str) -> Outcome {
    let (map, geometry) = map_queue(Path::new(name));
    let rigged = Rigged::new(map).patient(PATIENCE);
    let limits = geometry.limits;
    let mut dice = Dice(role.len() as u64);
    let window = rigged.window(&geometry);
    let role = if role == "producer" { Role::Producer } else { Role::Consumer };
    let mut signals = Signals::new(rigged.window(&geometry), role);
    let mut wake = |i: u64, signals: &mut Signals<Rigged>| {
        if planted != "forget-wake" || i % 100 != 99 {
            signals.published();
        }
        // Half of the time at once, else after up to some 50 us.
        for _ in 0..if dice.below(2) == 0 { 0 } else { dice.below(5000) } {
            std::hint::spin_loop();
        }
    };
    // As whoever takes a role does: the other may be asleep already.
    signals.ring();
    let mut slept = 0;
    let hopeless = || planted != "no" && rigged.overslept() > 0;
    if role == Role::Producer {
        let mut tx =
            RecordTx::attach(window, limits.max_message, limits.max_messages).map_err(|c| c.to_string())?;
        let mut attempt = |i: u64| match tx.try_send(&i.to_le_bytes()) {
            Ok(_) => Some(Ok(())),
            Err(Refused::Full) => None,
            Err(other) => Some(Err(format!("{other:?}"))),
        };
        for i in 0..messages {
            let sent = loop {
                let found = attempt(i).or_else(|| sleep(&mut signals, || attempt(i)));
                match found {
                    Some(sent) => break sent,
                    None if hopeless() => break Ok(()),
                    None => slept += 1,
                }
            };
            sent?;
            wake(i, &mut signals);
            if hopeless() {
                break;
            }
        }
    } else {
        let mut rx =
            RecordRx::attach(window, limits.max_message, limits.max_messages).map_err(|c| c.to_string())?;
        for i in 0..messages {
            let mut attempt = || match rx.poll() {
                Poll::Message(record) => Some(Ok(record)),
                Poll::Empty => None,
                other => Some(Err(format!("{other:?}"))),
            };
            let record = loop {
                match attempt().or_else(|| sleep(&mut signals, &mut attempt)) {
                    Some(record) => break Some(record?),
                    None if hopeless() => break None,
                    None => slept += 1,
                }
            };
            let Some(record) = record else { break };
            let mut number = [0; 8];
            rx.copy_out(&record, &mut number);
            if u64::from_le_bytes(number) != i {
                return Err(format!("{} came where {i} was next", u64::from_le_bytes(number)));
            }
            rx.take(&record);
            wake(i, &mut signals);
            if hopeless() {
                break;
            }
        }
    }
    println!("{} {slept}", rigged.overslept());
    Ok(())
}

/// Sleeps once, unless there is something to do after all.
fn sleep<M: Park, T>(signals: &mut Signals<M>, ready: impl FnOnce() -> Option<T>) -> Option<T> {
    let announced = signals.announce();
    let found = ready();
    if found.is_none() {
        signals.rest(announced, PATIENCE);
    }
    found
}
