//! Ends of every shape that can be blocked and stopped, in every phase of waiting: for tests in this process and in a child.

use shmq::{Options, RecvError, Role, SendError, StopHandle, Until, Waiting};
use shmq_pool::{LoanError, Pool, Reader, Writer};
use std::time::Duration;

/// Messages, or blocks, that fit.
const DEPTH: u64 = 3;

/// All shapes, by name.
pub const SHAPES: [&str; 4] = ["records", "slots", "pair", "pool"];

/// Both roles.
pub const ROLES: [Role; 2] = [Role::Producer, Role::Consumer];

/// All phases of waiting, by name.
pub const PHASES: [&str; 4] = ["spinning", "yielding", "asleep", "deep"];

/// How to wait to be in that phase for long.
pub fn waiting(phase: &str) -> Waiting {
    match phase {
        "spinning" => Waiting::dedicated_core(),
        "yielding" => Waiting::low_power().sleep(false),
        _ => Waiting::low_power(),
    }
}

/// After so long a call has come to that phase, as a rule. (Ten slices of 10 ms come before deep sleep.)
pub fn until(phase: &str) -> Duration {
    Duration::from_millis(if phase == "deep" { 400 } else { 40 })
}

/// How a call went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Went {
    /// A message was sent, or received, and was the next one.
    Done,
    /// It was stopped.
    Stopped,
    /// Anything else.
    Otherwise(String),
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one of them at a time, in a test")]
enum Both {
    Records(shmq::Producer, shmq::Consumer),
    Slots(shmq::slots::Producer<u64>, shmq::slots::Consumer<u64>),
    Pair(shmq::Producer, shmq::Consumer),
    Pool(Writer, Reader),
}

/// Both ends of a queue, and how many messages went through each.
#[derive(Debug)]
pub struct Stoppable {
    both: Both,
    sent: u64,
    received: u64,
}

fn said(error: impl std::fmt::Debug) -> Went {
    Went::Otherwise(format!("{error:?}"))
}

fn of_send<T>(outcome: Result<T, SendError>) -> Result<(), Went> {
    outcome.map(drop).map_err(|e| if e == SendError::Stopped { Went::Stopped } else { said(e) })
}

fn of_recv<T>(outcome: Result<T, RecvError>) -> Result<T, Went> {
    outcome.map_err(|e| if e == RecvError::Stopped { Went::Stopped } else { said(e) })
}

fn lend(tx: &Writer, until: Until, number: u64) -> Result<(), Went> {
    let mut loan = tx.loan(until).map_err(|e| match e {
        LoanError::Stopped => Went::Stopped,
        e => said(e),
    })?;
    loan.write_values(0, &[number]).map_err(said)?;
    loan.send(8).map(drop).map_err(said)
}

fn borrow(rx: &Reader, until: Until) -> Result<u64, Went> {
    let block = rx.read(until).map_err(|e| match e {
        shmq_pool::RecvError::Stopped => Went::Stopped,
        e => said(e),
    })?;
    let mut number = [0];
    block.read_values(0, &mut number).map_err(said)?;
    block.acknowledge();
    Ok(number[0])
}

impl Stoppable {
    /// An empty queue without a name.
    ///
    /// # Panics
    /// If that cannot be had.
    pub fn new(shape: &str) -> Self {
        let options = Options::new().max_message(8).max_messages(DEPTH);
        let both = match shape {
            "records" => {
                let queue = shmq::Queue::anonymous(&options).expect("a queue");
                Both::Records(queue.producer().expect("free"), queue.consumer().expect("free"))
            }
            "slots" => {
                let queue = shmq::slots::Queue::anonymous(DEPTH, &Options::new()).expect("a queue");
                Both::Slots(queue.producer().expect("free"), queue.consumer().expect("free"))
            }
            "pair" => {
                let (tx, rx) = shmq::pair(&options).expect("a pair");
                Both::Pair(tx, rx)
            }
            _ => {
                let pool = Pool::anonymous(DEPTH, 4096, &Options::new()).expect("a pool");
                Both::Pool(pool.writer().expect("free"), pool.reader().expect("free"))
            }
        };
        Self { both, sent: 0, received: 0 }
    }

    /// How this role waits, and what stops it.
    pub fn set(&mut self, role: Role, waiting: Waiting, stop: Option<&StopHandle>) {
        macro_rules! set {
            ($tx:ident, $rx:ident) => {
                match role {
                    Role::Producer => {
                        $tx.set_waiting(waiting);
                        $tx.set_stop(stop);
                    }
                    Role::Consumer => {
                        $rx.set_waiting(waiting);
                        $rx.set_stop(stop);
                    }
                }
            };
        }
        match &mut self.both {
            Both::Records(tx, rx) => set!(tx, rx),
            Both::Slots(tx, rx) => set!(tx, rx),
            Both::Pair(tx, rx) => set!(tx, rx),
            Both::Pool(tx, rx) => set!(tx, rx),
        }
    }

    /// One blocking call of this role.
    pub fn call(&mut self, role: Role, until: Until) -> Went {
        let outcome = match role {
            Role::Producer => self.send(until).map(|()| self.sent += 1),
            Role::Consumer => self.receive(until).and_then(|number| {
                let next = self.received;
                self.received += 1;
                if number == next { Ok(()) } else { Err(said((number, next))) }
            }),
        };
        outcome.err().unwrap_or(Went::Done)
    }

    fn send(&mut self, until: Until) -> Result<(), Went> {
        let number = self.sent;
        match &mut self.both {
            Both::Records(tx, _) => of_send(tx.send(&number.to_le_bytes(), until)),
            Both::Slots(tx, _) => of_send(tx.send(&number, until)),
            Both::Pair(tx, _) => of_send(tx.send(&number.to_le_bytes(), until)),
            Both::Pool(tx, _) => lend(tx, until, number),
        }
    }

    fn receive(&mut self, until: Until) -> Result<u64, Went> {
        match &mut self.both {
            Both::Records(_, rx) => of_recv(rx.recv_value(until)),
            Both::Slots(_, rx) => of_recv(rx.recv(until)),
            Both::Pair(_, rx) => of_recv(rx.recv_value(until)),
            Both::Pool(_, rx) => borrow(rx, until),
        }
    }

    /// Makes the next call of this role one that must wait.
    ///
    /// # Panics
    /// If that cannot be had.
    pub fn block(&mut self, role: Role) {
        let most = match role {
            Role::Producer => DEPTH,
            Role::Consumer => 0,
        };
        while self.pending() < most {
            assert_eq!(self.call(Role::Producer, Until::Forever), Went::Done);
        }
        while self.pending() > most {
            assert_eq!(self.call(Role::Consumer, Until::Forever), Went::Done);
        }
    }

    /// Messages that are under way, as both ends and the test count them.
    ///
    /// # Panics
    /// If they do not agree.
    pub fn pending(&self) -> u64 {
        let seen = match &self.both {
            Both::Records(tx, rx) => [tx.pending(), rx.pending(), tx.next_sequence(), rx.next_sequence()],
            Both::Slots(tx, rx) => [tx.pending(), rx.pending(), tx.next_sequence(), rx.next_sequence()],
            Both::Pair(tx, rx) => [tx.pending(), rx.pending(), tx.next_sequence(), rx.next_sequence()],
            Both::Pool(tx, rx) => [tx.pending(), rx.pending(), tx.next_sequence(), rx.next_sequence()],
        };
        let pending = self.sent - self.received;
        assert_eq!(seen, [pending, pending, self.sent, self.received], "nothing more was sent or taken");
        pending
    }

    /// The handle is triggered and this role's call would wait: it says so, whatever its time, nothing comes of it, and what
    /// need not wait goes on; and once it is reset, all does.
    ///
    /// # Panics
    /// If not.
    pub fn stays_stopped_until_reset(&mut self, role: Role, stop: &StopHandle) {
        assert!(stop.is_triggered());
        for until in [Until::Forever, Until::After(Duration::ZERO), Until::After(Duration::from_secs(60))] {
            let before = self.pending();
            assert_eq!((self.call(role, until), self.pending()), (Went::Stopped, before));
        }
        // The other role has no handle, and makes it possible; what need not wait is not stopped.
        assert_eq!(self.call(role.peer(), Until::Forever), Went::Done);
        assert_eq!(self.call(role, Until::Forever), Went::Done);
        assert_eq!(self.call(role, Until::Forever), Went::Stopped);
        stop.reset();
        let brief = Until::After(Duration::from_millis(1));
        assert_eq!(self.call(role, brief), Went::Otherwise("TimedOut".into()));
        assert_eq!(self.call(role.peer(), Until::Forever), Went::Done);
        assert_eq!(self.call(role, brief), Went::Done);
        self.pending();
    }
}
