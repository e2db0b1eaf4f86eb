//! The example that ships a log, on a file system without room. In a test program of its own: the limit is the process's.

#[path = "../examples/log_shipping.rs"]
#[allow(dead_code, reason = "the example's supervisor is not needed here")]
mod log_shipping;

use log_shipping::{LINES, application, line, shipper};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shmq::{Options, Queue};
use std::io::{BufRead, BufReader};

/// How large a file may become; stands in for the room of a file system.
fn set_room(room: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: room.or(maximum), maximum }).unwrap();
}

#[test]
fn p2_no_line_is_missing_once_a_full_disk_was_enlarged() {
    let name = format!("shmq-full-disk-{}", std::process::id());
    let file = std::env::temp_dir().join(format!("{name}.txt"));
    let queue = Queue::create(&name, &Options::new().capacity(64 << 10).max_message(1024)).unwrap();
    // SAFETY: it ignores a signal. Writing beyond the limit is then an error, as on a full file system.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| application(&name).map_err(|error| error.to_string()));
        for room in [64 << 10, 200_000, 1 << 20] {
            set_room(Some(room));
            let outcome = shipper(&name, &file).map_err(|error| error.to_string());
            assert!(outcome.as_ref().is_err_and(|why| why.contains("too large")), "{outcome:?}");
            assert!(file.metadata().unwrap().len() <= room);
        }
        set_room(None);
        let outcome = shipper(&name, &file).map_err(|error| error.to_string());
        assert_eq!((outcome, sender.join().unwrap()), (Ok(()), Ok(())));
    });
    let lines = BufReader::new(std::fs::File::open(&file).unwrap()).lines();
    queue.remove().unwrap();
    std::fs::remove_file(&file).unwrap();
    let mut number = 0;
    for text in lines {
        assert_eq!(text.unwrap(), line(number));
        number += 1;
    }
    assert_eq!(number, LINES);
}
