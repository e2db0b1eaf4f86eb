//! Shared bytes as they really are: mapped into this process.
#![allow(clippy::disallowed_types, reason = "the one place where raw atomics may be named")]

use super::list::{Listed, Purpose};
use super::{LinePolicy, Memory, Order, Site, copy};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::ptr::{NonNull, with_exposed_provenance, with_exposed_provenance_mut, without_provenance};
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence, fence};
use std::sync::{Arc, OnceLock};

/// A range of memory that stays mapped as long as any clone lives.
#[derive(Clone, Debug)]
pub struct Map {
    base: NonNull<u8>,
    len: usize,
    backing: Arc<Backing>,
}

#[derive(Debug)]
struct Backing {
    listed: Option<Listed>,
    map: ManuallyDrop<memmap2::MmapRaw>,
    /// Of the file: for people.
    path: Option<PathBuf>,
    file: Option<Arc<OwnedFd>>,
    /// Where there is no file: what whoever waits for many ends is woken by, for each of two neighbouring pages.
    events: [OnceLock<Arc<OwnedFd>>; 2],
}

impl Drop for Backing {
    /// A forked child has the value but not the mapping, unless it inherits that: what lies there is not its to unmap.
    fn drop(&mut self) {
        let here = self.listed.as_ref().is_none_or(Listed::is_here);
        // Before the mapping goes.
        self.listed = None;
        if here {
            // SAFETY: not used again; `drop` runs once.
            unsafe { ManuallyDrop::drop(&mut self.map) };
        }
    }
}

// SAFETY: the bytes are reached through atomics and race-tolerant block copies only, from any thread.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Takes over a mapping.
    pub fn new(backing: memmap2::MmapRaw) -> Self {
        let (base, len) = (backing.as_mut_ptr(), backing.len());
        let base = NonNull::new(base).expect("mmap never returns null");
        let map = ManuallyDrop::new(backing);
        let events = [OnceLock::new(), OnceLock::new()];
        Self { base, len, backing: Arc::new(Backing { listed: None, map, path: None, file: None, events }) }
    }

    /// The same, of a file: known to the handler of truncated files and to children of `fork`. To be said before it is cloned.
    ///
    /// # Errors
    /// If there is no memory for that.
    pub fn listed(mut self, purpose: Purpose) -> io::Result<Self> {
        if let Some(backing) = Arc::get_mut(&mut self.backing) {
            backing.listed = Some(Listed::new(self.base.as_ptr(), self.len, purpose)?);
        }
        Ok(self)
    }

    /// Whether the handler for truncated files had to replace it.
    #[inline]
    pub fn is_torn(&self) -> bool {
        self.backing.listed.as_ref().is_some_and(Listed::is_torn)
    }

    /// Whether it is mapped in this process: not if that is a child of the one that mapped it, and does not inherit it.
    pub fn is_here(&self) -> bool {
        self.backing.listed.as_ref().is_none_or(Listed::is_here)
    }

    /// The same, with the path of its file. To be said before it is cloned.
    pub fn named(mut self, path: Option<&Path>) -> Self {
        if let Some(backing) = Arc::get_mut(&mut self.backing) {
            backing.path = path.map(Path::to_path_buf);
        }
        self
    }

    /// The same, with a descriptor of its file to keep: through it, and so without a right to write, whoever listens to the
    /// file is woken. To be said before it is cloned.
    pub fn of_file(mut self, file: &Arc<OwnedFd>) -> Self {
        if let Some(backing) = Arc::get_mut(&mut self.backing) {
            backing.file = Some(file.clone());
        }
        self
    }

    /// First byte: page-aligned.
    #[inline(always)]
    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// What keeps it mapped.
    pub fn backing(&self) -> &memmap2::MmapRaw {
        &self.backing.map
    }

    /// The file, if there is one and it is known here.
    pub fn file(&self) -> Option<&Arc<OwnedFd>> {
        self.backing.file.as_ref()
    }

    /// In memory without a file: the descriptor by which whoever owns the bell at `at` wakes those that wait for many ends; none
    /// until one of them has put it there.
    pub fn event(&self, at: usize) -> &OnceLock<Arc<OwnedFd>> {
        &self.backing.events[at / crate::layout::PAGE % 2]
    }

    #[inline(always)]
    unsafe fn word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at % 8 == 0 && at + 8 <= self.len);
        // SAFETY: the caller's contract: aligned, inside. The bytes stay mapped while `self` lives, and are never
        // accessed non-atomically through a reference.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(at).cast()) }
    }
}

#[inline(always)]
fn load(word: &AtomicU64, site: Site) -> u64 {
    word.load(match site.order {
        Order::Relaxed => Ordering::Relaxed,
        _ => Ordering::Acquire,
    })
}

#[inline(always)]
fn store(word: &AtomicU64, value: u64, site: Site) {
    let order = match site.order {
        Order::Relaxed => Ordering::Relaxed,
        _ => Ordering::Release,
    };
    word.store(value, order);
}

/// The word at an address.
///
/// # Safety
/// `address` made it of an aligned address inside a mapping that is still there.
#[inline(always)]
unsafe fn exposed<'a>(address: usize) -> &'a AtomicU64 {
    // SAFETY: the caller's.
    unsafe { AtomicU64::from_ptr(with_exposed_provenance_mut(address)) }
}

// SAFETY: all accesses go to bytes of the mapping, atomically or by the race-tolerant copies of `copy`.
unsafe impl Memory for Map {
    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }

    fn path(&self) -> Option<&Path> {
        self.backing.path.as_deref()
    }

    fn line_policy(&self) -> LinePolicy {
        LinePolicy::here()
    }

    #[inline(always)]
    unsafe fn load(&self, at: usize, site: Site) -> u64 {
        // SAFETY: the caller's contract.
        load(unsafe { self.word(at) }, site)
    }

    #[inline(always)]
    unsafe fn store(&self, at: usize, value: u64, site: Site) {
        // SAFETY: the caller's contract.
        store(unsafe { self.word(at) }, value, site);
    }

    /// The address itself: for each access one load less.
    #[inline(always)]
    unsafe fn address_of(&self, at: usize) -> usize {
        // SAFETY: the caller's contract.
        unsafe { self.word(at) }.as_ptr().expose_provenance()
    }

    #[inline(always)]
    unsafe fn load_address(&self, address: usize, site: Site) -> u64 {
        // SAFETY: the caller's.
        load(unsafe { exposed(address) }, site)
    }

    #[inline(always)]
    unsafe fn store_address(&self, address: usize, value: u64, site: Site) {
        // SAFETY: the caller's.
        store(unsafe { exposed(address) }, value, site);
    }

    #[inline(always)]
    unsafe fn copy_in_address(&self, address: usize, from: &[u8]) {
        // SAFETY: the caller's: as many words, all in the mapping.
        unsafe { copy::copy_in(with_exposed_provenance_mut(address), from) }
    }

    #[inline(always)]
    unsafe fn copy_out_address(&self, address: usize, into: *mut u8, len: usize) {
        // SAFETY: as above; nothing is read where the bytes go.
        unsafe { copy::copy_out(with_exposed_provenance(address), into, len) }
    }

    #[inline(always)]
    fn fence(&self, site: Site) {
        match site.order {
            Order::Relaxed => {}
            Order::Compiler => compiler_fence(Ordering::SeqCst),
            Order::Acquire => fence(Ordering::Acquire),
            Order::Release => fence(Ordering::Release),
            Order::SeqCst => fence(Ordering::SeqCst),
        }
    }

    #[inline(always)]
    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        debug_assert!(at % 8 == 0 && at + from.len().next_multiple_of(8) <= self.len);
        // SAFETY: the caller's contract.
        unsafe { copy::copy_in(self.base.as_ptr().add(at), from) }
    }

    #[inline(always)]
    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        debug_assert!(at % 8 == 0 && at + into.len().next_multiple_of(8) <= self.len);
        // SAFETY: the caller's contract.
        unsafe { copy::copy_out(self.base.as_ptr().add(at), into.as_mut_ptr(), into.len()) }
    }

    #[inline(always)]
    fn expect_load(&self, address: usize) {
        copy::expect_load(without_provenance(address));
    }

    #[inline(always)]
    fn expect_store(&self, at: usize) {
        debug_assert!(at < self.len);
        copy::expect_store(self.base.as_ptr().wrapping_add(at));
    }

    #[inline(always)]
    fn expect_store_address(&self, address: usize) {
        copy::expect_store(without_provenance(address));
    }
}
