//! Real processes: a writer of a seqlock cell is killed at random moments; raw memory beside it is the control.

use shmq_raw::{Options, ReadError, Reader, Region, Writer, WriterError, cell_bytes};
use shmq_tests::process::{Child, Dice, LIMIT, REGION_BLOCK, Scratch};
use std::time::{Duration, Instant};

type Value = [u64; 1024];

fn region(scratch: &Scratch) -> Region {
    let bytes = cell_bytes::<Value>() + REGION_BLOCK;
    Region::create(scratch.path(), &Options::new().bytes(bytes as u64)).unwrap()
}

/// The latest value, which must be whole and no older than before; its number.
fn read(reader: &Reader<Value>, last: u64) -> u64 {
    let mut value = [0; 1024];
    let begin = Instant::now();
    loop {
        match reader.read_into(&mut value) {
            Ok(number) => {
                assert!(value.iter().all(|&word| word == number), "value {number} is torn");
                assert!(number >= last, "value {number} came after {last}");
                return number;
            }
            Err(ReadError::Empty | ReadError::Overtaken) => {
                assert!(begin.elapsed() < LIMIT, "there was nothing to read");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// Takes the writing end. A child that another test starts meanwhile may have a copy of the description for a moment.
fn take(region: &Region) -> Writer<Value> {
    let begin = Instant::now();
    loop {
        match region.writer(0) {
            Err(WriterError::Busy { .. }) if begin.elapsed() < LIMIT => std::thread::yield_now(),
            done => return done.unwrap(),
        }
    }
}

#[test]
fn seqlock_kills_tear_no_value_and_raw_blocks_are_the_control() {
    let scratch = Scratch::new("raw-kill");
    let region = region(&scratch);
    // A reader needs nothing but a mapping for reading.
    let reader = Region::open_read_only(scratch.path(), &Options::new()).unwrap().reader::<Value>(0).unwrap();
    let mut dice = Dice(0x6b11);
    let (mut last, mut torn) = (0, 0);
    for _ in 0..20 {
        let child = Child::spawn(env!("CARGO_BIN_EXE_shmq-test-child"), &["region-write", scratch.name()]);
        child.expect("writing");
        let end = Instant::now() + Duration::from_micros(dice.below(30_000));
        let refused = region.writer::<Value>(0);
        assert!(
            matches!(refused, Err(WriterError::Busy { pid, .. }) if pid == u64::from(child.id())),
            "{refused:?}"
        );
        // One that overlaps is no other cell.
        assert!(matches!(region.writer::<u64>(128), Err(WriterError::Busy { .. })));
        while Instant::now() < end || last == 0 {
            last = read(&reader, last);
        }
        assert_eq!(child.kill(), [""; 0]);
        last = read(&reader, last);
        assert_eq!(read(&reader, last), last, "a dead writer writes no more");
        let mut block = vec![0; REGION_BLOCK];
        region.read_at(cell_bytes::<Value>(), &mut block).unwrap();
        torn += u32::from(block.iter().any(|&byte| byte != block[0]));
        // A successor goes on; the next child after it.
        let mut writer = take(&region);
        assert_eq!(writer.next_number(), last + 1);
        last = writer.write(&[last + 1; 1024]);
        assert_eq!(read(&reader, last), last);
    }
    println!("{last} values, {torn} of 20 raw blocks torn");
    assert!(torn > 0, "the control: no raw block was torn");
}

#[test]
fn seqlock_cells_of_one_region_have_writers_of_their_own() {
    let scratch = Scratch::new("raw-cells");
    let step = cell_bytes::<u32>();
    let named = Region::create(scratch.path(), &Options::new().bytes(4 * step as u64)).unwrap();
    let private = Region::private(&Options::new().bytes(4 * step as u64)).unwrap();
    let anonymous = Region::anonymous(&Options::new().bytes(4 * step as u64)).unwrap();
    for region in [named, private, anonymous] {
        let mut writers: Vec<Writer<u32>> = (0..4).map(|i| region.writer(i * step).unwrap()).collect();
        for (i, writer) in writers.iter_mut().enumerate() {
            writer.write(&(i as u32));
            assert!(matches!(region.writer::<u32>(i * step), Err(WriterError::Busy { .. })));
        }
        (0..4).for_each(|i| assert_eq!(region.reader::<u32>(i * step).unwrap().read(), Ok(i as u32)));
        assert!(matches!(region.writer::<u32>(4 * step), Err(WriterError::Place(_))));
        assert!(matches!(region.writer::<u32>(64), Err(WriterError::Place(_))));
        writers.remove(1);
        let begin = Instant::now();
        // Another size: refused, and the place is free again.
        while let Err(refused) = region.writer::<u64>(step) {
            match refused {
                WriterError::WrongSize { expected: 8, found: 4, .. } => break,
                WriterError::Busy { .. } => assert!(begin.elapsed() < LIMIT, "still busy"),
                other => panic!("{other}"),
            }
        }
        while let Err(refused) = region.writer::<u32>(step) {
            assert!(matches!(refused, WriterError::Busy { .. }) && begin.elapsed() < LIMIT, "{refused}");
        }
    }
}

/// Seqlock values stay whole while they are overtaken all the time; whether a read succeeds is the writer's speed.
#[test]
fn seqlock_values_are_whole_while_the_writer_runs() {
    let region = Region::private(&Options::new().bytes(cell_bytes::<Value>() as u64)).unwrap();
    let reader = region.reader::<Value>(0).unwrap();
    let stop = region.reader::<Value>(0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = region.writer::<Value>(0).unwrap();
            let begin = Instant::now();
            while stop.latest() < 200_000 && begin.elapsed() < LIMIT {
                let number = writer.next_number();
                writer.write(&[number; 1024]);
            }
        });
        let mut last = 0;
        let begin = Instant::now();
        while last < 200_000 && begin.elapsed() < LIMIT {
            last = read(&reader, last);
        }
    });
}
