//! Typed places in a region: one value, or many in a row.
//!
//! Invariant C: a place was checked against the region's length and the type's alignment when it was made, and the
//! region, which it borrows, stays mapped at that length.

use crate::error::PlaceError;
use crate::region::{ReadWrite, Region};
use bytemuck::{AnyBitPattern, NoUninit};
use shmq_core::opaque;
use std::fmt;
use std::marker::PhantomData;

/// One value in a region, loaded and stored whole but with no synchronization.
///
/// A value of 1, 2, 4 or 8 bytes at a multiple of its size is loaded and stored by one instruction, so it is stale at worst;
/// any other may be a mix of what several wrote. See [what raw memory does not promise](crate#what-raw-memory-does-not-promise).
///
/// ```
/// use shmq_raw::{Options, Region};
/// let region = Region::private(&Options::new().bytes(64))?;
/// let brightness = region.cell::<f32>(0)?;
/// brightness.store(0.5);
/// assert_eq!(brightness.load(), 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Whoever has the region for reading only cannot store:
///
/// ```compile_fail,E0599
/// # use shmq_raw::{Options, Region};
/// let region = Region::open_read_only("brightness", &Options::new())?;
/// region.cell::<f32>(0)?.store(0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Cell<'a, T, A = ReadWrite> {
    at: *mut u8,
    of: PhantomData<(&'a Region<A>, T)>,
}

// SAFETY: the bytes are reached by accesses that tolerate any race, from any thread.
unsafe impl<T, A> Send for Cell<'_, T, A> {}
// SAFETY: as above.
unsafe impl<T, A> Sync for Cell<'_, T, A> {}

impl<T, A> Clone for Cell<'_, T, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, A> Copy for Cell<'_, T, A> {}

impl<T, A> fmt::Debug for Cell<'_, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cell<{}>", std::any::type_name::<T>())
    }
}

impl<T: AnyBitPattern, A> Cell<'_, T, A> {
    /// Loads the value.
    #[inline(always)]
    pub fn load(&self) -> T {
        let mut value = T::zeroed();
        // SAFETY: invariant C; every pattern of bytes is a value of `T`.
        unsafe { opaque::copy((&raw mut value).cast(), self.at, size_of::<T>()) };
        value
    }
}

impl<T: NoUninit> Cell<'_, T> {
    /// Stores a value.
    #[inline(always)]
    pub fn store(&self, value: T) {
        // SAFETY: invariant C; all bytes of a `T` are initialized.
        unsafe { opaque::copy(self.at, (&raw const value).cast(), size_of::<T>()) };
    }
}

/// Values of one type in a row, in a region, with no synchronization: each as a [`Cell`], several at once as a block of
/// bytes, in no order that anybody promises.
///
/// ```
/// use shmq_raw::{Options, PlaceError, Region};
/// let region = Region::private(&Options::new().elements::<f32>(1000))?;
/// let samples = region.as_slice::<f32>()?;
/// samples.write_at(10, &[0.1, 0.2, 0.3])?;
/// samples.store(11, 0.5)?;
/// let mut some = [0.0; 3];
/// samples.read_at(10, &mut some)?;
/// assert_eq!((samples.len(), some, samples.load(11)?), (1000, [0.1, 0.5, 0.3], 0.5));
/// assert!(matches!(samples.load(1000), Err(PlaceError::OutOfBounds { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Slice<'a, T, A = ReadWrite> {
    at: *mut u8,
    len: usize,
    of: PhantomData<(&'a Region<A>, T)>,
}

// SAFETY: as for `Cell`.
unsafe impl<T, A> Send for Slice<'_, T, A> {}
// SAFETY: as for `Cell`.
unsafe impl<T, A> Sync for Slice<'_, T, A> {}

impl<T, A> Clone for Slice<'_, T, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, A> Copy for Slice<'_, T, A> {}

impl<T, A> fmt::Debug for Slice<'_, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slice<{}; {}>", std::any::type_name::<T>(), self.len)
    }
}

impl<'a, T, A> Slice<'a, T, A> {
    /// How many values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where `number` values from `index` on begin.
    #[inline(always)]
    fn place(&self, index: usize, number: usize) -> Result<*mut u8, PlaceError> {
        if index > self.len || number > self.len - index {
            return Err(self.outside(index, number));
        }
        // SAFETY: invariant C, and the values lie inside the slice.
        Ok(unsafe { self.at.add(index * size_of::<T>()) })
    }

    #[cold]
    fn outside(&self, index: usize, number: usize) -> PlaceError {
        let bytes = |values: usize| values.saturating_mul(size_of::<T>());
        PlaceError::OutOfBounds { offset: bytes(index), len: bytes(number), available: bytes(self.len) }
    }

    /// One of the values as a cell; as the example of [`Slice`] with [`Slice::load`].
    ///
    /// # Errors
    /// [`PlaceError::OutOfBounds`] behind the last.
    #[inline(always)]
    pub fn cell(&self, index: usize) -> Result<Cell<'a, T, A>, PlaceError> {
        Ok(Cell { at: self.place(index, 1)?, of: PhantomData })
    }
}

impl<T: AnyBitPattern, A> Slice<'_, T, A> {
    /// Loads one value.
    ///
    /// # Errors
    /// [`PlaceError::OutOfBounds`] behind the last.
    #[inline(always)]
    pub fn load(&self, index: usize) -> Result<T, PlaceError> {
        Ok(self.cell(index)?.load())
    }

    /// Copies values out, from `index` on.
    ///
    /// # Errors
    /// [`PlaceError::OutOfBounds`] if they do not all lie inside; nothing is copied then.
    #[inline(always)]
    pub fn read_at(&self, index: usize, into: &mut [T]) -> Result<(), PlaceError> {
        let at = self.place(index, into.len())?;
        // SAFETY: invariant C and `place`; every pattern of bytes is a value of `T`.
        unsafe { opaque::copy(into.as_mut_ptr().cast(), at, size_of_val(into)) };
        Ok(())
    }
}

impl<T: NoUninit> Slice<'_, T> {
    /// Stores one value.
    ///
    /// # Errors
    /// [`PlaceError::OutOfBounds`] behind the last.
    #[inline(always)]
    pub fn store(&self, index: usize, value: T) -> Result<(), PlaceError> {
        self.cell(index)?.store(value);
        Ok(())
    }

    /// Copies values in, from `index` on.
    ///
    /// # Errors
    /// [`PlaceError::OutOfBounds`] if they do not all lie inside; nothing is copied then.
    #[inline(always)]
    pub fn write_at(&self, index: usize, from: &[T]) -> Result<(), PlaceError> {
        let at = self.place(index, from.len())?;
        // SAFETY: invariant C and `place`; all bytes of a `T` are initialized.
        unsafe { opaque::copy(at, from.as_ptr().cast(), size_of_val(from)) };
        Ok(())
    }
}

impl<A> Region<A> {
    /// The value at an offset in bytes.
    ///
    /// # Errors
    /// [`PlaceError::OutOfBounds`] if it does not lie inside, [`PlaceError::Misaligned`] if the offset is no multiple of
    /// its alignment.
    pub fn cell<T>(&self, offset: usize) -> Result<Cell<'_, T, A>, PlaceError> {
        Ok(Cell { at: self.place::<T>(offset, 1)?, of: PhantomData })
    }

    /// So many values from an offset in bytes on.
    ///
    /// # Errors
    /// As [`Region::cell`].
    pub fn slice<T>(&self, offset: usize, len: usize) -> Result<Slice<'_, T, A>, PlaceError> {
        Ok(Slice { at: self.place::<T>(offset, len)?, len, of: PhantomData })
    }

    /// The whole region as values of one type, as many as fit.
    ///
    /// # Errors
    /// [`PlaceError::WrongElement`] if the region was made for elements of another size.
    pub fn as_slice<T>(&self) -> Result<Slice<'_, T, A>, PlaceError> {
        let (expected, found) = (size_of::<T>(), self.element_size());
        if expected == 0 || found != 0 && found != expected {
            return Err(PlaceError::WrongElement { expected, found });
        }
        self.slice(0, self.len() / expected)
    }

    fn place<T>(&self, offset: usize, number: usize) -> Result<*mut u8, PlaceError> {
        PlaceError::check(offset, number.saturating_mul(size_of::<T>()), self.len())?;
        PlaceError::check_aligned(offset, align_of::<T>())?;
        // SAFETY: the offset lies inside the region, as just checked.
        Ok(unsafe { self.base().add(offset) })
    }
}
