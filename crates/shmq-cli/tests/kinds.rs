//! Pools and raw memory, as someone sees them who is called at night: what each command says of them.

mod common;
use common::*;
use serde_json::Value;
use shmq_pool::{Options, Pool, Until};
use std::os::unix::fs::FileExt;
use std::time::Duration;

const BLOCKS: u64 = 4;
const BLOCK: usize = 5000;
/// Where a reader's mark of a clean leave is, the first handle on its way, and the two tables (docs/POOL.md).
const LEFT: u64 = 0x2208;
const FULL: u64 = 0x3008;
const LENT: u64 = 0x7000;
const HELD: u64 = 0x8000;

fn pool(test: &str) -> (Name, Pool) {
    let name = Name::new(&format!("kinds-{test}"));
    let pool = Pool::create(&name.0, BLOCKS, BLOCK, &Options::new()).unwrap();
    (name, pool)
}

/// Numbered blocks, and a writer that waits for one more until it gets it.
fn fill(pool: &Pool, blocks: u64) {
    let writer = pool.writer().unwrap();
    for n in 0..blocks {
        send(&writer, n);
    }
}

fn send(writer: &shmq_pool::Writer, n: u64) {
    let mut loan = writer.try_loan().unwrap();
    let text = format!("block {n}\n");
    loan.write_at(0, text.as_bytes()).unwrap();
    loan.send(text.len()).unwrap();
}

/// As a killed reader leaves it: with blocks in its hands, and no mark of a clean leave.
fn dead_reader(name: &Name, pool: &Pool, holding: usize) {
    let reader = pool.reader().unwrap();
    for _ in 0..holding {
        std::mem::forget(reader.try_read().unwrap());
    }
    drop(reader);
    patch(name, LEFT, &[0; 8]);
}

fn patch(name: &Name, at: u64, bytes: &[u8]) {
    let file = std::fs::File::options().write(true).open(name.path()).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

fn codes(stat: &Value) -> Vec<&str> {
    stat["advice"].as_array().unwrap().iter().map(|advice| advice["code"].as_str().unwrap()).collect()
}

fn places(stat: &Value) -> [u64; 4] {
    ["home_blocks", "under_way_blocks", "held_blocks", "returning_blocks"]
        .map(|place| stat["pool"][place].as_u64().unwrap())
}

#[test]
fn stat_says_where_the_blocks_of_a_pool_are() {
    let (name, pool) = pool("places");
    assert_eq!((&stat(&name)["state"], places(&stat(&name))), (&"unused".into(), [4, 0, 0, 0]));
    let (writer, reader) = (pool.writer().unwrap(), pool.reader().unwrap());
    for n in 0..4 {
        send(&writer, n);
    }
    let (first, second) = (reader.try_read().unwrap(), reader.try_read().unwrap());
    second.acknowledge();
    assert_eq!(places(&stat(&name)), [0, 2, 1, 1]);
    assert_eq!(stat(&name)["fill_ratio"], 0.75);
    let text = stdout(&run(&["stat", &name.0]));
    for part in [
        "4 blocks of 4.9 KiB, passed in place",
        "2 full and waiting, 1 with the reader, 1 on the way back, 0 with the writer",
        "returned  1 block",
        "writer    attached",
        "reader    attached",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains("producer") && !text.contains("consumer") && !text.contains("queue"), "{text}");
    drop(first);
}

#[test]
fn stat_names_the_reader_that_keeps_every_block() {
    let (name, pool) = pool("keeps");
    let reader = pool.reader().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let writer = pool.writer().unwrap();
            for n in 0..BLOCKS {
                send(&writer, n);
            }
            writer.loan(Until::After(LIMIT)).map(drop)
        });
        until("blocks", || reader.pending() == BLOCKS);
        let held: Vec<_> = (0..BLOCKS).map(|_| reader.try_read().unwrap()).collect();
        until("a wait", || stat(&name)["producer"]["stalled_for_ns"].as_u64() > Some(1_100_000_000));
        let seen = stat(&name);
        assert_eq!((&seen["state"], codes(&seen)), (&"stuck".into(), vec!["reader_keeps_blocks"]));
        let text = stdout(&run(&["stat", &name.0]));
        assert!(text.contains("holds 4 of 4 blocks and has given none back in the last"), "{text}");
        assert!(text.contains("has been waiting for a free block for"), "{text}");
        // The control: as soon as it gives one back, all is well.
        held.into_iter().next_back().unwrap().acknowledge();
        assert!(waiting.join().unwrap().is_ok());
        assert!(!codes(&stat(&name)).contains(&"reader_keeps_blocks"));
    });
}

#[test]
fn stat_names_the_writer_that_keeps_every_block() {
    let (name, pool) = pool("loans");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let writer = pool.writer().unwrap();
            let _loans: Vec<_> = (0..BLOCKS).map(|_| writer.try_loan().unwrap()).collect();
            writer.loan(Until::After(Duration::from_millis(2500))).map(drop).is_err()
        });
        // It knows itself that nobody else can help it, or it waits until its time is up.
        let told = || codes(&stat(&name)).contains(&"writer_keeps_blocks");
        until("a word", || waiting.is_finished() || told());
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn stat_says_what_a_dead_reader_held() {
    let (name, pool) = pool("dead");
    fill(&pool, 3);
    dead_reader(&name, &pool, 2);
    let seen = stat(&name);
    assert_eq!((&seen["state"], codes(&seen)[0]), (&"stuck".into(), "consumer_lost"));
    let text = stdout(&run(&["stat", &name.0]));
    assert!(text.contains("1 full block waits, and the reader (was pid"), "{text}");
    assert!(text.contains("ended without leaving with 2 blocks in its hands"), "{text}");
    assert!(text.contains("start the reader"), "{text}");
    // Where nothing else waits, these blocks alone are the matter.
    let (name, pool) = self::pool("dead-2");
    fill(&pool, 1);
    dead_reader(&name, &pool, 1);
    let seen = stat(&name);
    assert_eq!((&seen["state"], codes(&seen)[0]), (&"stuck".into(), "blocks_held_by_the_dead"));
    assert!(seen["advice"][0]["todo"].as_str().unwrap().contains("start the reader"));
    // The control: a reader comes.
    pool.reader().unwrap().try_read().unwrap().acknowledge();
    assert_eq!(codes(&stat(&name)), [""; 0]);
}

#[test]
fn stat_says_what_a_present_reader_did_since_it_came() {
    let (name, pool) = pool("since");
    fill(&pool, 2);
    pool.reader().unwrap().try_read().unwrap().acknowledge();
    let reader = pool.reader().unwrap();
    assert_eq!(stat(&name)["consumer"]["messages_since_it_came"], 0);
    reader.try_read().unwrap().acknowledge();
    assert_eq!(stat(&name)["consumer"]["messages_since_it_came"], 1);
}

#[test]
fn dump_shows_the_blocks_that_a_reader_would_get() {
    let (name, pool) = pool("dump");
    fill(&pool, 3);
    dead_reader(&name, &pool, 1);
    let text = run(&["dump", &name.0]);
    ok(&text);
    let said: Vec<_> = stdout(&text).lines().map(str::to_owned).collect();
    assert_eq!(said.len(), 3);
    assert_eq!(said[0], "0  block 0, with the reader  8 bytes  block 0\\n");
    assert_eq!(said[1], "1  block 1  8 bytes  block 1\\n");
    assert_eq!(stdout(&run(&["dump", &name.0, "--lines"])), "block 0\n\nblock 1\n\nblock 2\n\n");
    assert_eq!(stdout(&run(&["dump", &name.0, "--lines", "--limit", "1"])), "block 0\n\n");
    let framed = run(&["dump", &name.0, "--length-prefixed"]).stdout;
    assert_eq!(framed, b"\x08\0\0\0block 0\n\x08\0\0\0block 1\n\x08\0\0\0block 2\n");
    let cut = stdout(&run(&["dump", &name.0, "--bytes", "5", "--limit", "1"]));
    assert_eq!(cut, "0  block 0, with the reader  8 bytes  block ...\n");
    let hex = stdout(&run(&["dump", &name.0, "--hex", "--bytes", "5"]));
    assert!(hex.contains("number 2, 8 bytes, block 2\n  00000000  62 6c 6f 63 6b"), "{hex}");
    assert!(hex.contains("... 3 bytes more"), "{hex}");
    let json: Vec<Value> = stdout(&run(&["dump", &name.0, "--json", "--bytes", "5"]))
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((&json[0]["place"], &json[1]["place"]), (&"held".into(), &"under_way".into()));
    assert_eq!((&json[0]["bytes"], &json[0]["shown_bytes"]), (&8.into(), &5.into()));
    assert_eq!((&json[0]["text"], &json[3]["stopped"]), (&"block".into(), &"caught_up".into()));
    // Nothing was taken.
    assert_eq!(places(&stat(&name)), [1, 2, 1, 0]);
}

#[test]
fn dump_of_a_pool_that_was_cut_short_shows_what_is_there() {
    let (name, pool) = pool("cut");
    fill(&pool, 2);
    let file = std::fs::File::options().write(true).open(name.path()).unwrap();
    // The first of four blocks of two pages each is still there.
    file.set_len(file.metadata().unwrap().len() - 3 * 8192).unwrap();
    let output = run(&["dump", &name.0]);
    assert_eq!((code(&output), stdout(&output).lines().count()), (5, 1), "{output:?}");
    assert!(stderr(&output).contains("stopped after 1 block"), "{output:?}");
    assert_eq!(code(&run(&["doctor", &name.0])), 5);
    assert_eq!(stat_damaged(&name), 5);
}

fn stat_damaged(name: &Name) -> i32 {
    code(&run(&["stat", &name.0]))
}

#[test]
fn doctor_finds_every_block_in_one_place() {
    let (name, pool) = pool("doctor");
    fill(&pool, 3);
    dead_reader(&name, &pool, 1);
    let fine = stdout(&run(&["doctor", &name.0]));
    assert!(fine.contains("4, each in one place: 3 sent and not back, 1 at home"), "{fine}");
    assert!(fine.contains("2 under way") && fine.contains("writer left, reader lost"), "{fine}");
    let handle = |block: u64, low: u64| (block << 48 | low).to_le_bytes();
    // Number 1 and number 2 lie behind number 0.
    for (what, at, bytes, says) in [
        ("out of range", FULL + 8, handle(77, 8), "found block 77 with 8 bytes"),
        ("too long", FULL + 8, handle(1, 5001), "found block 1 with 5001 bytes"),
        ("twice", FULL + 8, handle(2, 8), "block 2 is in two places"),
        ("one that is at home", FULL + 8, handle(3, 8), "neither under way nor held"),
        ("one that is held", FULL + 8, handle(0, 8), "block 0 is in two places"),
        ("never sent", LENT, 99u64.to_le_bytes(), "noted as sent with number 98, but only 3 were sent"),
        ("never received", HELD, 99u64.to_le_bytes(), "noted as received with number 98, but only 1 were"),
        ("received and lost", HELD, [0; 8], "block 0 was sent with number 0, and is neither"),
        ("forgotten", LENT, [0; 8], "block 0 is noted as at home, and is held with number 0"),
    ] {
        let before = std::fs::read(name.path()).unwrap();
        patch(&name, at, &bytes);
        let output = run(&["doctor", &name.0, "-q"]);
        assert_eq!(code(&output), 5, "{what}: {output:?}");
        let text = stdout(&output);
        assert!(text.contains("blocks") && text.contains(says), "{what}: {text}");
        assert!(text.contains("--length-prefixed` prints what can be read"), "{what}: {text}");
        patch(&name, at, &before[at as usize..at as usize + 8]);
    }
    // The control, and that the file is as it was.
    assert_eq!(stdout(&run(&["doctor", &name.0])), fine);
}

#[test]
fn doctor_has_nothing_to_say_of_a_pool_in_full_use() {
    let (name, pool) = pool("use");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let writer = pool.writer().unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                if let Ok(loan) = writer.loan(Until::After(Duration::from_millis(10))) {
                    loan.send(100).unwrap();
                }
            }
            writer.finish().unwrap();
        });
        scope.spawn(|| {
            let reader = pool.reader().unwrap();
            let mut held = std::collections::VecDeque::new();
            while let Ok(block) = reader.read(Until::Forever) {
                held.push_back(block);
                if held.len() > 2
                    && let Some(block) = held.pop_front()
                {
                    block.acknowledge();
                }
            }
        });
        until("a beginning", || stat(&name)["consumer"]["messages_since_it_came"].as_u64() > Some(100));
        for _ in 0..20 {
            let output = run(&["doctor", &name.0, "--json"]);
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_ne!(report["queues"][0]["worst"], "damaged", "{report}");
        }
        assert_eq!(stat(&name)["state"], "flowing");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn drain_gives_the_blocks_of_a_pool_back() {
    let (name, pool) = pool("drain");
    fill(&pool, 4);
    dead_reader(&name, &pool, 1);
    let reader = pool.reader().unwrap();
    fails(&run(&["drain", &name.0]), 1, "consumer");
    drop(reader);
    let printed = run(&["drain", &name.0, "--lines", "--count", "1"]);
    assert_eq!(stdout(&printed), "block 0\n\n");
    assert!(stderr(&printed).contains("1 block printed and given back to the writer"), "{printed:?}");
    assert_eq!(places(&stat(&name)), [0, 3, 0, 1]);
    let kept = run(&["drain", &name.0, "--keep", "1"]);
    assert!(stderr(&kept).contains("2 blocks given back to the writer (16 bytes), 1 left"), "{kept:?}");
    // Into a pipe that nobody reads: what cannot be printed stays, and is seen again.
    let script = format!("set -o pipefail; shmq drain {} --lines | true; sleep 0.1", name.0);
    Running::start(shell(&script)).finish();
    let left = places(&stat(&name));
    assert!(left == [0, 0, 1, 3] || left == [0, 0, 0, 4] || left == [0, 1, 0, 3], "{left:?}");
    ok_but_says(&run(&["drain", &name.0]));
    assert_eq!(places(&stat(&name)), [0, 0, 0, 4]);
    let writer = pool.writer().unwrap();
    for n in 0..4 {
        send(&writer, n);
    }
}

fn ok_but_says(output: &std::process::Output) {
    assert_eq!(code(output), 0, "{output:?}");
}

#[test]
fn top_and_prometheus_know_pools() {
    let (name, pool) = pool("top");
    fill(&pool, 3);
    let text = stdout(&run(&["top", &name.0, "--once", "--interval", "50ms"]));
    assert!(text.contains("75%") && text.contains("3 full blocks wait"), "{text}");
    let metrics = stdout(&run(&["stat", &name.0, "--prometheus"]));
    for (metric, value) in [
        ("shmq_pool_blocks", "4"),
        ("shmq_pool_home_blocks", "1"),
        ("shmq_pending_messages", "3"),
        ("shmq_fill_ratio", "0.75"),
    ] {
        let line = format!("{metric}{{queue=\"/dev/shm/{}\"}} {value}\n", name.0);
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    // What is said of the bytes of a ring of messages does not apply.
    assert!(!metrics.contains("shmq_pending_bytes") && !metrics.contains("shmq_capacity_bytes"), "{metrics}");
}

#[test]
fn what_works_on_queues_only_says_so() {
    let (name, pool) = pool("refused");
    let raw = Name::new("kinds-refused-raw");
    shmq_raw::Region::create(&raw.0, &shmq_raw::Options::new().bytes(100)).unwrap();
    let touched = Name::new("kinds-refused-touched");
    let touch = touched.path().display().to_string();
    for args in [
        &["send", "NAME"][..],
        &["recv", "NAME"],
        &["copy", "NAME", "no-such-queue"],
        &["pipe", "NAME", "--recv", "--", "touch", &touch],
        &["pipe", "NAME", "--send", "--", "touch", &touch],
    ] {
        for (name, says) in [(&name, "pool"), (&raw, "raw memory")] {
            let args: Vec<&str> = args.iter().map(|&arg| if arg == "NAME" { &name.0 } else { arg }).collect();
            fails(&run(&args), 1, says);
        }
    }
    assert!(!touched.path().exists(), "a command was started for nothing");
    fails(&run(&["drain", &raw.0]), 1, "raw memory");
    // Removed like a queue: not while an end is held.
    let writer = pool.writer().unwrap();
    fails(&run(&["rm", &name.0]), 1, "--force");
    drop(writer);
    ok(&run(&["rm", &name.0]));
    fails(&run(&["rm", &raw.0]), 1, "--force");
    ok(&run(&["rm", "--force", &raw.0]));
    assert!(!name.path().exists() && !raw.path().exists());
}

#[test]
fn raw_memory_is_shown_as_it_stands() {
    let name = Name::new("kinds-raw");
    let options = shmq_raw::Options::new().elements::<u64>(1000);
    let region = shmq_raw::Region::create(&name.0, &options).unwrap();
    region.write_at(8, b"hello").unwrap();
    region.write_at(7992, b"the end.").unwrap();
    let dump = run(&["dump", &name.0]);
    assert!(stderr(&dump).contains("nobody waits for anybody in raw memory"), "{dump:?}");
    let lines: Vec<_> = stdout(&dump).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[0].starts_with("  00000000  00 00 00 00 00 00 00 00  68 65 6c 6c 6f"), "{}", lines[0]);
    assert_eq!(lines[2], "  *");
    assert!(lines[3].starts_with("  00001f30") && lines[3].ends_with("|........the end.|"), "{}", lines[3]);
    assert_eq!(stdout(&run(&["dump", &name.0, "--limit", "2"])).lines().count(), 1);
    let json: Vec<Value> = stdout(&run(&["dump", &name.0, "--json"]))
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&json[0]["bytes"], &json[1]["offset"], &json[1]["bytes"]),
        (&4096.into(), &4096.into(), &3904.into())
    );
    assert!(json[1]["hex"].as_str().unwrap().ends_with("74686520656e642e"));
    assert_eq!(json[2]["stopped"], "end_of_region");
    fails(&run(&["dump", &name.0, "--lines"]), 2, "raw memory");
    let doctor = run(&["doctor", &name.0]);
    assert!(stdout(&doctor).contains("raw memory has neither ends nor messages"), "{doctor:?}");
    // Cut off in the middle.
    std::fs::File::options().write(true).open(name.path()).unwrap().set_len(6000).unwrap();
    let cut = run(&["dump", &name.0, "--hex"]);
    assert_eq!(code(&cut), 5);
    assert!(stderr(&cut).contains("stopped after 1904 bytes: the file ends there"), "{cut:?}");
    assert_eq!(code(&run(&["doctor", &name.0])), 5);
}

#[test]
fn a_drain_that_meets_damage_says_so() {
    let (name, pool) = pool("bad-drain");
    fill(&pool, 3);
    patch(&name, FULL + 8, &(77u64 << 48 | 8).to_le_bytes());
    let output = run(&["drain", &name.0, "--lines"]);
    assert_eq!((code(&output), stdout(&output)), (5, "block 0\n\n".into()), "{output:?}");
    assert!(stderr(&output).contains("what comes now cannot be read"), "{output:?}");
    // As many as were asked for, and not as far as the damage.
    let (name, pool) = self::pool("bad-drain-2");
    fill(&pool, 3);
    patch(&name, FULL + 16, &(77u64 << 48 | 8).to_le_bytes());
    ok_but_says(&run(&["drain", &name.0, "--count", "1"]));
    // Of messages, the same.
    let queue = Name::new("kinds-bad-drain-queue");
    ok(&run(&["create", &queue.0]));
    ok(&run_with(&["send", &queue.0, "--no-finish"], b"one\ntwo\nthree\n"));
    patch(&queue, 0x3010, &[0xff; 8]);
    let output = run(&["drain", &queue.0, "--lines"]);
    assert_eq!((code(&output), stdout(&output)), (5, "one\n".into()), "{output:?}");
}

#[test]
fn a_damaged_first_page_leaves_enough_to_look_and_to_remove() {
    let (name, pool) = pool("bad-page");
    fill(&pool, 1);
    // In the limits, so that the checksum is wrong.
    patch(&name, 80, &[7]);
    fails(&run(&["stat", &name.0]), 5, "shows what can still be read");
    assert!(stdout(&run(&["dump", &name.0])).contains("block 0"));
    fails(&run(&["rm", &name.0]), 1, "--force");
    ok(&run(&["rm", "--force", &name.0]));
    assert!(!name.path().exists());
    // The control: what never was a queue is left alone.
    let thesis = Temp::new("kinds-thesis", b"my thesis");
    fails(&run(&["rm", "--force", thesis.text()]), 1, "remove it with rm");
    assert_eq!(code(&run(&["doctor", std::env::temp_dir().to_str().unwrap()])), 1);
}
