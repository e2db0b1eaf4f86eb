//! Bytes, cells and slices: never out of bounds, the same from every side; and the null control: torn.

use shmq_raw::{Options, PlaceError, Region};
use shmq_tests::process::{Dice, LIMIT, Scratch};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

#[test]
fn raw_no_access_is_out_of_bounds_and_neighbours_stay() {
    let region = Region::private(&Options::new().bytes(1001)).unwrap();
    assert_eq!(region.len(), 1001);
    let mut model = vec![0u8; 1001];
    let mut dice = Dice(1);
    for _ in 0..20_000 {
        let (offset, len) = (dice.below(1100) as usize, dice.below(1100) as usize);
        let (offset, len) = if dice.below(2) == 0 { (offset, len % 40) } else { (offset, len) };
        let inside = offset + len <= 1001;
        let mut bytes: Vec<u8> = (0..len).map(|_| dice.next() as u8).collect();
        if dice.below(2) == 0 {
            assert_eq!(region.write_at(offset, &bytes).is_ok(), inside, "{len} at {offset}");
            if inside {
                model[offset..offset + len].copy_from_slice(&bytes);
            }
        } else {
            let before = bytes.clone();
            match region.read_at(offset, &mut bytes) {
                Ok(()) => assert_eq!(bytes, model[offset..offset + len], "{len} at {offset}"),
                Err(PlaceError::OutOfBounds { available: 1001, .. }) => {
                    assert_eq!((inside, bytes), (false, before))
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(region.read_at(usize::MAX, &mut [0; 2]).is_err(), "no sum overflows");
    assert!(region.slice::<u64>(8, usize::MAX).is_err());
    assert!(region.cell::<[u64; 125]>(8).is_err());
    assert!(region.cell::<[u64; 125]>(0).is_ok());
}

#[test]
fn raw_cells_of_every_width_agree_with_the_bytes() {
    let region = Region::private(&Options::new().bytes(256)).unwrap();
    let bytes = |at: usize, n: usize| {
        let mut some = vec![0; n];
        region.read_at(at, &mut some).unwrap();
        some
    };
    region.write_at(0, &[0xee; 256]).unwrap();
    region.cell::<u8>(9).unwrap().store(0x11);
    region.cell::<u16>(10).unwrap().store(0x2233);
    region.cell::<u32>(12).unwrap().store(0x4455_6677);
    region.cell::<u64>(16).unwrap().store(0x8899_aabb_ccdd_eeff);
    region.cell::<[u32; 3]>(24).unwrap().store([1, 2, 3]);
    region.cell::<[u8; 200]>(36).unwrap().store([7; 200]);
    assert_eq!(bytes(8, 4), [0xee, 0x11, 0x33, 0x22]);
    assert_eq!(bytes(12, 12), [0x77, 0x66, 0x55, 0x44, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88]);
    assert_eq!(bytes(24, 12), [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!((bytes(36, 200), bytes(236, 20)), (vec![7; 200], vec![0xee; 20]));
    assert_eq!(region.cell::<u32>(12).unwrap().load(), 0x4455_6677);
    assert_eq!(region.cell::<[u32; 3]>(24).unwrap().load(), [1, 2, 3]);
    assert_eq!(region.cell::<u64>(12).unwrap_err(), PlaceError::Misaligned { offset: 12, align: 8 });
    let slice = region.slice::<u16>(10, 4).unwrap();
    assert_eq!((slice.load(0).unwrap(), slice.len()), (0x2233, 4));
    assert!(slice.load(4).is_err() && slice.store(4, 0).is_err() && slice.cell(usize::MAX).is_err());
    assert!(slice.read_at(2, &mut [0; 3]).is_err() && slice.write_at(3, &[0; 2]).is_err());
    slice.write_at(4, &[]).unwrap();
}

#[test]
fn raw_memory_is_common_and_stays_when_everybody_has_left() {
    let scratch = Scratch::new("raw-common");
    let options = Options::new().elements::<u32>(1000).tag("numbers/1");
    let a = Region::create(scratch.path(), &options).unwrap();
    let b = Region::open(scratch.path(), &options).unwrap();
    let c = Region::open_read_only(scratch.path(), &Options::new()).unwrap();
    a.as_slice::<u32>().unwrap().store(7, 70).unwrap();
    b.as_slice::<u32>().unwrap().store(8, 80).unwrap();
    let mut some = [0; 2];
    c.as_slice::<u32>().unwrap().read_at(7, &mut some).unwrap();
    assert_eq!(some, [70, 80]);
    a.sync().unwrap();
    a.sync_range(0, 4000).unwrap();
    assert!(a.sync_range(1, 4000).is_err());
    assert!(matches!(c.as_slice::<u64>(), Err(PlaceError::WrongElement { expected: 8, found: 4 })));
    drop((a, b, c));
    let again = Region::open_or_create(scratch.path(), &options).unwrap();
    assert_eq!(again.as_slice::<u32>().unwrap().load(8).unwrap(), 80);
    again.remove().unwrap();
    assert!(!scratch.path().exists());
}

#[test]
fn raw_null_control_a_block_that_is_being_written_is_read_torn() {
    let region = Region::anonymous(&Options::new().bytes(4096)).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0u8;
            while !stop.load(Ordering::Relaxed) {
                n = n.wrapping_add(1);
                region.write_at(0, &[n; 4096]).unwrap();
            }
        });
        let begin = Instant::now();
        let mut torn = false;
        while !torn && begin.elapsed() < LIMIT {
            let mut bytes = [0; 4096];
            region.read_at(0, &mut bytes).unwrap();
            torn = bytes.iter().any(|&byte| byte != bytes[0]);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(torn, "raw memory was never torn");
    });
}

#[test]
fn raw_a_word_is_never_torn() {
    let region = Region::anonymous(&Options::new().bytes(64)).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let cells = (region.cell::<[u8; 8]>(8).unwrap(), region.cell::<u16>(2).unwrap());
            let mut n = 0u8;
            while !stop.load(Ordering::Relaxed) {
                n = n.wrapping_add(1);
                cells.0.store([n; 8]);
                cells.1.store(u16::from(n) * 0x101);
            }
        });
        let cells = (region.cell::<u64>(8).unwrap(), region.cell::<[u8; 2]>(2).unwrap());
        for _ in 0..2_000_000 {
            let (word, half) = (cells.0.load().to_le_bytes(), cells.1.load());
            assert!(word == [word[0]; 8] && half[0] == half[1], "{word:?} {half:?}");
        }
        stop.store(true, Ordering::Relaxed);
    });
}
