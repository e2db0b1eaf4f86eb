//! P12: services under tokio, as examples of `shmq-async`. They and their peers are killed, stopped, started again and cancelled, and
//! nothing is lost.

use shmq::{Consumer, Producer, Queue, RecvError, Waiting};
use shmq_tests::process::{Child, Dice, Scratch, eventually, patiently};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "the test has a main of its own")]
#[path = "../../crates/shmq-async/examples/echo.rs"]
mod echo;
#[allow(dead_code, reason = "as above")]
#[path = "../../crates/shmq-async/examples/tokio_gateway.rs"]
mod gateway;

/// However busy the machine is.
const LIMIT: Duration = Duration::from_secs(120);

/// What the children are told.
const TOLD: &str = "SHMQ_TEST_SERVICE";

/// This program again, as one of the children below.
fn start(child: &str, told: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", child]).env(TOLD, told);
    Child::start(command)
}

fn told() -> Option<String> {
    std::env::var(TOLD).ok()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
#[ignore = "a child of the tests below"]
fn child_echo() {
    let Some(told) = told() else { return };
    let (input, output) = told.split_once(' ').unwrap();
    block_on(echo::serve(input, output)).unwrap();
}

/// What loses the question that it is at when it is killed.
#[test]
#[ignore = "a child of the tests below"]
fn child_hasty_echo() {
    let Some(told) = told() else { return };
    let (input, output) = told.split_once(' ').unwrap();
    let mut rx = Consumer::open(input).unwrap();
    let mut tx = match Producer::open(output) {
        Err(shmq::Error::Attach(shmq::AttachError::Finished { .. })) => return,
        tx => tx.unwrap(),
    };
    rx.set_waiting(Waiting::new().across_restarts(true));
    tx.set_waiting(Waiting::new().across_restarts(true));
    while let Ok(question) = rx.recv(LIMIT) {
        tx.send(&question, LIMIT).unwrap();
    }
    tx.finish().unwrap();
}

#[test]
#[ignore = "a child of the tests below"]
fn child_gateway() {
    let Some(name) = told() else { return };
    block_on(gateway::serve(&name, "127.0.0.1:0")).unwrap();
}

/// Sends numbers into some queues, so many into each, and finishes them.
#[test]
#[ignore = "a child of the tests below"]
fn child_feeder() {
    let Some(told) = told() else { return };
    let (count, names) = told.split_once(' ').unwrap();
    let count: u64 = count.parse().unwrap();
    let mut queues: Vec<Option<Producer>> = Vec::new();
    for name in names.split(' ') {
        let queue = Queue::open(name).unwrap();
        // A predecessor may have come to the end of some.
        let producer = match queue.producer() {
            Err(shmq::AttachError::Finished { .. }) => None,
            producer => Some(producer.unwrap()),
        };
        queues.push(producer);
    }
    while queues.iter().any(Option::is_some) {
        let mut is_full = true;
        for place in &mut queues {
            let Some(tx) = place else { continue };
            let next = tx.next_sequence();
            if next == count {
                place.take().unwrap().finish().unwrap();
            } else {
                is_full &= tx.try_send(number(next).as_bytes()).is_err();
            }
        }
        if is_full {
            sleep(Duration::from_micros(100));
        }
    }
}

fn number(n: u64) -> String {
    format!("{n:0width$}", width = 1 + n as usize % 40)
}

/// Kills and stops children so many times, or until it is over; those that are left, and how many were killed.
fn storm(
    seed: u64,
    rounds: u32,
    is_over: &AtomicBool,
    mut children: Vec<(&'static str, String, Child)>,
) -> (Vec<Child>, u32) {
    let (mut dice, mut kills) = (Dice(seed), 0);
    for _ in 0..rounds {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        sleep(Duration::from_micros(dice.below(30_000)));
        let which = dice.below(children.len() as u64) as usize;
        if dice.below(3) == 0 {
            // One that has come to its end cannot be stopped, and need not.
            let child = &children[which].2;
            child.signal(libc::SIGSTOP);
            sleep(Duration::from_micros(dice.below(20_000)));
            child.signal(libc::SIGCONT);
        } else {
            let (kind, told, child) = children.remove(which);
            child.kill();
            kills += 1;
            let again = start(kind, &told);
            children.push((kind, told, again));
        }
    }
    (children.into_iter().map(|(.., child)| child).collect(), kills)
}

fn echoes() -> ([Scratch; 2], Queue, Queue) {
    let scratch = ["questions", "answers"].map(Scratch::new);
    let create = |file: &Scratch| Queue::create(file.path(), &echo::options()).unwrap();
    let [questions, answers] = scratch.each_ref().map(create);
    (scratch, questions, answers)
}

/// An echo service and its feeder are killed and stopped while its answers are read; what was wrong with them.
fn stormed(service: &'static str) -> Result<(), String> {
    const COUNT: u64 = 10_000;
    let (scratch, _, answers) = echoes();
    let [input, output] = scratch.each_ref().map(Scratch::name);
    let children = [(service, format!("{input} {output}")), ("child_feeder", format!("{COUNT} {input}"))];
    let children = children.map(|(kind, told)| (kind, told.clone(), start(kind, &told))).into();
    let is_over = AtomicBool::new(false);
    let take = || {
        let mut rx = patiently(|| answers.consumer()).unwrap();
        rx.set_waiting(Waiting::new().across_restarts(true));
        rx
    };
    std::thread::scope(|s| {
        let reader = s.spawn(|| {
            let mut rx = take();
            let read = (0..COUNT).try_for_each(|n| {
                // Slow enough that the storm has time, and the service finds its output full.
                if n % 16 == 0 {
                    sleep(Duration::from_millis(1));
                }
                // A reader that comes and goes.
                if n % 3000 == 2999 {
                    drop(std::mem::replace(
                        &mut rx,
                        Queue::anonymous(&echo::options()).unwrap().consumer().unwrap(),
                    ));
                    rx = take();
                }
                let (answer, expected) = (rx.recv(LIMIT), number(n));
                let is_right = answer.as_ref().is_ok_and(|answer| answer == expected.as_bytes());
                is_right.then_some(()).ok_or_else(|| format!("{answer:?} instead of {n}"))
            });
            is_over.store(true, Ordering::Relaxed);
            read.map(|()| assert_eq!(rx.recv(LIMIT), Err(RecvError::Finished)))
        });
        let (children, kills) = storm(1, 60, &is_over, children);
        let read = reader.join().unwrap();
        if read.is_ok() {
            assert!(kills > 5, "{kills}");
            children.into_iter().for_each(Child::succeed);
        }
        read
    })
}

#[test]
fn p12_an_echo_service_loses_nothing_whoever_is_killed_or_stopped() {
    assert_eq!(stormed("child_echo"), Ok(()));
}

#[test]
fn control_a_service_that_acknowledges_before_it_answers_is_found_out() {
    assert!(stormed("child_hasty_echo").is_err());
}

#[test]
fn p12_an_echo_service_answers_what_it_has_read_when_it_is_told_to_end() {
    for seed in 0..4 {
        let (scratch, questions, answers) = echoes();
        let [input, output] = scratch.each_ref().map(Scratch::name);
        let child = start("child_echo", &format!("{input} {output}"));
        let (mut tx, mut rx) = (questions.producer().unwrap(), answers.consumer().unwrap());
        eventually("it is there", || rx.peer() == shmq::PeerState::Attached);
        let mut asked = 0;
        let begin = Instant::now();
        // As much as fits: the service waits for room when the signal comes. Or for a question.
        while begin.elapsed() < Duration::from_millis(30) || (seed % 2 == 0 && asked == 0) {
            if tx.try_send(number(asked).as_bytes()).is_ok() {
                asked += 1;
            }
            if seed % 2 == 1 && tx.pending() == 0 {
                break;
            }
        }
        child.signal(libc::SIGTERM);
        let mut answered = 0;
        let end = loop {
            match rx.recv(LIMIT) {
                Ok(answer) => assert_eq!(answer, number(answered).as_bytes()),
                Err(end) => break end,
            }
            answered += 1;
        };
        assert_eq!(end, RecvError::Finished, "{seed}");
        child.succeed();
        // What is not answered was not taken.
        let mut rest = questions.consumer().unwrap();
        assert_eq!((rest.next_sequence(), rest.pending()), (answered, asked - answered), "{seed}");
        assert!((answered..asked).all(|n| rest.try_recv().unwrap() == number(n).as_bytes()));
    }
}

/// A client of the gateway, which has stored so many of each queue.
struct Client {
    stored: [u64; gateway::QUEUES],
    /// That they have ended was answered on this connection.
    ended: [bool; gateway::QUEUES],
    beats: u64,
    shown_again: u64,
}

impl Client {
    /// Reads so many frames, or until all queues have ended; an error if the connection ends before.
    fn read(&mut self, to: &mut TcpStream, frames: u64) -> std::io::Result<()> {
        for _ in 0..frames {
            let mut head = [0; 13];
            to.read_exact(&mut head)?;
            let queue = head[0];
            let sequence = u64::from_be_bytes(head[1..9].try_into().unwrap());
            let len = u32::from_be_bytes(head[9..].try_into().unwrap());
            if queue == gateway::ALIVE {
                self.beats += 1;
                continue;
            }
            let stored = &mut self.stored[usize::from(queue)];
            if len == gateway::END {
                *stored = gateway::ENDED;
                self.ended[usize::from(queue)] = true;
            } else {
                let mut message = vec![0; len as usize];
                to.read_exact(&mut message)?;
                if sequence < *stored {
                    self.shown_again += 1;
                } else {
                    assert_eq!(
                        (sequence, &message[..]),
                        (*stored, number(sequence).as_bytes()),
                        "queue {queue}"
                    );
                    *stored += 1;
                }
            }
            let mut answer = vec![queue];
            answer.extend(stored.to_be_bytes());
            to.write_all(&answer)?;
            if self.is_done() {
                break;
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.ended.iter().all(|ended| *ended)
    }
}

#[test]
fn p12_a_gateway_loses_nothing_whoever_is_killed_stopped_or_cut_off() {
    const COUNT: u64 = 1500;
    let directory = Scratch::directory("gateway");
    let name = format!("{}/queue", directory.name());
    let names: Vec<_> = (0..gateway::QUEUES).map(|i| format!("{name}-{i}")).collect();
    for name in &names {
        Queue::create(name, &gateway::options()).unwrap();
    }
    let fed = format!("{COUNT} {}", names.join(" "));
    let begin_gateway = || {
        let child = start("child_gateway", &name);
        let address = loop {
            let line = child.line();
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.to_owned();
            }
        };
        (child, address)
    };
    let ((mut server, mut address), mut feeder) = (begin_gateway(), start("child_feeder", &fed));
    let mut client =
        Client { stored: [0; gateway::QUEUES], ended: [false; gateway::QUEUES], beats: 0, shown_again: 0 };
    let (mut dice, begin, mut kills) = (Dice(2), Instant::now(), 0);
    while !client.is_done() {
        assert!(begin.elapsed() < LIMIT, "{:?}", client.stored);
        let mut to = TcpStream::connect(&address).unwrap();
        to.set_read_timeout(Some(LIMIT)).unwrap();
        client.ended = [false; gateway::QUEUES];
        client.read(&mut to, dice.below(2000)).unwrap();
        let done: u64 = client.stored.iter().map(|stored| (*stored).min(COUNT)).sum();
        if done > COUNT * 11 {
            continue;
        }
        match dice.below(4) {
            // This client is cut off, and comes again.
            0 => {}
            1 => {
                server.stop();
                sleep(Duration::from_millis(dice.below(30)));
                server.signal(libc::SIGCONT);
                let _ = client.read(&mut to, dice.below(100) + 1);
            }
            2 => {
                feeder.kill();
                feeder = start("child_feeder", &fed);
                kills += 1;
            }
            _ => {
                // Told to end, or killed.
                if kills % 2 == 0 {
                    server.signal(libc::SIGTERM);
                    server.succeed();
                } else {
                    server.kill();
                }
                (server, address) = begin_gateway();
                kills += 1;
            }
        }
    }
    server.succeed();
    feeder.succeed();
    assert!(
        kills > 2 && client.beats > 1 && client.shown_again > 0,
        "{kills} {} {}",
        client.beats,
        client.shown_again
    );
    for name in &names {
        assert_eq!(Consumer::open(name).unwrap().next_sequence(), COUNT);
    }
}
