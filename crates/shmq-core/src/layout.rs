//! Where everything is in a queue file: offsets, limits and the geometry page. No behaviour.
//!
//! `docs/FORMAT.md` draws these tables; a test reads the drawing and compares it with the constants here.

use bytemuck::{Pod, Zeroable};
use static_assertions::{const_assert, const_assert_eq};
use std::mem::{offset_of, size_of};

/// First bytes of every file. PNG style: a text-mode transfer, a stripped high bit or a DOS line end shows at once.
pub const MAGIC: [u8; 8] = *b"\x89SMQ\r\n\x1a\n";
/// The format version; `docs/FORMAT.md` says what changed with each.
pub const VERSION: u32 = 2;
/// The unit of the parts of a file: geometry page, producer page, consumer page, ring.
pub const PAGE: usize = 4096;
/// Hot words of different writers, or of different rates, sit on lines of their own of this many bytes. Fixed,
/// because it decides the file format: 128 covers 64-byte lines fetched in pairs and 128-byte lines.
pub const FALSE_SHARING_LINE: usize = 128;
/// The line that processors here transfer: what shares one arrives together.
pub const CACHE_LINE: u64 = 64;
/// Every position, commit word and payload starts at a multiple of this.
pub const WORD: u64 = 8;
/// Smallest ring in a file. The ring code itself takes any power of two from 16 on, for tests.
pub const MIN_CAPACITY: u64 = PAGE as u64;
/// Largest ring in a file: 1 TiB.
pub const MAX_CAPACITY: u64 = 1 << 40;
/// Upper bound of a message, whatever the capacity: a commit word has 32 bits for the length.
pub const MAX_MESSAGE: u64 = u32::MAX as u64 - 15;
/// Bytes of the user's own tag.
pub const TAG: usize = 32;

/// What a file holds. This crate opens the first two; `shmq-raw` and `shmq-pool` the others. A later version may know
/// more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum Kind {
    /// A ring of variable-length messages.
    Records = 1,
    /// A ring of fixed-size messages.
    Slots = 2,
    /// Raw shared memory, no ring.
    Raw = 3,
    /// Large blocks whose handles travel through two rings.
    Pool = 4,
}

impl Kind {
    pub(crate) fn from_u32(value: u32) -> Option<Self> {
        [Self::Records, Self::Slots, Self::Raw, Self::Pool].into_iter().find(|&k| k as u32 == value)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Records => "records",
            Self::Slots => "slots",
            Self::Raw => "raw",
            Self::Pool => "pool",
        })
    }
}

/// The geometry page as it stands in the file: written once, before the file has a name. Little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`]; a larger one is refused.
    pub version: u32,
    /// A [`Kind`].
    pub kind: u32,
    /// Feature bits an older reader may ignore.
    pub compatible: u64,
    /// Feature bits an older reader must refuse.
    pub incompatible: u64,
    /// Ring bytes, a power of two for records; raw: bytes of the region.
    pub capacity: u64,
    /// Largest message in bytes; raw: bytes of an element, 0 if they are not all alike.
    pub max_message: u64,
    /// Most pending messages, 0 for no limit but the ring's.
    pub max_messages: u64,
    /// Start of the page that only the producer writes, from the start of the file; raw: 0.
    pub producer_at: u64,
    /// Start of the page that only the consumer writes; raw: 0.
    pub consumer_at: u64,
    /// Start of the ring; raw: of the region.
    pub ring_at: u64,
    /// Bytes of the whole file.
    pub length: u64,
    /// Random, so that a file is told from its replacement.
    pub queue_id: [u8; 16],
    /// The kernel's boot id when the file was made, zero if unknown.
    pub boot_id: [u8; 16],
    /// Creation time, nanoseconds since 1970.
    pub created_ns: u64,
    /// The user's own bytes: a schema name, say.
    pub tag: [u8; TAG],
    /// Slots and raw only: alignment of a message or an element in bytes.
    pub slot_align: u32,
    /// Slots and pools only: messages that share one commit word.
    pub slot_group: u32,
    /// Zero.
    pub reserved: [u64; 6],
    /// FNV-1a 64 of all bytes before it.
    pub checksum: u64,
}

/// Offset of [`Header::checksum`].
pub const CHECKSUM_AT: usize = offset_of!(Header, checksum);

const_assert_eq!(offset_of!(Header, magic), 0x00);
const_assert_eq!(offset_of!(Header, version), 0x08);
const_assert_eq!(offset_of!(Header, kind), 0x0c);
const_assert_eq!(offset_of!(Header, compatible), 0x10);
const_assert_eq!(offset_of!(Header, incompatible), 0x18);
const_assert_eq!(offset_of!(Header, capacity), 0x20);
const_assert_eq!(offset_of!(Header, max_message), 0x28);
const_assert_eq!(offset_of!(Header, max_messages), 0x30);
const_assert_eq!(offset_of!(Header, producer_at), 0x38);
const_assert_eq!(offset_of!(Header, consumer_at), 0x40);
const_assert_eq!(offset_of!(Header, ring_at), 0x48);
const_assert_eq!(offset_of!(Header, length), 0x50);
const_assert_eq!(offset_of!(Header, queue_id), 0x58);
const_assert_eq!(offset_of!(Header, boot_id), 0x68);
const_assert_eq!(offset_of!(Header, created_ns), 0x78);
const_assert_eq!(offset_of!(Header, tag), 0x80);
const_assert_eq!(offset_of!(Header, slot_align), 0xa0);
const_assert_eq!(offset_of!(Header, slot_group), 0xa4);
const_assert_eq!(offset_of!(Header, reserved), 0xa8);
const_assert_eq!(CHECKSUM_AT, 0xd8);
const_assert_eq!(size_of::<Header>(), 0xe0);
const_assert!(size_of::<Header>() <= PAGE);

/// FNV-1a, 64 bit: finds damage, proves nothing against intent.
/// Source: <https://datatracker.ietf.org/doc/html/rfc9923>.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

impl Header {
    /// The checksum this header ought to carry.
    pub fn sum(&self) -> u64 {
        fnv1a(&bytemuck::bytes_of(self)[..CHECKSUM_AT])
    }
}

/// One 8-byte word of a role's page. Made only here, so that every one lies inside its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    pub(crate) page: Role,
    pub(crate) offset: usize,
}

/// The two ends of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that sends.
    Producer,
    /// The end that receives.
    Consumer,
}

impl Role {
    /// The other one.
    ///
    /// ```
    /// assert_eq!(shmq::Role::Producer.peer(), shmq::Role::Consumer);
    /// ```
    pub fn peer(self) -> Self {
        match self {
            Self::Producer => Self::Consumer,
            Self::Consumer => Self::Producer,
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        })
    }
}

impl Control {
    const fn new(page: Role, offset: usize) -> Self {
        assert!(offset % 8 == 0 && offset + 8 <= PAGE);
        Self { page, offset }
    }

    /// The offset inside its page, for documentation tests.
    pub fn offset(self) -> usize {
        self.offset
    }
}

// The producer's page. Line 0 is stored for every message and read by nobody but observers and a successor.

/// Where the next commit word goes; lags by at most one commit after a crash, never leads.
pub const TAIL: Control = Control::new(Role::Producer, 0x000);
/// Sequence number of the next message. Stored between commit word and tail.
pub const SEQUENCE: Control = Control::new(Role::Producer, 0x008);
/// Slots only: words may run ahead up to this message. Stored before the first of them.
pub const DIRTY: Control = Control::new(Role::Producer, 0x010);

/// A producer's note, twice: the older copy is written over while the newer one stands.
#[derive(Clone, Copy, Debug)]
pub struct NoteCells(pub [NoteCell; 2]);

/// One copy of a note.
#[derive(Clone, Copy, Debug)]
pub struct NoteCell {
    /// Tells the newer copy from the older one; 0: there is nothing in this one.
    pub label: Control,
    /// What is noted.
    pub words: [Control; 3],
}

const fn note_cells(offset: usize) -> NoteCells {
    const fn cell(offset: usize) -> NoteCell {
        NoteCell {
            label: Control::new(Role::Producer, offset),
            words: [
                Control::new(Role::Producer, offset + 8),
                Control::new(Role::Producer, offset + 16),
                Control::new(Role::Producer, offset + 24),
            ],
        }
    }
    NoteCells([cell(offset), cell(offset + 32)])
}

/// The mark of the last marked message. The label is the sequence number behind the message, so that it counts from
/// the moment at which the message is committed. The third word is not used.
pub const MARK: NoteCells = note_cells(0x300);
/// Which queue this one continues: its id, and what to add to a sequence number of this one for that of the other. The
/// label counts how often it was said.
pub const ORIGIN: NoteCells = note_cells(0x380);

// The consumer's page. Line 0 as above; line 1 is what the producer reads when it runs out of room.

/// Everything before is taken.
pub const READ: Control = Control::new(Role::Consumer, 0x000);
/// Sequence number of the next message to take. Stored before `READ`.
pub const RECEIVED: Control = Control::new(Role::Consumer, 0x008);
/// Everything before is given back.
pub const FREE: Control = Control::new(Role::Consumer, 0x080);
/// Messages given back. Stored before `FREE`.
pub const FREED: Control = Control::new(Role::Consumer, 0x088);

/// The words that both pages have, at the same places.
#[derive(Clone, Copy, Debug)]
pub struct RoleWords {
    /// Changed by the owner, then woken; the *peer* sleeps on its low half.
    pub bell: Control,
    /// Changed by the owner before it sleeps.
    pub ticket: Control,
    /// How often the role was taken. 0: never.
    pub epoch: Control,
    /// Equal to `epoch`: that holder left cleanly.
    pub left: Control,
    /// Boot id of the last holder, two words.
    pub boot: [Control; 2],
    /// Process id of the last holder in its own PID namespace. For people; decides nothing.
    pub pid: Control,
    /// When the last holder came, nanoseconds since 1970. For people.
    pub since: Control,
    /// Slow-path counters, for people: see [`Counter`].
    pub counters: Control,
}

/// Counters kept on slow paths only, at `counters + 8 * index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Times this end went to sleep.
    Sleeps = 0,
    /// Times this end woke its peer.
    Wakes = 1,
    /// Times this end waited long enough to sleep.
    Stalls = 2,
    /// Operations refused for their arguments: too large, too small a buffer.
    Refused = 3,
    /// When the stall that still lasts began, nanoseconds of the machine's monotonic clock, that is
    /// without the offset of a time namespace; 0 when none does.
    StalledSince = 4,
    /// When the last stall that is over ended, on the same clock; 0 for none.
    StalledUntil = 5,
    /// Nanoseconds of all stalls that are over.
    StalledNs = 6,
    /// Most messages pending, seen whenever an end came, left or began to stall.
    MostPending = 7,
    /// Messages that had been sent, or taken, when the last holder came.
    Began = 8,
}

const fn role_words(page: Role) -> RoleWords {
    RoleWords {
        bell: Control::new(page, 0x100),
        ticket: Control::new(page, 0x180),
        epoch: Control::new(page, 0x200),
        left: Control::new(page, 0x208),
        boot: [Control::new(page, 0x210), Control::new(page, 0x218)],
        pid: Control::new(page, 0x220),
        since: Control::new(page, 0x228),
        counters: Control::new(page, 0x280),
    }
}

/// The producer's.
pub const PRODUCER: RoleWords = role_words(Role::Producer);
/// The consumer's.
pub const CONSUMER: RoleWords = role_words(Role::Consumer);

impl Role {
    /// This role's common words.
    #[doc(hidden)]
    pub const fn words(self) -> &'static RoleWords {
        match self {
            Self::Producer => &PRODUCER,
            Self::Consumer => &CONSUMER,
        }
    }
}

impl RoleWords {
    /// The word of one counter.
    pub const fn counter(&self, which: Counter) -> Control {
        Control::new(self.counters.page, self.counters.offset + 8 * which as usize)
    }
}

/// Where the three parts of one ring lie inside a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Start of the producer's page.
    pub producer: usize,
    /// Start of the consumer's page.
    pub consumer: usize,
    /// Start of the ring.
    pub ring: usize,
    /// Ring bytes, a power of two of at least 16.
    pub capacity: u64,
}

impl Parts {
    /// The parts in the order a file has them, after the geometry page.
    pub const fn standard(capacity: u64) -> Self {
        Self { producer: PAGE, consumer: 2 * PAGE, ring: 3 * PAGE, capacity }
    }

    /// Start of a role's page; also the file byte that its lock covers.
    pub fn page(&self, role: Role) -> usize {
        match role {
            Role::Producer => self.producer,
            Role::Consumer => self.consumer,
        }
    }
}
