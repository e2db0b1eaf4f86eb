//! More queues than files may be open, and names that are not text: everything is shown, or said to be missing.

mod common;
use common::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Output;

/// Runs a script with `$1` as the command, in a mount namespace with a /dev/shm of its own. `None`: not possible here.
fn alone(script: &str) -> Option<Output> {
    let mut command = shell("exec unshare --user --map-root-user --mount bash -c \"$SCRIPT\" bash \"$SHMQ\"");
    command.env("SHMQ", env!("CARGO_BIN_EXE_shmq"));
    command.env("SCRIPT", format!("set -e; mount -t tmpfs none /dev/shm; echo mounted; {script}"));
    let output = Running::start(command).finish();
    if !String::from_utf8_lossy(&output.stdout).starts_with("mounted\n") {
        eprintln!("NOT RUN: no namespace of one's own here: {output:?}");
        return None;
    }
    Some(output)
}

#[test]
fn ls_raises_the_soft_limit_and_says_what_a_hard_one_hides() {
    let Some(output) = alone(
        r#"
        for i in $(seq 30); do "$1" create "q$i" --capacity 4KiB; done
        (ulimit -S -n 20; "$1" ls --sample 0s | grep -c unused)
        ulimit -n 20
        code=0; "$1" ls --sample 0s > /tmp/ls.$$ || code=$?
        echo "code $code, $(grep -c unused /tmp/ls.$$) shown, $(grep -c 'Too many open files' /tmp/ls.$$) told"
        code=0; "$1" doctor > /tmp/ls.$$ || code=$?
        echo "doctor $code, $(grep -c 'Too many open files' /tmp/ls.$$) told"
        rm /tmp/ls.$$
    "#,
    ) else {
        return;
    };
    let lines: Vec<String> = stdout(&output).lines().map(String::from).collect();
    assert_eq!(lines[1], "30", "{output:?}");
    let numbers = |line: &str| -> Vec<u64> {
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    let [code, shown, told] = numbers(&lines[2])[..] else { panic!("{output:?}") };
    assert!(code == 1 && shown > 5 && told > 5 && shown + told == 30, "{output:?}");
    assert!(stderr(&output).contains(&format!("{told} files could not be looked at")), "{output:?}");
    assert!(matches!(numbers(&lines[3])[..], [1, told] if told > 5), "{output:?}");
}

#[test]
fn top_tells_of_what_it_cannot_open_and_sees_it_once_it_can() {
    let Some(output) = alone(
        r#"
        for i in $(seq 30); do "$1" create "q$i" --capacity 4KiB; done
        (ulimit -n 24; exec "$1" top --listen 127.0.0.1:0 2> /dev/shm/said) &
        until grep -q metrics /dev/shm/said; do sleep 0.05; done
        port=$(sed 's|.*:\([0-9]*\)/.*|\1|' /dev/shm/said)
        scrape() { exec 3<> /dev/tcp/127.0.0.1/$port; printf 'GET / HTTP/1.1\r\n\r\n' >&3; cat <&3; exec 3>&-; }
        scrape > /dev/shm/page
        echo "$(grep -c '^shmq_up.* 1' /dev/shm/page) up, $(grep -c '^shmq_up.* 0' /dev/shm/page) not"
        up=$(sed -n 's|^shmq_up{queue="\(.*\)"} 1|\1|p' /dev/shm/page)
        rm $up
        scrape > /dev/null; scrape > /dev/shm/page
        echo "$(grep -c '^shmq_up.* 1' /dev/shm/page) up then, $(grep -c '^shmq_up.* 0' /dev/shm/page) not"
        # Neither a queue nor for ever none: copied bit by bit.
        rm /dev/shm/q*; scrape > /dev/null
        "$1" create /dev/shm/q --capacity 4KiB; head -c 100 /dev/shm/q > /dev/shm/copy
        scrape | grep -c '^shmq_up'
        tail -c +101 /dev/shm/q >> /dev/shm/copy
        "$1" create /dev/shm/.x --capacity 4KiB
        scrape | grep '^shmq_up'
        kill %1
    "#,
    ) else {
        return;
    };
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    let first: Vec<u64> = lines[1].split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(first[0] > 5 && first[1] > 5 && first[0] + first[1] == 30, "{output:?}");
    assert_eq!(lines[2], format!("{} up then, 0 not", first[1]), "{output:?}");
    assert_eq!(lines[3], "1", "{output:?}");
    let mut up: Vec<&str> = lines[4..].to_vec();
    up.sort_unstable();
    let queue = |path: &str| format!("shmq_up{{queue=\"{path}\"}} 1");
    assert_eq!(up, ["/dev/shm/.x", "/dev/shm/copy", "/dev/shm/q"].map(queue), "{output:?}");
}

#[test]
fn names_that_are_no_text_are_told_apart_and_can_be_used() {
    let folder = format!("/dev/shm/shmq-cli-bytes-{}", std::process::id());
    std::fs::create_dir(&folder).unwrap();
    let path = |byte: u8| [format!("{folder}/caf").as_bytes(), &[byte]].concat();
    for byte in [0xe8, 0xe9] {
        let mut create = shmq(&["create"]);
        create.arg(OsStr::from_bytes(&path(byte)));
        ok(&Running::start(create).finish());
    }
    let list = run(&["ls", &folder, "--json"]);
    let table = stdout(&run(&["ls", &folder]));
    // As a shell takes it.
    let again = Running::start(shell(&format!("shmq stat $'{folder}/caf\\xe9' --prometheus"))).finish();
    std::fs::remove_dir_all(&folder).unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    for (queue, byte) in list["queues"].as_array().unwrap().iter().zip([0xe8, 0xe9]) {
        let hex: String = path(byte).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((&queue["path_hex"], &queue["path"]), (&hex.into(), &queue["name"]));
        let shown = format!("$'{folder}/caf\\x{byte:02x}'");
        assert!(queue["path"] == shown.as_str() && table.contains(&shown), "{table}");
    }
    ok(&again);
    assert!(stdout(&again).contains(&format!("shmq_up{{queue=\"$'{folder}/caf\\\\xe9'\"}} 1")), "{again:?}");
}
