//! P8: whatever is refused of a file that has a name, the text says of which: to make it, to open it, to take an end of it, to
//! remove it; of every shape. A name that is not UTF-8, or would steer a terminal, is shown as bash takes it.

use shmq::{
    AttachError, Corruption, CreateError, Inspector, Kind, OpenError, Options, Queue, Role, path_of, slots,
};
use shmq_pool::Pool;
use shmq_raw::{Region, cell_bytes};
use shmq_tests::process::Scratch;
use std::fmt::Display;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What it says, which is of this file.
#[track_caller]
fn of<T, E: Display>(path: &Path, refused: Result<T, E>) -> String {
    let text = refused.err().expect("it is refused").to_string();
    assert_eq!(text.matches(path.to_str().expect("UTF-8")).count(), 1, "{text}");
    text
}

/// Every way to open this file, of which none goes.
#[track_caller]
fn none_opens(path: &Path) {
    of(path, Queue::open(path));
    of(path, Queue::open_or_create(path, &Options::new()));
    of(path, slots::Queue::<u64>::open(path));
    of(path, slots::Queue::<[u8]>::open_bytes(path, &Options::new()));
    of(path, slots::Queue::<u64>::open_or_create(path, 4, &Options::new()));
    of(path, Pool::open(path));
    of(path, Pool::open_or_create(path, 4, 64, &Options::new()));
    of(path, Region::open(path, &shmq_raw::Options::new()));
    of(path, Region::open_read_only(path, &shmq_raw::Options::new()));
    of(path, Inspector::open(path));
    of(path, shmq_pool::Inspector::open(path));
}

/// Every way to make this file, of which none goes.
#[track_caller]
fn none_makes(path: &Path) {
    of(path, Queue::create(path, &Options::new()));
    of(path, slots::Queue::<u64>::create(path, 4, &Options::new()));
    of(path, slots::Queue::<[u8]>::create_bytes(path, 4, 4, &Options::new()));
    of(path, Pool::create(path, 4, 64, &Options::new()));
    of(path, Region::create(path, &shmq_raw::Options::new().bytes(64)));
}

#[test]
fn p8_what_cannot_be_made_or_opened_is_named() {
    let folder = Scratch::directory("named");
    let path = |name: &str| folder.path().join(name);
    // Nothing, no folder, a file as a folder, a folder, a link, a pipe, a device, something else.
    assert!(of(&path("none"), Queue::open(path("none"))).contains("no queue"));
    of(&path("none"), Inspector::open_damaged(path("none")));
    for under in ["nodir/x", "text/x"] {
        std::fs::write(path("text"), "text").unwrap();
        none_makes(&path(under));
        none_opens(&path(under));
    }
    std::os::unix::fs::symlink(path("text"), path("link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), 0o600.into()).unwrap();
    for other in [folder.path(), &path("text"), &path("link"), &path("pipe"), Path::new("/dev/null")] {
        none_makes(other);
        none_opens(other);
        of(other, Inspector::open_damaged(other));
    }
    // Spoiled ones: another version either way, features of the future, cut short, of another kind.
    Queue::create(path("queue"), &Options::new().capacity(4096)).unwrap();
    let whole = std::fs::read(path("queue")).unwrap();
    for (at, byte) in [(8, 0_u8), (8, 99), (16, 0xff), (40, 0xff)] {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        std::fs::write(path("spoiled"), bytes).unwrap();
        none_makes(&path("spoiled"));
        of(&path("spoiled"), Queue::open(path("spoiled")));
        of(&path("spoiled"), Inspector::open(path("spoiled")));
    }
    for cut in [0, 10, 5000] {
        std::fs::write(path("cut"), &whole[..cut]).unwrap();
        none_opens(&path("cut"));
    }
}

#[test]
fn p8_what_is_not_what_was_asked_for_is_named() {
    let folder = Scratch::directory("named-other");
    let [records, slots_of, pool, raw] =
        ["records", "slots", "pool", "raw"].map(|name| folder.path().join(name));
    let tagged = Options::new().tag("this");
    Queue::create(&records, &tagged).unwrap();
    slots::Queue::<u64>::create(&slots_of, 4, &tagged).unwrap();
    Pool::create(&pool, 4, 64, &tagged).unwrap();
    let regions = shmq_raw::Options::new();
    Region::create(&raw, &regions.clone().elements::<u64>(8).tag("this")).unwrap();
    for other in [&slots_of, &pool, &raw] {
        of(other, Queue::open(other));
    }
    for other in [&records, &pool, &raw] {
        of(other, slots::Queue::<u64>::open(other));
    }
    for other in [&records, &slots_of, &raw] {
        of(other, Pool::open(other));
        of(other, shmq_pool::Inspector::open(other));
    }
    for other in [&records, &slots_of, &pool] {
        of(other, Region::open(other, &regions));
    }
    let that = Options::new().tag("that");
    of(&records, Queue::open_with(&records, &that));
    of(&slots_of, slots::Queue::<u64>::open_with(&slots_of, &that));
    of(&pool, Pool::open_with(&pool, &that));
    of(&raw, Region::open(&raw, &regions.clone().tag("that")));
    of(&records, Queue::open_or_create(&records, &Options::new().max_messages(7)));
    of(&slots_of, slots::Queue::<u64>::open_or_create(&slots_of, 5, &Options::new()));
    of(&slots_of, slots::Queue::<u32>::open(&slots_of));
    of(&pool, Pool::open_or_create(&pool, 5, 64, &Options::new()));
    of(&raw, Region::open(&raw, &regions.clone().bytes(8)));
    of(&raw, Region::open(&raw, &regions.clone().elements::<u32>(16)));
}

#[test]
fn p8_an_end_that_cannot_be_taken_and_a_file_that_cannot_be_removed_are_named() {
    let folder = Scratch::directory("named-ends");
    let [records, slots_of, pool, raw] =
        ["records", "slots", "pool", "raw"].map(|name| folder.path().join(name));
    let queue = Queue::create(&records, &Options::new().capacity(4096)).unwrap();
    let others = slots::Queue::<u64>::create(&slots_of, 4, &Options::new()).unwrap();
    let blocks = Pool::create(&pool, 4, 64, &Options::new()).unwrap();
    let bytes = cell_bytes::<u64>() as u64;
    let region = Region::create(&raw, &shmq_raw::Options::new().bytes(bytes)).unwrap();
    // Taken by somebody.
    let held = (queue.producer().unwrap(), others.producer().unwrap(), blocks.writer().unwrap());
    assert!(of(&records, queue.producer()).contains("taken by a living process"));
    of(&slots_of, others.producer());
    of(&pool, blocks.writer());
    of(&records, queue.remove());
    of(&slots_of, others.remove());
    of(&pool, blocks.remove());
    drop(held);
    // Contradicting itself: a count beyond all there can be.
    let page = shmq_core::layout::Parts::standard(4096).page(Role::Producer) as u64;
    let file = File::options().write(true).open(&records).unwrap();
    file.write_all_at(&[0x7f; 64], page).unwrap();
    of(&records, queue.producer());
    queue.remove().unwrap();
    // Finished, by whom a successor has nothing to add.
    let queue = Queue::create(&records, &Options::new().capacity(4096)).unwrap();
    queue.producer().unwrap().finish().unwrap();
    others.producer().unwrap().finish().unwrap();
    blocks.writer().unwrap().finish().unwrap();
    assert!(of(&records, queue.producer()).contains("finished"));
    of(&slots_of, others.producer());
    of(&pool, blocks.writer());
    // Gone.
    for path in [&records, &slots_of, &pool, &raw] {
        std::fs::remove_file(path).unwrap();
    }
    assert!(of(&records, queue.consumer()).contains("removed"));
    of(&slots_of, others.consumer());
    of(&pool, blocks.reader());
    of(&records, queue.remove());
    of(&raw, region.remove());
    // Cut short.
    let queue = Queue::create(&records, &Options::new().capacity(4096)).unwrap();
    File::options().write(true).open(&records).unwrap().set_len(100).unwrap();
    of(&records, queue.consumer());
}

/// Those that cannot be had here: another boot, no memory, no right.
#[test]
fn every_error_that_knows_a_file_names_it() {
    let place = PathBuf::from("/somewhere/q");
    let (path, named) = (place.clone(), Some(place.clone()));
    let io = || std::io::Error::other("no");
    let what = Corruption::Position;
    for error in [
        CreateError::NoSpace { path: path.clone(), bytes: 1 },
        CreateError::NoInode { path: path.clone() },
        CreateError::ReadOnly { path: path.clone() },
        CreateError::FileSystem { path: path.clone(), found: "NFS" },
        CreateError::FileSize { path: named.clone(), bytes: 2, limit: 1 },
        CreateError::Lock { path: named.clone(), source: io() },
        CreateError::Denied { path: path.clone() },
    ] {
        of(&place, Err::<(), _>(error));
    }
    for error in [OpenError::Denied { path: path.clone() }, OpenError::ReadOnly { path: path.clone() }] {
        of(&place, Err::<(), _>(error));
    }
    for error in [
        AttachError::Busy { path: named.clone(), role: Role::Producer, pid: 1 },
        AttachError::OtherBoot { path: named.clone() },
        AttachError::Corrupt { path: named.clone(), what },
        AttachError::Lock { path: named.clone(), source: io() },
        AttachError::NoMemory { path: named.clone(), bytes: 1 },
        AttachError::FileSystem { path, found: "NFS" },
        AttachError::Denied { path: named.clone() },
        AttachError::WrongKind { path: named, expected: Kind::Raw, found: Kind::Pool },
    ] {
        of(&place, Err::<(), _>(error));
    }
    // One without a name says nothing of a name.
    let nameless = AttachError::Finished { path: None }.to_string();
    assert!(nameless.starts_with("the queue is finished"), "{nameless}");
}

#[test]
fn p5_a_name_that_would_steer_a_terminal_or_is_no_text_is_shown_as_bash_takes_it() {
    for (name, shown) in [
        (&b"\x1b[31mred"[..], r"$'/dev/shm/\x1b[31mred'"),
        (b"caf\xe9", r"$'/dev/shm/caf\xe9'"),
        (b"a b", "/dev/shm/a b"),
    ] {
        let name = std::ffi::OsStr::from_bytes(name);
        let text = Queue::open(name).unwrap_err().to_string();
        assert!(text.contains(shown), "{text:?}");
        assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
        assert!(path_of(name).is_some());
    }
}
