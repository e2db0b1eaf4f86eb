//! What can go wrong beyond making and opening a file, and what to do then.

use shmq_core::error::at;
use std::path::PathBuf;
use std::{fmt, io};

/// A place that a value or a block cannot have. Nothing was read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlaceError {
    /// It does not lie inside the region.
    OutOfBounds {
        /// Where it was to start, in bytes.
        offset: usize,
        /// How many bytes.
        len: usize,
        /// How many there are.
        available: usize,
    },
    /// It would not be aligned.
    Misaligned {
        /// Where it was to start.
        offset: usize,
        /// What that must be a multiple of.
        align: usize,
    },
    /// The region is an array of other elements.
    WrongElement {
        /// Bytes of the type asked for.
        expected: usize,
        /// Bytes of an element of the region.
        found: usize,
    },
}

impl PlaceError {
    /// Whether `len` bytes at `offset` lie inside `available`.
    pub(crate) fn check(offset: usize, len: usize, available: usize) -> Result<(), Self> {
        match offset.checked_add(len) {
            Some(end) if end <= available => Ok(()),
            _ => Err(Self::OutOfBounds { offset, len, available }),
        }
    }

    pub(crate) fn check_aligned(offset: usize, align: usize) -> Result<(), Self> {
        if offset % align == 0 { Ok(()) } else { Err(Self::Misaligned { offset, align }) }
    }
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { offset, len, available } => write!(
                f,
                "{len} bytes at offset {offset} do not lie inside the {available} there are; make the region longer or use less of it"
            ),
            Self::Misaligned { offset, align } => {
                write!(
                    f,
                    "offset {offset} is not a multiple of {align}; round it up to {}",
                    offset.next_multiple_of(*align)
                )
            }
            Self::WrongElement { expected, found } => {
                write!(
                    f,
                    "the region's elements have {found} bytes, not {expected}; use the type it was made for"
                )
            }
        }
    }
}

impl std::error::Error for PlaceError {}

/// Why a seqlock cell's value could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing was written yet.
    Empty,
    /// The writer was faster, at every try: it wrote several values while this one was copied.
    Overtaken,
    /// The cell holds values of another size.
    WrongSize {
        /// Bytes of the type asked for.
        expected: u64,
        /// Bytes of the values in the cell.
        found: u64,
    },
    /// The cell contradicts itself: something else was written over it.
    Corrupt,
    /// The file was truncated; see [`crate::Region::is_torn`].
    Truncated,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the cell was never written; try again when its writer has begun"),
            Self::Overtaken => f.write_str(
                "the writer overtook the reader at every try; try again, or let it write less often",
            ),
            Self::WrongSize { expected, found } => write_wrong_size(f, *expected, *found),
            Self::Corrupt => f.write_str(CORRUPT),
            Self::Truncated => f.write_str(TRUNCATED),
        }
    }
}

const TRUNCATED: &str = "the region's file was truncated and its contents are gone; remove and recreate it";
const CORRUPT: &str =
    "the cell contradicts itself, something else was written over it; zero its bytes and start anew";

fn write_wrong_size(f: &mut fmt::Formatter<'_>, expected: u64, found: u64) -> fmt::Result {
    write!(f, "the cell holds values of {found} bytes, not {expected}; use the type it was written with")
}

impl std::error::Error for ReadError {}

/// Why a seqlock cell's writing end could not be taken. The cell is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum WriterError {
    /// The cell does not fit there.
    Place(PlaceError),
    /// A living writer has it, or one of a cell that overlaps.
    Busy {
        /// Which file's, if it has a name.
        path: Option<PathBuf>,
        /// The process id that the last writer noted, 0 if none. For people; it may be of another PID namespace.
        pid: u64,
    },
    /// The cell holds values of another size.
    WrongSize {
        /// Which file's, if it has a name.
        path: Option<PathBuf>,
        /// Bytes of the type asked for.
        expected: u64,
        /// Bytes of the values in the cell.
        found: u64,
    },
    /// The cell contradicts itself: something else was written over it.
    Corrupt {
        /// Which file's, if it has a name.
        path: Option<PathBuf>,
    },
    /// The file was truncated.
    Truncated {
        /// Which file's, if it has a name.
        path: Option<PathBuf>,
    },
    /// Anything the system said.
    Io {
        /// What was being done, and to which file.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for WriterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => place.fmt(f),
            Self::Busy { path, pid } => write!(
                f,
                "{}a living process (pid {pid} in its namespace, if that is the last) writes this cell or one that overlaps; stop it first",
                at(path)
            ),
            Self::WrongSize { path, expected, found } => {
                f.write_str(&at(path))?;
                write_wrong_size(f, *expected, *found)
            }
            Self::Corrupt { path } => write!(f, "{}{CORRUPT}", at(path)),
            Self::Truncated { path } => write!(f, "{}{TRUNCATED}", at(path)),
            Self::Io { doing, source } => write!(f, "cannot {doing}: {source}"),
        }
    }
}

impl std::error::Error for WriterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Place(place) => Some(place),
            _ => None,
        }
    }
}

impl From<PlaceError> for WriterError {
    fn from(place: PlaceError) -> Self {
        Self::Place(place)
    }
}
