//! What is said when something is in the way: of which file, and what it is.

mod common;
use common::*;

/// One sentence, with the path and what stands in the way.
#[track_caller]
fn says(args: &[&str], exit: i32, parts: &[&str]) {
    let output = run(args);
    fails(&output, exit, parts[0]);
    parts.iter().for_each(|part| assert!(stderr(&output).contains(part), "{part:?} is not in {output:?}"));
}

#[test]
fn every_command_names_the_file_that_it_cannot_use() {
    let nowhere = format!("/tmp/shmq-cli-nowhere-{}/x", std::process::id());
    says(&["create", &nowhere], 1, &[&nowhere, "there is no folder for"]);
    for command in ["stat", "dump", "recv", "drain", "rm", "doctor"] {
        let more: &[&str] = if command == "recv" { &["--timeout", "10ms"] } else { &[] };
        let output = run(&[&[command, &nowhere], more].concat());
        assert!(stderr(&output).contains(&nowhere) && code(&output) != 0, "{command}: {output:?}");
    }
    let folder = std::env::temp_dir();
    let folder = folder.to_str().unwrap();
    for command in ["stat", "dump", "recv", "drain", "rm"] {
        says(&[command, folder], 1, &[folder, "this is not a queue file"]);
    }
    says(&["copy", folder, &nowhere], 1, &[folder, "this is not a queue file"]);
    let name = Name::new("says");
    ok(&run(&["create", &name.0, "--tag", "one"]));
    says(&["send", &name.0, "--tag", "two"], 1, &[&name.0, "the tag \"one\""]);
    let _receiver = Running::start(shmq(&["recv", &name.0, "--follow"]));
    until("the receiver", || stat(&name)["consumer"]["state"] == "attached");
    says(&["rm", &name.0], 1, &[&name.0, "stop that one first"]);
}

#[test]
fn what_is_no_queue_is_not_to_be_removed() {
    let thesis = Temp::new("thesis", b"my thesis");
    let output = run(&["create", thesis.text()]);
    fails(&output, 1, "exists already and is no queue; name another");
    assert!(stderr(&output).contains(thesis.text()) && !stderr(&output).contains("shmq rm"), "{output:?}");
    let name = Name::new("twice");
    ok(&run(&["create", &name.0]));
    // The control.
    fails(&run(&["create", &name.0]), 1, "remove it first with `shmq rm`");
    // And no force removes what is none.
    fails(&run(&["rm", "--force", thesis.text()]), 1, "not a queue file");
    assert!(thesis.0.exists());
}
