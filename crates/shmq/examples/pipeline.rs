//! A stage in the middle of a pipeline that is killed again and again, and whose output is right all the same.
//!
//! The stage reads lines from one queue, drops those that are comments, and sends the words of the others to a second queue: any number
//! of outputs for an input. A supervisor kills it with SIGKILL and starts it again. With each batch of words the stage commits a mark: how
//! many inputs are in the output. So what its successor finds in the output and where it goes on belong together.

use shmq::{Consumer, Options, Producer, Queue, RecvError, Until, Waiting};
use std::error::Error;
use std::process::{Child, Command};
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args[..] {
        [input, output] => stage(input, output, true),
        _ => supervise(),
    }
}

/// Line number `n`: a comment, or up to six words.
pub fn line(n: u64) -> String {
    if n % 5 == 3 {
        return format!("# nothing to see in line {n}");
    }
    (0..n % 7).map(|word| format!("{n}.{word}")).collect::<Vec<_>>().join(" ")
}

/// What becomes of a line.
pub fn words(line: &str) -> Vec<String> {
    if line.starts_with('#') { Vec::new() } else { line.split_whitespace().map(str::to_owned).collect() }
}

/// Reads one queue and writes the other, until the first ends. `heed`: goes by its predecessor's mark, without which this would be
/// wrong.
pub fn stage(input: &str, output: &str, heed: bool) -> Outcome {
    let (mut rx, mut tx) = (Consumer::open(input)?, Producer::open(output)?);
    rx.set_waiting(Waiting::new().across_restarts(true));
    tx.set_waiting(Waiting::new().across_restarts(true));
    // So many inputs are in the output already.
    let done = match tx.mark() {
        Some(mark) if heed => u64::from_le_bytes(mark.note[..8].try_into()?),
        _ => 0,
    };
    loop {
        // Sixteen at a time, acknowledged together: whatever happens before that, they are all shown again.
        let mut run = match rx.run(16, Until::Forever) {
            Ok(run) => run,
            Err(RecvError::Finished) => break,
            Err(error) => return Err(error.into()),
        };
        while let Some(message) = run.next() {
            let number = message.sequence();
            let words = words(std::str::from_utf8(&message.to_vec())?);
            // An input without outputs needs no mark: to drop it once more changes nothing.
            if number >= done && !words.is_empty() {
                let mut note = [0; 16];
                note[..8].copy_from_slice(&(number + 1).to_le_bytes());
                tx.send_batch_marked(&words, note, Until::Forever)?;
            }
        }
        run.acknowledge();
    }
    tx.finish()?;
    Ok(())
}

/// Ends the stage with the supervisor, also where that fails.
struct Stage(Child);

impl Stage {
    fn start(names: &[String; 2]) -> Outcome<Self> {
        Ok(Self(Command::new(std::env::current_exe()?).args(names).spawn()?))
    }

    fn kill(mut self) -> Outcome {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn supervise() -> Outcome {
    const LINES: u64 = 100_000;
    let names = ["lines", "words"].map(|name| format!("shmq-example-{name}-{}", std::process::id()));
    let options = Options::new().capacity(1 << 16).max_message(1000);
    let (lines, out) = (Queue::create(&names[0], &options)?, Queue::create(&names[1], &options)?);
    let (mut tx, mut rx) = (lines.producer()?, out.consumer()?);
    tx.set_waiting(Waiting::new().across_restarts(true));
    rx.set_waiting(Waiting::new().across_restarts(true));
    let feeder = std::thread::spawn(move || -> Result<u64, shmq::Error> {
        for n in 0..LINES {
            tx.send(line(n).as_bytes(), Until::Forever)?;
        }
        Ok(tx.finish()?)
    });
    let reader = std::thread::spawn(move || -> Result<u64, String> {
        let mut read = 0;
        for expected in (0..LINES).flat_map(|n| words(&line(n))) {
            let word = rx.recv(Until::Forever).map_err(|error| error.to_string())?;
            if word != expected.as_bytes() {
                return Err(format!("{:?} instead of {expected}", String::from_utf8_lossy(&word)));
            }
            read += 1;
        }
        match rx.recv(Until::Forever) {
            Err(RecvError::Finished) => Ok(read),
            more => Err(format!("{more:?} after the last word")),
        }
    });
    let mut kills = 0;
    let mut stage = Stage::start(&names)?;
    while !reader.is_finished() {
        std::thread::sleep(Duration::from_millis(3 + kills % 5));
        if kills < 50 {
            stage.kill()?;
            stage = Stage::start(&names)?;
            kills += 1;
        }
    }
    let read = reader.join().map_err(|_| "the reader panicked")??;
    let sent = feeder.join().map_err(|_| "the feeder panicked")??;
    drop(stage);
    println!(
        "{sent} lines became {read} words, each of them once and in order, although the stage was killed {kills} times"
    );
    lines.remove()?;
    out.remove()?;
    Ok(())
}
