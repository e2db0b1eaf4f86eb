//! Pools between processes: either end killed with SIGKILL at random moments and succeeded, and not a block lost;
//! whoever is blocked is told how the other end went, or revived by its successor. Each with a control that must come
//! out the other way.

use shmq::{AttachError, EndSnapshot, Role, Waiting};
use shmq_pool::{LoanError, Options, Pool, RecvError, TryLoanError, Until};
use shmq_tests::process::going::{Going, outcome};
use shmq_tests::process::storm::{Aim, end_quietly, storm};
use shmq_tests::process::{Child, LIMIT, Scratch, Witness, block_content, patiently, word};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");
/// So that whoever waits sleeps.
const WAITING: Waiting = Waiting::low_power();
/// Most blocks that the children hold at a time.
const OUT: u64 = 3;

struct Plan {
    seed: u64,
    kills: u32,
    blocks: u64,
    block_size: usize,
    consume: &'static str,
    waiting: &'static str,
}

#[derive(Debug)]
struct Streamed {
    sent: u64,
    again: u64,
    takeovers: [u64; 2],
    /// Blocks that can be lent in the end.
    left: u64,
    /// The first thing that went wrong.
    violation: Option<String>,
}

impl Streamed {
    /// Whether the kills have hit a stream and not a beginning, enough was taken over, and some readers died with a block
    /// in their hands; a single one is hardly ever held.
    fn is_enough(&self, plan: &Plan) -> bool {
        let few = u64::from(plan.kills) / 15;
        let taken_over = self.takeovers.iter().all(|&n| n > few);
        self.sent > u64::from(plan.kills) && taken_over && (self.again > 0 || plan.blocks == 1)
    }
}

/// Streams, killing one end or both at moments drawn from the seed; at the end everything is received and given back.
fn stream(plan: &Plan) -> Streamed {
    let (scratch, notes) = (Scratch::new("pool-storm"), Scratch::new("witness"));
    let pool = Pool::create(scratch.path(), plan.blocks, plan.block_size, &Options::new()).unwrap();
    let witness = Witness::create(notes.path());
    let produce = || Child::spawn(HELPER, &["pool-produce", scratch.name(), notes.name(), plan.waiting]);
    let consume =
        || Child::spawn(HELPER, &["pool-consume", scratch.name(), notes.name(), plan.consume, plan.waiting]);
    let inspector = pool.inspect().unwrap();
    let look = |left, violation| {
        let seen = inspector.snapshot();
        Streamed {
            sent: seen.sent,
            again: witness.get(word::AGAIN),
            takeovers: [seen.writer.epoch, seen.reader.epoch],
            left,
            violation,
        }
    };
    let enough = || look(0, None).is_enough(plan);
    let ends = storm(plan.seed, plan.kills, Aim::Evenly, produce, consume, enough);
    // First the writer, then, once all is received, the reader.
    let calm = ends.and_then(|[tx, rx]| {
        [(1, tx), (2, rx)].into_iter().try_for_each(|(stop, end)| {
            witness.set(word::STOP, stop);
            end_quietly(end)
        })
    });
    let writer = patiently(|| pool.writer()).unwrap();
    let mut loans = Vec::new();
    while let Ok(loan) = writer.try_loan() {
        loans.push(loan);
    }
    look(loans.len() as u64, calm.err())
}

fn hold(plan: &Plan) {
    let streamed = stream(plan);
    let Streamed { sent, again, takeovers, left, violation } = &streamed;
    let Plan { seed, blocks, .. } = *plan;
    eprintln!("seed {seed:#x}: {sent} blocks, takeovers {takeovers:?}, seen again {again}");
    assert_eq!(*violation, None, "seed {seed:#x}");
    assert_eq!(*left, blocks, "blocks leaked, seed {seed:#x}");
    assert!(streamed.is_enough(plan), "the kills must hit a stream, not a beginning: {streamed:?}");
    // At most what was held each time.
    assert!(*again <= OUT * takeovers[1], "{again} blocks came again");
}

#[test]
fn p4_kills_of_either_end_leak_no_block_and_tear_none() {
    for (seed, blocks, block_size, waiting) in [
        (41, 1, 100, "low-power"),
        (42, 2, 5000, "default"),
        (43, 4, 4096, "low-power"),
        (44, 20, 65536, "default"),
    ] {
        hold(&Plan { seed, kills: 40, blocks, block_size, consume: "honest", waiting });
    }
}

#[test]
fn p4_control_a_successor_that_reclaims_nothing_leaks() {
    let plan =
        Plan { seed: 45, kills: 60, blocks: 8, block_size: 4096, consume: "leaky", waiting: "low-power" };
    let streamed = stream(&plan);
    assert!(streamed.left < plan.blocks, "the check sees no leak");
}

fn small(label: &str, blocks: u64) -> (Scratch, Pool) {
    let scratch = Scratch::new(label);
    let pool = Pool::create(scratch.path(), blocks, 4096, &Options::new()).unwrap();
    (scratch, pool)
}

fn child(scratch: &Scratch, role: &str) -> Child {
    let child = Child::spawn(HELPER, &["pool-hold", scratch.name(), role]);
    child.expect("held");
    child
}

#[test]
fn p4_what_a_killed_reader_held_is_seen_again_in_order_and_nothing_else() {
    let (scratch, pool) = small("pool-again", 6);
    let mut writer = child(&scratch, "writer");
    writer.expect("0");
    let mut reader = child(&scratch, "reader");
    reader.expect("0");
    for i in 0..5 {
        writer.ask("send", &i.to_string());
    }
    reader.ask("take", "0");
    reader.ask("return", "returned");
    reader.ask("take", "1");
    reader.ask("take", "2");
    reader.ask("take", "3");
    reader.kill();
    // A second one sees two of them again, and dies as well.
    let mut reader = child(&scratch, "reader");
    reader.expect("3");
    reader.ask("take", "1 again");
    reader.ask("return", "returned");
    reader.ask("take", "2 again");
    reader.kill();
    let seen = pool.inspect().unwrap().snapshot();
    assert_eq!((seen.held, seen.under_way, seen.reader.state), (2, 1, shmq_pool::PeerState::Lost));
    // The control: one that gives back what it holds leaves nothing to be seen again.
    let mut reader = child(&scratch, "reader");
    reader.expect("2");
    reader.ask("take", "2 again");
    reader.ask("take", "3 again");
    reader.ask("take", "4");
    reader.ask("return", "returned");
    reader.kill();
    child(&scratch, "reader").expect("0");
}

#[test]
fn p4_what_a_killed_writer_had_on_loan_is_free_again() {
    let (scratch, pool) = small("pool-loans", 3);
    let mut writer = child(&scratch, "writer");
    writer.expect("0");
    writer.ask("send", "0");
    writer.ask("loan", "lent");
    writer.ask("loan", "lent");
    // While it lives nobody else can have them.
    assert!(matches!(pool.writer(), Err(AttachError::Busy { .. })));
    writer.kill();
    let tx = patiently(|| pool.writer()).unwrap();
    assert_eq!((tx.next_sequence(), tx.free()), (1, 2));
    let loans = [tx.try_loan().unwrap(), tx.try_loan().unwrap()];
    assert_eq!(tx.try_loan().unwrap_err(), TryLoanError::NoneFree);
    assert_ne!(loans[0].index(), loans[1].index());
    // The third comes back from whoever reads it.
    let rx = patiently(|| pool.reader()).unwrap();
    rx.try_read().unwrap().acknowledge();
    assert!(tx.try_loan().is_ok());
}

/// Looks at one end of it.
fn look(pool: &Pool, role: Role) -> impl Fn() -> EndSnapshot {
    let inspector = pool.inspect().unwrap();
    move || *inspector.snapshot().end(role)
}

#[test]
fn p3_a_blocked_reader_is_told_how_its_writer_went() {
    for (going, told) in [
        (Going::Killed, RecvError::WriterLost),
        (Going::Leaves, RecvError::WriterLeft),
        (Going::Finishes, RecvError::Finished),
        (Going::RemovedThenKilled, RecvError::Removed),
    ] {
        let (scratch, pool) = small("pool-rx", 4);
        let mut writer = child(&scratch, "writer");
        writer.expect("0");
        // What is there is received first.
        writer.ask("send", "0");
        let mut rx = patiently(|| pool.reader()).unwrap();
        rx.set_waiting(WAITING);
        let first = rx.read(Until::Forever).unwrap();
        assert_eq!(first.sequence(), 0);
        first.acknowledge();
        let recv = move || rx.read(Until::Forever).map(|block| block.sequence());
        let error = outcome(WAITING, look(&pool, Role::Consumer), recv, || going.go(writer, &scratch));
        assert_eq!(error, Err(told), "{going:?}");
    }
}

#[test]
fn p3_a_blocked_writer_is_told_how_its_reader_went() {
    for (going, told) in [
        (Going::Killed, LoanError::ReaderLost),
        (Going::Leaves, LoanError::ReaderLeft),
        (Going::RemovedThenKilled, LoanError::Removed),
    ] {
        let (scratch, pool) = small("pool-tx", 2);
        let reader = child(&scratch, "reader");
        reader.expect("0");
        let mut tx = patiently(|| pool.writer()).unwrap();
        tx.set_waiting(WAITING);
        for i in 0..2 {
            assert_eq!(tx.try_loan().unwrap().send(0), Ok(i));
        }
        let loan = move || tx.loan(Until::Forever).map(|loan| loan.index());
        let error = outcome(WAITING, look(&pool, Role::Producer), loan, || going.go(reader, &scratch));
        assert_eq!(error, Err(told), "{going:?}");
    }
}

#[test]
fn p4_a_successor_revives_waits_on_blocks_at_once() {
    for going in [Going::Killed, Going::Leaves] {
        let (scratch, pool) = small("pool-revived", 1);
        let mut rx = patiently(|| pool.reader()).unwrap();
        rx.set_waiting(WAITING.across_restarts(true));
        let writer = child(&scratch, "writer");
        writer.expect("0");
        let recv = move || rx.read(LIMIT).map(|block| block.sequence());
        let got = outcome(WAITING, look(&pool, Role::Consumer), recv, || {
            going.go(writer, &scratch);
            let mut successor = child(&scratch, "writer");
            successor.expect("0");
            successor.ask("send", "0");
        });
        assert_eq!(got, Ok(0), "{going:?}");

        let (scratch, pool) = small("pool-revived-tx", 1);
        let mut tx = patiently(|| pool.writer()).unwrap();
        tx.set_waiting(WAITING.across_restarts(true));
        let (mut loan, bytes) = (tx.try_loan().unwrap(), block_content(0, 4096));
        loan.write_at(0, &bytes).unwrap();
        loan.send(bytes.len()).unwrap();
        let mut reader = child(&scratch, "reader");
        reader.expect("0");
        // Held by the one that goes, and given back by its successor.
        reader.ask("take", "0");
        let loan = move || tx.loan(LIMIT).map(|loan| loan.index());
        let got = outcome(WAITING, look(&pool, Role::Producer), loan, || {
            if going == Going::Killed {
                going.go(reader, &scratch);
                let mut successor = child(&scratch, "reader");
                successor.expect("1");
                successor.ask("take", "0 again");
                successor.ask("return", "returned");
            } else {
                going.go(reader, &scratch);
            }
        });
        assert_eq!(got, Ok(0), "{going:?}");
    }
}

#[test]
fn p4_a_finished_pool_refuses_a_writer_and_can_still_be_drained() {
    let (scratch, pool) = small("pool-finished", 4);
    let mut writer = child(&scratch, "writer");
    writer.expect("0");
    writer.ask("send", "0");
    writer.ask("send", "1");
    writer.ask("finish", "finished 2");
    writer.kill();
    assert!(matches!(patiently(|| pool.writer()), Err(AttachError::Finished { .. })));
    for number in 0..2 {
        let rx = patiently(|| pool.reader()).unwrap();
        let block = rx.try_read().unwrap();
        assert_eq!(block.sequence(), number);
        block.acknowledge();
    }
    let rx = patiently(|| pool.reader()).unwrap();
    assert_eq!(rx.read(Until::Forever).unwrap_err(), RecvError::Finished);
}
