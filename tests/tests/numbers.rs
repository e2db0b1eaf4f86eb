//! P5, P6: any number that enters by a call is taken or refused, and never makes a library panic: sizes, counts, places and
//! times at nothing, at each limit and beside it, and as far as they go.

use shmq::{DrainLimit, Options, Queue, Until, Waiting, slots};
use shmq_pool::Pool;
use shmq_raw::Region;
use shmq_tests::process::Scratch;
use std::time::{Duration, Instant};

/// What numbers are made of: each limit, what lies beside it, and what a careless sum comes to.
fn numbers() -> Vec<u64> {
    let limits = [
        1,
        8,
        64,
        4096,
        1 << 20,
        1 << 31,
        1 << 32,
        4_294_967_280,
        1 << 40,
        1 << 62,
        1 << 63,
        u64::MAX - 4096,
    ];
    let mut all: Vec<u64> = limits.iter().flat_map(|n| [n - 1, *n, n + 1]).collect();
    all.extend([
        u64::MAX / 56,
        u64::MAX / 2 + 2,
        u64::MAX - 64,
        u64::MAX - 17,
        u64::MAX - 7,
        u64::MAX - 1,
        u64::MAX,
    ]);
    all
}

/// What is possible here needs no more than some MiB: nothing of a test takes the machine's memory.
fn bound() {
    for (what, bytes) in [(libc::RLIMIT_FSIZE, 64 << 20), (libc::RLIMIT_AS, 4u64 << 30)] {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
        // SAFETY: a plain system call with a valid argument. All tests of this program want the same.
        assert_eq!(unsafe { libc::setrlimit(what, &limit) }, 0);
    }
}

/// Options whose memory is not touched: what is promised of sizes does not depend on that.
fn options() -> Options {
    Options::new().prefault(false)
}

#[test]
fn any_limits_of_records_are_taken_or_refused() {
    bound();
    let scratch = Scratch::new("numbers-records");
    let mut made = 0;
    let all: Vec<Option<u64>> = std::iter::once(None).chain(numbers().into_iter().map(Some)).collect();
    for &capacity in &all {
        for &max_message in &all {
            for max_messages in [None, Some(0), Some(1), Some(1 << 63), Some(u64::MAX)] {
                let mut options = options();
                if let Some(bytes) = capacity {
                    options = options.capacity(bytes);
                }
                if let Some(bytes) = max_message {
                    options = options.max_message(bytes);
                }
                if let Some(messages) = max_messages {
                    options = options.max_messages(messages);
                }
                let Ok(limits) = options.limits() else { continue };
                made += 1;
                assert!(limits.max_message < limits.capacity && limits.capacity.is_power_of_two());
                // Larger ones are for the file system to refuse.
                if limits.capacity <= 1 << 20 || limits.capacity > 1 << 30 {
                    drop(Queue::anonymous(&options));
                    drop(Queue::create(scratch.path(), &options).map(|queue| queue.remove()));
                    drop(shmq::pair(&options));
                }
            }
        }
    }
    assert!(made > 100, "{made}");
}

#[test]
fn any_size_and_depth_of_slots_are_taken_or_refused() {
    bound();
    let scratch = Scratch::new("numbers-slots");
    let mut made = 0;
    for size in numbers() {
        for depth in numbers() {
            drop(slots::Queue::<[u8]>::anonymous_bytes(size, depth, &options()));
            let Ok(queue) = slots::Queue::<[u8]>::create_bytes(scratch.path(), size, depth, &options())
            else {
                continue;
            };
            made += 1;
            assert_eq!(queue.message_size(), size);
            queue.remove().unwrap();
        }
        drop(slots::pair::<u8>(size));
        drop(slots::pair::<[u64; 100]>(size));
        drop(slots::Queue::<u64>::anonymous(size, &options()));
        drop(
            slots::Queue::<[u64; 100]>::create(scratch.path(), size, &options()).map(|queue| queue.remove()),
        );
        drop(
            slots::Queue::<u64>::open_or_create(scratch.path(), size, &options()).map(|queue| queue.remove()),
        );
    }
    assert!(made > 50, "{made}");
}

#[test]
fn any_number_and_size_of_blocks_and_bytes_of_a_region_are_taken_or_refused() {
    bound();
    let scratch = Scratch::new("numbers-blocks");
    let (mut pools, mut regions) = (0, 0);
    for first in numbers() {
        for second in numbers() {
            drop(Pool::anonymous(first, second as usize, &options()));
            let Ok(pool) = Pool::create(scratch.path(), first, second as usize, &options()) else { continue };
            pools += 1;
            assert_eq!((pool.blocks(), pool.block_size() as u64), (first, second));
            pool.remove().unwrap();
        }
        let options = shmq_raw::Options::new().prefault(false);
        for options in [
            options.clone().bytes(first),
            options.clone().elements::<u64>(first),
            options.clone().elements::<[u64; 512]>(first),
            options.clone().elements::<()>(first),
            options.element::<u64>().bytes(first),
        ] {
            drop(Region::anonymous(&options));
            drop(Region::private(&options));
            let Ok(region) = Region::create(scratch.path(), &options) else { continue };
            regions += 1;
            region.remove().unwrap();
        }
    }
    assert!(pools > 50 && regions > 20, "{pools}, {regions}");
}

#[test]
fn any_number_in_a_call_of_an_end_of_records_is_taken_or_refused() {
    bound();
    let now = Until::After(Duration::ZERO);
    let (mut tx, mut rx) = shmq::pair(&Options::new().capacity(4096).max_message(100)).unwrap();
    for n in numbers().into_iter().map(|n| n as usize) {
        assert_eq!(tx.try_claim(n).is_ok(), n <= 100, "{n}");
        assert_eq!(tx.claim(n, now).is_ok(), n <= 100, "{n}");
        let mut claim = tx.try_claim(50).unwrap();
        assert_eq!(claim.write_at(n, b"").is_ok(), n <= 50, "{n}");
        assert_eq!(claim.write_at(n, &[1; 50]).is_ok(), n == 0, "{n}");
        assert_eq!(claim.commit_part(n).is_ok(), n <= 50, "{n}");
        tx.try_send(&[2; 50]).unwrap();
        for limit in [DrainLimit { messages: n, bytes: usize::MAX }, DrainLimit { messages: 9, bytes: n }] {
            let mut run = rx.try_run(limit).unwrap();
            while let Some(message) = run.next() {
                let _ = message.read_into(n, &mut [0; 8]);
            }
        }
        let mut run = rx.run(DrainLimit { messages: n, bytes: n }, now).unwrap();
        assert!(run.next().is_some());
        run.acknowledge();
        let _ = rx.try_drain(DrainLimit { messages: n, bytes: n }, |_| {});
        while rx.try_recv().is_ok() {}
    }
}

#[test]
fn any_number_in_a_call_of_an_end_of_slots_is_taken_or_refused() {
    bound();
    let now = Until::After(Duration::ZERO);
    let queue = slots::Queue::<[u8]>::anonymous_bytes(16, 4, &Options::new()).unwrap();
    let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
    let (mut sender, mut receiver) = slots::pair::<u64>(4).unwrap();
    for n in numbers().into_iter().map(|n| n as usize) {
        tx.try_send(&[1; 16]).unwrap();
        assert!(rx.try_run(n).unwrap().next().is_some());
        let mut run = rx.run(n, now).unwrap();
        while run.next().is_some() {}
        run.acknowledge();
        while rx.try_run(9).is_ok_and(|mut run| run.next().is_some() && run.acknowledge() > 0) {}
        sender.try_send(&1).unwrap();
        assert_eq!(receiver.try_drain(n, |_| {}), Ok(1));
    }
    sender.try_send(&1).unwrap();
    assert_eq!(receiver.recv(Duration::MAX), Ok(1));
}

#[test]
fn any_time_to_wait_is_possible() {
    bound();
    let far = Instant::now().checked_add(Duration::from_secs(u64::MAX / 4)).unwrap_or_else(Instant::now);
    let times = [0, 1, 1 << 62, 1 << 63, u64::MAX].map(Duration::from_secs);
    for time in times.into_iter().chain([Duration::MAX]) {
        for waiting in [
            Waiting::new().spin(time),
            Waiting::new().yields(time),
            Waiting::new().spin(time).yields(time).sleep(false),
            Waiting::new().adaptive(false).spin(time).across_restarts(true),
        ] {
            let (mut tx, mut rx) = shmq::pair(&Options::new()).unwrap();
            rx.set_waiting(waiting);
            tx.set_waiting(waiting);
            assert!(rx.recv(Duration::from_millis(1)).is_err());
            for until in [Until::After(time), Until::At(far), Until::Forever] {
                tx.send(b"there", until).unwrap();
                // What is there at once, and what comes while somebody waits.
                assert_eq!(rx.recv(until).unwrap(), b"there");
            }
            let sender = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(2));
                tx.send(b"late", Until::After(time)).unwrap();
                tx
            });
            let until = if time < Duration::from_secs(2) { Duration::MAX } else { time };
            assert_eq!(rx.recv(until).unwrap(), b"late");
            sender.join().unwrap();
        }
    }
}

#[test]
fn any_place_in_a_region_a_block_or_a_file_is_inside_or_refused() {
    bound();
    let region = Region::private(&shmq_raw::Options::new().bytes(4096)).unwrap();
    let pool = Pool::anonymous(2, 4096, &Options::new()).unwrap();
    let (writer, reader) = (pool.writer().unwrap(), pool.reader().unwrap());
    let queue = Queue::anonymous(&Options::new()).unwrap();
    let inspector = queue.inspect().unwrap();
    let raw = Region::anonymous(&shmq_raw::Options::new().bytes(4096)).unwrap();
    for n in numbers() {
        inspector.read_region(n, &mut [0; 64]);
        let n = n as usize;
        assert_eq!(region.write_at(n, &[1; 8]).is_ok(), n <= 4088, "{n}");
        assert_eq!(region.read_at(n, &mut [0; 8]).is_ok(), n <= 4088, "{n}");
        assert_eq!(region.cell::<u64>(n).is_ok(), n <= 4088 && n.is_multiple_of(8), "{n}");
        assert_eq!(region.slice::<u64>(0, n).is_ok(), n <= 512, "{n}");
        for m in numbers() {
            drop((region.slice::<u64>(n, m as usize), raw.sync_range(n, m as usize)));
        }
        let slice = region.slice::<u64>(8, 511).unwrap();
        assert_eq!(slice.cell(n).is_ok(), n < 511, "{n}");
        assert_eq!(slice.load(n).is_ok(), n < 511, "{n}");
        assert_eq!(slice.store(n, 1).is_ok(), n < 511, "{n}");
        assert_eq!(slice.read_at(n, &mut [0; 2]).is_ok(), n < 510, "{n}");
        assert_eq!(slice.write_at(n, &[0; 2]).is_ok(), n < 510, "{n}");
        drop((raw.reader::<u64>(n), raw.writer::<u64>(n), raw.reader::<[u64; 256]>(n)));
        let mut loan = writer.try_loan().unwrap();
        assert_eq!(loan.write_at(n, &[1; 8]).is_ok(), n <= 4088, "{n}");
        assert_eq!(loan.read_into(n, &mut [0; 8]).is_ok(), n <= 4088, "{n}");
        assert_eq!(loan.write_values(n, &[1u64]).is_ok(), n < 512, "{n}");
        assert_eq!(loan.send(n).is_ok(), n <= 4096, "{n}");
        if n <= 4096 {
            let block = reader.try_read().unwrap();
            let _ = (block.read_into(n, &mut [0; 8]), block.read_values(n, &mut [0u64]));
            block.acknowledge();
        }
    }
}
