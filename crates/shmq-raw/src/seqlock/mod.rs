//! A cell for the latest value: never torn, one writer, many readers.

pub mod protocol;

use crate::error::{PlaceError, ReadError, WriterError};
use crate::region::{Backing, Held, Region};
use bytemuck::{AnyBitPattern, NoUninit};
use protocol::{ALIGN, CellRx, CellTx, PID, Place, Refused, SLOTS, room};
use shmq_core::error::doing;
use shmq_core::{Map, Memory, role, segment};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::PoisonError;

/// Tries of one read. Each costs a copy of the value.
const TRIES: u32 = 64;

/// Bytes that a seqlock cell for values of type `T` takes in a region. It starts at a multiple of 128 and ends at one, so that
/// cells can follow each other.
///
/// ```
/// // The head and four values, each on lines of its own.
/// assert_eq!(shmq_raw::cell_bytes::<u64>(), 384);
/// assert_eq!(shmq_raw::cell_bytes::<[f64; 128]>(), 4224);
/// ```
pub const fn cell_bytes<T>() -> usize {
    room(size_of::<T>(), SLOTS)
}

/// The writing end of a seqlock cell. There is one at a time, in all processes together; the kernel frees it when its process
/// dies, and whoever comes next goes on. Writing never waits.
///
/// ```
/// use shmq_raw::{Options, Region, WriterError, cell_bytes};
/// let region = Region::anonymous(&Options::new().bytes(cell_bytes::<[f32; 3]>() as u64))?;
/// let mut writer = region.writer::<[f32; 3]>(0)?;
/// assert!(matches!(region.writer::<[f32; 3]>(0), Err(WriterError::Busy { .. })));
/// let reader = region.reader::<[f32; 3]>(0)?; // in another process, as a rule
/// writer.write(&[1.0, 2.0, 3.0]);
/// assert_eq!(writer.write(&[4.0, 5.0, 6.0]), 2);
/// assert_eq!(reader.read()?, [4.0, 5.0, 6.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A child of `fork` does not have it: a write there kills the child (SIGSEGV); dropping it is harmless. See
/// [fork](shmq#fork).
#[derive(Debug)]
pub struct Writer<T> {
    /// Unmapped first: with a file, its mapping is what holds the lock.
    cell: ManuallyDrop<CellTx<Map>>,
    private: Option<(Held, usize)>,
    of: PhantomData<fn(T)>,
}

impl<T: NoUninit> Writer<T> {
    /// Writes a value; its number, counting from 1 for the first that was ever written to the cell.
    ///
    /// Allocates nothing, makes no system call, waits for nobody; bounded by the size.
    #[inline]
    pub fn write(&mut self, value: &T) -> u64 {
        self.cell.write(bytemuck::bytes_of(value))
    }

    /// The number that the next value will have: after a predecessor, whose last value may be there or not, this tells
    /// where to go on.
    ///
    /// ```
    /// use shmq_raw::{Options, Region, cell_bytes};
    /// let region = Region::private(&Options::new().bytes(cell_bytes::<u64>() as u64))?;
    /// region.writer::<u64>(0)?.write(&7);
    /// assert_eq!(region.writer::<u64>(0)?.next_number(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_number(&self) -> u64 {
        self.cell.next()
    }

    /// Whether the file was truncated, so that nobody sees what is written; as the example of
    /// [`Region::is_torn`].
    pub fn is_torn(&self) -> bool {
        self.cell.memory().is_torn()
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        // SAFETY: not used again; `drop` runs once.
        unsafe { ManuallyDrop::drop(&mut self.cell) };
        if let Some((held, at)) = &self.private {
            held.lock().unwrap_or_else(PoisonError::into_inner).remove(at);
        }
    }
}

/// A reading end of a seqlock cell. Any number of them, which disturb neither the writer nor each other; a mapping for
/// reading is enough.
///
/// ```
/// use shmq_raw::{Options, ReadError, Region, cell_bytes};
/// let region = Region::private(&Options::new().bytes(cell_bytes::<u64>() as u64))?;
/// let reader = region.reader::<u64>(0)?;
/// assert_eq!(reader.read(), Err(ReadError::Empty));
/// region.writer::<u64>(0)?.write(&7);
/// let mut value = 0;
/// assert_eq!((reader.read_into(&mut value), value), (Ok(1), 7));
/// // Whether there is a newer one, without copying it:
/// assert_eq!(reader.latest(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reader<T> {
    cell: CellRx<Map>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Reader<T> {
    fn clone(&self) -> Self {
        Self { cell: self.cell.clone(), of: PhantomData }
    }
}

impl<T: AnyBitPattern + NoUninit> Reader<T> {
    /// The latest complete value.
    ///
    /// Allocates nothing, makes no system call, waits for nobody; bounded by 64 times the size.
    ///
    /// # Errors
    /// All of [`ReadError`].
    #[inline]
    pub fn read(&self) -> Result<T, ReadError> {
        let mut value = T::zeroed();
        self.read_into(&mut value)?;
        Ok(value)
    }

    /// The same into a value that is there; the number of what was read. After an error it may hold anything.
    ///
    /// # Errors
    /// All of [`ReadError`].
    #[inline]
    pub fn read_into(&self, value: &mut T) -> Result<u64, ReadError> {
        self.cell.read(bytemuck::bytes_of_mut(value), TRIES).map_err(|refused| match refused {
            _ if self.cell.memory().is_torn() => ReadError::Truncated,
            Refused::Empty => ReadError::Empty,
            Refused::Overtaken => ReadError::Overtaken,
            Refused::Corrupt => ReadError::Corrupt,
            Refused::WrongSize(found) => ReadError::WrongSize { expected: size_of::<T>() as u64, found },
        })
    }
}

impl<T> Reader<T> {
    /// The number of the latest value, 0 before the first.
    #[inline]
    pub fn latest(&self) -> u64 {
        self.cell.latest()
    }
}

impl<A> Region<A> {
    /// A reading end of the seqlock cell at an offset.
    ///
    /// # Errors
    /// [`PlaceError::OutOfBounds`] if the region has no room for [`cell_bytes`] there, [`PlaceError::Misaligned`] if the offset
    /// is no multiple of 128.
    pub fn reader<T>(&self, offset: usize) -> Result<Reader<T>, PlaceError> {
        let place = self.cell_place(offset, size_of::<T>())?;
        Ok(Reader { cell: CellRx::new(self.map.clone(), place), of: PhantomData })
    }

    fn cell_place(&self, offset: usize, size: usize) -> Result<Place, PlaceError> {
        let room = room(size, SLOTS);
        PlaceError::check(offset, room, self.len())?;
        PlaceError::check_aligned(offset, ALIGN)?;
        Place::new(self.map.len(), self.at + offset, size, SLOTS).ok_or(PlaceError::OutOfBounds {
            offset,
            len: room,
            available: self.len(),
        })
    }
}

impl Region {
    /// The writing end of the seqlock cell at an offset. A region can hold many cells; each has its own.
    ///
    /// # Errors
    /// [`WriterError::Busy`] while a living process has it, or has one of a cell that overlaps; [`WriterError::Place`] as
    /// [`Region::reader`]; [`WriterError::WrongSize`], [`WriterError::Corrupt`], [`WriterError::Io`].
    pub fn writer<T>(&self, offset: usize) -> Result<Writer<T>, WriterError> {
        let place = self.cell_place(offset, size_of::<T>())?;
        let (map, private) = self.hold(offset, cell_bytes::<T>())?;
        let path = || self.path().map(Path::to_path_buf);
        let attached = CellTx::attach(map, place);
        let cell = attached.map_err(|refused| {
            if let Some((held, at)) = &private {
                held.lock().unwrap_or_else(PoisonError::into_inner).remove(at);
            }
            match refused {
                _ if self.is_torn() => WriterError::Truncated { path: path() },
                Refused::WrongSize(found) => {
                    WriterError::WrongSize { path: path(), expected: size_of::<T>() as u64, found }
                }
                _ => WriterError::Corrupt { path: path() },
            }
        })?;
        cell.sign(std::process::id().into());
        if cell.memory().is_torn() {
            return Err(WriterError::Truncated { path: path() });
        }
        Ok(Writer { cell: ManuallyDrop::new(cell), private, of: PhantomData })
    }

    /// Takes the right to write some bytes as their only writer of cells.
    fn hold(&self, offset: usize, len: usize) -> Result<(Map, Option<(Held, usize)>), WriterError> {
        // SAFETY: the head of the cell was checked to lie inside; `PID` is a word of it.
        let pid = || unsafe { self.map.load(self.at + offset + PID, protocol::at::RESUME) };
        let path = || self.path().map(Path::to_path_buf);
        let file = match &self.backing {
            Backing::File(file) => file,
            Backing::Private(held) => {
                let mut cells = held.lock().unwrap_or_else(PoisonError::into_inner);
                if cells.range(..offset + len).next_back().is_some_and(|(&at, &len)| at + len > offset) {
                    return Err(WriterError::Busy { path: path(), pid: pid() });
                }
                cells.insert(offset, len);
                return Ok((self.map.clone(), Some((held.clone(), offset))));
            }
        };
        let failed = |what| move |source| WriterError::Io { doing: doing(what, file.path()), source };
        // A description of its own, which its mapping keeps: the lock lives exactly as long as the ability to write.
        let own = segment::reopen(&file.file, file.id, file.path(), true)
            .map_err(failed("open again the region at"))?;
        let map =
            segment::map(own.as_fd(), file.geometry.length, [0; 2]).map_err(failed("map the region at"))?;
        if !segment::is_whole(&own, file.geometry.length).map_err(failed("ask for the size of"))? {
            return Err(WriterError::Truncated { path: path() });
        }
        if !role::try_lock_range(own.as_fd(), self.at + offset, len).map_err(failed("lock a cell of"))? {
            return Err(WriterError::Busy { path: path(), pid: pid() });
        }
        let token = role::Token::lock(own.as_fd()).map_err(failed("lock a cell of"))?;
        drop(own);
        token.must_be_kept(file.file.as_fd()).map_err(|e| match e.kind() {
            std::io::ErrorKind::Unsupported => failed(role::KEEP_LOCK)(e),
            _ => failed("ask for the locks of")(e),
        })?;
        Ok((map, None))
    }
}
