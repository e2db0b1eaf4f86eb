//! How a region is to be, and what one that exists must be.

use shmq::{CreateError, OpenError};
use shmq_core::Geometry;

/// How a new region is to be. Of a region that exists, what is said of its length, elements and tag is checked, and
/// what is not said is taken as it is.
///
/// ```
/// use shmq_raw::{OpenError, Options, Region};
/// # let name = format!("shmq-doc-raw-options-{}", std::process::id());
/// let options = Options::new().elements::<f32>(48_000).tag("mono/1").mode(0o660);
/// let region = Region::create(&name, &options)?;
/// assert_eq!(region.len(), 192_000);
/// let other = Region::open(&name, &Options::new().element::<f64>());
/// assert!(matches!(other, Err(OpenError::Options { .. })));
/// # region.remove()?;
/// # Ok::<(), shmq_raw::Error>(())
/// ```
///
/// How the memory is made ready, when a region is made and when it is opened:
///
/// ```
/// use shmq_raw::{Options, Region};
/// let options = Options::new().bytes(1 << 20).prefault(true).lock(false).huge_pages(true);
/// let region = Region::anonymous(&options)?;
/// # Ok::<(), shmq_raw::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub(crate) common: shmq::Options,
    bytes: Option<u64>,
    /// Size and alignment.
    element: Option<(u64, u32)>,
}

impl Options {
    /// Nothing said.
    pub fn new() -> Self {
        Self::default()
    }

    /// Length in bytes, at least 1, at most 1 TiB.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// The region is an array of values of this type: their size and alignment are noted in the file.
    pub fn element<T>(mut self) -> Self {
        self.element = Some((size_of::<T>() as u64, align_of::<T>() as u32));
        self
    }

    /// Length as a number of values of one type; [`Options::element`] and [`Options::bytes`] in one.
    pub fn elements<T>(self, number: u64) -> Self {
        self.element::<T>().bytes(number.saturating_mul(size_of::<T>() as u64))
    }

    /// The user's own bytes in the file, at most 32: the name and version of what lies in it, say.
    ///
    /// # Panics
    /// If `tag` is longer than 32 bytes; it is a constant of the program, not outside input.
    pub fn tag(mut self, tag: impl AsRef<[u8]>) -> Self {
        self.common = self.common.tag(tag);
        self
    }

    /// Permission bits of the file, whatever the umask; an anonymous region has none. Default 0600. A reader
    /// needs read permission only.
    pub fn mode(mut self, bits: u32) -> Self {
        self.common = self.common.mode(bits);
        self
    }

    /// Touch all memory at once, so that no page fault comes later. Default true.
    pub fn prefault(mut self, yes: bool) -> Self {
        self.common = self.common.prefault(yes);
        self
    }

    /// Keep the memory from being paged out (mlock). Default false.
    pub fn lock(mut self, yes: bool) -> Self {
        self.common = self.common.lock(yes);
        self
    }

    /// Ask for huge pages, as [`shmq::Options::huge_pages`] does. Default false.
    pub fn huge_pages(mut self, yes: bool) -> Self {
        self.common = self.common.huge_pages(yes);
        self
    }

    /// The geometry of a new region.
    pub(crate) fn geometry(&self) -> Result<Geometry, CreateError> {
        let Some(bytes) = self.bytes else {
            return Err(CreateError::Options {
                why: "a new region needs a length; say `bytes` or `elements`".into(),
            });
        };
        let (element, align) = self.element.unwrap_or_default();
        Geometry::raw(bytes, element, align, &self.common)
    }

    /// Whether a region that exists is what was said.
    pub(crate) fn check(&self, geometry: &Geometry) -> Result<(), OpenError> {
        let wrong = |why: String| Err(OpenError::Options { path: None, why });
        let found = geometry.limits.capacity;
        if let Some(bytes) = self.bytes.filter(|&bytes| bytes != found) {
            return wrong(format!(
                "the region has {found} bytes, not {bytes}; open it with its own length, or with none"
            ));
        }
        let found = (geometry.limits.max_message, geometry.slot_align);
        if let Some(element) = self.element.filter(|&element| element != found) {
            return wrong(match found.0 {
                0 => "the region does not say what its elements are; open it without that".into(),
                _ => format!(
                    "the region's elements have {} bytes aligned to {}, not {} aligned to {}; use the type it was made for",
                    found.0, found.1, element.0, element.1
                ),
            });
        }
        Ok(())
    }
}
