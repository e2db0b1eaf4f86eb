//! Waits are told as long as they are, whatever time namespace an end or its observer is in.

mod common;
use common::*;
use serde_json::Value;

/// The command in a time namespace a day ahead, or just as it is.
fn command(ahead: bool, args: &str) -> std::process::Command {
    let namespace =
        "unshare --user --map-root-user -T --fork --kill-child --monotonic 86400 --boottime 86400";
    shell(&format!("exec {} {} {args}", if ahead { namespace } else { "env" }, env!("CARGO_BIN_EXE_shmq")))
}

#[test]
fn a_wait_is_as_long_from_another_time_namespace() {
    if !Running::start(command(true, "--version")).finish().status.success() {
        eprintln!("NOT RUN: no time namespace of one's own here");
        return;
    }
    for (end, observer) in [(false, false), (true, false), (false, true), (true, true)] {
        let name = Name::new(&format!("clock{end}{observer}"));
        ok(&run(&["create", &name.0]));
        let _receiver = Running::start(command(end, &format!("recv {} --follow", name.0)));
        let look = |how: &str| {
            let output = Running::start(command(observer, &format!("stat {} {how}", name.0))).finish();
            ok(&output);
            stdout(&output)
        };
        // Between two naps it does not wait; so it is looked at until it does. A busy machine may add seconds, but no hours.
        until("a wait in JSON", || {
            let seen: Value = serde_json::from_str(&look("--json")).unwrap();
            let ns = seen["consumer"]["stalled_for_ns"].as_u64();
            assert!(ns < Some(600_000_000_000), "{end} {observer}: {seen}");
            ns > Some(0)
        });
        until("a wait in numbers", || {
            let page = look("--prometheus");
            let asleep =
                page.lines().find(|line| line.contains("waiting_seconds{") && line.contains("consumer"));
            let seconds: f64 = asleep.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
            assert!(seconds < 600.0, "{end} {observer}: {page}");
            seconds > 0.0
        });
    }
}
