//! What someone sees who is called at night: on healthy, full, stopped, dead, damaged, foreign and old files.

mod common;
use common::*;
use serde_json::Value;
use std::os::unix::fs::FileExt;

/// Where a role's page begins, and words in it.
const PRODUCER: u64 = 0x1000;
const RING: u64 = 0x3000;
const EPOCH: u64 = 0x200;
const BOOT: u64 = 0x210;

fn patch(name: &Name, at: u64, bytes: &[u8]) {
    let file = std::fs::File::options().write(true).open(name.path()).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

fn json(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

/// Codes of what `stat` advises.
fn codes(stat: &Value) -> Vec<&str> {
    stat["advice"].as_array().unwrap().iter().map(|advice| advice["code"].as_str().unwrap()).collect()
}

/// A queue of ten messages that nobody holds, of either shape.
fn ten(test: &str, slots: bool) -> Name {
    ten_at(Name::new(&format!("{test}{slots}")), slots)
}

fn ten_at(name: Name, slots: bool) -> Name {
    let shape: &[&str] = if slots { &["--slots", "1", "--depth", "20"] } else { &[] };
    ok(&run(&[&["create", &name.0], shape].concat()));
    ok(&run_with(&["send", &name.0, "--no-finish"], &lines(10)));
    name
}

/// A queue that a producer has filled and is blocked on, and a consumer that has taken something.
fn full(test: &str) -> (Name, Running, Running) {
    let name = Name::new(test);
    ok(&run(&["create", &name.0, "--capacity", "4KiB"]));
    let mut receiver = shell(&format!("exec shmq recv {} --follow", name.0));
    receiver.stdout(std::process::Stdio::null());
    let receiver = Running::start(receiver);
    until("the receiver", || stat(&name)["consumer"]["state"] == "attached");
    receiver.signal(libc::SIGSTOP);
    let sender = Running::start(shell(&format!("exec shmq send {} < <(yes message)", name.0)));
    until("a full queue", || stat(&name)["producer"]["stalled_for_ns"].as_u64() > Some(300_000_000));
    (name, sender, receiver)
}

#[test]
fn stat_names_who_is_stopped_and_who_waits() {
    let (name, _sender, receiver) = full("stopped");
    let seen = stat(&name);
    assert_eq!((&seen["state"], &seen["consumer"]["condition"]), (&"stuck".into(), &"stopped".into()));
    assert_eq!(codes(&seen)[..2], ["consumer_stopped", "consumer_takes_nothing"]);
    let text = stdout(&run(&["stat", &name.0]));
    for part in
        ["stuck", "is stopped", "kill -CONT", "has taken nothing", "has been blocked on a full queue for"]
    {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    // The control: once it goes on, all is well.
    receiver.signal(libc::SIGCONT);
    until("messages to flow", || stat(&name)["state"] == "flowing");
    assert!(!codes(&stat(&name)).contains(&"consumer_stopped"));
}

#[test]
fn stat_names_who_died() {
    let (name, _sender, receiver) = full("died");
    receiver.kill();
    until("its death", || stat(&name)["consumer"]["state"] == "lost");
    let seen = stat(&name);
    assert_eq!((&seen["state"], codes(&seen)[0]), (&"stuck".into(), "consumer_lost"));
    let text = stdout(&run(&["stat", &name.0]));
    assert!(text.contains("ended without leaving") && text.contains("start the consumer"), "{text}");
    assert!(text.contains("has been blocked"), "{text}");
    let list = run(&["ls"]);
    assert!(stdout(&list).lines().any(|line| line.contains(&name.0) && line.contains("stuck")), "{list:?}");
}

#[test]
fn what_was_noted_on_slow_paths_is_told() {
    let (name, _sender, receiver) = full("noted");
    let seen = stat(&name);
    assert!(seen["most_pending_messages"].as_u64() >= seen["pending_messages"].as_u64());
    assert!(seen["producer"]["stalls"].as_u64() > Some(0) && seen["producer"]["sleeps"].as_u64() > Some(0));
    receiver.signal(libc::SIGCONT);
    until("an end of the wait", || !stat(&name)["producer"]["stalled_until_ago_ns"].is_null());
    assert!(stat(&name)["producer"]["stalled_total_ns"].as_u64() >= Some(300_000_000));
    assert!(stat(&name)["consumer"]["messages_since_it_came"].as_u64() > Some(0));
}

#[test]
fn ls_shows_queues_and_skips_the_rest() {
    let directory = std::env::temp_dir().join(format!("shmq-cli-ls-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let at = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let empty = run(&["ls", directory.to_str().unwrap()]);
    std::fs::write(at("thesis"), b"my thesis").unwrap();
    std::os::unix::fs::symlink("/dev/null", at("link")).unwrap();
    ok(&run(&["create", &at("one")]));
    ok(&run_with(&["send", &at("one"), "--no-finish"], b"a\nb\n"));
    ok(&run(&["create", &at("two"), "--slots", "8", "--depth", "9"]));
    let (table, list) =
        (run(&["ls", directory.to_str().unwrap()]), run(&["ls", directory.to_str().unwrap(), "--json"]));
    std::fs::remove_dir_all(&directory).unwrap();
    ok(&table);
    assert!(stdout(&empty).contains("there are no queues"));
    let (table, list) = (stdout(&table), json(&list));
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.starts_with("NAME") && !table.contains("thesis") && !table.contains('\x1b'), "{table}");
    assert_eq!((&list["schema"], &list["foreign_files"]), (&"shmq.ls/1".into(), &1.into()));
    let queues = list["queues"].as_array().unwrap();
    let kinds: Vec<_> =
        queues.iter().map(|queue| (queue["kind"].as_str(), queue["state"].as_str())).collect();
    assert_eq!(kinds, [(Some("records"), Some("waiting")), (Some("slots"), Some("unused"))]);
    fails(&run(&["ls", "/no/such/directory"]), 1, "/no/such/directory");
}

#[test]
fn dump_shows_what_recv_would_and_takes_nothing() {
    for slots in [false, true] {
        let name = ten("dump", slots);
        let lines = run(&["dump", &name.0, "--lines"]);
        ok(&lines);
        let prefixed = run(&["dump", &name.0, "--length-prefixed", "--limit", "2"]);
        assert_eq!(prefixed.stdout, b"\x01\0\0\x000\x01\0\0\x001");
        let text = stdout(&run(&["dump", &name.0]));
        assert!(text.starts_with("0  1 byte  0\n1  1 byte  1\n") && text.lines().count() == 10, "{text}");
        let hex = stdout(&run(&["dump", &name.0, "--hex", "--limit", "1"]));
        assert!(hex.contains("message 0, 1 byte") && hex.contains("30 ") && hex.contains("|0|"), "{hex}");
        let json = run(&["dump", &name.0, "--json"]);
        let objects: Vec<Value> =
            stdout(&json).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((objects.len(), &objects[3]["text"], &objects[3]["hex"]), (11, &"3".into(), &"33".into()));
        let last = &objects[10];
        assert_eq!((&last["schema"], &last["stopped"]), (&"shmq.dump/1".into(), &"caught_up".into()));
        assert_eq!(stat(&name)["pending_messages"], 10);
        assert_eq!(run(&["recv", &name.0]).stdout, lines.stdout);
    }
}

#[test]
fn dump_shows_nothing_that_steers_a_terminal() {
    let name = Name::new("steers");
    ok(&run_with(&["send", &name.0, "--create"], b"\x1b[2J\xff\xe2\x80\xae\n"));
    let output = run(&["dump", &name.0]);
    assert_eq!(stdout(&output), "0  8 bytes  \\u{1b}[2J\\xff\\u{202e}\n");
    assert!(stderr(&output).contains("the end of data was declared"));
}

#[test]
fn dump_reads_as_far_as_it_goes_and_says_where_it_stops() {
    // The fifth message's word; of slots, that of the group it is in.
    let name = ten("stops", false);
    patch(&name, RING + 4 * 16, &u64::MAX.to_le_bytes());
    let output = run(&["dump", &name.0, "--lines"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (5, "0\n1\n2\n3\n"));
    let text = stderr(&output);
    for part in [
        "stopped after 4 messages",
        "position 64 (byte 0x3040 of the file)",
        "expected",
        "found 0xffffffffffffffff",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let output = run(&["doctor", &name.0, "--json"]);
    assert_eq!((code(&output), &json(&output)["worst"]), (5, &"damaged".into()));

    let name = ten("stops", true);
    patch(&name, RING, &9999u64.to_le_bytes());
    let output = run(&["dump", &name.0, "--lines"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (5, ""));
    assert!(stderr(&output).contains("found 9999"), "{output:?}");
    assert_eq!(code(&run(&["doctor", &name.0])), 5);
}

#[test]
fn dump_reads_copies_that_are_cut_off_grown_or_of_a_damaged_geometry() {
    let name = ten("copies", false);
    let whole = std::fs::read(name.path()).unwrap();
    let read = |bytes: &[u8]| {
        let copy = Temp::new("copies", bytes);
        (run(&["dump", copy.text(), "--lines"]), run(&["stat", copy.text()]))
    };
    let (output, _) = read(&whole);
    assert_eq!((code(&output), output.stdout), (0, lines(10)));
    // In the middle of the fourth message.
    let (output, stat) = read(&whole[..0x3038]);
    assert_eq!((code(&output), stdout(&output).as_str()), (5, "0\n1\n2\n"));
    assert!(stderr(&output).contains("the end of the file, at byte 0x3038"), "{output:?}");
    fails(&stat, 5, "shmq dump");
    let (output, _) = read(&[&whole[..], b"more"].concat());
    assert_eq!((code(&output), output.stdout), (5, lines(10)));
    let mut spoiled = whole.clone();
    spoiled[0x80] ^= 1;
    let (output, _) = read(&spoiled);
    assert_eq!((code(&output), output.stdout), (5, lines(10)));
    spoiled = whole.clone();
    spoiled[..4].fill(0);
    assert_eq!(read(&spoiled).0.stdout, lines(10));
    spoiled[0x20] ^= 1;
    fails(&read(&spoiled).0, 1, "not a queue");
}

#[test]
fn a_queue_from_another_boot_is_told_and_can_be_read() {
    // In memory, which no boot outlives, it could not be.
    let name = ten_at(Name(format!("{}/boot-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id())), false);
    // As its last producer would have left it in a crash of the machine.
    patch(&name, PRODUCER + BOOT, &[7; 16]);
    patch(&name, PRODUCER + EPOCH, &2u64.to_le_bytes());
    let seen = stat(&name);
    assert_eq!((&seen["state"], codes(&seen)), (&"old_boot".into(), vec!["old_boot"]));
    assert!(stdout(&run(&["stat", &name.0])).contains("before the machine last started"));
    assert_eq!(run(&["dump", &name.0, "--lines"]).stdout, lines(10));
    assert_eq!(code(&run(&["doctor", &name.0])), 5);
    fails(&run(&["drain", &name.0]), 5, "");
}

#[test]
fn doctor_finds_a_stray_write_and_nothing_in_a_sound_queue() {
    for slots in [false, true] {
        let name = ten("doctor", slots);
        let sound = json(&run(&["doctor", &name.0, "--json"]));
        assert_eq!(sound["schema"], "shmq.doctor/1");
        let findings = |report: &Value| -> Vec<(String, String)> {
            let findings = report["queues"][0]["findings"].as_array().unwrap().iter();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            findings.map(|finding| (text(&finding["what"]), text(&finding["verdict"]))).collect()
        };
        let fine = ["geometry", "positions", "messages", "words", "roles", "file"];
        let fine: Vec<_> = fine.into_iter().filter(|&what| slots || what != "words").collect();
        let fine: Vec<_> = fine.into_iter().map(|what| (what.to_owned(), "fine".to_owned())).collect();
        assert_eq!(findings(&sound)[..fine.len()], fine);
        // The word behind the last message; of slots, that of the last group.
        let (what, last) = if slots {
            ("words", RING + 64 * 3)
        } else {
            ("messages", RING + stat(&name)["tail_position"].as_u64().unwrap())
        };
        patch(&name, last, &[0xff]);
        let output = run(&["doctor", &name.0, "--json"]);
        assert_eq!(code(&output), 5, "{output:?}");
        assert!(findings(&json(&output)).contains(&(what.into(), "damaged".into())), "{output:?}");
        let text = stdout(&run(&["doctor", "-q", &name.0]));
        assert!(text.contains("DAMAGED") && text.contains("->") && !text.contains("fine"), "{text}");
    }
    let foreign = Temp::new("doctor", b"my thesis");
    assert_eq!(code(&run(&["doctor", foreign.text()])), 5);
    fails(&run(&["doctor", "no-such-queue"]), 1, "there is no queue");
}

#[test]
fn doctor_is_content_while_messages_stream() {
    for shape in [&[][..], &["--slots", "7", "--depth", "100"]] {
        let name = Name::new(&format!("streams{}", shape.len()));
        ok(&run(&[&["create", &name.0], shape].concat()));
        let q = &name.0;
        let _sender = Running::start(shell(&format!("exec shmq send {q} < <(yes 1234567)")));
        let _receiver = Running::start(shell(&format!("exec shmq recv {q} > /dev/null")));
        until("messages", || stat(&name)["received_messages"].as_u64() > Some(1000));
        for _ in 0..5 {
            let output = run(&["doctor", q, "--json"]);
            assert_ne!(code(&output), 5, "{}", stdout(&output));
            let output = run(&["dump", q, "--lines"]);
            assert_eq!(code(&output), 0, "{}", stderr(&output));
            assert!(stdout(&output).lines().all(|line| line == "1234567"), "a torn message");
        }
    }
}

#[test]
fn drain_discards_or_prints_and_says_how_much() {
    for slots in [false, true] {
        let name = ten("drain", slots);
        let output = run(&["drain", &name.0, "--count", "2"]);
        assert_eq!((code(&output), stdout(&output).as_str()), (0, ""));
        assert!(stderr(&output).contains("2 messages discarded (2 bytes), 8 left"), "{output:?}");
        let output = run(&["drain", &name.0, "--lines", "--keep", "5"]);
        assert_eq!(stdout(&output), "2\n3\n4\n");
        let output = json(&run(&["drain", &name.0, "--json"]));
        assert_eq!(
            (&output["messages"], &output["first"], &output["left"]),
            (&5.into(), &5.into(), &0.into())
        );
        let receiver = Running::start(shmq(&["recv", &name.0, "--follow"]));
        until("the receiver", || stat(&name)["consumer"]["state"] == "attached");
        fails(&run(&["drain", &name.0]), 1, "taken by a living process");
        receiver.kill();
    }
}

#[test]
fn copy_leaves_the_source_and_move_does_not() {
    for slots in [false, true] {
        let name = ten("copy", slots);
        let (copy, moved) = (Name::new("copy-to"), Name::new("move-to"));
        let output = run(&["copy", &name.0, &copy.0]);
        assert!(code(&output) == 0 && stderr(&output).contains("10 messages copied"), "{output:?}");
        assert_eq!(
            (stat(&name)["pending_messages"].clone(), stat(&copy)["kind"].clone()),
            (10.into(), stat(&name)["kind"].clone())
        );
        let larger: &[&str] =
            if slots { &["--slots", "1", "--depth", "500"] } else { &["--capacity", "2MiB"] };
        let output = run(&[&["copy", &name.0, &moved.0, "--move", "--json"], larger].concat());
        assert_eq!(json(&output)["messages"], 10, "{output:?}");
        assert_eq!(stat(&name)["pending_messages"], 0);
        assert!(stat(&moved)["capacity_bytes"].as_u64() > stat(&copy)["capacity_bytes"].as_u64());
        for queue in [&copy, &moved] {
            assert_eq!(run(&["recv", &queue.0]).stdout, lines(10));
        }
    }
}

#[test]
fn copy_says_when_there_is_no_room_or_the_source_is_damaged() {
    let (name, small) = (ten("room", false), Name::new("room-small"));
    ok(&run(&["create", &small.0, "--max-messages", "3"]));
    let output = run(&["copy", &name.0, &small.0]);
    assert!(code(&output) == 3 && stderr(&output).contains("is full"), "{output:?}");
    assert_eq!(stat(&small)["pending_messages"], 3);
    fails(&run(&["copy", &name.0, &name.0]), 2, "the same queue");
    fails(&run(&["copy", &name.0, &small.0, "--capacity", "1MiB"]), 2, "exists already");
    patch(&name, RING + 4 * 16, &[0xff; 8]);
    let saved = Name::new("room-saved");
    let output = run(&["copy", &name.0, &saved.0]);
    assert!(code(&output) == 5 && stderr(&output).contains("4 messages copied"), "{output:?}");
    assert_eq!(stat(&saved)["pending_messages"], 4);
}

#[test]
fn pipe_makes_any_program_an_end_and_passes_its_status_on() {
    let name = Name::new("pipe");
    let q = &name.0[..];
    ok(&run(&["pipe", q, "--send", "--create", "--", "seq", "1", "1000"]));
    let output = run(&["pipe", q, "--recv", "--", "wc", "-l"]);
    ok(&output);
    assert_eq!(stdout(&output).trim(), "1000");
    ok(&run(&["rm", q]));
    // A command that fails declares no end.
    let output = run(&["pipe", q, "--send", "--create", "--json", "--", "sh", "-c", "echo a; exit 7"]);
    assert_eq!(code(&output), 7);
    let said: Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(
        (&said["schema"], &said["messages"], &said["exit_code"]),
        (&"shmq.pipe/1".into(), &1.into(), &7.into())
    );
    assert_eq!(
        (&stat(&name)["producer"]["state"], &stat(&name)["finished"]),
        (&"lost".into(), &false.into())
    );
    let output = run(&["pipe", q, "--recv", "--", "cat"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (4, "a\n"));
    let killed = run(&["pipe", q, "--send", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(code(&killed), 137);
    fails(&run(&["pipe", q, "--send", "--", "no-such-command"]), 127, "cannot start no-such-command");
    fails(&run(&["pipe", q, "--", "true"]), 2, "--send");
    fails(&run(&["pipe", "no-such-queue", "--send", "--", "true"]), 1, "there is no queue");
}
