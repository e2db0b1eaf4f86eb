//! The seqlock's protocol, against any [`Memory`]; it knows neither files nor locks.
//!
//! A cell has a head and some slots. Value number `n`, counting from 1, lies in slot `n % slots`. The writer stores *begun* =
//! `n`, fills the slot, and stores *latest* = `n`. A reader loads *latest*, copies that slot, and loads *begun*: value `n` was not
//! touched meanwhile if *begun* is less than `n + slots`, whose slot is the same. So a writer that stops in the middle, dead
//! or not, keeps nobody from reading the value before; and a reader must try again only when several values were begun
//! while it copied one.
//!
//! **What happens on a crash?** *begun* is one ahead of *latest*, and nobody looks at that slot until its value is published.
//! A successor writes that value again. There is nothing to repair.

use shmq_core::Memory;
use shmq_core::layout::{CACHE_LINE, FALSE_SHARING_LINE};
use shmq_core::sites;

/// Slots of a cell in a region. Two would do for a dead writer; four let a reader be three values slow.
pub const SLOTS: u64 = 4;
/// Bytes before the first slot.
pub const HEAD: usize = CACHE_LINE as usize;
/// A cell starts at a multiple of this.
pub const ALIGN: usize = FALSE_SHARING_LINE;

/// Number of the value being written, or of the last.
pub const BEGUN: usize = 0x00;
/// Number of the last value that is complete, 0 for none.
pub const LATEST: usize = 0x08;
/// Bytes of a value, and in the top 8 bits the number of slots; 0 before the first writer.
pub const SHAPE: usize = 0x10;
/// Process id of the last writer in its own PID namespace. For people.
pub const PID: usize = 0x18;

/// Largest value: what leaves room for the slots in the shape word and keeps sums from overflowing.
pub const MAX_SIZE: usize = 1 << 40;

// `docs/RAW.md` is compared with this.
sites! {
    #[cfg(feature = "testing")]
    BEGIN: Store Relaxed, "CHECK", "BEGIN_FENCE orders it";
    BEGIN_FENCE: Fence Release, "CHECK_FENCE", "torn value: new bytes are seen, but not that their value has begun";
    PUBLISH: Store Release, "LOOK", "torn value: its number is seen before its bytes";
    LOOK: Load Acquire, "PUBLISH", "torn value: bytes from before the number that was seen";
    CHECK_FENCE: Fence Acquire, "BEGIN_FENCE", "torn value: the check is done before the copy";
    CHECK: Load Relaxed, "BEGIN", "CHECK_FENCE orders it";
    SHAPE: Store Relaxed, "SHAPE_LOOK", "PUBLISH carries it";
    SHAPE_LOOK: Load Relaxed, "SHAPE", "carried by LOOK";
    RESUME: Load Relaxed, "-", "the writer's own words; its lock orders a predecessor's";
    OWNER: Store Relaxed, "-", "for people";
}

/// Why a cell cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nothing was written yet.
    Empty,
    /// Overtaken at every try.
    Overtaken,
    /// Values of so many bytes.
    WrongSize(u64),
    /// Its words contradict each other.
    Corrupt,
}

/// Where a cell lies.
///
/// Invariant P: made by `new` only, so the head and all slots lie inside the memory, at multiples of 8, and a slot has room
/// for a value rounded up to 8.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    at: usize,
    size: usize,
    slots: u64,
}

/// Bytes from one slot to the next.
const fn stride(size: usize) -> usize {
    size.next_multiple_of(CACHE_LINE as usize)
}

/// Bytes of a cell.
pub const fn room(size: usize, slots: u64) -> usize {
    (HEAD + stride(size) * slots as usize).next_multiple_of(ALIGN)
}

impl Place {
    /// `None` if the cell does not lie inside a memory of `len` bytes, or cannot be.
    pub fn new(len: usize, at: usize, size: usize, slots: u64) -> Option<Self> {
        let possible = at % 8 == 0 && size <= MAX_SIZE && (2..256).contains(&slots);
        let inside = possible && at.checked_add(room(size, slots))? <= len;
        inside.then_some(Self { at, size, slots })
    }

    fn slot(&self, number: u64) -> usize {
        self.at + HEAD + (number % self.slots) as usize * stride(self.size)
    }

    fn shape(&self) -> u64 {
        self.slots << 56 | self.size as u64
    }

    fn check_shape(&self, found: u64) -> Result<(), Refused> {
        match found {
            found if found == self.shape() => Ok(()),
            found if found >> 56 == self.slots => Err(Refused::WrongSize(found & (u64::MAX >> 8))),
            _ => Err(Refused::Corrupt),
        }
    }
}

/// The writing end.
#[derive(Debug)]
pub struct CellTx<M> {
    memory: M,
    place: Place,
    /// Number of the next value. The shared words are written, not read back.
    next: u64,
}

impl<M: Memory> CellTx<M> {
    /// Goes on where the last writer was.
    ///
    /// # Errors
    /// [`Refused::WrongSize`], [`Refused::Corrupt`].
    pub fn attach(memory: M, place: Place) -> Result<Self, Refused> {
        // SAFETY: invariant P.
        let load = |word| unsafe { memory.load(place.at + word, at::RESUME) };
        let (shape, latest, begun) = (load(SHAPE), load(LATEST), load(BEGUN));
        if latest == 0 {
            // Nobody has read anything yet, so what a predecessor noted does not bind.
            // SAFETY: invariant P.
            unsafe { memory.store(place.at + SHAPE, place.shape(), at::SHAPE) };
        } else {
            place.check_shape(shape)?;
        }
        if begun.wrapping_sub(latest) > 1 || latest == u64::MAX {
            return Err(Refused::Corrupt);
        }
        Ok(Self { memory, place, next: latest + 1 })
    }

    /// Where it lies.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Number of the next value.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Notes who writes.
    pub fn sign(&self, pid: u64) {
        // SAFETY: invariant P.
        unsafe { self.memory.store(self.place.at + PID, pid, at::OWNER) };
    }

    /// Writes a value of the cell's size; its number. Anything longer is cut, and what is shorter leaves the rest zero or
    /// as it was.
    pub fn write(&mut self, value: &[u8]) -> u64 {
        let number = self.next;
        let value = &value[..value.len().min(self.place.size)];
        // SAFETY: invariant P; the value is no longer than a slot.
        unsafe {
            self.memory.store(self.place.at + BEGUN, number, at::BEGIN);
            self.memory.fence(at::BEGIN_FENCE);
            self.memory.copy_in(self.place.slot(number), value);
            self.memory.store(self.place.at + LATEST, number, at::PUBLISH);
        }
        self.next = number.wrapping_add(1);
        number
    }
}

/// A reading end; any number of them.
#[derive(Clone, Debug)]
pub struct CellRx<M> {
    memory: M,
    place: Place,
}

impl<M: Memory> CellRx<M> {
    /// Needs nothing of the cell yet.
    pub fn new(memory: M, place: Place) -> Self {
        Self { memory, place }
    }

    /// Where it lies.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Number of the latest value, 0 for none.
    #[inline]
    pub fn latest(&self) -> u64 {
        // SAFETY: invariant P.
        unsafe { self.memory.load(self.place.at + LATEST, at::LOOK) }
    }

    /// Copies the latest value out, in at most so many tries; its number. After an error, `into` may hold anything.
    ///
    /// # Errors
    /// All of [`Refused`].
    #[inline]
    pub fn read(&self, into: &mut [u8], tries: u32) -> Result<u64, Refused> {
        let len = into.len().min(self.place.size);
        let into = &mut into[..len];
        for _ in 0..tries {
            let number = self.latest();
            if number == 0 {
                return Err(Refused::Empty);
            }
            // SAFETY: invariant P; `into` is no longer than a slot.
            let (shape, begun) = unsafe {
                let shape = self.memory.load(self.place.at + SHAPE, at::SHAPE_LOOK);
                self.memory.copy_out(self.place.slot(number), into);
                self.memory.fence(at::CHECK_FENCE);
                (shape, self.memory.load(self.place.at + BEGUN, at::CHECK))
            };
            self.place.check_shape(shape)?;
            let ahead = begun.wrapping_sub(number);
            if ahead < self.place.slots {
                return Ok(number);
            }
            if ahead > u64::MAX / 2 {
                return Err(Refused::Corrupt);
            }
            std::hint::spin_loop();
        }
        Err(Refused::Overtaken)
    }
}
