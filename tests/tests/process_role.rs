//! Roles: one holder at a time, whatever the way to the file; freed by every way out of a process; and the state of the
//! other end, told by the kernel.

use shmq::{AttachError, Inspector, Options, PeerState, Queue, Role};
use shmq_tests::process::{Child, LIMIT, Scratch, Witness, eventually, patiently};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");
const ROLES: [(Role, &str); 2] = [(Role::Producer, "producer"), (Role::Consumer, "consumer")];

fn small(label: &str) -> (Scratch, Queue) {
    let scratch = Scratch::new(label);
    let queue = Queue::create(scratch.path(), &Options::new().capacity(4096)).unwrap();
    (scratch, queue)
}

fn holder(scratch: &Scratch, role: &str) -> Child {
    let child = Child::spawn(HELPER, &["hold", scratch.name(), role]);
    child.expect("held");
    child
}

fn try_take(queue: &Queue, role: Role) -> Result<(), AttachError> {
    match role {
        Role::Producer => queue.producer().map(drop),
        Role::Consumer => queue.consumer().map(drop),
    }
}

/// Takes a role for a moment.
fn take(queue: &Queue, role: Role) -> Result<(), AttachError> {
    patiently(|| try_take(queue, role))
}

#[track_caller]
fn is_busy(queue: &Queue, role: Role, pid: u32) {
    match try_take(queue, role) {
        Err(error @ AttachError::Busy { .. }) => {
            let text = error.to_string();
            assert!(text.contains(&role.to_string()) && text.contains(&format!("pid {pid}")), "{text}");
        }
        other => panic!("two {role}s: {other:?}"),
    }
}

/// Words of the helper's race.
const BROKEN: usize = 6;
const WON: usize = 8;

fn race(script: &str, names: [&str; 2], rounds: u64) -> [u64; 3] {
    let notes = Scratch::new("witness");
    let witness = Witness::create(notes.path());
    let rounds = rounds.to_string();
    let runners = [("0", names[0]), ("1", names[1])]
        .map(|(who, name)| Child::spawn(HELPER, &[script, name, notes.name(), who, &rounds]));
    for runner in runners {
        assert_eq!(runner.try_line(), None);
        runner.succeed();
    }
    [witness.get(BROKEN), witness.get(WON), witness.get(WON + 1)]
}

#[test]
fn p4_of_two_processes_that_race_for_a_role_exactly_one_wins() {
    let (scratch, _queue) = small("race");
    let rounds = 3000;
    let [broken, first, second] = race("race", [scratch.name(); 2], rounds);
    eprintln!("{rounds} races: won by the one {first}, by the other {second}");
    assert_eq!((broken, first + second), (0, rounds));
}

#[test]
fn p4_control_two_who_race_for_different_files_are_seen_to_win_both() {
    let ((one, _q), (other, _r)) = (small("race-a"), small("race-b"));
    let [broken, first, second] = race("race", [one.name(), other.name()], 50);
    assert!(broken >= 50 && first + second == 100, "{broken} {first} {second}");
}

#[test]
fn p8_of_two_processes_that_create_exactly_one_wins_and_both_open_the_same() {
    let scratch = Scratch::new("create");
    let rounds = 500;
    let [broken, first, second] = race("race-create", [scratch.name(); 2], rounds);
    eprintln!("{rounds} creations: the one made {first}, the other {second}");
    assert_eq!((broken, first + second), (0, rounds));
}

#[test]
fn p4_a_second_holder_is_refused_while_the_first_lives_stopped_or_not() {
    for (role, name) in ROLES {
        let (scratch, queue) = small("busy");
        let child = holder(&scratch, name);
        is_busy(&queue, role, child.id());
        Child::spawn(HELPER, &["hold", scratch.name(), name]).expect("Busy");
        child.stop();
        is_busy(&queue, role, child.id());
        assert_eq!(queue.inspect().unwrap().state(role), PeerState::Attached);
        child.signal(libc::SIGCONT);
        is_busy(&queue, role, child.id());
        // The other role is free all the while.
        take(&queue, role.peer()).unwrap();
        child.kill();
        take(&queue, role).unwrap();
    }
}

#[test]
fn p4_two_handles_on_any_way_to_one_file_are_two_holders() {
    let (scratch, named) = small("handles");
    let anonymous = Queue::anonymous(&Options::new().capacity(4096)).unwrap();
    let duplicate = anonymous.as_fd().try_clone_to_owned().unwrap();
    let duplicate = Queue::from_fd(duplicate, &Options::new()).unwrap();
    let again = Queue::open(scratch.path()).unwrap();
    let me = std::process::id();
    for (first, second) in
        [(&named, &named), (&named, &again), (&anonymous, &anonymous), (&anonymous, &duplicate)]
    {
        let tx = patiently(|| first.producer()).unwrap();
        let rx = patiently(|| second.consumer()).unwrap();
        is_busy(second, Role::Producer, me);
        is_busy(first, Role::Consumer, me);
        assert_eq!((tx.peer(), rx.peer()), (PeerState::Attached, PeerState::Attached));
        drop(tx);
        assert_eq!(rx.peer(), PeerState::Left);
        take(second, Role::Producer).unwrap();
        drop(rx);
        take(first, Role::Consumer).unwrap();
    }
    // A handle that is gone does not take the others' roles with it.
    let tx = patiently(|| anonymous.producer()).unwrap();
    drop(duplicate.as_fd().try_clone_to_owned().unwrap());
    drop(duplicate);
    is_busy(&anonymous, Role::Producer, me);
    drop(tx);
}

#[test]
fn p4_a_role_is_freed_by_kill_by_exec_and_by_drop() {
    for (role, name) in ROLES {
        let (scratch, queue) = small("freed");
        let inspector = queue.inspect().unwrap();
        holder(&scratch, name).kill();
        assert_eq!(inspector.state(role), PeerState::Lost);
        take(&queue, role).unwrap();

        // The process lives on under the same number, as another program.
        let mut child = holder(&scratch, name);
        child.say("exec");
        child.expect("idle");
        assert_eq!(inspector.state(role), PeerState::Lost);
        take(&queue, role).unwrap();
        child.kill();

        let mut child = holder(&scratch, name);
        child.say("drop");
        child.expect("dropped");
        assert_eq!(inspector.state(role), PeerState::Left);
        take(&queue, role).unwrap();
        child.kill();
    }
}

#[test]
fn p4_a_fork_of_the_holder_neither_keeps_the_role_nor_disturbs_it() {
    for (role, name) in ROLES {
        let (scratch, queue) = small("fork");
        let inspector = queue.inspect().unwrap();
        let mut child = holder(&scratch, name);
        // A fork that drops its copy and ends: the parent's end goes on.
        child.say("fork-drop");
        let fork = child.line();
        eventually("the fork ends", || {
            std::fs::read_to_string(format!("/proc/{fork}/stat"))
                .map_or(true, |stat| stat.rsplit(')').next().is_some_and(|s| s.trim_start().starts_with('Z')))
        });
        assert_eq!(inspector.state(role), PeerState::Attached);
        is_busy(&queue, role, child.id());
        child.say("works");
        child.expect("works");
        // A fork that lives on: its parent's death frees the role nevertheless.
        child.say("fork");
        let fork: libc::pid_t = child.line().parse().unwrap();
        is_busy(&queue, role, child.id());
        child.signal(libc::SIGKILL);
        eventually("the role is free", || inspector.state(role) == PeerState::Lost);
        let free = take(&queue, role);
        // SAFETY: a process of this test, which cannot have ended: it does nothing but wait.
        let was_alive = unsafe { libc::kill(fork, libc::SIGKILL) } == 0;
        assert!(was_alive, "the fork was to outlive its parent");
        free.unwrap();
    }
}

#[test]
fn p4_a_queue_in_use_is_not_removed_and_a_removed_one_says_so() {
    for (role, name) in ROLES {
        let (scratch, queue) = small("remove");
        let child = holder(&scratch, name);
        match Queue::open(scratch.path()).unwrap().remove() {
            Err(AttachError::Busy { role: found, pid, .. }) => {
                assert_eq!((found, pid), (role, u64::from(child.id())));
            }
            other => panic!("removed while in use: {other:?}"),
        }
        child.kill();
        patiently(|| Queue::open(scratch.path()).unwrap().remove()).unwrap();
        assert!(!scratch.path().exists());
        assert!(matches!(take(&queue, role), Err(AttachError::Removed { .. })));
        // Replaced is removed, too; and the new one is left alone by the old handle.
        let new = Queue::create(scratch.path(), &Options::new().capacity(4096)).unwrap();
        assert!(matches!(take(&queue, role), Err(AttachError::Removed { .. })));
        assert!(matches!(queue.remove(), Err(AttachError::Removed { .. })));
        take(&new, role).unwrap();
    }
}

#[test]
fn p3_the_four_states_are_never_confused() {
    use PeerState::{Attached, Left, Lost, NeverAttached};
    for (role, name) in ROLES {
        let (scratch, queue) = small("states");
        let inspector = queue.inspect().unwrap();
        let mut peer = holder(&scratch, if role == Role::Producer { "consumer" } else { "producer" });
        let mut told = |state: PeerState, why: &str| {
            peer.say("peer");
            peer.expect(&state.to_string());
            assert_eq!(inspector.state(role), state, "{role}: {why}");
            assert_eq!(Inspector::open(scratch.path()).unwrap().state(role), state, "{role}: {why}");
        };
        // An attempt that got no further than the lock changes nothing, neither while it lives nor after.
        let half = |expected: PeerState, told: &mut dyn FnMut(PeerState, &str)| {
            let child = Child::spawn(HELPER, &["lock", scratch.name(), name]);
            child.expect("locked");
            told(if expected == Lost { Attached } else { expected }, "an attempt");
            child.kill();
            told(expected, "a killed attempt");
        };
        told(NeverAttached, "a new queue");
        half(NeverAttached, &mut told);
        let mut child = holder(&scratch, name);
        told(Attached, "held");
        child.stop();
        std::thread::sleep(Duration::from_millis(300));
        told(Attached, "stopped");
        child.signal(libc::SIGCONT);
        told(Attached, "continued");
        child.say("drop");
        child.expect("dropped");
        told(Left, "dropped");
        child.kill();
        told(Left, "dropped, then killed");
        half(Left, &mut told);
        holder(&scratch, name).kill();
        told(Lost, "killed");
        half(Lost, &mut told);
        let mut child = holder(&scratch, name);
        told(Attached, "a successor");
        child.stop();
        child.kill();
        told(Lost, "stopped, then killed");
        child = holder(&scratch, name);
        child.say("drop");
        child.expect("dropped");
        told(Left, "a successor that left");
        if role == Role::Producer {
            child = holder(&scratch, name);
            child.say("finish");
            child.expect("finished 0");
            told(Left, "finished");
            assert!(matches!(take(&queue, role), Err(AttachError::Finished { .. })));
            told(Left, "refused");
            assert!(inspector.snapshot().finished);
        }
    }
}

#[test]
fn p3_a_peer_stopped_for_five_seconds_is_never_called_lost() {
    let (scratch, queue) = small("stopped");
    let mut rx = queue.consumer().unwrap();
    let mut child = holder(&scratch, "producer");
    child.stop();
    let begin = Instant::now();
    let waited = rx.recv(Duration::from_secs(5));
    assert_eq!(waited, Err(shmq::RecvError::TimedOut));
    assert!(begin.elapsed() >= Duration::from_secs(5));
    assert_eq!(rx.peer(), PeerState::Attached);
    child.signal(libc::SIGCONT);
    child.say("works");
    child.expect("works");
    assert_eq!(rx.recv(LIMIT).unwrap(), b"work");
    // The control: killed instead of stopped, the same wait ends at once and says so.
    child.kill();
    assert_eq!(rx.recv(LIMIT), Err(shmq::RecvError::ProducerLost));
}

#[test]
fn p3_a_stopped_consumer_is_never_called_lost_by_a_blocked_sender() {
    let (scratch, queue) = small("stopped-rx");
    let mut tx = patiently(|| queue.producer()).unwrap();
    let mut child = holder(&scratch, "consumer");
    while tx.try_send(&[9; 1000]).is_ok() {}
    child.stop();
    assert_eq!(tx.send(&[9; 1000], Duration::from_secs(2)), Err(shmq::SendError::TimedOut));
    assert_eq!(tx.peer(), PeerState::Attached);
    child.signal(libc::SIGCONT);
    for _ in 0..3 {
        child.say("take");
        child.line();
    }
    tx.send(&[9; 1000], LIMIT).unwrap();
    while tx.try_send(&[9; 1000]).is_ok() {}
    child.kill();
    assert_eq!(tx.send(&[9; 1000], LIMIT), Err(shmq::SendError::ConsumerLost));
}

#[test]
fn p4_a_queue_on_a_disk_file_system_is_taken_over_and_left_the_same_way() {
    // A folder of its own: what others leave behind is not ours.
    let folder = format!("{}/shmq-test-disk-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    let path = format!("{folder}/queue");
    let queue = Queue::create(&path, &Options::new().capacity(4096)).unwrap();
    for (role, name) in ROLES {
        let mut child = Child::spawn(HELPER, &["hold", &path, name]);
        child.expect("held");
        is_busy(&queue, role, child.id());
        child.say("works");
        child.expect("works");
        child.kill();
        assert_eq!(queue.inspect().unwrap().state(role), PeerState::Lost);
        take(&queue, role).unwrap();
        assert_eq!(queue.inspect().unwrap().state(role), PeerState::Left);
    }
    patiently(|| Queue::open(&path).unwrap().remove()).unwrap();
    // Nothing is left of making it, either.
    std::fs::remove_dir(&folder).unwrap();
}
