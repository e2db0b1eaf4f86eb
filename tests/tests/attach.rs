//! P8, no surprise at the start: what is not a whole queue of this format is refused, or harmless; creation is whole or
//! not at all; permissions are what they were asked to be. Suspicious files are opened in a child, where a SIGBUS or a
//! SIGSEGV is a failed test.

use shmq::{AttachError, OpenError, Options, Queue, Role};
use shmq_core::layout::{self, Header};
use shmq_tests::process::opener::{Opener, put, seal};
use shmq_tests::process::{Child, Dice, Scratch, Witness, patiently, word};
use std::os::unix::fs::{FileExt, PermissionsExt};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

fn opener(label: &str) -> Opener {
    Opener::new(HELPER, "attach", label)
}

/// The bytes of a new queue.
fn bytes_of(options: &Options) -> Vec<u8> {
    let scratch = Scratch::new("bytes");
    Queue::create(scratch.path(), options).unwrap();
    std::fs::read(scratch.path()).unwrap()
}

fn small() -> Options {
    Options::new().capacity(4096).tag("attach")
}

#[test]
fn p8_files_that_are_no_queue_of_this_format_are_refused() {
    let mut opener = opener("refused");
    let whole = bytes_of(&small());
    let changed = |at: usize, value: u64, width: usize, sealed: bool| {
        let mut bytes = whole.clone();
        put(&mut bytes, at, value, width);
        if sealed {
            seal(&mut bytes);
        }
        bytes
    };
    let text_mode = |from: &[u8], to: &[u8]| {
        let mut bytes = whole.clone();
        let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
        bytes.splice(at..at + from.len(), to.iter().copied());
        bytes
    };
    let mut longer = whole.clone();
    longer.extend([0; 4096]);
    let mut raw = whole.clone();
    // A region: no ends, all of the file behind its first page.
    let region = [(0x0c, 3, 4), (0x20, whole.len() as u64 - 4096, 8), (0x28, 0, 8), (0x30, 0, 8)];
    let places = [(0x38, 0, 8), (0x40, 0, 8), (0x48, 4096, 8)];
    region.iter().chain(&places).for_each(|&(at, value, width)| put(&mut raw, at, value, width));
    seal(&mut raw);
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("whole", whole.clone(), "harmless"),
        ("empty", vec![], "NotAQueue"),
        ("text", b"just a line of text\n".repeat(1000), "NotAQueue"),
        ("short text", b"x".to_vec(), "NotAQueue"),
        ("zeros", vec![0; whole.len()], "NotAQueue"),
        ("less than a header", whole[..100].to_vec(), "NotAQueue"),
        ("header only", whole[..size_of::<Header>()].to_vec(), "Truncated"),
        ("a page less", whole[..whole.len() - 4096].to_vec(), "Truncated"),
        ("a byte less", whole[..whole.len() - 1].to_vec(), "Truncated"),
        ("longer", longer, "NotAQueue"),
        ("version 0", changed(8, 0, 4, true), "NotAQueue"),
        ("older version", changed(8, 1, 4, true), "Older"),
        ("newer version", changed(8, 3, 4, true), "Newer"),
        ("newer version, other checksum", changed(8, 3, 4, false), "Newer"),
        ("incompatible feature", changed(0x18, 1, 8, true), "Newer"),
        ("foreign magic", changed(0, u64::from_le_bytes(*b"\x7fELF\x02\x01\x01\x00"), 8, true), "NotAQueue"),
        ("another shape", raw, "WrongKind"),
        ("raw in name only", changed(0x0c, 3, 4, true), "NotAQueue"),
        ("slots in name only", changed(0x0c, 2, 4, true), "NotAQueue"),
        ("no shape", changed(0x0c, 9, 4, true), "NotAQueue"),
        ("CR LF to LF", text_mode(b"\r\n", b"\n"), "NotAQueue"),
        ("LF to CR LF", text_mode(b"\r\n\x1a\n", b"\r\r\n\x1a\r\n"), "NotAQueue"),
        ("7 bits", changed(0, 0x09, 1, true), "NotAQueue"),
        ("damaged tag", changed(0x80, 7, 1, false), "NotAQueue"),
    ];
    for (label, bytes, expected) in &table {
        assert_eq!(opener.open_bytes(label, bytes), *expected, "{label}");
    }
}

#[test]
fn p8_what_is_no_regular_file_is_refused_without_waiting() {
    let mut opener = opener("irregular");
    let directory = opener.path("directory");
    std::fs::create_dir(&directory).unwrap();
    assert_eq!(opener.open(&directory), "NotAQueue");

    let fifo = opener.path("fifo");
    let text = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: a valid string.
    assert_eq!(unsafe { libc::mkfifo(text.as_ptr(), 0o600) }, 0);
    assert_eq!(opener.open(&fifo), "NotAQueue");

    let target = opener.path("target");
    Queue::create(&target, &small()).unwrap();
    let link = opener.path("link");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert_eq!(opener.open(&link), "NotAQueue");
    assert_eq!(opener.open(&target), "harmless");
    let dangling = opener.path("dangling");
    std::os::unix::fs::symlink(opener.path("nothing"), &dangling).unwrap();
    assert_eq!(opener.open(&dangling), "NotAQueue");
    // Nor is one replaced or followed by making a queue.
    for taken in [&link, &dangling, &fifo, &directory] {
        assert!(matches!(Queue::create(taken, &small()), Err(shmq::CreateError::AlreadyExists { .. })));
    }
    assert!(!opener.path("nothing").exists());

    let socket = opener.path("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(opener.open(&socket), "NotAQueue");
    for device in ["/dev/null", "/dev/zero"] {
        assert_eq!(opener.open(device), "NotAQueue");
    }
    let missing = opener.path("missing");
    assert_eq!(opener.open(&missing), "NotFound");
    let under_a_file = target.join("below");
    assert_eq!(opener.open(&under_a_file), "NotFound");
}

#[test]
fn p4_whoever_tries_to_remove_a_queue_in_use_keeps_nobody_from_its_free_end() {
    let scratch = Scratch::new("removers");
    let queue = Queue::create(scratch.path(), &small()).unwrap();
    let rx = queue.consumer().unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let refused = Queue::open(scratch.path()).unwrap().remove();
                assert!(matches!(refused, Err(AttachError::Busy { .. })), "{refused:?}");
            }
        });
        let taken: Vec<_> = (0..2000).map(|_| queue.producer().map(drop)).collect();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        let refused = taken.iter().find(|taken| taken.is_err());
        assert!(refused.is_none(), "{refused:?}");
    });
    // The control: an end that somebody has is refused.
    assert!(matches!(queue.consumer(), Err(AttachError::Busy { role: Role::Consumer, .. })));
    drop(rx);
    queue.remove().unwrap();
}

#[test]
fn p8_each_geometry_field_off_by_a_little_or_a_lot_is_refused_or_harmless() {
    let wholes = [small(), small().capacity(16384).max_message(1000).max_messages(7)];
    let forged = opener("geometry").forge_all(&wholes.map(|options| bytes_of(&options)));
    assert!(forged.harmless.values().sum::<u32>() > 20 && forged.refused > 20);
}

#[test]
fn p5_nonsense_in_the_pages_and_the_ring_is_an_error_and_never_a_crash() {
    let mut opener = opener("nonsense");
    let whole = bytes_of(&small());
    let mut dice = Dice(0x0bad);
    let mut outcomes = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..1000 {
        let mut bytes = whole.clone();
        for _ in 0..=dice.below(6) {
            // Mostly the words that mean something.
            let at = match dice.below(5) {
                0 => 4096 + 8 * dice.below(3),
                1 => 8192 + 8 * dice.below(2),
                2 => 8192 + 128 + 8 * dice.below(2),
                3 => 4096 + 8 * dice.below(1024),
                _ => 12288 + 8 * dice.below(512),
            };
            let value = match dice.below(6) {
                0 => dice.next(),
                1 => dice.below(4096) * 8,
                2 => u64::MAX - dice.below(64),
                3 => dice.below(4) | dice.below(64) << 2 | dice.below(4096) << 32,
                4 => 1 << dice.below(64),
                _ => dice.below(5000),
            };
            put(&mut bytes, at as usize, value, 8);
        }
        let outcome = opener.open_bytes("nonsense", &bytes);
        *outcomes.entry(outcome.split(':').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    eprintln!("{outcomes:?}");
    assert!(outcomes.contains_key("Corrupt"), "the damage does not reach the ring");
}

#[test]
fn p8_a_file_of_another_boot_is_accepted_only_if_it_was_closed_cleanly() {
    for (role, other) in [(Role::Producer, Role::Consumer), (Role::Consumer, Role::Producer)] {
        let Some(scratch) = Scratch::on_disk("boot") else {
            assert!(std::env::var_os("SHMQ_NO_SKIPS").is_none(), "this was built in memory");
            eprintln!("SKIPPED: files of another boot need a file system that outlives one");
            return;
        };
        let queue = Queue::create(scratch.path(), &small()).unwrap();
        drop(patiently(|| queue.producer()).unwrap());
        drop(patiently(|| queue.consumer()).unwrap());
        let file = std::fs::File::options().write(true).open(scratch.path()).unwrap();
        let page = layout::Parts::standard(4096).page(role) as u64;
        let set = |word: layout::Control, value: u64| {
            file.write_all_at(&value.to_le_bytes(), page + word.offset() as u64).unwrap();
        };
        let take = |role: Role| match role {
            Role::Producer => patiently(|| queue.producer()).map(drop),
            Role::Consumer => patiently(|| queue.consumer()).map(drop),
        };
        let words = role.words();
        // As if the machine had gone down while this role was held, and come up again.
        let crash = || {
            words.boot.iter().for_each(|&word| set(word, 0x1234_5678));
            set(words.left, 0);
        };
        crash();
        for role in [role, other] {
            match take(role) {
                Err(error @ AttachError::OtherBoot { .. }) => {
                    assert!(error.to_string().contains("recreate"), "{error}")
                }
                done => panic!("{role}: {done:?}"),
            }
        }
        // Still there to be looked at and removed.
        assert_eq!(queue.inspect().unwrap().snapshot().end(role).epoch, 1);
        // The same with a clean leave is accepted, and then belongs to this boot.
        set(words.left, 1);
        take(role).unwrap();
        set(words.left, 0);
        take(role).unwrap();
        crash();
        patiently(|| Queue::open(scratch.path()).unwrap().remove()).unwrap();
    }
}

#[test]
fn p8_a_full_file_system_is_an_error_at_creation_and_leaves_nothing() {
    let directory = Scratch::directory("full");
    let child = Child::spawn(HELPER, &["full", directory.name()]);
    match &child.line()[..] {
        "full" => child.succeed(),
        skipped if skipped.starts_with("skipped") => {
            eprintln!(
                "SKIPPED: no small tmpfs could be mounted here ({skipped}); run as root or with user namespaces"
            );
        }
        other => panic!("{other}"),
    }
}

#[test]
fn named_queues_work_where_proc_is_not_mounted() {
    let (existing, new) = (Scratch::new("proc"), Scratch::new("proc-new"));
    Queue::create(existing.path(), &small()).unwrap();
    let child = Child::spawn(HELPER, &["without-proc", existing.name(), new.name()]);
    match &child.line()[..] {
        "works" => child.succeed(),
        skipped if skipped.starts_with("skipped") => {
            eprintln!("SKIPPED: {skipped}; run as root or with user namespaces");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_wish_for_huge_pages_that_cannot_be_had_changes_nothing() {
    let options = small().huge_pages(true);
    let scratch = Scratch::new("huge");
    for queue in [Queue::create(scratch.path(), &options).unwrap(), Queue::anonymous(&options).unwrap()] {
        let mut tx = patiently(|| queue.producer()).unwrap();
        let mut rx = patiently(|| queue.consumer()).unwrap();
        for _ in 0..10 {
            tx.try_send(&[3; 2000]).unwrap();
            assert_eq!(rx.try_recv().unwrap(), [3; 2000]);
        }
    }
}

#[test]
fn p8_a_queue_appears_whole_or_not_at_all() {
    let (scratch, notes) = (Scratch::new("whole"), Scratch::new("witness"));
    let witness = Witness::create(notes.path());
    let watcher = Child::spawn(HELPER, &["watch-open", scratch.name(), notes.name()]);
    watcher.expect("watching");
    for _ in 0..2000 {
        Queue::create(scratch.path(), &small()).unwrap();
        std::fs::remove_file(scratch.path()).unwrap();
    }
    witness.set(word::STOP, 1);
    let seen = watcher.line();
    watcher.succeed();
    eprintln!("opened {seen} times in passing");
    assert!(seen.parse::<u64>().expect(&seen) > 0, "nobody looked");
}

#[test]
fn p8_control_a_queue_made_in_place_is_seen_half_made() {
    let (scratch, notes) = (Scratch::new("half"), Scratch::new("witness"));
    let witness = Witness::create(notes.path());
    let watcher = Child::spawn(HELPER, &["watch-open", scratch.name(), notes.name()]);
    watcher.expect("watching");
    let whole = bytes_of(&small());
    std::fs::write(scratch.path(), &whole[..layout::CHECKSUM_AT]).unwrap();
    let said = watcher.line();
    witness.set(word::STOP, 1);
    assert!(said.contains("half a queue"), "{said}");
}

#[test]
fn p8_the_mode_is_exact_whatever_the_umask() {
    let directory = Scratch::directory("modes");
    Child::spawn(HELPER, &["modes", directory.name()]).succeed();
}

#[test]
fn p8_permissions_hold_for_a_user_without_rights() {
    let [closed, open, readable] = ["closed", "open", "readable"].map(Scratch::new);
    Queue::create(closed.path(), &small()).unwrap();
    Queue::create(open.path(), &small().mode(0o666)).unwrap();
    Queue::create(readable.path(), &small().mode(0o644)).unwrap();
    // SAFETY: a plain system call.
    if unsafe { libc::getuid() } != 0 {
        // Our own files: what the owner may not, the owner may not.
        std::fs::set_permissions(closed.path(), PermissionsExt::from_mode(0o000)).unwrap();
        std::fs::set_permissions(readable.path(), PermissionsExt::from_mode(0o444)).unwrap();
    }
    let child = Child::spawn(HELPER, &["nobody", closed.name(), open.name(), readable.name()]);
    for (what, expected) in [
        ("open a queue of mode 0600", "Denied"),
        ("look at it", "Denied"),
        ("open one that can only be read", "Denied"),
        ("look at it", "never attached"),
        ("use a queue of mode 0666", "harmless"),
        ("create one that must stay in memory", "Lock"),
        ("take a role that must stay in memory", "Lock"),
        ("take it without that", "taken"),
        ("create where that is not allowed", "Denied"),
    ] {
        assert_eq!(child.line(), expected, "{what}");
    }
    child.succeed();
}

#[test]
fn p8_a_tag_that_differs_is_refused_and_no_tag_asks_for_none() {
    let scratch = Scratch::new("tag");
    Queue::create(scratch.path(), &small()).unwrap();
    Queue::open(scratch.path()).unwrap();
    Queue::open_with(scratch.path(), &Options::new().tag("attach")).unwrap();
    for tag in ["attac", "attach2", "other"] {
        match Queue::open_with(scratch.path(), &Options::new().tag(tag)) {
            Err(OpenError::Tag { found, .. }) => assert_eq!(found, "attach"),
            other => panic!("{tag}: {other:?}"),
        }
    }
}
