//! P5 of the tools: whatever a file says, whatever is done to it meanwhile, `ls`, `stat`, `top`, `doctor` and `dump` tell of it
//! and end with a code of their own.
//!
//! Sums that are too large show only where overflow is checked: in a debug build, and in the profile `checked`.

mod common;
use common::*;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Output;

const PAGE: u64 = 4096;
/// The words of a role's page, and the first of a ring or a table.
const OFFSETS: [u64; 23] = [
    0x000, 0x008, 0x010, 0x018, 0x020, 0x028, 0x030, 0x080, 0x088, 0x200, 0x208, 0x210, 0x220, 0x228, 0x280,
    0x288, 0x290, 0x298, 0x2a0, 0x2a8, 0x2b0, 0x2b8, 0x2c0,
];
const VALUES: [u64; 7] = [1, 8, 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX - 7, u64::MAX];

/// A folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = PathBuf::from(format!("/dev/shm/shmq-cli-{test}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A tool that panicked, or that a signal ended, has failed.
#[track_caller]
fn ended_well(output: &Output, what: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.signal().is_none(), "{what}: {:?}, {text}", output.status);
    assert!(!matches!(code(output), 101 | 134) && !text.contains("panicked"), "{what}: {text}");
}

/// One small file of each kind with something in it.
fn seeds(folder: &Folder) -> Vec<(&'static str, Vec<u8>)> {
    let kinds: [(&str, &[&str]); 2] =
        [("records", &["--capacity", "4KiB"]), ("slots", &["--slots", "1", "--depth", "20"])];
    for (kind, options) in kinds {
        ok(&run(&[&["create", &folder.at(kind)], options].concat()));
        ok(&run_with(&["send", &folder.at(kind), "--no-finish"], &lines(5)));
        assert_eq!(run(&["recv", &folder.at(kind), "--count", "2"]).stdout, b"0\n1\n");
    }
    let pool = shmq_pool::Pool::create(folder.at("pool"), 4, 64, &shmq_pool::Options::new()).unwrap();
    let (writer, reader) = (pool.writer().unwrap(), pool.reader().unwrap());
    (0..3).for_each(|_| _ = writer.try_loan().unwrap().send(5).unwrap());
    let _held = reader.try_read().unwrap();
    let kinds = ["records", "slots", "pool"];
    let seeds = kinds.map(|kind| (kind, std::fs::read(folder.at(kind)).unwrap())).into();
    kinds.iter().for_each(|kind| std::fs::remove_file(folder.at(kind)).unwrap());
    seeds
}

/// Each word of each page made each of the values, and all first words at once.
fn damage_all(folder: &Folder, kind: &str, bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut put = |name: String, patches: &[(u64, u64)]| {
        let path = folder.at(&name);
        std::fs::write(&path, bytes).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        patches.iter().for_each(|(at, value)| file.write_all_at(&value.to_le_bytes(), *at).unwrap());
        names.push(path);
    };
    let pages = 1..bytes.len() as u64 / PAGE;
    for value in VALUES {
        for page in pages.clone() {
            for offset in OFFSETS {
                put(format!("{kind}-{page}-{offset:x}-{value:x}"), &[(page * PAGE + offset, value)]);
            }
        }
        let first: Vec<_> =
            pages.clone().flat_map(|page| [0, 8].map(|at| (page * PAGE + at, value))).collect();
        put(format!("{kind}-all-{value:x}"), &first);
    }
    names
}

#[test]
fn p5_no_file_can_break_a_tool() {
    let folder = Folder::new("hostile");
    for (kind, bytes) in seeds(&folder) {
        let names = damage_all(&folder, kind, &bytes);
        let list = run(&["ls", folder.0.to_str().unwrap(), "--sample", "1ms"]);
        ended_well(&list, kind);
        // The control: it looked at all of them.
        assert_eq!(
            stdout(&list).lines().filter(|line| line.contains(&format!(" {kind} "))).count(),
            names.len()
        );
        for names in names.chunks(500) {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            ended_well(&run(&[&["top", "--once", "--interval", "50ms"], &names[..]].concat()), kind);
            ended_well(&run(&[&["doctor"], &names[..]].concat()), kind);
        }
        let far = |name: &&String| name.ends_with("ffff") || name.ends_with("8000000000000000");
        for name in names.iter().filter(far) {
            ended_well(&run(&["dump", name]), name);
        }
        for name in names.iter().filter(|name| name.contains("-all-")) {
            ended_well(&run(&["stat", name, "--sample", "1ms"]), name);
            ended_well(&run(&["stat", name, "--prometheus"]), name);
        }
        names.iter().for_each(|name| std::fs::remove_file(Path::new(name)).unwrap());
    }
}

/// Truncates a file and puts its bytes back, until it is told to stop.
struct Truncating(std::sync::Arc<std::sync::atomic::AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Truncating {
    fn start(path: String) -> Self {
        let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = over.clone();
        let bytes = std::fs::read(&path).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let work = move || {
            while !seen.load(std::sync::atomic::Ordering::Relaxed) {
                file.set_len(4096).unwrap();
                std::thread::sleep(std::time::Duration::from_micros(300));
                file.write_all_at(&bytes, 0).unwrap();
                std::thread::sleep(std::time::Duration::from_micros(300));
            }
            file.write_all_at(&bytes, 0).unwrap();
        };
        Self(over, Some(std::thread::spawn(work)))
    }
}

impl Drop for Truncating {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        self.1.take().map(std::thread::JoinHandle::join);
    }
}

#[test]
fn p8_no_tool_dies_of_a_file_that_is_truncated_and_restored() {
    let folder = Folder::new("truncating");
    let raw = shmq_raw::Region::create(folder.at("raw"), &shmq_raw::Options::new().bytes(1 << 16)).unwrap();
    drop(raw);
    for (kind, bytes) in seeds(&folder) {
        std::fs::write(folder.at(kind), bytes).unwrap();
    }
    for kind in ["records", "slots", "pool", "raw"] {
        let (name, _truncating) = (folder.at(kind), Truncating::start(folder.at(kind)));
        for _ in 0..6 {
            for args in [
                &["ls", folder.0.to_str().unwrap(), "--sample", "3ms"][..],
                &["stat", &name, "--sample", "3ms"],
                &["stat", &name, "--prometheus"],
                &["dump", &name],
                &["doctor", &name],
                &["top", &name, "--once", "--interval", "50ms"],
            ] {
                let output = run(args);
                ended_well(&output, &args.join(" "));
                assert!(matches!(code(&output), 0 | 1 | 5), "{args:?}: {output:?}");
            }
        }
    }
    // The control: with nobody at it, each is as it was.
    let list = run(&["ls", folder.0.to_str().unwrap()]);
    assert_eq!(stdout(&list).matches("damaged").count(), 0, "{list:?}");
    assert_eq!(stdout(&list).matches("KiB").count(), 4, "{list:?}");
}
