//! Receiving with acknowledgements: only what the reader says it has finished is taken, whatever becomes of it.

mod common;
use common::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

/// So many messages of 4 bytes, `1000` and on; queues of both shapes.
fn queues(test: &str, messages: usize, finish: bool) -> [Name; 2] {
    [false, true].map(|slots| {
        let name = Name::new(&format!("ack-{test}-{slots}"));
        let shape: &[&str] =
            if slots { &["--slots", "4", "--depth", "20000"] } else { &["--capacity", "1MiB"] };
        ok(&run(&[&["create", &name.0], shape].concat()));
        let end: &[&str] = if finish { &[] } else { &["--no-finish"] };
        if messages > 0 {
            ok(&run_with(&[&["send", &name.0], end].concat(), &numbers(1000, messages)));
        }
        name
    })
}

fn numbers(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).flat_map(|i| format!("{i}\n").into_bytes()).collect()
}

fn taken(name: &Name) -> u64 {
    stat_over(name, "0s")["received_messages"].as_u64().unwrap()
}

fn pipe(name: &Name, options: &[&str], script: &str) -> std::process::Output {
    run(&[&["pipe", &name.0, "--recv", "--ack"], options, &["--", "bash", "-c", script]].concat())
}

#[test]
fn p2_a_consumer_that_crashes_leaves_what_it_did_not_acknowledge() {
    for name in queues("crash", 5000, true) {
        let crashes =
            "for i in $(seq 100); do read -r line; echo $line >&2; echo; done; read -r line; kill -9 $$";
        let output = pipe(&name, &[], crashes);
        assert_eq!(code(&output), 137, "{output:?}");
        assert!(stderr(&output).starts_with(std::str::from_utf8(&numbers(1000, 100)).unwrap()));
        assert!(stderr(&output).contains("without acknowledging"), "{output:?}");
        assert_eq!(taken(&name), 100);
        // The next one gets the rest, all of it. It answers once, at the end: so it is given all, and shown the end.
        let output = pipe(&name, &[], "tee /dev/stderr | wc -l");
        assert_eq!((code(&output), output.stderr), (0, numbers(1100, 4900)));
        assert_eq!((taken(&name), stat(&name)["pending_messages"].clone()), (5000, 0.into()));
        // The control: without acknowledgements what was in the pipe is gone.
        ok(&run(&["rm", &name.0]));
    }
    for name in queues("crash-control", 5000, true) {
        let output = run(&["pipe", &name.0, "--recv", "--", "bash", "-c", "read -r line; kill -9 $$"]);
        assert!(code(&output) == 137 && taken(&name) > 1, "{output:?}");
    }
}

#[test]
fn p2_a_receiver_that_is_killed_leaves_what_was_not_acknowledged() {
    for name in queues("kill", 50, false) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut command = shmq(&["recv", &name.0, "--ack", "--follow"]);
        command.stdin(OwnedFd::from(theirs.try_clone().unwrap())).stdout(OwnedFd::from(theirs));
        let receiver = Running::start(command);
        let mut read = BufReader::new(ours.try_clone().unwrap());
        let mut next = |expected: usize| {
            let mut line = String::new();
            read.read_line(&mut line).unwrap();
            assert_eq!(line, format!("{expected}\n"));
        };
        (1000..1050).for_each(&mut next);
        (&ours).write_all(b"3\n\n").unwrap();
        until("four to be taken", || taken(&name) == 4);
        // What comes while others are not acknowledged is given out at once.
        ok(&run_with(&["send", &name.0, "--no-finish"], b"1050\n"));
        next(1050);
        (&ours).write_all(b"5\n").unwrap();
        until("nine to be taken", || taken(&name) == 9);
        receiver.kill();
        assert_eq!(run(&["recv", &name.0, "--no-wait"]).stdout, numbers(1009, 42));
    }
}

#[test]
fn a_socket_that_is_closed_loses_nothing_that_was_not_acknowledged() {
    for name in queues("socket", 5000, true) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut command = shmq(&["recv", &name.0, "--ack"]);
        command.stdin(OwnedFd::from(theirs.try_clone().unwrap())).stdout(OwnedFd::from(theirs));
        let receiver = Running::start(command);
        (&ours).read_exact(&mut [0; 500]).unwrap();
        (&ours).write_all(b"100\n").unwrap();
        until("a hundred to be taken", || taken(&name) == 100);
        drop(ours);
        let output = receiver.finish();
        assert_eq!(code(&output), 1, "{output:?}");
        assert!(stderr(&output).contains("without acknowledging"), "{output:?}");
        assert_eq!(run(&["recv", &name.0]).stdout, numbers(1100, 4900));
    }
}

#[test]
fn batches_of_any_size_and_either_framing_are_acknowledged() {
    for (test, options, script) in [
        ("each", &[][..], "while read -r line; do echo; done"),
        ("seven", &[], "while mapfile -n 7 -t a && ((${#a[@]})); do echo ${#a[@]}; done"),
        ("thousands", &[], "awk 'NR % 3000 == 0 { print 3000; fflush() } END { print NR % 3000 }'"),
        ("binary", &["--length-prefixed"], "head -c 72000 >/dev/null; printf '\\x28\\x23\\0\\0'"),
    ] {
        for name in queues(test, 0, false) {
            // Sent while it is received, so that the end comes while some are in its hands.
            let queue = name.0.clone();
            let sender = std::thread::spawn(move || run_with(&["send", &queue], &numbers(1000, 9000)));
            let output = pipe(&name, options, script);
            ok(&sender.join().unwrap());
            ok(&output);
            assert_eq!(taken(&name), 9000, "{test}");
        }
    }
}

#[test]
fn answers_that_make_no_sense_take_nothing() {
    for (test, script, says) in [
        ("more", "read -r a; echo 12; cat >/dev/null", "acknowledges 12 messages, but holds 10"),
        ("words", "read -r a; echo done; cat >/dev/null", "\"done\", which is no number of messages"),
        ("none", "cat >/dev/null", "without acknowledging 10 messages"),
        ("half", "read -r a; printf 1; cat >/dev/null", "without acknowledging 10 messages"),
    ] {
        for name in queues(test, 10, true) {
            fails(&pipe(&name, &[], script), 1, says);
            assert_eq!(taken(&name), 0, "{test}");
        }
    }
}

/// Receives what must be this, and then answers.
fn recv(name: &Name, options: &[&str], gives: &[u8], answer: &[u8]) -> std::process::Output {
    let mut command = shmq(&[&["recv", &name.0, "--ack"], options].concat());
    command.stdin(Stdio::piped());
    let mut receiver = Running::start(command);
    let mut given = vec![0; gives.len()];
    let mut output = receiver.0.stdout.take().unwrap();
    output.read_exact(&mut given).unwrap();
    assert!(given == gives, "{}", String::from_utf8_lossy(&given));
    receiver.0.stdin.take().unwrap().write_all(answer).unwrap();
    receiver.0.stdout = Some(output);
    let output = receiver.finish();
    assert_eq!(stdout(&output), "");
    output
}

#[test]
fn counts_time_outs_and_ends_hold_with_acknowledgements_too() {
    for name in queues("ends", 10, false) {
        // All that was asked for, acknowledged: no matter what else there is.
        ok(&recv(&name, &["--count", "3"], &numbers(1000, 3), b"3\n"));
        assert_eq!(taken(&name), 3);
        fails(&recv(&name, &["--no-wait"], &numbers(1003, 7), b"2\n"), 1, "5 messages");
        assert_eq!(taken(&name), 5);
        // The sender left without declaring the end.
        let output = recv(&name, &[], &numbers(1005, 5), b"5\n");
        assert!(code(&output) == 0 && stderr(&output).contains("without declaring"), "{output:?}");
        assert_eq!(taken(&name), 10);
        // One that listens and says nothing.
        ok(&run_with(&["send", &name.0, "--no-finish"], b"more\n"));
        let mut command = shmq(&["recv", &name.0, "--ack", "--timeout", "100ms", "--follow"]);
        command.stdin(Stdio::piped());
        let mut receiver = Running::start(command);
        let open = receiver.0.stdin.take();
        let output = receiver.finish();
        assert_eq!((code(&output), stdout(&output).as_str()), (3, "more\n"));
        drop(open);
        assert_eq!(taken(&name), 10);
        fails(&run(&["recv", &name.0, "--ack", "--raw"]), 2, "--raw");
    }
}
