//! Queues of C++ projects, by the program that `ci/cpp-peers.sh` builds; one start for each sample.

use super::trial::{Trial, because};
use crate::gate::Place;
use crate::processors::first_two;
use crate::run::{Kind, Outcome, Task, trips_counted};
use std::path::PathBuf;
use std::process::Command;

/// Where the script puts it: beside the folder of this program.
fn program() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    let built = exe.parent()?.parent()?.join("cpp-peers");
    built.exists().then_some(built)
}

/// The variants, by the names of the queues in the program.
pub fn fixed(task: Task, bytes: usize) -> Vec<Trial> {
    let variants: &[(&str, &str, &str)] = match task.place {
        Place::Threads => &[
            ("boost spsc_queue", "spsc_queue", "try"),
            ("boost spsc_queue", "spsc_queue", "batches"),
            ("atomic_queue", "atomic_queue", "try"),
        ],
        Place::Processes => &[
            ("boost message_queue", "message_queue", "try"),
            ("boost message_queue", "message_queue", "recv"),
        ],
    };
    let fits = |variant: &str| variant != "batches" || task.batch > 1;
    let trial = |&(family, queue, variant): &(&'static str, &'static str, &'static str)| {
        Trial::new(family, variant, move |count| sample(task, bytes, queue, variant, count))
    };
    variants.iter().filter(|(_, _, variant)| fits(variant)).map(trial).collect()
}

fn sample(task: Task, bytes: usize, queue: &str, variant: &str, count: u64) -> Result<Outcome, String> {
    let program = program().ok_or("not built; run ci/cpp-peers.sh first")?;
    let kind = if task.kind == Kind::Stream { "stream" } else { "trips" };
    let [first, second] = first_two().ok_or("there is one processor only")?;
    let numbers = [
        bytes as u64,
        count,
        task.depth(bytes) as u64,
        task.batch as u64,
        task.send_work.into(),
        task.recv_work.into(),
        first as u64,
        second as u64,
    ];
    let output = Command::new(program)
        .args([queue, variant, kind])
        .args(numbers.map(|number| number.to_string()))
        .output()
        .map_err(because)?;
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines().map(|line| line.split(' ').map(|n| n.parse::<u64>().map_err(because)));
    let mut numbers = || lines.next().map(Iterator::collect::<Result<Vec<u64>, _>>);
    if task.kind == Kind::Stream {
        let took = numbers().ok_or("no answer")??;
        return Ok(vec![("message_ns", took[0] as f64 / count as f64)].into());
    }
    let mut counts = Vec::new();
    while let Some(line) = numbers() {
        let line = line?;
        counts.push((line[0], *line.get(1).ok_or("half a line")?));
    }
    Ok(trips_counted(counts))
}
