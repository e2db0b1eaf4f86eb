//! Any number, through any option of the torture and the contrast: taken, or refused with a sentence.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn any_number_through_any_option_is_taken_or_refused() {
    for line in [
        "torture --seconds # --seed #",
        "torture --kills # --seed 1",
        "torture --soak --seconds #",
        "contrast --seconds #",
        "bench --rounds # --list",
        "bench --rounds # fences",
    ] {
        for number in [0, 1 << 31, u32::MAX as u64, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX] {
            let line = line.replace('#', &number.to_string());
            let mut command = Command::new(env!("CARGO_BIN_EXE_shmq-lab"));
            command.args(line.split(' ')).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut lab = command.spawn().unwrap();
            let begin = Instant::now();
            while lab.try_wait().unwrap().is_none() && begin.elapsed() < Duration::from_millis(600) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let goes_on = lab.try_wait().unwrap().is_none();
            if goes_on {
                // It is ours and was not waited for, so the number is its own.
                rustix::process::kill_process(
                    rustix::process::Pid::from_child(&lab),
                    rustix::process::Signal::TERM,
                )
                .unwrap();
            }
            let mut said = String::new();
            lab.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            let status = lab.wait().unwrap();
            let files = std::fs::read_dir("/dev/shm").unwrap().map(|file| file.unwrap().file_name());
            let ours = format!("shmq-lab-{}-", lab.id());
            let left: Vec<_> = files.filter(|name| name.to_string_lossy().starts_with(&ours)).collect();
            assert!(left.is_empty(), "{line} leaves {left:?}");
            assert!(!said.contains("panicked"), "{line}: {said}");
            match status.code() {
                Some(0..=5) => {}
                _ => assert!(goes_on && status.signal() == Some(15), "{line}: {status}, {said}"),
            }
        }
    }
}
