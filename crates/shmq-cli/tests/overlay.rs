//! Roles on overlayfs, the root of most containers: a mapping there does not keep the lock, so that nobody may believe to
//! be alone.

use std::process::Command;

#[test]
fn p4_an_end_is_refused_where_its_lock_would_not_last() {
    // A mount of one's own, in a namespace of one's own, which goes with its last process.
    let script = r#"
        set -e
        at=$(mktemp -d)
        trap 'umount -l "$at"; rmdir "$at"' EXIT
        mount -t tmpfs none "$at"
        mkdir "$at/lower" "$at/upper" "$at/work" "$at/merged"
        mount -t overlay overlay -o "lowerdir=$at/lower,upperdir=$at/upper,workdir=$at/work" "$at/merged"
        echo mounted
        "$1" create "$at/merged/queue"
        echo message | "$1" send "$at/merged/queue" && echo sent || true
        # The control: the same on the file system below.
        "$1" create "$at/queue"
        echo message | "$1" send "$at/queue" && echo sent below
    "#;
    let unshare = ["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"];
    let shmq = env!("CARGO_BIN_EXE_shmq");
    let Ok(output) = Command::new("unshare").args(unshare).arg(shmq).output() else {
        eprintln!("NOT RUN: there is no unshare here");
        return;
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !out.contains("mounted") {
        eprintln!("NOT RUN: no overlayfs may be mounted here: {err}");
        return;
    }
    assert!(out.contains("sent below"), "{out}{err}");
    assert!(!out.replace("sent below", "").contains("sent"), "{out}{err}");
    assert!(err.contains("overlayfs") && err.contains("/dev/shm"), "{err}");
}
