//! The seqlock's crash states: after every prefix of a write's stores, readers get the value before or the new one, whole,
//! and a successor goes on.

use shmq_core::{Fault, Faulty, Memory, Recording, Words};
use shmq_raw::testing::{CellRx, CellTx, Place, Refused, SLOTS, room};

/// Some words and a rest.
const SIZE: usize = 8 * 5 + 3;
const AT: usize = 128;

fn place(slots: u64) -> Place {
    Place::new(AT + room(SIZE, slots), AT, SIZE, slots).expect("it lies inside")
}

fn memory(slots: u64) -> Words {
    Words::new(AT + room(SIZE, slots))
}

fn value(n: u64) -> [u8; SIZE] {
    std::array::from_fn(|i| (n as u8).wrapping_mul(31).wrapping_add(i as u8))
}

/// What a reader gets: number and bytes.
fn read<M: Memory>(memory: M, slots: u64) -> Result<(u64, [u8; SIZE]), Refused> {
    let mut bytes = [0xee; SIZE];
    CellRx::new(memory, place(slots)).read(&mut bytes, 3).map(|number| (number, bytes))
}

#[test]
fn seqlock_a_writer_killed_anywhere_leaves_the_last_value_readable() {
    for slots in [2, 3, SLOTS] {
        let mut states = 0;
        for before in 0..2 * slots {
            let recording = Recording::new(memory(slots));
            let mut tx = CellTx::attach(recording.clone(), place(slots)).unwrap();
            (1..=before).for_each(|n| assert_eq!(tx.write(&value(n)), n));
            let image = recording.words().image();
            recording.take_log();
            tx.write(&value(before + 1));
            let log = recording.take_log();
            for n in 0..=log.len() {
                let state = Recording::prefix(&image, &log, n);
                let words = Words::from_image(&state);
                match read(words.clone(), slots) {
                    Err(Refused::Empty) => assert!(before == 0 && n < log.len()),
                    Ok((number, bytes)) => {
                        assert_eq!(number, if n == log.len() { before + 1 } else { before });
                        assert_eq!(bytes, value(number), "state {n} of {}", log.len());
                    }
                    Err(refused) => panic!("{refused:?}"),
                }
                // A successor, and one that dies again at once.
                let mut tx = CellTx::attach(words.clone(), place(slots)).unwrap();
                let next = tx.write(&value(99));
                assert_eq!(next, if n == log.len() { before + 2 } else { before + 1 });
                assert_eq!(read(words, slots), Ok((next, value(99))));
                states += 1;
            }
        }
        assert!(states > 20);
    }
}

/// The control: a cell of one slot, as a seqlock with a single buffer would be, is torn after a kill.
#[test]
fn seqlock_null_control_raw_bytes_are_torn_after_a_kill() {
    let recording = Recording::new(Words::new(64));
    // SAFETY: inside.
    unsafe { recording.copy_in(0, &value(1)) };
    let image = recording.words().image();
    recording.take_log();
    // SAFETY: inside.
    unsafe { recording.copy_in(0, &value(2)) };
    let log = recording.take_log();
    let torn = (0..=log.len()).filter(|&n| {
        let words = Words::from_image(&Recording::prefix(&image, &log, n));
        let mut bytes = [0; SIZE];
        // SAFETY: inside.
        unsafe { words.copy_out(0, &mut bytes) };
        bytes != value(1) && bytes != value(2)
    });
    assert_eq!(torn.count(), log.len() - 1);
}

/// A writer with a bug is noticed, not believed.
#[test]
fn seqlock_null_control_a_writer_that_leaves_out_a_store_is_noticed() {
    let written = |fault: Fault| {
        let words = memory(2);
        let mut tx = CellTx::attach(Faulty::new(words.clone(), fault), place(2)).unwrap();
        (1..=4).for_each(|n| assert_eq!(tx.write(&value(n)), n));
        read(words, 2)
    };
    assert_eq!(written(Fault::None), Ok((4, value(4))));
    assert_eq!(written(Fault::Drop("BEGIN")), Err(Refused::Corrupt));
    assert_eq!(written(Fault::Drop("PUBLISH")), Err(Refused::Empty));
    assert_eq!(written(Fault::Drop("SHAPE")), Err(Refused::Corrupt));
}

#[test]
fn seqlock_another_size_is_refused_on_both_ends() {
    let words = Words::new(4096);
    let place = |size| Place::new(4096, 0, size, SLOTS).unwrap();
    // A writer that never wrote binds nobody.
    CellTx::attach(words.clone(), place(100)).unwrap();
    CellTx::attach(words.clone(), place(24)).unwrap().write(&[1; 24]);
    assert_eq!(CellTx::attach(words.clone(), place(16)).unwrap_err(), Refused::WrongSize(24));
    let mut bytes = [0; 16];
    assert_eq!(CellRx::new(words.clone(), place(16)).read(&mut bytes, 1), Err(Refused::WrongSize(24)));
    let other = Place::new(4096, 0, 24, 2).unwrap();
    assert_eq!(CellTx::attach(words, other).unwrap_err(), Refused::Corrupt);
    // Places that cannot be.
    for (len, at, size, slots) in [
        (383, 0, 8, 4),
        (384, 8, 8, 4),
        (384, 4, 8, 2),
        (1 << 20, usize::MAX & !7, 8, 4),
        (4096, 0, usize::MAX, 4),
        (4096, 0, 8, 1),
    ] {
        assert!(Place::new(len, at, size, slots).is_none(), "{len} {at} {size} {slots}");
    }
}
