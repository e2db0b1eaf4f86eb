//! The one seam to shared bytes.
//!
//! The protocol is written once, against [`Memory`], and never touches an address: it names positions of the ring
//! and words of the two pages through a [`Window`], whose constructor proves that every such name lies inside the
//! memory. So the protocol itself needs no `unsafe`, and whatever a hostile peer writes can change values only.
//!
//! | implementation | what it is for |
//! |---|---|
//! | [`Map`] | the real thing: a mapped file, or private memory for two threads |
//! | `Recording` | logs every store; each prefix of the log is what a SIGKILL there leaves behind |
//! | `Hostile` | every load returns what a fuzzer chooses |
//! | `Faulty` | plants a bug: a weaker ordering, a dropped fence, a reordering; for null controls |
//! | loom's | in the tests package; its atomics cannot live in a map |

mod checked;
mod cold;
mod copy;
pub mod list;
mod maker;
mod map;
pub mod opaque;
mod process;
mod site;
#[cfg(feature = "testing")]
pub mod testing;
mod window;

pub use checked::{Contiguous, GroupCursor, Groups, Hint, Span, WordAddress};
pub use cold::cold_path;
pub use list::{Process, Purpose};
pub use maker::LinePolicy;
pub use map::Map;
pub use site::{Access, Order, SITES, Site, SiteDoc, at};
pub use window::Window;

use std::path::Path;

/// A range of bytes that two parties may touch at once.
///
/// Words are 8 bytes, little-endian, at multiples of 8, and are only ever accessed whole and atomically; payload
/// bytes are accessed by the three block calls, which tolerate a racing writer: the result may be any mix of old and
/// new bytes, never undefined behaviour.
///
/// # Safety
///
/// An implementation must keep `len()` constant and must do what the calls say for every argument that meets their
/// contract, whatever the other party does to the bytes meanwhile.
#[allow(clippy::len_without_is_empty, reason = "no memory here is empty")]
pub unsafe trait Memory {
    /// Bytes.
    fn len(&self) -> usize;

    /// Bytes that are there: fewer where a file is shorter than it says.
    fn extent(&self) -> u64 {
        self.len() as u64
    }

    /// Where its file is, if it has one with a name: for what is told to people.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// How its ends treat its lines.
    fn line_policy(&self) -> LinePolicy {
        LinePolicy::AMD
    }

    /// Loads the word at `at`.
    ///
    /// # Safety
    /// `at` is a multiple of 8 and `at + 8 <= len()`.
    unsafe fn load(&self, at: usize, site: Site) -> u64;

    /// Stores the word at `at`.
    ///
    /// # Safety
    /// As for `load`.
    unsafe fn store(&self, at: usize, value: u64, site: Site);

    /// A fence of the site's ordering.
    fn fence(&self, site: Site);

    /// Copies `from` to `at`, and zeroes the rest of the last word.
    ///
    /// # Safety
    /// `at` is a multiple of 8 and `at + from.len()`, rounded up to 8, is at most `len()`.
    unsafe fn copy_in(&self, at: usize, from: &[u8]);

    /// Copies from `at` to `into`.
    ///
    /// # Safety
    /// As for `copy_in`.
    unsafe fn copy_out(&self, at: usize, into: &mut [u8]);

    /// The address of a word that is used again and again. What lies so many bytes further on has an address so many bytes further
    /// on. A memory without addresses gives offsets.
    ///
    /// A clone of the memory has the same addresses, or at least what has the address of a word here is a word there.
    ///
    /// # Safety
    /// As for `load`.
    unsafe fn address_of(&self, at: usize) -> usize {
        at
    }

    /// Loads the word at an address.
    ///
    /// # Safety
    /// `address` is this memory's, or another's of the same bytes at the same addresses.
    #[inline(always)]
    unsafe fn load_address(&self, address: usize, site: Site) -> u64 {
        // SAFETY: the caller's: the address is where the word is.
        unsafe { self.load(address, site) }
    }

    /// Stores the word at an address.
    ///
    /// # Safety
    /// As for `load_address`.
    #[inline(always)]
    unsafe fn store_address(&self, address: usize, value: u64, site: Site) {
        // SAFETY: as above.
        unsafe { self.store(address, value, site) }
    }

    /// As `copy_in`, to an address.
    ///
    /// # Safety
    /// As for `load_address`, of all words that are written.
    #[inline(always)]
    unsafe fn copy_in_address(&self, address: usize, from: &[u8]) {
        // SAFETY: as above.
        unsafe { self.copy_in(address, from) }
    }

    /// As `copy_out`, from an address to bytes that need not be initialised, and are from then on.
    ///
    /// # Safety
    /// As for `copy_in_address`; `into` is valid for writes of `len` bytes that nobody else sees.
    #[inline(always)]
    unsafe fn copy_out_address(&self, address: usize, into: *mut u8, len: usize) {
        // SAFETY: as above; they are initialised before there is a reference to them.
        unsafe {
            into.write_bytes(0, len);
            self.copy_out(address, std::slice::from_raw_parts_mut(into, len));
        }
    }

    /// Says that the line at an address will be read soon. Changes nothing but when things arrive.
    #[inline(always)]
    fn expect_load(&self, address: usize) {
        let _ = address;
    }

    /// Says that the line at the place `at` will be written soon. As `expect_load`.
    #[inline(always)]
    fn expect_store(&self, at: usize) {
        let _ = at;
    }

    /// As `expect_store`, of what has this address.
    #[inline(always)]
    fn expect_store_address(&self, address: usize) {
        self.expect_store(address);
    }
}
