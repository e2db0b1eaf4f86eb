//! The limits of a queue: from the user's options to the geometry page, and back from a page that proves nothing.

use crate::error::{CreateError, OpenError};
use crate::layout::{
    CHECKSUM_AT, Header, Kind, MAGIC, MAX_CAPACITY, MAX_MESSAGE, MIN_CAPACITY, PAGE, Parts, TAG, VERSION,
    WORD,
};
use crate::ring::word;
use crate::slot_layout::{SlotLayout, best_group};
use bytemuck::Zeroable;
use std::mem::size_of;
use std::path::Path;

/// The three limits of a queue, fixed at creation.
///
/// Any message within them can eventually be sent; one over them is refused at once and for good.
///
/// ```
/// let limits = shmq::Options::new().max_message(1000).limits()?;
/// assert_eq!((limits.max_message, limits.max_messages, limits.capacity), (1000, None, 1 << 20));
/// // What would fill the ring: a record for 1000 bytes is 1008 long, and 8 bytes stay free.
/// assert_eq!((limits.capacity - 8) / 1008, 1040);
/// # Ok::<(), shmq::CreateError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest message in bytes.
    pub max_message: u64,
    /// Most pending messages; `None`: as many as the ring holds.
    pub max_messages: Option<u64>,
    /// Ring size in bytes. A message takes its length rounded up to 8, and 8 more.
    pub capacity: u64,
}

/// How a new queue is to be.
///
/// The defaults suit most: a 1 MiB ring, messages up to 64 KiB, as many as fit, only for the owner, memory
/// touched at creation.
///
/// ```
/// let options = shmq::Options::new().max_message(1500).max_messages(10_000);
/// assert_eq!(options.limits()?.capacity, 1 << 20);
/// // Impossible combinations say what would be possible.
/// let error = shmq::Options::new().capacity(4096).max_message(4096).limits().unwrap_err();
/// assert!(error.to_string().contains("2032"));
/// # Ok::<(), shmq::CreateError>(())
/// ```
///
/// The options are plain values: setting them allocates nothing, makes no system call and cannot fail, but for a tag
/// that is too long. The memory, when a queue is made or a role taken:
///
/// ```
/// # let name = format!("shmq-doc-options-{}", std::process::id());
/// let options = shmq::Options::new().capacity(1 << 16).mode(0o660).prefault(true).lock(false).huge_pages(false);
/// let queue = shmq::Queue::create(&name, &options)?;
/// # queue.remove()?;
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// # Which NUMA node
///
/// The caller decides, and the kernel's rule is first touch: memory belongs to the node that the thread's policy
/// says when it is first touched. A file's memory is allocated when it is made, all of it, by the thread that makes
/// it. So make the queue on the node that should own it, for a start the consumer's: under `numactl --membind=NODE`,
/// or after a call of `set_mempolicy` or a pinning of the thread. [`Options::prefault`] then touches it there.
/// Whoever opens it later, from any node, moves nothing.
#[derive(Clone, Debug)]
pub struct Options {
    capacity: Option<u64>,
    max_message: Option<u64>,
    max_messages: Option<u64>,
    pub(crate) tag: [u8; TAG],
    pub(crate) mode: u32,
    pub(crate) prefault: bool,
    pub(crate) lock: bool,
    pub(crate) huge_pages: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            capacity: None,
            max_message: None,
            max_messages: None,
            tag: [0; TAG],
            mode: 0o600,
            prefault: true,
            lock: false,
            huge_pages: false,
        }
    }

    /// Ring size in bytes: a power of two from 4 KiB to 1 TiB. Default: 1 MiB, or the smallest that
    /// suits `max_message`.
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = Some(bytes);
        self
    }

    /// Largest message in bytes: at most half the capacity less 16, and never over 4 294 967 280. Default: 64
    /// KiB, or what the capacity allows.
    pub fn max_message(mut self, bytes: u64) -> Self {
        self.max_message = Some(bytes);
        self
    }

    /// Most pending messages, at least 1. Default: as many as the ring holds. Exact: a message that was received
    /// has given its place back.
    pub fn max_messages(mut self, messages: u64) -> Self {
        self.max_messages = Some(messages);
        self
    }

    /// The user's own bytes in the file, at most 32: the name and version of the schema of the messages,
    /// say. Checked when a queue is opened with options that have one.
    ///
    /// # Panics
    /// If `tag` is longer than 32 bytes; it is a constant of the program, not outside input.
    pub fn tag(mut self, tag: impl AsRef<[u8]>) -> Self {
        let tag = tag.as_ref();
        assert!(tag.len() <= TAG, "a tag has at most {TAG} bytes, this one has {}", tag.len());
        self.tag = [0; TAG];
        self.tag[..tag.len()].copy_from_slice(tag);
        self
    }

    /// The tag, padded with zeros.
    pub fn tag_bytes(&self) -> [u8; TAG] {
        self.tag
    }

    /// Permission bits of the file, whatever the umask; an anonymous queue has none. Default 0600. Both ends
    /// must be able to write the file; whoever may write it can also spoil it, and whoever may only read it can
    /// keep others from taking a role.
    pub fn mode(mut self, bits: u32) -> Self {
        self.mode = bits & 0o777;
        self
    }

    /// Touch all memory when creating and when taking a role, so that no page fault comes later. Default true.
    /// (At creation the file's blocks are always allocated, so that a full file system is an error there and
    /// not a SIGBUS later.) Needs Linux 5.14; before, pages fault in one by one.
    ///
    /// Of a file that has not all of its memory yet, as somebody else can make it, nothing is touched, and locked is only what comes to be there:
    /// taking an end costs no more memory than the file has. The limits of a queue are known before an end is taken.
    pub fn prefault(mut self, yes: bool) -> Self {
        self.prefault = yes;
        self
    }

    /// Keep the memory from being paged out (mlock), in each process that attaches through this value. Default
    /// false. Needs a limit (RLIMIT_MEMLOCK) of the file's size.
    pub fn lock(mut self, yes: bool) -> Self {
        self.lock = yes;
        self
    }

    /// Ask for huge pages where the file system has them: a file on hugetlbfs, or tmpfs with transparent huge pages on
    /// *advise*; an anonymous queue, where there are any to spare. Elsewhere it changes nothing; what an anonymous queue
    /// got, its `page_size` says. Default false.
    ///
    /// Huge pages cannot be sealed: whoever has the descriptor can punch a hole, and then have the pages himself, so that the next access
    /// of the other end is SIGBUS. Ask for them only among processes that trust each other that far. A descriptor of
    /// such memory is refused by those who did not ask for it.
    pub fn huge_pages(mut self, yes: bool) -> Self {
        self.huge_pages = yes;
        self
    }

    /// The limits these options lead to. Allocates for the text of an error only.
    ///
    /// # Errors
    /// [`CreateError::Options`] if they contradict each other.
    pub fn limits(&self) -> Result<Limits, CreateError> {
        let wrong = |why: String| Err(CreateError::Options { why });
        if let Some(max) = self.max_message.filter(|&max| max > word::largest_message(MAX_CAPACITY)) {
            return wrong(format!("a message can have at most {MAX_MESSAGE} bytes, not {max}"));
        }
        let capacity = self.capacity.unwrap_or_else(|| {
            let needed = self.max_message.map_or(0, |max| (2 * (max + 16)).next_power_of_two());
            needed.max(1 << 20)
        });
        if !capacity.is_power_of_two() || !(MIN_CAPACITY..=MAX_CAPACITY).contains(&capacity) {
            let fit = capacity.clamp(MIN_CAPACITY, MAX_CAPACITY).next_power_of_two();
            return wrong(format!(
                "the capacity must be a power of two from {MIN_CAPACITY} to {MAX_CAPACITY}, not {capacity}; {fit} would do"
            ));
        }
        let largest = word::largest_message(capacity);
        let max_message = self.max_message.unwrap_or(largest.min(64 << 10));
        if max_message > largest {
            let enough = (2 * (max_message + 16)).next_power_of_two();
            return wrong(format!(
                "a ring of {capacity} bytes takes messages up to {largest} bytes, not {max_message}; \
                 a capacity of {enough} would do"
            ));
        }
        if self.max_messages == Some(0) {
            return wrong("a queue for 0 messages could never be used; 1 is the least".into());
        }
        Ok(Limits { max_message, max_messages: self.max_messages, capacity })
    }
}

/// What exists already must have the limits that are asked for; `None` asks for nothing.
pub fn agree(
    path: Option<&Path>,
    limits: &[(&'static str, Option<u64>, Option<u64>)],
) -> Result<(), OpenError> {
    for &(what, asked, found) in limits {
        if let Some(asked) = asked.filter(|_| asked != found) {
            let path = path.map(Path::to_path_buf);
            return Err(OpenError::OtherLimit { path, what, asked, found });
        }
    }
    Ok(())
}

/// The same of the limits that options have.
pub fn agree_with(path: Option<&Path>, options: &Options, limits: &Limits) -> Result<(), OpenError> {
    let limits = [
        ("largest message", options.max_message, Some(limits.max_message)),
        ("number of pending messages", options.max_messages, limits.max_messages),
        ("capacity", options.capacity, Some(limits.capacity)),
    ];
    agree(path, &limits)
}

/// What the geometry page says, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// What the file holds.
    pub kind: Kind,
    /// The limits.
    pub limits: Limits,
    /// Where the parts are.
    pub parts: Parts,
    /// Bytes of the file.
    pub length: u64,
    /// Random: tells this file from one that replaces it.
    pub queue_id: [u8; 16],
    /// Boot id of the machine at creation, zero if unknown.
    pub boot_id: [u8; 16],
    /// Creation time, nanoseconds since 1970.
    pub created_ns: u64,
    /// The user's own bytes.
    pub tag: [u8; TAG],
    /// Slots and raw only, else 0: alignment of a message or an element in bytes.
    pub slot_align: u32,
    /// Slots and pools only, else 0: messages that share one commit word.
    pub slot_group: u32,
}

impl Geometry {
    /// The geometry of a new file of records; identity and length are filled in when it is made.
    pub fn records(limits: Limits, tag: [u8; TAG]) -> Self {
        let parts = Parts::standard(limits.capacity);
        Self {
            kind: Kind::Records,
            limits,
            parts,
            length: parts.ring as u64 + parts.capacity,
            queue_id: [0; 16],
            boot_id: [0; 16],
            created_ns: 0,
            tag,
            slot_align: 0,
            slot_group: 0,
        }
    }

    /// The geometry of a new file of slots.
    ///
    /// # Errors
    /// [`CreateError::Options`] for a size, depth or alignment that cannot be, or for limits that only records have.
    pub fn slots(size: u64, align: u32, depth: u64, options: &Options) -> Result<Self, CreateError> {
        let wrong = |why: String| Err(CreateError::Options { why });
        if options.capacity.is_some() || options.max_message.is_some() || options.max_messages.is_some() {
            return wrong("a queue of fixed-size messages takes its limits from their size and the depth; leave the others out".into());
        }
        if !align.is_power_of_two() || align > 8 {
            return wrong(format!(
                "messages can have an alignment of up to 8, not {align}; use a type with less"
            ));
        }
        let group = best_group(size.max(1));
        let Some(layout) = SlotLayout::new(size, depth, group) else {
            return wrong(format!(
                "{depth} messages of {size} bytes cannot be; both must be at least 1 and the ring at most {MAX_CAPACITY} bytes"
            ));
        };
        let capacity = layout.capacity;
        let limits = Limits { max_message: size, max_messages: Some(depth), capacity };
        let records = Self::records(limits, options.tag);
        Ok(Self { kind: Kind::Slots, slot_align: align, slot_group: group as u32, ..records })
    }

    /// The geometry of a new region of `bytes`, all of elements of one size and alignment, or 0 and 0 for any.
    ///
    /// # Errors
    /// [`CreateError::Options`] for sizes that cannot be, or for limits that only queues have.
    pub fn raw(bytes: u64, element: u64, align: u32, options: &Options) -> Result<Self, CreateError> {
        let wrong = |why: String| Err(CreateError::Options { why });
        if options.capacity.is_some() || options.max_message.is_some() || options.max_messages.is_some() {
            return wrong("a region has a length and no limits of messages; leave those out".into());
        }
        if !(1..=MAX_CAPACITY).contains(&bytes) {
            return wrong(format!("a region has from 1 to {MAX_CAPACITY} bytes, not {bytes}"));
        }
        let limits = Limits { max_message: element, max_messages: None, capacity: bytes };
        let parts = Parts { producer: 0, consumer: 0, ring: PAGE, capacity: bytes };
        let length = (PAGE as u64 + bytes).next_multiple_of(PAGE as u64);
        let records = Self::records(limits, options.tag);
        let raw = Self { kind: Kind::Raw, parts, length, slot_align: align, ..records };
        if !raw.has_possible_elements() {
            return wrong(format!(
                "{bytes} bytes are not a number of elements of {element} bytes aligned to {align}; \
                 an alignment is a power of two up to {PAGE} that divides the size"
            ));
        }
        Ok(raw)
    }

    /// Whether the region consists of whole elements, or says nothing of them.
    fn has_possible_elements(&self) -> bool {
        let (element, align) = (self.limits.max_message, self.slot_align);
        let none = (element, align) == (0, 0);
        let possible =
            || align.is_power_of_two() && align as usize <= PAGE && element % u64::from(align) == 0;
        none || element != 0 && self.limits.capacity % element == 0 && possible()
    }

    /// The sizes of a ring of slots; `None` if it is no such ring. That of a pool holds a handle for each block.
    pub fn slot_layout(&self) -> Option<SlotLayout> {
        let size = match self.kind {
            Kind::Slots => self.limits.max_message,
            Kind::Pool => WORD,
            Kind::Records | Kind::Raw => return None,
        };
        SlotLayout::new(size, self.limits.max_messages?, self.slot_group.into())
    }

    /// As it stands in the file.
    pub fn header(&self) -> Header {
        let mut header = Header {
            magic: MAGIC,
            version: VERSION,
            kind: self.kind as u32,
            capacity: self.limits.capacity,
            max_message: self.limits.max_message,
            max_messages: self.limits.max_messages.unwrap_or(0),
            producer_at: self.parts.producer as u64,
            consumer_at: self.parts.consumer as u64,
            ring_at: self.parts.ring as u64,
            length: self.length,
            queue_id: self.queue_id,
            boot_id: self.boot_id,
            created_ns: self.created_ns,
            tag: self.tag,
            slot_align: self.slot_align,
            slot_group: self.slot_group,
            ..Header::zeroed()
        };
        header.checksum = header.sum();
        header
    }

    /// Reads the first bytes of a file of `length` bytes, and believes nothing that it can check.
    ///
    /// # Errors
    /// [`OpenError`] with the first thing that is wrong.
    pub fn parse(bytes: &[u8], length: u64) -> Result<Self, OpenError> {
        let not = |why| Err(OpenError::NotAQueue { path: None, why });
        let Some(bytes) = bytes.get(..size_of::<Header>()) else {
            return not(if bytes.is_empty() { "it is empty" } else { "it is shorter than a geometry page" });
        };
        let h: Header = bytemuck::pod_read_unaligned(bytes);
        if h.magic != MAGIC {
            // The first byte may have lost its high bit, and the line ends behind the name may have changed.
            return not(if h.magic[1..4] == MAGIC[1..4] {
                "its first bytes were changed by a text-mode transfer"
            } else {
                "its first bytes are not a queue's"
            });
        }
        // A newer format may lay out everything behind the version in its own way, the checksum too.
        if h.version > VERSION {
            return Err(OpenError::Newer { path: None, version: h.version, features: 0 });
        }
        if h.checksum != crate::layout::fnv1a(&bytes[..CHECKSUM_AT]) {
            return not("the checksum of its geometry is wrong");
        }
        if h.version == 0 {
            return not("it has format version 0");
        }
        if h.version < VERSION {
            return Err(OpenError::Older { path: None, version: h.version });
        }
        if h.incompatible != 0 {
            return Err(OpenError::Newer { path: None, version: h.version, features: h.incompatible });
        }
        let Some(kind) = Kind::from_u32(h.kind) else {
            return not("it is of no known kind");
        };
        if length < h.length {
            return Err(OpenError::Truncated { path: None, expected: h.length, found: length });
        }
        if length > h.length {
            return not("it is longer than its geometry says");
        }
        if h.reserved != [0; 6] {
            return not("it has fields that this version does not know");
        }
        let page = PAGE as u64;
        let ring_end = h.ring_at.checked_add(h.capacity).filter(|&end| end <= h.length);
        let order = match kind {
            // No ends: the region follows the geometry page.
            Kind::Raw => h.producer_at | h.consumer_at == 0 && h.ring_at >= page,
            _ => {
                h.producer_at >= page
                    && h.producer_at.checked_add(page).is_some_and(|end| end <= h.consumer_at)
                    && h.consumer_at.checked_add(page).is_some_and(|end| end <= h.ring_at)
            }
        };
        if ring_end.is_none() || !order || (h.producer_at | h.consumer_at | h.ring_at) % page != 0 {
            return not("its parts overlap or lie outside");
        }
        let geometry = Self {
            kind,
            limits: Limits {
                max_message: h.max_message,
                max_messages: (h.max_messages != 0).then_some(h.max_messages),
                capacity: h.capacity,
            },
            parts: Parts {
                producer: h.producer_at as usize,
                consumer: h.consumer_at as usize,
                ring: h.ring_at as usize,
                capacity: h.capacity,
            },
            length: h.length,
            queue_id: h.queue_id,
            boot_id: h.boot_id,
            created_ns: h.created_ns,
            tag: h.tag,
            slot_align: h.slot_align,
            slot_group: h.slot_group,
        };
        geometry.check_limits()?;
        Ok(geometry)
    }

    /// What a damaged page still says, if that makes sense: with a checksum or a length of the file that is wrong, or
    /// with its first bytes spoiled and everything else as it was.
    pub fn salvage(bytes: &[u8]) -> Option<Self> {
        let mut h: Header = bytemuck::pod_read_unaligned(bytes.get(..size_of::<Header>())?);
        if h.magic != MAGIC {
            h.magic = MAGIC;
            if h.checksum != h.sum() {
                return None;
            }
        }
        h.checksum = h.sum();
        Self::parse(bytemuck::bytes_of(&h), h.length).ok()
    }

    /// Derives every limit again.
    fn check_limits(&self) -> Result<(), OpenError> {
        let not = |why| Err(OpenError::NotAQueue { path: None, why });
        let Limits { capacity, max_message, .. } = self.limits;
        match self.kind {
            Kind::Records => {
                if !capacity.is_power_of_two() || !(MIN_CAPACITY..=MAX_CAPACITY).contains(&capacity) {
                    return not("its capacity is impossible");
                }
                if max_message > word::largest_message(capacity) {
                    return not("its limits contradict its capacity");
                }
                if (self.slot_align, self.slot_group) != (0, 0) {
                    return not("it is both of fixed and of variable message size");
                }
            }
            Kind::Slots => {
                if self.slot_layout().is_none_or(|layout| layout.capacity != capacity) {
                    return not("its message size and depth contradict its capacity");
                }
                if !self.slot_align.is_power_of_two() || self.slot_align > 8 {
                    return not("its message alignment is impossible");
                }
            }
            Kind::Raw => {
                if !(1..=MAX_CAPACITY).contains(&capacity) || !self.has_possible_elements() {
                    return not("its length is impossible, or no number of its elements");
                }
                if (self.slot_group, self.limits.max_messages) != (0, None) {
                    return not("it has limits of messages but no ring");
                }
            }
            // What else there is to a pool, its own crate derives.
            Kind::Pool => {
                if self.slot_layout().is_none_or(|layout| layout.capacity != capacity) {
                    return not("its number of blocks contradicts its capacity");
                }
            }
        }
        Ok(())
    }

    /// The tag as text, up to its first zero byte.
    pub fn tag_text(&self) -> String {
        let end = self.tag.iter().position(|&b| b == 0).unwrap_or(TAG);
        String::from_utf8_lossy(&self.tag[..end]).into_owned()
    }
}
