//! P9: a blocked call is ended from outside, in every shape, role and phase of waiting, and nothing was taken or sent.

use shmq::{Role, StopHandle, Until, Waiting};
use shmq_core::{FileEvent, Signals};
use shmq_tests::process::going::TOLD;
use shmq_tests::process::{Child, LIMIT, Rigged, Scratch, map_queue};
use shmq_tests::stoppable::{PHASES, ROLES, SHAPES, Stoppable, Went, until, waiting};
use std::time::{Duration, Instant};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

/// Blocks each role of each shape in each phase.
fn each(mut blocked: impl FnMut(&str, Role, &str)) {
    for phase in PHASES {
        for shape in SHAPES {
            for role in ROLES {
                blocked(shape, role, phase);
            }
        }
    }
}

#[test]
fn p9_a_call_is_stopped_from_another_thread() {
    each(|shape, role, phase| {
        let stop = StopHandle::new().unwrap();
        let mut ends = Stoppable::new(shape);
        ends.set(role, waiting(phase), Some(&stop));
        ends.block(role);
        let pending = ends.pending();
        std::thread::scope(|s| {
            let blocked = s.spawn(|| (ends.call(role, Until::After(LIMIT)), Instant::now()));
            std::thread::sleep(until(phase));
            assert!(!blocked.is_finished(), "{shape} {role} {phase}: it waits");
            let begin = Instant::now();
            stop.trigger();
            let (went, end) = blocked.join().unwrap();
            assert_eq!(went, Went::Stopped, "{shape} {role} {phase}");
            assert!(end.saturating_duration_since(begin) < TOLD, "{shape} {role} {phase}");
        });
        assert_eq!(ends.pending(), pending);
        ends.stays_stopped_until_reset(role, &stop);
    });
}

#[test]
fn p9_a_handle_that_is_triggered_before_ends_a_call_before_it_waits() {
    for shape in SHAPES {
        for role in ROLES {
            let stop = StopHandle::new().unwrap();
            let mut ends = Stoppable::new(shape);
            // Neither look at the clock nor a sleep would be reached in a minute.
            ends.set(role, Waiting::new().spin(LIMIT), Some(&stop));
            ends.block(role);
            stop.trigger();
            ends.stays_stopped_until_reset(role, &stop);
        }
    }
}

#[test]
fn p9_one_handle_stops_many_ends_at_once() {
    let stop = StopHandle::new().unwrap();
    std::thread::scope(|s| {
        let mut all = Vec::new();
        for (n, shape) in SHAPES.iter().cycle().take(16).enumerate() {
            let (role, stop) = (ROLES[n / 4 % 2], &stop);
            all.push(s.spawn(move || {
                let mut ends = Stoppable::new(shape);
                ends.set(role, Waiting::new(), Some(stop));
                ends.block(role);
                ends.call(role, Until::After(LIMIT))
            }));
        }
        std::thread::sleep(until("asleep"));
        stop.trigger();
        for blocked in all {
            assert_eq!(blocked.join().unwrap(), Went::Stopped);
        }
    });
}

#[test]
fn p9_an_end_without_its_handle_goes_on_waiting() {
    for shape in SHAPES {
        for role in ROLES {
            let stop = StopHandle::new().unwrap();
            let mut ends = Stoppable::new(shape);
            ends.set(role, Waiting::low_power(), Some(&stop));
            ends.set(role, Waiting::low_power(), None);
            ends.block(role);
            stop.trigger();
            let went = ends.call(role, Until::After(Duration::from_millis(30)));
            assert_eq!(went, Went::Otherwise("TimedOut".into()), "{shape} {role}");
        }
    }
}

/// Three sleeps of a consumer, much longer than those of the library, in each of which its handle is triggered: `late`, after its
/// last look and before it lies down, else while it sleeps. How many nobody ended.
fn overslept(attached: bool, deep: bool, late: bool, patience: Duration) -> u64 {
    let scratch = Scratch::new("stop-late");
    let _queue = shmq::Queue::create(scratch.path(), &shmq::Options::new().capacity(4096)).unwrap();
    let (map, geometry) = map_queue(scratch.path());
    let stop = StopHandle::new().unwrap();
    let rigged = Rigged::new(map).patient(patience);
    let rigged = if late { rigged.stops_late(&stop) } else { rigged };
    let mut signals = Signals::new(rigged.window(&geometry), Role::Consumer);
    signals.set_stop(attached.then_some(&stop));
    for _ in 0..3 {
        assert!(!signals.is_stopped(), "the last look");
        std::thread::scope(|s| {
            if !late {
                s.spawn(|| {
                    std::thread::sleep(Duration::from_millis(30));
                    stop.trigger();
                });
            }
            if deep {
                assert!(signals.listens() || signals.listen(), "no inotify here");
                signals.announce();
                assert_eq!(signals.rest_deeply(patience), FileEvent::Nothing);
            } else {
                let announced = signals.announce();
                signals.rest(announced, patience);
            }
        });
        assert!(stop.is_triggered() && signals.is_stopped() == attached);
        stop.reset();
    }
    rigged.overslept()
}

#[test]
fn p9_a_trigger_ends_the_sleep_it_falls_into_or_just_before() {
    for (deep, late) in [(false, false), (false, true), (true, false), (true, true)] {
        assert_eq!(overslept(true, deep, late, TOLD), 0, "deep: {deep}, late: {late}");
        // The control: the same trigger, of a handle that the end does not have.
        assert_eq!(overslept(false, deep, late, Duration::from_millis(100)), 3, "deep: {deep}, late: {late}");
    }
}

fn child(shape: &str, role: Role, phase: &str, how: &str) -> Child {
    let child = Child::spawn(HELPER, &["stoppable", shape, &role.to_string(), phase, how]);
    child.expect("ready");
    std::thread::sleep(until(phase));
    child
}

#[test]
fn p9_a_handler_of_sigterm_ends_a_call_and_other_signals_do_not() {
    std::thread::scope(|s| {
        // Four at a time: most of the time they sleep.
        for shape in SHAPES {
            s.spawn(move || {
                for phase in PHASES {
                    for role in ROLES {
                        let child = child(shape, role, phase, "handler");
                        // EINTR alone.
                        for _ in 0..3 {
                            child.signal(libc::SIGUSR1);
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        child.signal(libc::SIGTERM);
                        let line = child.line();
                        let signals = line.strip_prefix("stopped after ").map(str::parse::<u32>);
                        // Some may have come at once, and then count as one.
                        assert!(matches!(signals, Some(Ok(1..=3))), "{shape} {role} {phase}: {line}");
                        child.succeed();
                    }
                }
            });
        }
    });
}

/// Where the kernel has no call for it, or a sandbox forbids it.
#[test]
fn p9_without_futex_waitv_a_sleeper_looks_now_and_then() {
    for how in ["nosys", "eperm"] {
        for role in ROLES {
            let child = child("records", role, "asleep", how);
            child.signal(libc::SIGTERM);
            let line = child.line();
            if line.starts_with("skipped") {
                eprintln!("SKIPPED: {line}");
                continue;
            }
            assert!(line.starts_with("stopped"), "{line}");
            child.succeed();
        }
    }
}

/// The child of a fork has a handle of its own, and does not disturb its parent's.
#[test]
fn p9_a_trigger_in_a_forked_child_is_the_childs_alone() {
    let stop = StopHandle::new().unwrap();
    // SAFETY: the child calls what is async-signal-safe, and ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        stop.trigger();
        let own = stop.is_triggered();
        stop.reset();
        stop.trigger();
        // SAFETY: ends the child without unwinding.
        unsafe { libc::_exit(if own { 0 } else { 1 }) };
    }
    let mut status = 1;
    // SAFETY: waits for the child just made.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "triggered there");
    assert!(!stop.is_triggered());
    let mut fd = [rustix::event::PollFd::new(&stop, rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut fd, Some(&rustix::event::Timespec::default())), Ok(0), "nor here");
}

/// Sleeps of both ends of two queues in so many round trips of two threads on one processor.
fn sleeps_on_one_processor(how: &str) -> u64 {
    let child = Child::spawn(HELPER, &["one-processor", how, "2000"]);
    let line = child.line();
    child.succeed();
    line.parse().expect(&line)
}

#[test]
fn the_default_does_not_spin_in_vain_on_one_processor() {
    // Where every message is waited for in vain, each round trip has a sleep or two.
    let by_default = sleeps_on_one_processor("default");
    assert!(by_default >= 1000, "{by_default} sleeps");
    // What was asked for is done: who yields for an hour never sleeps.
    assert_eq!(sleeps_on_one_processor("yielding"), 0);
}

#[test]
fn a_handle_is_closed_by_exec() {
    let stop = StopHandle::new().unwrap();
    let flags = rustix::io::fcntl_getfd(&stop).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}
