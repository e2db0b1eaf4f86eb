//! A file that is no region, or not the right one, is refused; what everybody sees of one that is.

use shmq::{Inspector, Kind, PeerState, Queue};
use shmq_core::layout::{CHECKSUM_AT, fnv1a};
use shmq_raw::{AttachError, CreateError, OpenError, Options, Region};
use shmq_tests::process::Scratch;
use std::os::fd::OwnedFd;
use std::path::Path;

fn small() -> Options {
    Options::new().elements::<u64>(100).tag("raw")
}

fn bytes_of(options: &Options) -> Vec<u8> {
    let scratch = Scratch::new("raw-bytes");
    Region::create(scratch.path(), options).unwrap();
    std::fs::read(scratch.path()).unwrap()
}

fn outcome(path: &Path) -> String {
    let variant = |e: &OpenError| format!("{e:?}").split([' ', '{', '(']).next().unwrap().to_owned();
    let read_only = Region::open_read_only(path, &Options::new()).map(|_| ());
    match (Region::open(path, &Options::new()), read_only) {
        (Ok(region), Ok(())) => {
            region.write_at(0, &[1; 8]).unwrap();
            region.write_at(region.len() - 8, &[1; 8]).unwrap();
            assert!(region.write_at(region.len() - 7, &[1; 8]).is_err());
            "harmless".into()
        }
        (Err(a), Err(b)) if variant(&a) == variant(&b) => variant(&a),
        (a, b) => panic!("{a:?} for writing, {b:?} for reading"),
    }
}

#[test]
fn raw_files_that_are_no_region_are_refused() {
    let scratch = Scratch::directory("raw-refused");
    let whole = bytes_of(&small());
    assert_eq!(whole.len(), 8192);
    let changed = |at: usize, value: u64, width: usize| {
        let mut bytes = whole.clone();
        bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        let sum = fnv1a(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..CHECKSUM_AT + 8].copy_from_slice(&sum.to_le_bytes());
        bytes
    };
    let mut damaged = whole.clone();
    damaged[0x21] ^= 1;
    let mut longer = whole.clone();
    longer.extend([0; 4096]);
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("whole", whole.clone(), "harmless"),
        ("same again", changed(0x20, 800, 8), "harmless"),
        ("empty", vec![], "NotAQueue"),
        ("zeros", vec![0; 8192], "NotAQueue"),
        ("text", b"just a line of text\n".repeat(1000), "NotAQueue"),
        ("a page less", whole[..4096].to_vec(), "Truncated"),
        ("a byte less", whole[..8191].to_vec(), "Truncated"),
        ("longer", longer, "NotAQueue"),
        ("damaged", damaged, "NotAQueue"),
        ("older", changed(0x08, 1, 4), "Older"),
        ("newer", changed(0x08, 3, 4), "Newer"),
        ("feature", changed(0x18, 1, 8), "Newer"),
        ("no bytes", changed(0x20, 0, 8), "NotAQueue"),
        ("beyond the file", changed(0x20, 4104, 8), "NotAQueue"),
        ("far beyond the file", changed(0x20, 0u64.wrapping_sub(8), 8), "NotAQueue"),
        ("parts of elements", changed(0x20, 801, 8), "NotAQueue"),
        ("element 0, aligned", changed(0x28, 0, 8), "NotAQueue"),
        ("impossible alignment", changed(0xa0, 3, 4), "NotAQueue"),
        ("alignment over size", changed(0xa0, 16, 4), "NotAQueue"),
        ("messages", changed(0x30, 5, 8), "NotAQueue"),
        ("groups", changed(0xa4, 1, 4), "NotAQueue"),
        ("a producer", changed(0x38, 4096, 8), "NotAQueue"),
        ("region over the header", changed(0x48, 0, 8), "NotAQueue"),
        ("region nowhere", changed(0x48, 8192, 8), "NotAQueue"),
        ("region off its page", changed(0x48, 4104, 8), "NotAQueue"),
        ("records in name only", changed(0x0c, 1, 4), "NotAQueue"),
    ];
    for (label, bytes, expected) in &table {
        let path = scratch.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(outcome(&path), *expected, "{label}");
    }
    let link = scratch.path().join("link");
    std::os::unix::fs::symlink("file", &link).unwrap();
    assert_eq!(outcome(&link), "NotAQueue");
    assert_eq!(outcome(scratch.path()), "NotAQueue");
    assert_eq!(outcome(&scratch.path().join("nothing")), "NotFound");
}

#[test]
fn raw_a_queue_is_no_region_and_a_region_no_queue() {
    let scratch = Scratch::directory("raw-kinds");
    let (queue, region) = (scratch.path().join("queue"), scratch.path().join("region"));
    Queue::create(&queue, &shmq::Options::new()).unwrap();
    let made = Region::create(&region, &small()).unwrap();
    assert!(matches!(
        Region::open(&queue, &Options::new()),
        Err(OpenError::WrongKind { expected: Kind::Raw, found: Kind::Records, .. })
    ));
    assert!(matches!(Queue::open(&region), Err(OpenError::WrongKind { found: Kind::Raw, .. })));
    assert!(matches!(Region::create(&region, &small()), Err(CreateError::AlreadyExists { .. })));
    // An observer knows it.
    let seen = Inspector::open(&region).unwrap();
    assert_eq!((seen.kind(), seen.limits().capacity, seen.limits().max_message), (Kind::Raw, 800, 8));
    assert_eq!((seen.snapshot().sent, seen.snapshot().producer.state), (0, PeerState::NeverAttached));
    assert!(seen.tag().starts_with(b"raw\0") && !seen.is_from_another_boot());
    // Replaced meanwhile: the name is not ours any more.
    std::fs::rename(&queue, &region).unwrap();
    assert!(matches!(made.remove(), Err(AttachError::Removed { .. })));
    assert!(region.exists());
}

#[test]
fn raw_what_the_options_say_is_checked() {
    let scratch = Scratch::new("raw-options");
    Region::create(scratch.path(), &small()).unwrap();
    let open = |options: Options| Region::open(scratch.path(), &options).map(|region| region.len());
    let wrong = |options| matches!(open(options), Err(OpenError::Options { .. }));
    assert_eq!(open(Options::new()).unwrap(), 800);
    assert_eq!(open(small()).unwrap(), 800);
    assert!(wrong(Options::new().bytes(801)) && wrong(Options::new().element::<u32>()));
    // The same size, but not the same alignment.
    assert!(wrong(Options::new().element::<[u8; 8]>()));
    assert!(matches!(open(Options::new().tag("other")), Err(OpenError::Tag { found, .. }) if found == "raw"));
    let mixed = Scratch::new("raw-mixed");
    Region::create(mixed.path(), &Options::new().bytes(64)).unwrap();
    assert!(Region::open(mixed.path(), &Options::new().element::<u64>()).is_err(), "it does not say");

    let made = |options: Options| Region::private(&options).map(|_| ());
    for impossible in [
        Options::new(),
        Options::new().bytes(0),
        Options::new().bytes(u64::MAX),
        Options::new().bytes(9).element::<u64>(),
        Options::new().elements::<u64>(u64::MAX),
        Options::new().elements::<()>(5),
    ] {
        assert!(matches!(made(impossible.clone()), Err(CreateError::Options { .. })), "{impossible:?}");
    }
}

#[test]
fn raw_a_descriptor_must_be_sealed() {
    let region = Region::anonymous(&small()).unwrap();
    let fd = || region.fd().unwrap().try_clone_to_owned().unwrap();
    let other = Region::from_fd(fd(), &small()).unwrap();
    other.write_at(8, b"sealed").unwrap();
    let mut bytes = [0; 6];
    let reader = Region::from_fd_read_only(fd(), &Options::new()).unwrap();
    reader.read_at(8, &mut bytes).unwrap();
    assert_eq!(&bytes, b"sealed");
    assert!(rustix::fs::ftruncate(fd(), 4096).is_err(), "nobody can shrink it");
    let scratch = Scratch::new("raw-unsealed");
    Region::create(scratch.path(), &small()).unwrap();
    let file: OwnedFd =
        std::fs::OpenOptions::new().read(true).write(true).open(scratch.path()).unwrap().into();
    assert!(matches!(Region::from_fd(file, &small()), Err(OpenError::NotSealed)));
}
