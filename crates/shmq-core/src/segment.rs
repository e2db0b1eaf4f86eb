//! Files: create them whole or not at all, open them with suspicion, map them.

use crate::error::{CreateError, Located as _, OpenError, doing};
use crate::geometry::{Geometry, Options};
use crate::layout::{Header, Kind, PAGE};
use crate::memory::{Map, Purpose};
use memmap2::{Advice, MmapOptions};
use rustix::fs::{self, AtFlags, FallocateFlags, IFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where a bare name lives.
pub const SHM_DIR: &str = "/dev/shm";
const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;
const HUGETLBFS: i64 = 0x9584_58f6;
const BTRFS: i64 = 0x9123_683e;

/// File systems on which locks or mappings are not one for all who reach a file: stacked ones, whose mappings are of the
/// file below, those of a server, beside which the file has another way to it, and those of other machines.
const UNSHARED: [(i64, &str); 12] = [
    (0x794c_7630, "overlayfs (a container's own files?)"),
    (0x6573_5546, "FUSE"),
    (0x0000_f15f, "ecryptfs"),
    (0x0000_6969, "NFS"),
    (0x0000_517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x786f_4256, "vboxsf"),
];

/// The name of a file system, by its type, on which no end of a queue can be held.
pub fn unshared(f_type: i64) -> Option<&'static str> {
    UNSHARED.iter().find(|(magic, _)| *magic == f_type).map(|(_, name)| *name)
}

/// The same, of the one that a file is on.
pub fn unshared_by(file: impl AsFd) -> Option<&'static str> {
    unshared(fs::fstatfs(file).ok()?.f_type)
}

/// Seals of an anonymous queue: its size is final, and so is that.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Where a queue of this name lives: a bare name means a file in /dev/shm, anything with a slash is a path. `None` if
/// it is neither: empty, too long, with a zero byte, or a bare name that begins with a dot.
///
/// ```
/// assert_eq!(shmq::path_of("prices").unwrap(), std::path::Path::new("/dev/shm/prices"));
/// assert_eq!(shmq::path_of("./prices").unwrap(), std::path::Path::new("./prices"));
/// assert!(shmq::path_of("").is_none());
/// ```
pub fn path_of(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let name = name.as_ref();
    let bytes = name.as_bytes();
    if bytes.contains(&b'/') {
        let usable = !bytes.contains(&0) && !bytes.ends_with(b"/");
        return usable.then(|| PathBuf::from(name));
    }
    let usable = !bytes.is_empty() && bytes.len() <= 255 && !bytes.contains(&0) && bytes[0] != b'.';
    usable.then(|| Path::new(SHM_DIR).join(name))
}

/// The same place, wherever this process changes to: a path that is kept must not mean something else tomorrow.
pub fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn io_error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw_os_error())
}

/// The kernel's boot id, zero if it cannot be read.
pub fn boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut digits = text.bytes().filter_map(|b| char::from(b).to_digit(16));
    std::array::from_fn(|_| {
        let high = digits.next().unwrap_or(0);
        (high << 4 | digits.next().unwrap_or(0)) as u8
    })
}

/// Nanoseconds since 1970.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}

/// Makes the file complete under no name, then gives it its name, never replacing another.
pub fn create(path: &Path, geometry: Geometry, options: &Options) -> Result<(File, Made), CreateError> {
    let mode = Mode::from_raw_mode(options.mode);
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |errno: Errno, what| match errno {
        Errno::ACCESS | Errno::PERM => CreateError::Denied { path: path.into() },
        Errno::ROFS => CreateError::ReadOnly { path: path.into() },
        Errno::EXIST => CreateError::AlreadyExists { path: path.into() },
        Errno::NOENT | Errno::NOTDIR => CreateError::NoFolder { path: path.into() },
        // Nothing was written yet.
        Errno::NOSPC | Errno::DQUOT => CreateError::NoInode { path: path.into() },
        other => CreateError::Io { doing: doing(what, Some(path)), source: io_error(other) },
    };
    if fs::lstat(path).is_ok() {
        return Err(CreateError::AlreadyExists { path: path.into() });
    }
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    match retry_on_intr(|| fs::open(dir, flags | OFlags::TMPFILE, mode)) {
        Ok(fd) => {
            let file = File::from(fd);
            let made = fill(&file, geometry, options, Some(path))?;
            let from = link_of(file.as_fd());
            match retry_on_intr(|| fs::linkat(fs::CWD, &from, fs::CWD, path, AtFlags::SYMLINK_FOLLOW)) {
                // Without /proc there is no way from the descriptor to a name.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed(errno, "give the queue file its name")),
                Ok(()) => return Ok((file, made)),
            }
        }
        // A file system without unnamed files.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
        Err(errno) => return Err(failed(errno, "create the queue file")),
    }
    // A temporary name beside it.
    let temporary = dir.join(format!(".shmq-{:032x}.tmp", u128::from_le_bytes(random())));
    let fd = retry_on_intr(|| fs::open(&temporary, flags | OFlags::CREATE | OFlags::EXCL, mode))
        .map_err(|e| failed(e, "create the queue file"))?;
    let file = File::from(fd);
    let made = fill(&file, geometry, options, Some(path)).and_then(|made| {
        // A hard link never replaces, and works where renameat2 does not.
        retry_on_intr(|| fs::link(&temporary, path))
            .map_err(|e| failed(e, "give the queue file its name"))?;
        Ok(made)
    });
    let _ = fs::unlink(&temporary);
    Ok((file, made?))
}

/// An anonymous file that can neither shrink nor grow, for processes that pass descriptors.
pub fn create_anonymous(geometry: Geometry, options: &Options) -> Result<(File, Made), CreateError> {
    let plain = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let failed =
        |errno: Errno| CreateError::Io { doing: "create an anonymous queue".into(), source: io_error(errno) };
    let mut huge = options.huge_pages;
    loop {
        let flags = if huge { plain | MemfdFlags::HUGETLB } else { plain };
        let made = fs::memfd_create("shmq", flags).map_err(failed).and_then(|fd| {
            let file = File::from(fd);
            let made = fill(&file, geometry, options, None)?;
            fs::fcntl_add_seals(&file, SEALS).map_err(failed)?;
            Ok((file, made))
        });
        // Huge pages are a wish: without any to spare, ordinary ones do.
        if made.is_err() && std::mem::take(&mut huge) {
            continue;
        }
        return made;
    }
}

/// Bytes that nobody else has.
pub fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    if rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty()) != Ok(16) {
        bytes = u128::from(now_ns()).to_le_bytes();
    }
    bytes
}

/// What was made, and which file it is: known before it has a name, for from then on nothing may fail.
pub type Made = (Geometry, FileId);

/// Bytes that a file of this process may have. Not the wrapper of `rustix`, which panics where a sandbox forbids the call.
fn file_size_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a plain system call with a valid argument, which stays as it is if the call fails.
    unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
    limit.rlim_cur
}

/// Allocates every block, so that a full file system is an error here and not a SIGBUS later, then writes the geometry.
fn fill(
    file: &File,
    mut geometry: Geometry,
    options: &Options,
    path: Option<&Path>,
) -> Result<Made, CreateError> {
    let stat = fs::fstatfs(file).map_err(|e| CreateError::Io {
        doing: doing("ask for the file system of", path),
        source: io_error(e),
    })?;
    if let (Some(path), Some(found), true) = (path, unshared(stat.f_type), geometry.kind != Kind::Raw) {
        return Err(CreateError::FileSystem { path: path.into(), found });
    }
    if stat.f_type == BTRFS {
        // Otherwise each page that is written back wants a new place, and a full disk means SIGBUS although all was allocated. Only a file
        // without contents can be made so.
        let _ = fs::ioctl_getflags(file).and_then(|flags| fs::ioctl_setflags(file, flags | IFlags::NOCOW));
    }
    if stat.f_type == HUGETLBFS {
        geometry.length = geometry.length.next_multiple_of(stat.f_bsize as u64);
    }
    let no_space = |errno: Errno| match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::NOMEM | Errno::FBIG => {
            CreateError::NoSpace { path: path.unwrap_or(Path::new("memory")).into(), bytes: geometry.length }
        }
        other => CreateError::Io { doing: doing("allocate the queue file", path), source: io_error(other) },
    };
    // Over this limit there is a signal (SIGXFSZ), not only an error.
    let limit = file_size_limit();
    if geometry.length > limit {
        return Err(CreateError::FileSize {
            path: path.map(Path::to_path_buf),
            bytes: geometry.length,
            limit,
        });
    }
    match allocate(file, geometry.length, stat.f_bsize as u64) {
        // The file system cannot allocate ahead: write the zeros.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let zeros = [0; 64 * 1024];
            let mut at = 0;
            while at < geometry.length {
                let n = (geometry.length - at).min(zeros.len() as u64) as usize;
                at += retry_on_intr(|| rustix::io::pwrite(file, &zeros[..n], at)).map_err(no_space)? as u64;
            }
        }
        done => done.map_err(no_space)?,
    }
    // The mode exactly as asked for, whatever the umask.
    if path.is_some() {
        fs::fchmod(file, Mode::from_raw_mode(options.mode))
            .map_err(|e| CreateError::Io { doing: doing("set the mode of", path), source: io_error(e) })?;
    }
    (geometry.queue_id, geometry.boot_id, geometry.created_ns) = (random(), boot_id(), now_ns());
    let failed = |source| CreateError::Io { doing: doing("map the queue file", path), source };
    let map = map(file.as_fd(), geometry.length, [0; 2]).map_err(|e| match e.raw_os_error() {
        Some(libc::ENOMEM) => no_space(Errno::NOMEM),
        _ => failed(e),
    })?;
    make_ready(&map, options).map_err(|unready| match unready {
        Unready::Locked(source) => CreateError::Lock { path: path.map(Path::to_path_buf), source },
        Unready::NoMemory(_) => no_space(Errno::NOMEM),
        Unready::Other(source) => failed(source),
    })?;
    let id = FileId::of(file)
        .map_err(|source| CreateError::Io { doing: doing("look at the new file for", path), source })?;
    write_header(&map, &geometry.header());
    Ok((geometry, id))
}

/// Allocates every block. A signal ends the call, and on tmpfs what it had allocated is free again; so after each one
/// the pieces are half as long, down to a block, which always gets through.
fn allocate(file: &File, length: u64, block: u64) -> rustix::io::Result<()> {
    let (mut at, mut piece) = (0, length);
    while at < length {
        let len = piece.min(length - at);
        match fs::fallocate(file, FallocateFlags::empty(), at, len) {
            Err(Errno::INTR) => piece = (len / 2).next_multiple_of(block.max(1)),
            done => {
                done?;
                at += len;
            }
        }
    }
    Ok(())
}

fn write_header(map: &Map, header: &Header) {
    use crate::memory::Memory as _;
    // SAFETY: the header is shorter than the geometry page, and the file at least as long as that.
    unsafe { map.copy_in(0, bytemuck::bytes_of(header)) };
}

/// Opens a file and reads its geometry.
pub fn open(path: &Path, write: bool) -> Result<(File, Geometry), OpenError> {
    let file = open_file(path, write)?;
    let geometry = geometry_of(&file, Some(path))?;
    Ok((file, geometry))
}

/// Opens a file that may be anything.
pub fn open_file(path: &Path, write: bool) -> Result<File, OpenError> {
    let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let not = |why| OpenError::NotAQueue { path: Some(path.into()), why };
    let fd = retry_on_intr(|| fs::open(path, flags, Mode::empty())).map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR => OpenError::NotFound { path: path.into() },
        Errno::ACCESS | Errno::PERM => OpenError::Denied { path: path.into() },
        Errno::ROFS => OpenError::ReadOnly { path: path.into() },
        Errno::LOOP => not("it is a symbolic link, which is never followed"),
        Errno::ISDIR => not("it is a directory"),
        Errno::NXIO | Errno::NODEV => not("it is not a regular file"),
        other => OpenError::Io { doing: doing("open", Some(path)), source: io_error(other) },
    })?;
    Ok(File::from(fd))
}

/// Reads and checks the geometry of an open file.
pub fn geometry_of(file: &File, path: Option<&Path>) -> Result<Geometry, OpenError> {
    let (first, length) = first_bytes(file, path)?;
    Geometry::parse(&first, length).map_err(|e| e.of(path))
}

/// The first bytes of a regular file, at most a header, and its length.
pub fn first_bytes(file: &File, path: Option<&Path>) -> Result<(Vec<u8>, u64), OpenError> {
    let failed =
        |what: &'static str| move |e: Errno| OpenError::Io { doing: doing(what, path), source: io_error(e) };
    let stat = fs::fstat(file).map_err(failed("ask for the size of"))?;
    if !fs::FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(OpenError::NotAQueue {
            path: path.map(Path::to_path_buf),
            why: "it is not a regular file",
        });
    }
    let mut bytes = [0; size_of::<Header>()];
    let mut have = 0;
    while have < bytes.len() {
        let read = retry_on_intr(|| rustix::io::pread(file, &mut bytes[have..], have as u64));
        match read.map_err(failed("read the geometry of"))? {
            0 => break,
            n => have += n,
        }
    }
    Ok((bytes[..have].to_vec(), stat.st_size as u64))
}

/// Whether a file is as long as it says: whoever touches what is gone gets a signal.
pub fn is_whole(fd: impl AsFd, length: u64) -> io::Result<bool> {
    Ok(fs::fstat(fd).map_err(io_error)?.st_size as u64 >= length)
}

/// Whether a memfd's size is final.
pub fn is_sealed(fd: BorrowedFd<'_>) -> io::Result<bool> {
    match fs::fcntl_get_seals(fd) {
        Ok(seals) => Ok(seals.contains(SEALS)),
        // It is none.
        Err(Errno::INVAL) => Ok(false),
        Err(errno) => Err(io_error(errno)),
    }
}

/// Whether a write to what is allocated already may want room on the disk, and die of a full one: a file on btrfs that is not
/// excepted from copying on write, as this library's own are.
pub fn wants_room(file: impl AsFd) -> bool {
    let copies = fs::fstatfs(&file).is_ok_and(|stat| stat.f_type == BTRFS);
    copies && !fs::ioctl_getflags(&file).is_ok_and(|flags| flags.contains(IFlags::NOCOW))
}

/// Bytes of a page of its memory, as its file system has them.
pub fn page_size(file: impl AsFd) -> u64 {
    let huge = fs::fstatfs(file).ok().filter(|stat| stat.f_type == HUGETLBFS);
    // SAFETY: a plain call.
    huge.map_or_else(|| unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64, |stat| stat.f_bsize as u64)
}

/// Whether its memory are huge pages of the kernel's pool.
pub fn is_of_huge_pages(file: impl AsFd) -> bool {
    fs::fstatfs(file).is_ok_and(|stat| stat.f_type == HUGETLBFS)
}

/// Which file it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Of a descriptor.
    pub fn of(fd: impl AsFd) -> io::Result<Self> {
        fs::fstat(fd).map(Self::from).map_err(io_error)
    }

    /// Of what a name leads to now, if it leads anywhere.
    pub fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::lstat(path) {
            Ok(stat) => Ok(Some(stat.into())),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(io_error(errno)),
        }
    }
}

impl From<fs::Stat> for FileId {
    fn from(stat: fs::Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// A way to the file of a descriptor. Not by `/proc/self`: that is the process's first thread, and a thread may have a
/// table of descriptors of its own.
pub fn link_of(fd: BorrowedFd<'_>) -> String {
    format!("/proc/thread-self/fd/{}", fd.as_raw_fd())
}

/// Opens the same file again, as a description of its own: locks belong to descriptions. `id`: which file that is. The number
/// may stand for another one by now, in a thread that has a table of descriptors of its own, or after somebody closed it.
pub fn reopen(file: &File, id: FileId, path: Option<&Path>, write: bool) -> io::Result<OwnedFd> {
    let access = if write { OFlags::RDWR } else { OFlags::RDONLY } | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let link = link_of(file.as_fd());
    let fd = match retry_on_intr(|| fs::open(&link, access, Mode::empty())) {
        // Without /proc: by name, if that still leads to the same file.
        Err(Errno::NOENT) => {
            let path =
                path.ok_or_else(|| io::Error::other("/proc is not mounted, and the file has no name"))?;
            let fd = retry_on_intr(|| fs::open(path, access | OFlags::NOFOLLOW, Mode::empty()));
            let fd = fd.map_err(io_error)?;
            if FileId::of(&fd)? != id {
                return Err(io::Error::from(io::ErrorKind::NotFound));
            }
            fd
        }
        done => done.map_err(io_error)?,
    };
    if FileId::of(&fd)? == id {
        return Ok(fd);
    }
    Err(io::Error::other(
        "its descriptor leads to another file here: this thread has a table of its own (CLONE_FILES), or somebody closed it; open the queue in this thread",
    ))
}

/// Maps a file for reading and writing, as a role does. The mapping keeps the descriptor's description alive. `tickets`: see
/// [`Purpose`].
pub fn map(fd: BorrowedFd<'_>, length: u64, tickets: [usize; 2]) -> io::Result<Map> {
    let map = MmapOptions::new().len(length as usize).map_raw(fd.as_raw_fd())?;
    // A forked child must not keep the role, nor write.
    map.advise(Advice::DontFork).map_err(|e| {
        let says = format!("madvise(MADV_DONTFORK) says {e}; does a sandbox (seccomp) forbid it?");
        io::Error::new(e.kind(), says)
    })?;
    Map::new(map).listed(Purpose { writable: true, inherited: false, tickets })
}

/// Maps a file for reading and writing, in forked children as well: for memory that belongs to no role.
pub fn map_inherited(fd: BorrowedFd<'_>, length: u64) -> io::Result<Map> {
    let map = MmapOptions::new().len(length as usize).map_raw(fd.as_raw_fd())?;
    Map::new(map).listed(Purpose { writable: true, inherited: true, tickets: [0; 2] })
}

/// Why the memory under a mapping is not ready.
#[derive(Debug)]
pub enum Unready {
    /// There is none for some of its pages.
    NoMemory(io::Error),
    /// It may not be locked.
    Locked(io::Error),
    /// Anything else.
    Other(io::Error),
}

impl From<Unready> for io::Error {
    fn from(unready: Unready) -> Self {
        match unready {
            Unready::NoMemory(e) => {
                Self::new(io::ErrorKind::OutOfMemory, format!("no memory for its pages ({e})"))
            }
            Unready::Locked(e) => {
                Self::new(e.kind(), format!("cannot lock it in memory, see RLIMIT_MEMLOCK: {e}"))
            }
            Unready::Other(e) => e,
        }
    }
}

/// Gets the memory under a mapping ready as the options ask: the long part, for a large queue.
pub fn make_ready(map: &Map, options: &Options) -> Result<(), Unready> {
    make_ready_by(map, options, Advice::PopulateWrite)
}

/// The same for the mapping of a file that may be anybody's: what has no memory yet gets none. A stranger could have a page of
/// his own, and a length of 1 TiB. The library's own files have all of their blocks. `write`: whether it can be written.
pub fn make_found_ready(map: &Map, file: impl AsFd, write: bool, options: &Options) -> Result<(), Unready> {
    let populate = if write { Advice::PopulateWrite } else { Advice::PopulateRead };
    let len = map.backing().len();
    if has_all_blocks(&file, len as u64) {
        return make_ready_by(map, options, populate);
    }
    if options.prefault && !has_room_for_holes(&file, len as u64) {
        return Err(Unready::NoMemory(io_error(Errno::NOSPC)));
    }
    make_ready_by(map, &options.clone().prefault(false).lock(false), populate)?;
    // Locked are those pages that come to be there.
    // SAFETY: the range is a mapping of ours.
    if options.lock && unsafe { libc::mlock2(map.base().cast(), len, libc::MLOCK_ONFAULT) } != 0 {
        return Err(Unready::Locked(io::Error::last_os_error()));
    }
    Ok(())
}

/// Whether a tmpfs has room for what a file on it lacks: not kept for it, but where there is none, it is better told now.
fn has_room_for_holes(file: impl AsFd, length: u64) -> bool {
    let (Ok(stat), Ok(system)) = (fs::fstat(&file), fs::fstatfs(&file)) else { return true };
    let missing = length.saturating_sub((stat.st_blocks as u64).saturating_mul(512));
    let room = system.f_bavail.saturating_mul(system.f_bsize as u64);
    // Where there is no limit, there are no blocks.
    system.f_type != TMPFS || system.f_blocks == 0 || room >= missing
}

/// Whether the file has as much memory, or room on its disk, as it is long. Not where the file system compresses, or does not count.
pub fn has_all_blocks(file: impl AsFd, length: u64) -> bool {
    fs::fstat(file).is_ok_and(|stat| (stat.st_blocks as u64).saturating_mul(512) >= length)
}

fn make_ready_by(map: &Map, options: &Options, populate: Advice) -> Result<(), Unready> {
    let raw = map.backing();
    if options.huge_pages {
        let _ = raw.advise(Advice::HugePage);
    }
    if options.prefault {
        raw.advise(populate).or_else(|e| match e.raw_os_error() {
            // Before Linux 5.14, or where a sandbox forbids it, the pages fault in one by one; they are allocated already.
            Some(libc::EINVAL | libc::EPERM | libc::EACCES | libc::ENOSYS) => Ok(()),
            Some(libc::ENOMEM | libc::EFAULT | libc::EHWPOISON) => Err(Unready::NoMemory(e)),
            _ => Err(Unready::Other(e)),
        })?;
    }
    if options.lock {
        raw.lock().map_err(Unready::Locked)?;
    }
    Ok(())
}

/// Maps a file for looking only.
pub fn map_read_only(fd: BorrowedFd<'_>, length: u64) -> io::Result<Map> {
    let map = MmapOptions::new().len(length as usize).map_raw_read_only(fd.as_raw_fd())?;
    Map::new(map).listed(Purpose { writable: false, inherited: true, tickets: [0; 2] })
}

/// Private memory for two threads.
pub fn map_private(length: u64, options: &Options) -> io::Result<Map> {
    let len = (length as usize).next_multiple_of(PAGE);
    let map = Map::new(MmapOptions::new().len(len).map_anon()?.into());
    make_ready(&map, options)?;
    Ok(map)
}

/// Whether the file survives the machine going down, so that a clean leave must reach the disk in order.
pub fn is_durable(file: &File) -> bool {
    fs::fstatfs(file).is_ok_and(|stat| ![TMPFS, RAMFS, HUGETLBFS].contains(&stat.f_type))
}
