//! P12: one reactor for each runtime, and none at all. A program of its own, for it counts and limits what the process has.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shmq::{Options, Queue, slots};
use shmq_async::Async;
use std::sync::Mutex;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::time::timeout;

fn count(what: &str) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = all.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    targets.filter(|target| target.to_str() == Some(what)).count()
}

/// One at a time.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn p12_an_end_without_a_reactor_is_awaited_all_the_same() {
    let _turn = TURN.lock().unwrap();
    let build = || Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (build(), build());
    let queue = Queue::anonymous(&Options::new().max_messages(1)).unwrap();
    let (mut tx, rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
    let mut rx = first.block_on(async { Async::new(rx).unwrap() });
    drop(first);
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
    let mut tx = second.block_on(async {
        // No descriptor for another runtime's reactor.
        assert!(Async::new(slots::pair::<u64>(1).unwrap().0).is_err());
        assert!(timeout(Duration::from_millis(10), rx.recv()).await.is_err());
        let sender = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            tx.try_send(b"in slices").unwrap();
            tx
        });
        assert_eq!(rx.recv().await.unwrap(), b"in slices");
        sender.await.unwrap()
    });
    setrlimit(Resource::Nofile, limit).unwrap();
    second.block_on(async {
        let receiver = tokio::spawn(async move { rx.recv().await });
        tokio::task::yield_now().await;
        tx.try_send(b"by a reactor").unwrap();
        assert_eq!(receiver.await.unwrap().unwrap(), b"by a reactor");
    });
}

#[test]
fn p12_a_hundred_ends_take_one_inotify_instance_for_each_runtime() {
    let _turn = TURN.lock().unwrap();
    let instances = || count("anon_inode:inotify");
    let build = || Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (build(), build());
    let queues: Vec<_> = (0..100).map(|_| Queue::anonymous(&Options::new()).unwrap()).collect();
    let others: Vec<_> =
        (0..20).map(|_| slots::Queue::<u64>::anonymous(8, &Options::new()).unwrap()).collect();
    // Those that another test has left for the next who needs one.
    let kept = instances();
    let wait_for_all = async || {
        let mut ends = Vec::new();
        for queue in &queues {
            let mut end = Async::new(queue.consumer().unwrap()).unwrap();
            assert!(timeout(Duration::from_micros(100), end.recv()).await.is_err());
            ends.push(end);
        }
        ends
    };
    let ends = first.block_on(wait_for_all());
    assert_eq!(instances(), kept.max(1));
    // Of another runtime, and of async-io: one more each.
    let more = second.block_on(async {
        let ends: Vec<_> =
            others.iter().map(|queue| Async::new(queue.consumer().unwrap()).unwrap()).collect();
        ends
    });
    assert_eq!(instances(), kept.max(2));
    let last = Async::new(others[0].producer().unwrap()).unwrap();
    assert_eq!(instances(), kept.max(3));
    // What was in use is kept for the next, and nothing else is left.
    drop((ends, more, last));
    drop((first, second));
    assert_eq!(instances(), kept.max(3));
    for _ in 0..5 {
        let runtime = build();
        let ends = runtime.block_on(wait_for_all());
        drop(runtime);
        drop(ends);
    }
    assert_eq!(instances(), kept.max(3));
    assert!(count("anon_inode:[eventpoll]") <= 2, "{}", count("anon_inode:[eventpoll]"));
}
