//! Ends that are killed, that leave, that come back; outputs that break.

mod common;
use common::*;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

/// 64 KiB of numbered lines of at least 6 bytes.
const REPEATS: usize = 64 * 1024 / 6;

#[test]
fn p2_killed_receivers_lose_nothing() {
    const LINES: usize = 900_000;
    let name = Name::new("kill-recv");
    let input = Temp::new("kill-recv-in", &lines(LINES)[..]);
    let mut sender =
        Running::start(shmq(&["send", &name.0, input.text(), "--create", "--capacity", "256KiB"]));
    let mut outputs = Vec::new();
    let mut killed = 0;
    loop {
        let file = Temp::new(&format!("kill-recv-{}", outputs.len()), b"");
        let mut command = shmq(&["recv", &name.0]);
        command.stdout(std::fs::File::create(&file.0).unwrap());
        let mut receiver = Running::start(command);
        let last = killed == 10;
        if last {
            assert!(receiver.wait().success());
        } else {
            until("some output", || std::fs::metadata(&file.0).unwrap().len() > 100_000);
            killed += usize::from(receiver.0.try_wait().unwrap().is_none());
            receiver.kill();
        }
        outputs.push(std::fs::read(&file.0).unwrap());
        if last {
            break;
        }
    }
    assert!(sender.wait().success());
    assert_eq!(join(&outputs, REPEATS), Ok(LINES));
    // The null control: the check does see what is missing.
    let second = outputs.remove(1);
    assert!(join(&outputs, REPEATS).is_err());
    outputs.insert(1, second[second.len() / 2..].to_vec());
    assert!(join(&outputs, REPEATS).is_err());
}

#[test]
fn p4_killed_senders_resume_where_they_were() {
    let name = Name::new("kill-send");
    let input = Temp::new("kill-send-in", &noise(8 << 20));
    ok(&run(&["create", &name.0, "--capacity", "16KiB", "--max-message", "1KiB"]));
    let receiver = Running::start(shmq(&["recv", &name.0, "--raw", "--follow"]));
    let receiver = std::thread::spawn(move || receiver.finish());
    let args = ["send", &name.0, input.text(), "--chunk", "100", "--resume"];
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
    // Once more: nothing is left to do, and that is no failure.
    let again = run(&args);
    assert_eq!(code(&again), 0);
    assert!(stderr(&again).contains("nothing to resume"));
}

#[test]
fn resume_with_another_input_is_refused() {
    let name = Name::new("resume-other");
    ok(&run_with(&["send", &name.0, "--create", "--no-finish"], &lines(10)));
    let other = run_with(&["send", &name.0, "--resume"], &lines(9));
    assert_eq!(code(&other), 1);
    assert!(stderr(&other).contains("has only 9"), "{}", stderr(&other));
    ok(&run_with(&["send", &name.0, "--resume"], &lines(12)));
    assert_eq!(run(&["recv", &name.0]).stdout, lines(12));
}

#[test]
fn p3_a_lost_sender_is_told_apart_from_one_that_left() {
    for kill in [true, false] {
        let name = Name::new(&format!("lost-{kill}"));
        let mut command = shmq(&["send", &name.0, "--create", "--no-finish"]);
        command.stdin(Stdio::piped());
        let mut sender = Running::start(command);
        until("the sender", || name.path().exists() && stat(&name)["producer"]["state"] == "attached");
        let receiver = Running::start(shmq(&["recv", &name.0]));
        until("the receiver", || stat(&name)["consumer"]["state"] == "attached");
        if kill {
            sender.kill();
        } else {
            drop(sender.0.stdin.take());
            assert!(sender.wait().success());
        }
        let received = receiver.finish();
        assert_eq!(code(&received), if kill { 4 } else { 0 });
        let says = if kill {
            "ended without declaring the end of data: it was killed"
        } else {
            "left without declaring"
        };
        assert!(stderr(&received).contains(says), "{}", stderr(&received));
    }
}

#[test]
fn follow_waits_across_restarts_and_for_a_new_file() {
    let name = Name::new("follow");
    let receiver = Running::start(shmq(&["recv", &name.0, "--follow"]));
    ok(&run_with(&["send", &name.0, "--create", "--no-finish"], b"a\n"));
    let mut command = shmq(&["send", &name.0]);
    command.stdin(Stdio::piped());
    let killed = Running::start(command);
    until("the second sender", || stat(&name)["producer"]["epoch"] == 2);
    killed.kill();
    ok(&run_with(&["send", &name.0, "--no-finish"], b"b\n"));
    until("the receiver", || stat(&name)["received_messages"] == 2);
    ok(&run(&["rm", "--force", &name.0]));
    ok(&run_with(&["send", &name.0, "--create"], b"c\n"));
    let received = receiver.finish();
    ok(&received);
    assert_eq!(stdout(&received), "a\nb\nc\n");
}

#[test]
fn a_broken_pipe_ends_quietly_and_leaves_the_rest() {
    let name = Name::new("broken-pipe");
    const LINES: usize = 200_000;
    ok(&run_with(&["send", &name.0, "--create", "--capacity", "8MiB"], &lines(LINES)));
    let mut receiver = Running::start(shmq(&["recv", &name.0]));
    let mut pipe = receiver.0.stdout.take().unwrap();
    let mut taken = vec![0; 1000];
    pipe.read_exact(&mut taken).unwrap();
    drop(pipe);
    ok(&receiver.finish());
    let pending = stat(&name)["pending_messages"].as_u64().unwrap() as usize;
    assert!(pending > LINES / 2, "only {pending} are left");
    let rest = run(&["recv", &name.0]);
    ok(&rest);
    let all = lines(LINES);
    assert!(all.ends_with(&rest.stdout) && rest.stdout.iter().filter(|b| **b == b'\n').count() == pending);
    assert!(all.starts_with(&taken));
}

#[test]
fn what_standard_output_did_not_take_stays() {
    let name = Name::new("full");
    ok(&run_with(&["send", &name.0, "--create"], &lines(100)));
    // A pipe that nobody reads takes nothing; a full device takes nothing and says so.
    let mut command = shmq(&["recv", &name.0]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    ok(&Running::start(command).finish());
    let mut command = shmq(&["recv", &name.0]);
    command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let full = Running::start(command).finish();
    assert_eq!(code(&full), 1);
    assert!(stderr(&full).contains("standard output"), "{}", stderr(&full));
    assert_eq!(stat(&name)["pending_messages"], 100);
    assert_eq!(run(&["recv", &name.0]).stdout, lines(100));
}

#[test]
fn a_receiver_without_readers_ends_although_nothing_comes() {
    let name = Name::new("no-reader");
    ok(&run(&["create", &name.0]));
    let mut receiver = Running::start(shmq(&["recv", &name.0]));
    until("the receiver", || stat(&name)["consumer"]["state"] == "attached");
    drop(receiver.0.stdout.take());
    assert!(receiver.wait().success());
}

#[test]
fn a_sender_waits_for_the_next_receiver_unless_told_otherwise() {
    for need in [false, true] {
        let name = Name::new(&format!("next-{need}"));
        let input = Temp::new(&format!("next-{need}"), &noise(1 << 20));
        ok(&run(&["create", &name.0, "--capacity", "16KiB", "--max-message", "1000"]));
        let receiver = Running::start(shmq(&["recv", &name.0, "--raw"]));
        until("the receiver", || stat(&name)["consumer"]["state"] == "attached");
        receiver.kill();
        let args = ["send", &name.0, input.text(), "--chunk", "1000", "--need-consumer"];
        let sender = Running::start(shmq(&args[..if need { 6 } else { 5 }]));
        if need {
            let sent = sender.finish();
            assert_eq!(code(&sent), 4, "{}", stderr(&sent));
            continue;
        }
        until("the queue to be full", || stat(&name)["pending_messages"].as_u64().unwrap() > 10);
        std::thread::sleep(Duration::from_millis(100));
        let received = run(&["recv", &name.0, "--raw"]);
        ok(&received);
        assert!(received.stdout == std::fs::read(&input.0).unwrap());
        let sent = sender.finish();
        assert!(sent.status.success() && stderr(&sent).contains("waiting for another"));
    }
}

#[test]
fn a_full_queue_and_a_timeout_exit_3() {
    let name = Name::new("full-timeout");
    let full =
        run_with(&["send", &name.0, "--create", "--max-messages", "3", "--timeout", "100ms"], &lines(4));
    assert_eq!(code(&full), 3, "{}", stderr(&full));
    assert_eq!(stat(&name)["pending_messages"], 3);
}

#[test]
fn ctrl_c_leaves_cleanly() {
    let name = Name::new("ctrl-c");
    ok(&run(&["create", &name.0]));
    let mut receiver = Running::start(shmq(&["recv", &name.0]));
    until("the receiver", || stat(&name)["consumer"]["state"] == "attached");
    receiver.signal(libc::SIGINT);
    assert_eq!(receiver.wait().signal(), Some(libc::SIGINT));
    assert_eq!(stat(&name)["consumer"]["state"], "left");
}
