//! A file that claims to be a region, and a seqlock cell in which anything may stand.

use super::Bytes;
use shmq_core::layout::{CHECKSUM_AT, Header, PAGE, fnv1a};
use shmq_core::{Hostile, Words};
use shmq_raw::testing::{BEGUN, CellRx, CellTx, LATEST, Place, Refused, SHAPE, SLOTS, room};
use shmq_raw::{Options, Region, cell_bytes};
use std::io::Write;

/// How often what came of it: so that a test can tell that the inputs get far.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct RawSeen {
    pub regions: u64,
    pub written: u64,
    pub read: u64,
    pub empty: u64,
    pub corrupt: u64,
    pub overtaken: u64,
    pub wrong_size: u64,
}

impl std::ops::AddAssign for RawSeen {
    fn add_assign(&mut self, other: Self) {
        self.regions += other.regions;
        self.written += other.written;
        self.read += other.read;
        self.empty += other.empty;
        self.corrupt += other.corrupt;
        self.overtaken += other.overtaken;
        self.wrong_size += other.wrong_size;
    }
}

impl RawSeen {
    fn count<T>(&mut self, outcome: Result<T, Refused>, done: impl FnOnce(&mut Self) -> &mut u64) {
        *match outcome {
            Ok(_) => done(self),
            Err(Refused::Empty) => &mut self.empty,
            Err(Refused::Corrupt) => &mut self.corrupt,
            Err(Refused::Overtaken) => &mut self.overtaken,
            Err(Refused::WrongSize(_)) => &mut self.wrong_size,
        } += 1;
    }
}

/// A region's file, or a cell.
pub fn raw(data: &[u8]) {
    raw_seen(data);
}

/// The same; what came of it.
pub fn raw_seen(data: &[u8]) -> RawSeen {
    let mut bytes = Bytes::new(data);
    let mut seen = RawSeen::default();
    let how = bytes.byte();
    // Files are slow.
    if how & 7 == 0 || how & 7 == 4 {
        file(&mut bytes, how & 4 != 0, &mut seen);
    } else {
        cell(&mut bytes, &mut seen);
    }
    seen
}

const REGION: usize = 2048;

/// A healthy region with some words changed, opened and used.
fn file(bytes: &mut Bytes<'_>, named: bool, seen: &mut RawSeen) {
    let mut file = vec![0; PAGE + PAGE];
    let options = Options::new().elements::<u64>(REGION as u64 / 8);
    let healthy = Region::anonymous(&options).expect("a small region");
    let fd = healthy.fd().expect("it has one");
    assert_eq!(rustix::io::pread(fd, &mut file[..], 0), Ok(2 * PAGE));
    let how = bytes.byte();
    for _ in 0..bytes.below(6) {
        let header = bytes.below(2) == 0;
        let words = if header { size_of::<Header>() } else { REGION } as u64 / 8;
        let at = if header { 0 } else { PAGE } + 8 * bytes.below(words) as usize;
        let value = if bytes.below(2) == 0 { bytes.below(8192) } else { bytes.word() };
        file[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    if how & 1 != 0 {
        let sum = fnv1a(&file[..CHECKSUM_AT]);
        file[CHECKSUM_AT..CHECKSUM_AT + 8].copy_from_slice(&sum.to_le_bytes());
    }
    let region = if named {
        let named = tempfile::Builder::new().prefix("shmq-raw-").tempfile_in("/dev/shm");
        let mut named = named.expect("room in /dev/shm");
        named.write_all(&file).expect("room in /dev/shm");
        Region::open(named.path(), &Options::new())
    } else {
        let Some(fd) = super::image::sealed(&file) else { return };
        Region::from_fd(fd, &Options::new())
    };
    if let Ok(region) = region {
        seen.regions += 1;
        exercise(&region, bytes);
    }
}

/// Everything a region can be asked; a place is refused, or inside.
fn exercise(region: &Region, bytes: &mut Bytes<'_>) {
    let len = region.len();
    assert!((1..=PAGE).contains(&len), "a region of {len} bytes in a file of two pages");
    for _ in 0..16 {
        let (offset, some) = (bytes.below(5000) as usize, bytes.below(5000) as usize);
        let mut block = vec![0; some];
        let inside = offset + some <= len;
        assert_eq!(region.read_at(offset, &mut block).is_ok(), inside);
        assert_eq!(region.write_at(offset, &block).is_ok(), inside);
        let fits = offset + 8 <= len && offset.is_multiple_of(8);
        assert_eq!(region.cell::<u64>(offset).map(|cell| cell.store(cell.load())).is_ok(), fits);
        assert_eq!(region.slice::<u8>(offset, some).is_ok(), inside);
        let (cell, at) = (cell_bytes::<[u64; 2]>(), offset & !127);
        let reader = region.reader::<[u64; 2]>(at);
        assert_eq!(reader.is_ok(), at + cell <= len);
        let mut writer = region.writer::<[u64; 2]>(at);
        if let (Ok(reader), Ok(writer)) = (&reader, &mut writer) {
            let next = writer.next_number();
            assert_eq!(writer.write(&[next; 2]), next);
            let mut value = [0; 2];
            assert_eq!(reader.read_into(&mut value), Ok(next));
            assert_eq!(value, [next; 2]);
        }
    }
}

/// A cell with anything in it; then loads answered as the input says.
fn cell(bytes: &mut Bytes<'_>, seen: &mut RawSeen) {
    let size = bytes.below(64) as usize;
    let slots = if bytes.below(2) == 0 { 2 } else { SLOTS };
    let place = Place::new(room(size, slots), 0, size, slots).expect("it fits");
    let mut image = vec![0; room(size, slots) / 8];
    let near = bytes.below(4).wrapping_sub(u64::from(bytes.below(8) == 0));
    image[LATEST / 8] = near;
    image[BEGUN / 8] = near.wrapping_add(bytes.below(3));
    image[SHAPE / 8] = if bytes.below(8) == 0 { bytes.word() } else { slots << 56 | size as u64 };
    let script = (0..bytes.below(24)).map(|_| match bytes.below(4) {
        0 => bytes.word(),
        1 => slots << 56 | size as u64,
        2 => slots << 56 | bytes.below(64),
        _ => near.wrapping_add(bytes.below(2 * slots)),
    });
    let script: Vec<u64> = script.collect();
    let memory = Hostile::new(Words::from_image(&image), script);
    let words = size.div_ceil(8).max(1) as u64;
    let mut into = vec![0; size];
    let rx = CellRx::new(memory.clone(), place);
    for tries in [1, 4] {
        let before = memory.accesses();
        let outcome = rx.read(&mut into, tries);
        let work = memory.accesses() - before;
        assert!(work <= u64::from(tries) * (words + 3), "{work} accesses in {tries} tries");
        seen.count(outcome, |seen| &mut seen.read);
    }
    let before = memory.accesses();
    let written = CellTx::attach(memory.clone(), place).map(|mut tx| {
        let number = tx.next();
        assert_eq!(tx.write(&vec![0x5a; size + 5]), number);
    });
    assert!(memory.accesses() - before <= words + 6);
    seen.count(written, |seen| &mut seen.written);
}
