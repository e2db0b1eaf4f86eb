//! What each command does, its exit codes and its sentences.

mod common;
use common::*;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

#[test]
fn the_promised_pipeline_holds_twice() {
    let name = Name::new("pipeline");
    let q = &name.0;
    let script = format!(
        "set -o pipefail
         for round in 1 2; do
           seq 1 1000000 | shmq send {q} --create & shmq recv {q} | cmp - <(seq 1 1000000) && shmq rm {q} || exit 1
           wait $! || exit 1
         done"
    );
    ok(&Running::start(shell(&script)).finish());
}

#[test]
fn raw_memory_is_recognised() {
    let name = Name::new("raw");
    let options = shmq_raw::Options::new().elements::<u64>(512).tag("levels/1");
    shmq_raw::Region::create(&name.0, &options).unwrap();
    let seen = run(&["stat", &name.0]);
    ok(&seen);
    let text = String::from_utf8_lossy(&seen.stdout);
    assert!(
        text.contains("raw memory") && text.contains("512 elements") && text.contains("levels/1"),
        "{text}"
    );
    let json = run(&["stat", "--json", &name.0]);
    assert!(String::from_utf8_lossy(&json.stdout).contains("\"kind\":\"raw\""), "{json:?}");
    fails(&run(&["recv", &name.0, "--no-wait"]), 1, "it is raw memory");
    fails(&run(&["rm", &name.0]), 1, "--force");
    ok(&run(&["rm", "--force", &name.0]));
    assert!(!name.path().exists());
}

#[test]
fn exit_codes_and_sentences() {
    let name = Name::new("codes");
    let q = &name.0[..];
    let nothing = run(&[]);
    assert!(code(&nothing) == 2 && stderr(&nothing).contains("Examples"), "{nothing:?}");
    fails(&run(&["frobnicate"]), 2, "frobnicate");
    fails(&run(&["create", q, "--capacity", "5000"]), 2, "8192 would do");
    fails(&run(&["create", q, "--capacity", "lots"]), 2, "64KiB");
    fails(&run(&["create", q, "--mode", "0999"]), 2, "octal");
    fails(&run(&["create", q, "--tag", &"x".repeat(33)]), 2, "32 bytes");
    fails(&run(&["create", ""]), 2, "not a usable name");
    fails(&run(&["create", q, "--slots", "8"]), 2, "--depth");
    fails(&run(&["create", q, "--depth", "8"]), 2, "--slots");
    fails(&run(&["create", q, "--slots", "0", "--depth", "8"]), 2, "at least one byte");
    fails(&run(&["create", q, "--slots", "8", "--depth", "0"]), 2, "--depth");
    for limit in ["--capacity", "--max-message", "--max-messages"] {
        let both = run(&["create", q, "--slots", "8", "--depth", "8", limit, "4096"]);
        fails(&both, 2, &format!("'--slots <SIZE>' cannot be used with '{limit}"));
    }
    fails(&run(&["send", q, "--slots", "8", "--depth", "8"]), 2, "--create");
    fails(&run(&["send", q, "--chunk", "file.bin"]), 2, "before --chunk");
    fails(&run(&["send", q]), 1, "--create");
    fails(&run(&["send", q, "--capacity", "1MiB"]), 2, "--create");
    fails(&run(&["send", q, "/no/such/file", "--create"]), 1, "/no/such/file");
    fails(&run(&["recv", q, "--no-wait"]), 1, "there is no queue");
    fails(&run(&["recv", q, "--no-wait", "--timeout", "1s"]), 2, "--timeout");
    fails(&run(&["recv", q, "--count", "0"]), 2, "count");
    fails(&run(&["recv", q, "--timeout", "5"]), 2, "5s");
    fails(&run(&["recv", q, "--timeout", "50ms"]), 3, "time was up");
    fails(&run(&["stat", q]), 1, "there is no queue");
    fails(&run(&["rm", q]), 1, "nothing to remove");
    ok(&run(&["rm", "--force", q]));
    assert!(!name.path().exists(), "a command that failed made the queue");

    ok(&run(&["create", q, "--max-message", "10"]));
    fails(&run(&["create", q]), 1, "shmq rm");
    fails(&run(&["recv", q, "--timeout", "50ms"]), 3, "time was up");
    ok(&run(&["recv", q, "--no-wait"]));
    fails(&run(&["send", q, "--chunk", "11"]), 2, "--chunk 11");
    fails(&run(&["send", q, "--chunk"]), 2, "try --chunk 10");
    ok(&run(&["rm", q]));
}

#[test]
fn something_else_than_a_queue_is_left_alone() {
    let file = Temp::new("text", b"my thesis\n");
    for args in [&["stat"][..], &["dump"], &["drain"], &["send"], &["recv"], &["rm"], &["rm", "--force"]] {
        fails(&run(&[args, &[file.text()]].concat()), 1, "not a queue");
    }
    assert_eq!(std::fs::read(&file.0).unwrap(), b"my thesis\n");
}

#[test]
fn a_damaged_queue_is_told_and_can_be_removed() {
    let name = Name::new("damaged");
    ok(&run(&["create", &name.0]));
    ok(&run_with(&["send", &name.0], b"a\nb\n"));
    // Beyond the page of the geometry and those of the two ends there is only the ring.
    let mut bytes = std::fs::read(name.path()).unwrap();
    bytes[3 * 4096..].fill(0x11);
    std::fs::write(name.path(), &bytes).unwrap();
    fails(&run(&["recv", &name.0]), 5, "corrupt");
    bytes.truncate(8192);
    std::fs::write(name.path(), &bytes).unwrap();
    fails(&run(&["recv", &name.0]), 5, "truncated");
    fails(&run(&["rm", &name.0]), 5, "--force");
    ok(&run(&["rm", "--force", &name.0]));
    assert!(!name.path().exists());
}

#[test]
fn a_finished_queue_says_how_to_start_anew() {
    let name = Name::new("finished");
    ok(&run_with(&["send", &name.0, "--create"], b"a\n"));
    fails(&run_with(&["send", &name.0, "--create"], b"b\n"), 1, "1 message waits");
    assert_eq!(run(&["recv", &name.0]).stdout, b"a\n");
    let again = run_with(&["send", &name.0, "--create"], b"b\n");
    fails(&again, 1, &format!("shmq rm {}", name.0));
    assert!(stderr(&again).contains("everything was received"));
    ok(&run(&["rm", &name.0]));
}

#[test]
fn framings_carry_any_bytes() {
    let noise = noise(300_001);
    let prefixed: Vec<u8> = noise
        .chunks(997)
        .chain([&b""[..], b"\n"])
        .flat_map(|c| [&(c.len() as u32).to_le_bytes(), c].concat())
        .collect();
    let unterminated = b"a\n\n\0\xff\r\nlast";
    for (send, recv, input, output) in [
        (&["--chunk", "1KiB"][..], &["--raw"][..], &noise[..], &noise[..]),
        (&["--raw"], &["--raw"], &noise, &noise),
        (&["--length-prefixed"], &["--length-prefixed"], &prefixed, &prefixed),
        (&["--lines"], &["--lines"], unterminated, b"a\n\n\0\xff\r\nlast\n"),
        (&[], &["--length-prefixed"], b"ab\n\n", b"\x02\0\0\0ab\0\0\0\0"),
        (&["--chunk", "2"], &[], b"abc", b"ab\nc\n"),
        (&[], &[], b"", b""),
    ] {
        let name = Name::new(&format!("framings{}{}", send.concat(), recv.concat()));
        ok(&run_with(&[&["send", &name.0, "--create"], send].concat(), input));
        let received = run(&[&["recv", &name.0], recv].concat());
        ok(&received);
        assert!(received.stdout == output, "{send:?} to {recv:?} changed the bytes");
    }
}

#[test]
fn input_that_cannot_be_cut_is_told_and_the_receiver_too() {
    for (framing, input, says, before) in [
        ("--lines", &b"short\nmuch too long\nshort\n"[..], "line 2 of the input has more than 10", "short\n"),
        ("--length-prefixed", b"\x02\0\0\0ok\x05\0\0\0abc", "2 bytes are missing", "ok\n"),
        ("--length-prefixed", b"\x0b\0\0\0abcdefghijk", "message 1 of the input has more than 10", ""),
    ] {
        let name = Name::new("cut");
        let args = ["send", &name.0, "--create", "--max-message", "10", framing];
        fails(&run_with(&args, input), 1, says);
        let received = run(&["recv", &name.0]);
        assert_eq!((code(&received), stdout(&received).as_str()), (4, before));
        // It did not die: it failed, and said so.
        assert!(stderr(&received).contains("or it failed and said why"), "{received:?}");
        assert!(!stderr(&received).contains("died"), "{received:?}");
        for look in [
            &["stat", &name.0][..],
            &["top", "--once", "--interval", "50ms", &name.0],
            &["ls"],
            &["doctor", &name.0],
        ] {
            let output = run(look);
            let line = |line: &&str| look != ["ls"] || line.contains(&name.0);
            let seen = stdout(&output).lines().filter(line).collect::<String>();
            assert!(!seen.is_empty() && !seen.contains("died"), "{look:?}: {seen}");
        }
    }
}

#[test]
fn count_takes_so_many_and_leaves_the_rest() {
    let name = Name::new("count");
    ok(&run_with(&["send", &name.0, "--create"], &lines(10)));
    assert_eq!(stdout(&run(&["recv", &name.0, "--count", "3"])), "0\n1\n2\n");
    assert_eq!(stat(&name)["pending_messages"], 7);
    assert_eq!(stdout(&run(&["recv", &name.0, "--no-wait"])), "3\n4\n5\n6\n7\n8\n9\n");
}

#[test]
fn a_line_is_handed_on_at_once() {
    let name = Name::new("at-once");
    // The receiver comes first and waits for the file.
    let mut receiver = Running::start(shmq(&["recv", &name.0]));
    let mut sender = shmq(&["send", &name.0, "--create"]);
    sender.stdin(Stdio::piped());
    let mut sender = Running::start(sender);
    let mut input = sender.0.stdin.take().unwrap();
    let mut output = BufReader::new(receiver.0.stdout.take().unwrap());
    for i in 0..20 {
        writeln!(input, "line {i}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, format!("line {i}\n"));
    }
    drop(input);
    assert!(sender.wait().success());
    assert!(receiver.wait().success());
}

#[test]
fn stat_says_what_is_there() {
    let name = Name::new("stat");
    ok(&run(&[
        "create",
        &name.0,
        "--capacity",
        "64KiB",
        "--max-messages",
        "9",
        "--tag",
        "t/1",
        "--mode",
        "0640",
    ]));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(name.path()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o640);
    let fresh = stat(&name);
    assert_eq!(fresh["schema"], "shmq.stat/1");
    assert_eq!((&fresh["capacity_bytes"], &fresh["max_messages"]), (&65536.into(), &9.into()));
    assert_eq!((&fresh["tag"], &fresh["producer"]["state"]), (&"t/1".into(), &"never_attached".into()));
    ok(&run_with(&["send", &name.0, "--no-finish"], b"a\nb\n"));
    let seen = stat(&name);
    assert_eq!((&seen["pending_messages"], &seen["sent_messages"]), (&2.into(), &2.into()));
    assert_eq!((&seen["finished"], &seen["producer"]["state"]), (&false.into(), &"left".into()));
    let text = stdout(&run(&["stat", &name.0]));
    for part in ["64 KiB", "at most 9 waiting", "t/1", "2 messages", "left", "never attached"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    fails(&run(&["recv", &name.0, "--tag", "t/2"]), 1, "t/1");
    fails(&run_with(&["send", &name.0, "--tag", "t/2"], b"x"), 1, "t/1");
    let left = run(&["recv", &name.0, "--tag", "t/1"]);
    assert_eq!((code(&left), stdout(&left).as_str()), (0, "a\nb\n"));
    assert!(stderr(&left).contains("without declaring the end"));
}

#[test]
fn rm_cuts_nobody_off_unless_forced() {
    let name = Name::new("rm");
    ok(&run(&["create", &name.0]));
    let mut receiver = Running::start(shmq(&["recv", &name.0]));
    until("the receiver", || stat(&name)["consumer"]["state"] == "attached");
    fails(&run(&["rm", &name.0]), 1, "taken by a living process");
    fails(&run(&["recv", &name.0]), 1, "taken by a living process");
    ok(&run(&["rm", "--force", &name.0]));
    assert!(!name.path().exists());
    assert_eq!(receiver.wait().code(), Some(1), "a receiver whose file is gone can get nothing more");
}

#[test]
fn rm_waits_for_a_process_that_is_leaving() {
    let name = Name::new("leaving");
    ok(&run(&["create", &name.0]));
    let receiver = Running::start(shmq(&["recv", &name.0]));
    until("the receiver", || stat(&name)["consumer"]["state"] == "attached");
    let remover = Running::start(shmq(&["rm", &name.0]));
    std::thread::sleep(Duration::from_millis(50));
    receiver.kill();
    ok(&remover.finish());
}

#[test]
fn every_help_has_examples_and_the_codes_are_written_down() {
    let help = stdout(&run(&["--help"]));
    for code in ["0  done", "1  failure", "2  wrong", "3  timed", "4  the other end", "5  the queue"] {
        assert!(help.contains(code), "{code}");
    }
    for command in
        ["create", "rm", "send", "recv", "ls", "stat", "dump", "doctor", "drain", "copy", "pipe", "demo"]
    {
        assert!(
            stdout(&run(&[command, "--help"])).contains(&format!("Examples:\n  shmq {command}"))
                || stdout(&run(&[command, "--help"])).contains("| shmq send")
        );
    }
    assert!(!help.contains("demo-part"));
}

#[test]
fn stat_shows_the_mark_and_the_origin() {
    let name = Name::new("mark");
    ok(&run_with(&["send", &name.0, "--create", "--no-finish"], b"one\n"));
    assert!(stat(&name)["mark"].is_null() && stat(&name)["origin"].is_null());
    let mut tx = shmq::Producer::open(&name.0).unwrap();
    tx.set_origin([0xab; 16], 1000);
    tx.try_send_marked(b"two", [7; 16]).unwrap();
    drop(tx);
    let seen = stat(&name);
    let (note, id) = ("07".repeat(16), "ab".repeat(16));
    assert_eq!((&seen["mark"]["sequence"], &seen["mark"]["note"]), (&1.into(), &note[..].into()));
    assert_eq!((&seen["origin"]["next"], &seen["origin"]["queue_id"]), (&1001.into(), &id[..].into()));
    let text = stdout(&run(&["stat", &name.0]));
    assert!(text.contains(&note) && text.contains(&id), "{text}");
}
