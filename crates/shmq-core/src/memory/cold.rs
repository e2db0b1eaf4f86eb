//! What the standard library has from 1.95 on as `std::hint::cold_path`.

/// Tells the compiler that the branch it stands in is rarely taken. Nothing is left of the call.
#[cold]
#[inline(always)]
pub const fn cold_path() {}
