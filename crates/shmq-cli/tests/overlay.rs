//! Roles where a lock would not last, or not be seen by all: overlayfs, the root of most containers, and FUSE. Nobody may believe to
//! be alone there.

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
        "$1" create "$at/merged/queue" && echo made || true
        # Made below, where it may be.
        "$1" create "$at/upper/other"
        echo message | "$1" send "$at/merged/other" && echo sent || true
        "$1" doctor "$at/merged/other" | grep overlayfs | grep trouble || true
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
    assert!(!out.replace("sent below", "").contains("sent") && !out.contains("made"), "{out}{err}");
    assert_eq!(err.matches("overlayfs").count(), 2, "{err}");
    assert!(
        err.contains("merged/queue") && err.contains("merged/other") && err.contains("/dev/shm"),
        "{err}"
    );
    assert!(out.contains("trouble") && out.contains("overlayfs"), "{out}");
}

#[test]
fn p4_an_end_is_refused_where_others_come_to_the_file_below() {
    let script = r#"
        set -e
        at=$(mktemp -d)
        trap 'umount -l "$at/mount" "$at"; rmdir "$at"' EXIT
        mount -t tmpfs none "$at"
        mkdir "$at/below" "$at/mount"
        bindfs "$at/below" "$at/mount"
        echo mounted
        "$1" create "$at/below/queue"
        echo message | "$1" send "$at/below/queue" --no-finish && echo sent below
        "$1" recv "$at/mount/queue" --timeout 100ms || true
        "$1" create "$at/mount/other" && echo made || true
        "$1" doctor "$at/mount/queue" | grep FUSE || true
        "$1" recv "$at/below/queue" --count 1
    "#;
    let script = ["--mount", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_shmq")];
    let Ok(output) = Command::new("unshare").args(script).output() else {
        eprintln!("NOT RUN: there is no unshare here");
        return;
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !out.contains("mounted") {
        eprintln!("NOT RUN: no bindfs, or it may not mount here: {err}");
        return;
    }
    assert!(out.contains("sent below") && out.ends_with("message\n"), "{out}{err}");
    assert!(!out.contains("made") && out.contains("it is on FUSE"), "{out}{err}");
    assert_eq!(err.matches("is on FUSE").count(), 2, "{err}");
}
