//! Queues of fixed-size messages through the same commands.

mod common;
use common::*;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;

/// A queue of messages of 8 bytes, this many.
fn create(name: &Name, depth: &str) {
    ok(&run(&["create", &name.0, "--slots", "8", "--depth", depth]));
}

/// So many numbered lines of 8 bytes and a line end.
fn wide(count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| format!("{i:08}\n").into_bytes()).collect()
}

#[test]
fn the_promised_pipeline_holds_for_fixed_size_lines() {
    let name = Name::new("slots-pipeline");
    let q = &name.0;
    let script = format!(
        "set -o pipefail
         seq -w 1 1000000 | shmq send {q} --create --slots 7 --depth 5000 &
         shmq recv {q} | cmp - <(seq -w 1 1000000) && shmq rm {q} && wait $!"
    );
    ok(&Running::start(shell(&script)).finish());
    assert!(!name.path().exists());
}

#[test]
fn framings_carry_any_bytes() {
    let noise = noise(64 * 1000);
    let prefixed: Vec<u8> = noise.chunks(64).flat_map(|c| [&64u32.to_le_bytes(), c].concat()).collect();
    let lined: Vec<u8> = noise.chunks(64).flat_map(|c| [c, b"\n"].concat()).collect();
    for (send, recv, input, output) in [
        (&["--chunk"][..], &["--raw"][..], &noise, &noise),
        (&["--chunk", "64"], &["--raw"], &noise, &noise),
        (&["--raw"], &["--length-prefixed"], &noise, &prefixed),
        (&["--length-prefixed"], &["--raw"], &prefixed, &noise),
        (&["--chunk"], &[], &noise, &lined),
        (&[], &["--raw"], &Vec::new(), &Vec::new()),
    ] {
        let name = Name::new(&format!("slots-framings{}{}", send.concat(), recv.concat()));
        let create = ["send", &name.0, "--create", "--slots", "64", "--depth", "1000"];
        ok(&run_with(&[&create, send].concat(), input));
        let received = run(&[&["recv", &name.0], recv].concat());
        ok(&received);
        assert!(received.stdout == *output, "{send:?} to {recv:?} changed the bytes");
    }
}

#[test]
fn messages_of_another_size_are_refused_and_the_receiver_is_told() {
    for (framing, input, says, before) in [
        ("--lines", &b"12345678\nabc\n12345678\n"[..], "line 2 of the input has 3 bytes, but", "12345678\n"),
        (
            "--lines",
            b"12345678\n123456789\n",
            "line 2 of the input has 9 bytes, but every message",
            "12345678\n",
        ),
        ("--lines", b"\n", "line 1 of the input has 0 bytes, but", ""),
        ("--lines", b"123456789\n", "has exactly 8; make each line that long, or cut", ""),
        ("--chunk", b"12345678abc", "3 bytes are left at the end of the input", "12345678\n"),
        ("--raw", b"12345678a", "1 byte is left at the end of the input", "12345678\n"),
        ("--length-prefixed", b"\x03\0\0\0abc", "message 1 of the input has 3 bytes, but", ""),
        ("--length-prefixed", b"\x08\0\0\0abc", "5 bytes are missing", ""),
    ] {
        let name = Name::new("slots-sizes");
        let sent = run_with(&["send", &name.0, "--create", "--slots", "8", "--depth", "9", framing], input);
        fails(&sent, 1, says);
        let received = run(&["recv", &name.0]);
        assert_eq!((code(&received), stdout(&received).as_str()), (4, before));
        ok(&run(&["rm", &name.0]));
    }
    let name = Name::new("slots-chunk");
    create(&name, "9");
    fails(
        &run_with(&["send", &name.0, "--chunk", "7"], b"1234567"),
        2,
        "exactly 8 bytes; leave the size out",
    );
    assert_eq!(stat(&name)["sent_messages"], 0);
}

#[test]
fn a_remainder_is_sent_once_its_message_is_complete() {
    let name = Name::new("slots-remainder");
    create(&name, "9");
    let cut = run_with(&["send", &name.0, "--chunk"], b"one.....two.....thr");
    fails(&cut, 1, "3 bytes are left");
    assert!(
        stderr(&cut)
            .contains("2 messages before were sent, so complete the input and go on with --chunk --resume")
    );
    assert_eq!(stat(&name)["pending_messages"], 2);
    ok(&run_with(&["send", &name.0, "--chunk", "--resume"], b"one.....two.....three..."));
    assert_eq!(stdout(&run(&["recv", &name.0])), "one.....\ntwo.....\nthree...\n");
}

#[test]
fn a_queue_that_exists_must_have_the_shape_asked_for() {
    let name = Name::new("slots-exists");
    create(&name, "9");
    let send = |args: &[&str]| {
        run_with(&[&["send", &name.0, "--create", "--no-finish"], args].concat(), b"12345678\n")
    };
    fails(&send(&["--slots", "9", "--depth", "9"]), 1, "exactly 8 bytes, not 9");
    fails(&send(&["--max-message", "9"]), 1, "do not apply");
    fails(&send(&["--slots", "8", "--depth", "1"]), 1, "its depth is 9, not 1");
    ok(&send(&["--slots", "8", "--depth", "9"]));
    ok(&send(&[]));
    let seen = stat(&name);
    assert_eq!((&seen["pending_messages"], &seen["depth"]), (&2.into(), &9.into()));
    let records = Name::new("slots-exists-records");
    ok(&run(&["create", &records.0]));
    let args = ["send", &records.0, "--create", "--slots", "8", "--depth", "9"];
    fails(&run_with(&args, b"12345678\n"), 1, "any length");
    let args = ["send", &records.0, "--create", "--no-finish", "--max-message", "9"];
    fails(&run_with(&args, b"12345678\n"), 1, "not 9");
    assert_eq!(stat(&records)["pending_messages"], 0);
}

#[test]
fn stat_knows_both_shapes() {
    let name = Name::new("slots-stat");
    ok(&run(&["create", &name.0, "--slots", "1KiB", "--depth", "10", "--tag", "t/1", "--mode", "0640"]));
    ok(&run_with(&["send", &name.0, "--no-finish", "--chunk"], &noise(3 * 1024)));
    let seen = stat(&name);
    assert_eq!((&seen["schema"], &seen["kind"]), (&"shmq.stat/1".into(), &"slots".into()));
    assert_eq!((&seen["message_bytes"], &seen["depth"]), (&1024.into(), &10.into()));
    assert_eq!((&seen["max_message_bytes"], &seen["max_messages"]), (&1024.into(), &10.into()));
    assert_eq!((&seen["pending_messages"], &seen["pending_bytes"]), (&3.into(), &3072.into()));
    assert_eq!((&seen["tag"], &seen["producer"]["state"]), (&"t/1".into(), &"left".into()));
    assert_eq!(seen["path"], name.path().to_str().unwrap());
    let text = stdout(&run(&["stat", &name.0]));
    for part in ["messages of exactly 1 KiB, at most 10 waiting", "3 messages, 30 % full", "t/1"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    fails(&run(&["recv", &name.0, "--tag", "t/2"]), 1, "t/1");
    let records = Name::new("slots-stat-records");
    ok(&run(&["create", &records.0, "--max-messages", "10"]));
    let seen = stat(&records);
    assert_eq!((&seen["kind"], &seen["max_messages"]), (&"records".into(), &10.into()));
    assert!(seen["message_bytes"].is_null() && seen["depth"].is_null(), "{seen}");
}

#[test]
fn the_depth_is_exact_and_a_full_queue_exits_3() {
    let name = Name::new("slots-full");
    create(&name, "5");
    let full = run_with(&["send", &name.0, "--timeout", "100ms"], &wide(6));
    assert_eq!(code(&full), 3, "{}", stderr(&full));
    assert_eq!(stat(&name)["pending_messages"], 5);
    assert_eq!(run(&["recv", &name.0, "--count", "2"]).stdout, wide(2));
    assert_eq!(run(&["recv", &name.0, "--no-wait", "--raw"]).stdout, b"000000020000000300000004");
    fails(&run(&["recv", &name.0, "--timeout", "50ms", "--follow"]), 3, "time was up");
}

#[test]
fn rm_and_damage_are_as_with_records() {
    let name = Name::new("slots-rm");
    create(&name, "100");
    let receiver = Running::start(shmq(&["recv", &name.0]));
    until("the receiver", || stat(&name)["consumer"]["state"] == "attached");
    fails(&run(&["rm", &name.0]), 1, "taken by a living process");
    receiver.kill();
    ok(&run(&["rm", &name.0]));
    create(&name, "100");
    ok(&run_with(&["send", &name.0], &wide(2)));
    let mut bytes = std::fs::read(name.path()).unwrap();
    bytes[3 * 4096..].fill(0x11);
    std::fs::write(name.path(), &bytes).unwrap();
    fails(&run(&["recv", &name.0]), 5, "corrupt");
    ok(&run(&["rm", "--force", &name.0]));
    assert!(!name.path().exists());
}

#[test]
fn what_standard_output_did_not_take_stays() {
    let name = Name::new("slots-stays");
    const LINES: usize = 200_000;
    create(&name, "200000");
    ok(&run_with(&["send", &name.0], &wide(LINES)));
    let mut command = shmq(&["recv", &name.0]);
    command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    fails(&Running::start(command).finish(), 1, "standard output");
    assert_eq!(stat(&name)["pending_messages"], LINES);
    let mut receiver = Running::start(shmq(&["recv", &name.0]));
    let mut pipe = receiver.0.stdout.take().unwrap();
    pipe.read_exact(&mut [0; 1000]).unwrap();
    drop(pipe);
    ok(&receiver.finish());
    let pending = stat(&name)["pending_messages"].as_u64().unwrap() as usize;
    assert!((LINES / 2..LINES).contains(&pending), "{pending} are left");
    let rest = run(&["recv", &name.0]);
    ok(&rest);
    assert!(rest.stdout == wide(LINES)[(LINES - pending) * 9..]);
}

#[test]
fn p2_killed_receivers_lose_nothing() {
    const LINES: usize = 900_000;
    let name = Name::new("slots-kill-recv");
    let input = Temp::new("slots-kill-recv-in", &wide(LINES));
    create(&name, "10000");
    let mut sender = Running::start(shmq(&["send", &name.0, input.text()]));
    let mut outputs = Vec::new();
    let mut killed = 0;
    for last in [false, false, false, false, false, true] {
        let file = Temp::new(&format!("slots-kill-recv-{}", outputs.len()), b"");
        let mut command = shmq(&["recv", &name.0]);
        command.stdout(std::fs::File::create(&file.0).unwrap());
        let mut receiver = Running::start(command);
        if last {
            assert!(receiver.wait().success());
        } else {
            until("some output", || std::fs::metadata(&file.0).unwrap().len() > 100_000);
            receiver.signal(libc::SIGKILL);
            killed += usize::from(receiver.wait().signal() == Some(libc::SIGKILL));
        }
        outputs.push(std::fs::read(&file.0).unwrap());
    }
    assert!(sender.wait().success());
    assert!(killed > 0, "every receiver was done before it was killed");
    // At most what one write takes comes twice.
    assert_eq!(join(&outputs, 64 * 1024 / 9 + 1), Ok(LINES));
    // The null control: the check does see what is missing.
    outputs.remove(1);
    assert!(join(&outputs, 64 * 1024 / 9 + 1).is_err());
}

#[test]
fn p4_killed_senders_resume_where_they_were() {
    let name = Name::new("slots-kill-send");
    let input = Temp::new("slots-kill-send-in", &noise(8 << 20));
    create(&name, "100");
    let receiver = Running::start(shmq(&["recv", &name.0, "--raw", "--follow"]));
    let receiver = std::thread::spawn(move || receiver.finish());
    let args = ["send", &name.0, input.text(), "--chunk", "--resume"];
    for kill in 1..=5 {
        let sender = Running::start(shmq(&args));
        until("progress", || stat_over(&name, "0s")["sent_messages"].as_u64().unwrap() > kill * 4000);
        sender.kill();
    }
    ok(&run(&args));
    let received = receiver.join().unwrap();
    ok(&received);
    assert!(received.stdout == std::fs::read(&input.0).unwrap(), "the stream changed");
    assert!(stat(&name)["producer"]["epoch"].as_u64().unwrap() >= 2);
}

#[test]
fn follow_goes_on_with_a_queue_of_the_other_shape() {
    let name = Name::new("slots-follow");
    let receiver = Running::start(shmq(&["recv", &name.0, "--follow"]));
    ok(&run_with(&["send", &name.0, "--create", "--no-finish"], b"a\n"));
    until("the receiver", || stat(&name)["received_messages"] == 1);
    ok(&run(&["rm", "--force", &name.0]));
    let slots = ["--create", "--slots", "2", "--depth", "3"];
    ok(&run_with(&[&["send", &name.0, "--no-finish"], &slots[..]].concat(), b"bb\n"));
    until("the receiver", || stat(&name)["received_messages"] == 1);
    ok(&run_with(&["send", &name.0], b"cc\n"));
    let received = receiver.finish();
    ok(&received);
    assert_eq!(stdout(&received), "a\nbb\ncc\n");
}
