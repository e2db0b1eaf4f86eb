//! The sessions that the documents show, run again: each `console` block, in order, in a folder of its own.

use std::path::{Path, PathBuf};

/// What the examples send.
const ORDERS: &str = "buy 10\nsell 5\nbuy 7\n";

#[test]
fn what_the_documents_show_is_what_happens() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = Folder(std::env::temp_dir().join(format!("shmq-transcripts-{}", std::process::id())));
    for document in ["README.md", "docs/OPERATIONS.md"] {
        // Next to the copy: a session runs in the folder of its document.
        let place = folder.0.join(document.replace(['/', '.'], "-"));
        std::fs::create_dir_all(place.join("session.in")).unwrap();
        std::fs::write(place.join("session.in/orders.txt"), ORDERS).unwrap();
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        let sessions = text.matches("```console").count();
        assert!(sessions > 0, "{document} shows no session");
        std::fs::write(place.join("session.md"), text).unwrap();
        let cases = trycmd::TestCases::new();
        cases.register_bin("shmq", Path::new(env!("CARGO_BIN_EXE_shmq")));
        cases.timeout(std::time::Duration::from_secs(60)).env("COLUMNS", "100");
        cases.case(place.join("session.md")).run();
        assert!(!place.join("session.in/orders").exists(), "{document} leaves its queue behind");
    }
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
