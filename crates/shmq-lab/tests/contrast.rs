//! The contrast: that queues lose nothing, that raw memory is seen torn, and that nothing is left behind.

use serde_json::Value;
use std::process::{Command, Stdio};

#[test]
fn queues_lose_nothing_and_raw_memory_is_torn() {
    let page = std::env::temp_dir().join(format!("shmq-lab-page-{}.html", std::process::id()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmq-lab"));
    command.args(["contrast", "--seconds", "2", "--json", "--html"]).arg(&page);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ours = format!("shmq-lab-{}-", child.id());
    let output = child.wait_with_output().unwrap();
    let html = std::fs::read_to_string(&page).unwrap_or_default();
    let _ = std::fs::remove_file(&page);
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["schema"], &report["ok"]), (&"shmq.contrast/1".into(), &true.into()));
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 28);
    for row in rows {
        let number = |what: &str| row[what].as_u64().unwrap_or_else(|| panic!("{what} in {row}"));
        let medium = row["medium"].as_str().unwrap();
        assert!(number("whole") > 0 || row["unavailable"].is_string(), "{row}");
        if ["records", "slots"].contains(&medium) {
            let wrong = ["torn", "lost", "duplicated", "out_of_order"].map(number);
            assert_eq!((wrong, number("whole")), ([0; 4], number("reads")), "{row}");
        }
        assert!(medium != "raw" || number("bytes") < 1024 || number("torn") > 0, "{row}");
        assert!(medium != "seqlock" || number("torn") == 0, "{row}");
    }
    assert!(html.ends_with("</html>\n") && html.contains("<svg"));
    let left = std::fs::read_dir("/dev/shm").unwrap().map(|file| file.unwrap().file_name());
    let ours = |name: &std::ffi::OsString| name.to_string_lossy().starts_with(&ours);
    assert_eq!(left.filter(ours).count(), 0);
}
