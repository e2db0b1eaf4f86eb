//! The torture: that it holds, that it would tell if it did not, and that it leaves nothing behind.

use serde_json::Value;
use std::process::{Child, Command, Output, Stdio};

/// A run that ends by itself; what it keeps for a post mortem is removed here.
struct Run {
    output: Output,
    pid: u32,
}

impl Run {
    fn of(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shmq-lab"));
        command.arg("torture").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child: Child = command.spawn().unwrap();
        let pid = child.id();
        Self { output: child.wait_with_output().unwrap(), pid }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.output.stdout).unwrap_or_else(|e| panic!("{e}: {:?}", self.output))
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        let prefix = format!("shmq-lab-{}-", self.pid);
        let files = std::fs::read_dir("/dev/shm").unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&prefix)).collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.files().iter().for_each(|file| drop(std::fs::remove_file(file)));
    }
}

const ZEROS: [&str; 9] = [
    "lost",
    "torn",
    "out_of_order",
    "redelivered_beyond_allowance",
    "split",
    "living_called_dead",
    "failed_operations",
    "crashed",
    "stuck",
];

#[test]
fn p1_p2_p3_p4_nothing_breaks_while_both_ends_die_again_and_again() {
    for shape in ["--records", "--slots"] {
        let run = Run::of(&["--kills", "150", "--seconds", "120", "--seed", "3", shape, "--json"]);
        let report = run.json();
        assert!(run.output.status.success(), "{:?}", run.output);
        assert_eq!((&report["schema"], &report["ok"]), (&"shmq.torture/1".into(), &true.into()));
        assert!(ZEROS.iter().all(|what| report[what] == 0), "{report}");
        let number = |what: &str| report[what].as_u64().unwrap_or_else(|| panic!("{what} in {report}"));
        assert_eq!(number("kills"), number("producer_kills") + number("consumer_kills"));
        assert!(number("kills") >= 150 && number("kills_in_a_call") > 0 && number("takeovers") > 50);
        assert!(number("messages") > number("kills"), "the kills must hit a stream");
        assert_eq!(run.files(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_soak_kills_nobody_and_looks_at_what_the_ends_hold() {
    let run = Run::of(&["--soak", "--seconds", "6", "--json"]);
    let report = run.json();
    assert!(run.output.status.success(), "{:?}", run.output);
    assert_eq!((&report["kills"], &report["queues"]), (&0.into(), &2.into()));
    assert_eq!(report["ends"].as_array().map(Vec::len), Some(4), "{report}");
    assert!(report["stops"].as_u64() > Some(0));
}

#[test]
fn control_each_planted_fault_is_found_called_by_its_name_and_kept() {
    for (plant, names) in [
        ("publish-before-payload", &["torn"][..]),
        ("take-unseen", &["lost"]),
        ("never-take", &["out_of_order", "redelivered_beyond_allowance"]),
        ("heartbeat", &["living_called_dead"]),
    ] {
        for shape in ["--records", "--slots"] {
            let run = Run::of(&["--seconds", "120", "--plant", plant, shape, "--json"]);
            let report = run.json();
            assert_eq!(run.output.status.code(), Some(1), "{plant}: {:?}", run.output);
            assert_eq!(report["ok"], false);
            let found = |name: &&str| report[name].as_u64() > Some(0);
            assert!(names.iter().any(found), "{plant}: {report}");
            let kept = report["kept"].as_array().unwrap();
            assert!(kept.iter().all(|path| std::fs::exists(path.as_str().unwrap()).unwrap()));
            assert_eq!((kept.len(), run.files().len()), (2, 2), "{report}");
            let said = String::from_utf8_lossy(&run.output.stderr).into_owned();
            assert!(said.contains(&report["seed"].to_string()), "{said}");
        }
    }
}
