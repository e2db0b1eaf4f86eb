//! Any number, through any option: taken, or refused with a sentence. Nothing panics, aborts, or takes all memory there is.

mod common;
use common::*;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

/// Nothing, one, what 32 and 64 bits end with, the library's own limits, and what lies beside them.
fn numbers() -> Vec<u64> {
    let limits = [1, 1 << 32, 1 << 40, 1 << 63];
    let mut all: Vec<u64> = limits.iter().flat_map(|n| [n - 1, *n]).collect();
    all.extend([(1 << 40) + 1, (1 << 60) + 1, u64::MAX - 7, u64::MAX]);
    all
}

/// Each option that takes a number, in a command that uses it. `#` is the number, and `Q` a queue in which something waits.
/// A command may go on: then it is ended.
const OPTIONS: [(&str, &str, &str); 40] = [
    ("create", "--capacity", "NEW --capacity #"),
    ("create", "--max-message", "NEW --max-message #"),
    ("create", "--max-messages", "NEW --max-messages #"),
    ("create", "--slots", "NEW --slots # --depth 1"),
    ("create", "--slots", "NEW --slots # --depth #"),
    ("create", "--depth", "NEW --slots 1 --depth #"),
    ("create", "--depth", "NEW --slots 64 --depth #"),
    ("create", "--mode", "NEW --mode #"),
    ("send", "--chunk", "Q --no-finish --chunk #"),
    ("send", "--timeout", "Q --no-finish --timeout #s"),
    ("send", "--timeout", "FULL /dev/zero --chunk 8 --timeout #s"),
    ("send", "--capacity", "NEW --create --capacity #"),
    ("send", "--max-message", "NEW --create --max-message #"),
    ("send", "--max-message", "NEW --create --raw --max-message #"),
    ("send", "--max-messages", "NEW --create --max-messages #"),
    ("send", "--slots", "NEW --create --slots # --depth 1 --chunk"),
    ("send", "--depth", "NEW --create --slots 8 --depth #"),
    ("send", "--mode", "NEW --create --mode #"),
    ("recv", "--count", "Q --count #"),
    ("recv", "--timeout", "EMPTY --timeout #s"),
    ("recv", "--timeout", "NEW --timeout #s"),
    ("recv", "--timeout", "Q --ack --timeout #s"),
    ("ls", "--sample", "/dev/shm --sample #s"),
    ("stat", "--sample", "Q --sample #s"),
    ("top", "--interval", "Q --once --interval #s"),
    ("dump", "--limit", "Q --limit #"),
    ("dump", "--bytes", "Q --bytes #"),
    ("dump", "--bytes", "Q --hex --bytes #"),
    ("drain", "--keep", "Q --keep #"),
    ("drain", "--count", "Q --count #"),
    ("copy", "--timeout", "Q FULL --timeout #s"),
    ("copy", "--capacity", "Q NEW --capacity #"),
    ("copy", "--max-message", "Q NEW --max-message #"),
    ("copy", "--max-messages", "Q NEW --max-messages #"),
    ("copy", "--slots", "Q NEW --slots # --depth 1"),
    ("copy", "--depth", "Q NEW --slots 1 --depth #"),
    ("copy", "--mode", "Q NEW --mode #"),
    ("pipe", "--chunk", "Q --send --chunk # -- printf 12345678"),
    ("demo", "--bytes", "--seed # --kills 1 --bytes #"),
    ("demo", "--kills", "--slots --seed # --bytes 1 --kills #"),
];

/// Options whose value is no number.
const WORDS: [&str; 7] = ["--tag", "--wait", "--file", "--output", "--listen", "--seed", "--shell"];

#[test]
fn any_number_through_any_option_is_taken_or_refused() {
    // Most of the time goes by in commands that go on.
    std::thread::scope(|scope| {
        for (part, options) in OPTIONS.chunks(8).enumerate() {
            scope.spawn(move || try_all(part, options));
        }
    });
}

fn try_all(part: usize, options: &[(&str, &str, &str)]) {
    let [q, full, empty, new] =
        ["q", "full", "empty", "new"].map(|what| Name::new(&format!("numbers-{part}-{what}")));
    ok(&run(&["create", &full.0, "--capacity", "4KiB", "--max-message", "8"]));
    ok(&run(&["create", &empty.0]));
    for (command, _, line) in options {
        for number in numbers() {
            drop((std::fs::remove_file(q.path()), std::fs::remove_file(new.path())));
            ok(&run_with(&["send", &q.0, "--create", "--no-finish"], &lines(3)));
            let words: Vec<String> = line
                .split(' ')
                .map(|word| match word {
                    "Q" => q.0.clone(),
                    "FULL" => full.0.clone(),
                    "EMPTY" => empty.0.clone(),
                    "NEW" => new.0.clone(),
                    word => word.replace('#', &number.to_string()),
                })
                .collect();
            try_one(&format!("{command} {}", words.join(" ")));
        }
    }
}

fn try_one(line: &str) {
    let script = format!("ulimit -f 65536 -v 4194304; exec shmq {line}");
    let mut running = Running::start(shell(&script));
    let begin = Instant::now();
    while running.0.try_wait().unwrap().is_none() && begin.elapsed() < Duration::from_millis(300) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let goes_on = running.0.try_wait().unwrap().is_none();
    if goes_on {
        running.signal(libc::SIGTERM);
    }
    let output = running.finish();
    let said = stderr(&output);
    assert!(!said.contains("panicked") && !said.contains("memory allocation"), "{line}: {said}");
    match output.status.code() {
        Some(0) => {}
        Some(code @ 1..=5) => assert!(!said.trim().is_empty(), "{line} ends with {code} in silence"),
        _ => {
            let by_us = goes_on && output.status.signal() == Some(libc::SIGTERM);
            assert!(by_us, "{line} ends with {}: {said}", output.status);
        }
    }
}

#[test]
fn every_option_that_takes_a_value_is_among_those_tried() {
    let help = stdout(&run(&["--help"]));
    let commands = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let commands: Vec<&str> = commands.map_while(|line| line.trim().split(' ').next()).collect();
    let mut seen = 0;
    for command in commands.into_iter().filter(|name| !name.is_empty() && *name != "help") {
        for line in stdout(&run(&[command, "--help"])).lines() {
            let Some(at) = line.find("--").filter(|_| line.trim_start().starts_with('-')) else { continue };
            let mut words = line[at..].split_whitespace();
            let option = words.next().unwrap();
            let takes_value =
                words.next().is_some_and(|word| word.starts_with(['<', '[']) && word.ends_with(['>', ']']));
            if takes_value && !WORDS.contains(&option) {
                seen += 1;
                assert!(
                    OPTIONS.iter().any(|(of, name, _)| (*of, *name) == (command, option)),
                    "{command} {option}"
                );
            }
        }
    }
    assert!(seen > 25, "{seen}");
}
