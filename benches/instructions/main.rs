//! Instructions for each send and each receive, counted by callgrind: the same on every run, whatever else the machine does.
//!
//! `ci/instructions.sh` compares them with `benches/instructions.json`, whose keys name compiler and architecture; with `--bless`
//! it writes them there. Every call makes many messages in turn, around the ring many times, so that what is done once a lap or in
//! bulk counts with its share.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod cases;

use cases::{CASES, MESSAGES};
use serde::{Deserialize, Serialize};
use shmq_tool::failure::Failure;
use shmq_tool::print;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Growth that is let pass: another compiler's point release may lay out code a little differently.
const TOLERANCE: f64 = 1.03;

const USAGE: &str = "usage: instructions [--bless] FILE
Compares instructions per call with those in FILE, for this compiler and architecture; --bless writes them there.";

/// Case by case, for each compiler and architecture.
#[derive(Default, Serialize, Deserialize)]
struct Known(BTreeMap<String, BTreeMap<String, f64>>);

impl Known {
    fn read(path: &Path) -> Result<Self, String> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }
}

/// Compiler and architecture.
fn key() -> Result<String, String> {
    let output =
        Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into())).arg("--version").output();
    let output = output.map_err(|error| format!("rustc --version: {error}"))?;
    // "rustc 1.2.3 (hash date)": a version names its commit.
    let version: Vec<_> =
        String::from_utf8_lossy(&output.stdout).split(' ').take(2).map(str::to_owned).collect();
    Ok(format!("{} {}", version.join(" "), std::env::consts::ARCH))
}

/// Instructions per message of one case, by running this program again under callgrind.
fn count(case: &str) -> Result<f64, String> {
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--collect-atstart=no",
            "--toggle-collect=*counted_calls*",
        ])
        .arg(exe)
        .args(["--case", case])
        .output()
        .map_err(|error| format!("valgrind: {error}; install it"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{case} under callgrind: {}\n{text}", output.status));
    }
    let collected =
        text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    let collected =
        collected.filter(|collected| *collected > 0).ok_or(format!("{case}: nothing was counted\n{text}"))?;
    Ok((collected as f64 * 10.0 / MESSAGES as f64).round() / 10.0)
}

/// What has grown too much, in words.
fn compare(known: &BTreeMap<String, f64>, now: &BTreeMap<String, f64>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (case, count) in now {
        match known.get(case) {
            None => wrong.push(format!("{case}: {count}, and the table has no such case; run with --bless")),
            Some(before) if *count > before * TOLERANCE => {
                wrong.push(format!(
                    "{case}: {count} instead of {before}, {:.1} % more",
                    (count / before - 1.0) * 100.0
                ));
            }
            Some(_) => {}
        }
    }
    wrong
}

/// One line. Also when nobody reads it any more, the comparison goes on: its exit code counts.
fn say(line: impl std::fmt::Display) -> Result<(), String> {
    match print::out(format_args!("{line}\n")) {
        Ok(_) => Ok(()),
        Err(Failure::Said(_, why)) => Err(why),
        Err(_) => Err("cannot write to standard output".to_owned()),
    }
}

fn run(path: &Path, bless: bool) -> Result<bool, String> {
    let mut known = Known::read(path)?;
    let key = key()?;
    let mut now = BTreeMap::new();
    say(format_args!("Instructions per call, {key}:"))?;
    for (case, _) in CASES {
        let count = count(case)?;
        let before = known.0.get(&key).and_then(|table| table.get(*case));
        let before = before.map_or_else(String::new, |before| format!("  (table: {before})"));
        say(format_args!("  {case:32} {count:8.1}{before}"))?;
        now.insert((*case).to_owned(), count);
    }
    if bless {
        known.0.insert(key, now);
        let text = serde_json::to_string_pretty(&known).expect("plain data");
        std::fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
        say(format_args!("Written to {}.", path.display()))?;
        return Ok(true);
    }
    let Some(table) = known.0.get(&key) else {
        let path = path.display();
        say(format_args!(
            "{path} knows nothing of {key}; --bless writes it there. Nothing to compare with."
        ))?;
        return Ok(true);
    };
    let wrong = compare(table, &now);
    for line in &wrong {
        say(format_args!("grown: {line}"))?;
    }
    if !wrong.is_empty() {
        say("A change that is worth it: ci/instructions.sh --bless, and say why in the commit.")?;
    }
    Ok(wrong.is_empty())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["--case", name] => match CASES.iter().find(|(case, _)| *case == name) {
            Some((_, run)) => {
                run();
                Ok(true)
            }
            None => Err(format!("no case is called {name}")),
        },
        ["--bless", file] => run(Path::new(file), true),
        [file] if !file.starts_with('-') => run(Path::new(file), false),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            print::err(why);
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(cases: &[(&str, f64)]) -> BTreeMap<String, f64> {
        cases.iter().map(|(case, count)| ((*case).to_owned(), *count)).collect()
    }

    #[test]
    fn more_than_three_per_cent_is_told_and_less_is_not() {
        let known = table(&[("a", 100.0), ("b", 100.0), ("c", 100.0)]);
        let wrong = compare(&known, &table(&[("a", 103.0), ("b", 103.1), ("c", 50.0)]));
        assert_eq!(wrong, ["b: 103.1 instead of 100, 3.1 % more"]);
    }

    #[test]
    fn a_case_that_the_table_does_not_have_is_told() {
        let wrong = compare(&table(&[]), &table(&[("a", 1.0)]));
        assert!(wrong[0].contains("--bless"), "{wrong:?}");
    }
}
