//! Whoever reads what a program prints may have seen enough: the program then ends quietly, with the exit code of its outcome.

use std::process::{Command, Stdio};

#[test]
fn a_closed_pipe_is_no_failure() {
    let calls: [&[&str]; 5] = [
        &["--help"],
        &["bench", "--help"],
        &["bench", "--list"],
        &["contrast", "--seconds", "1"],
        &["torture", "--seconds", "1"],
    ];
    for call in calls {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shmq-lab"));
        let mut child = command.args(call).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{call:?}: {output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{call:?}: {output:?}");
    }
}

#[test]
fn an_outcome_that_nobody_reads_still_counts() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmq-lab"));
    command.args(["torture", "--seconds", "20", "--plant", "take-unseen"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    for path in said.split("kept: ").skip(1).filter_map(|rest| rest.split([';', '\n']).next()) {
        let _ = std::fs::remove_file(path.trim());
    }
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!said.contains("panicked"), "{said}");
}
