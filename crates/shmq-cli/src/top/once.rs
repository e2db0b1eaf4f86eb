//! Two looks, one interval apart, as text or as JSON.

use super::cells::Cells;
use super::watch::{Row, Watch};
use crate::advice::Level;
use crate::attach::quoted;
use crate::paint::{Paint, Style};
use crate::stat::print;
use crate::view::{View, json};
use serde::Serialize;
use shmq_tool::failure::{Failure, said_of};
use std::ffi::OsStr;
use std::time::Duration;

/// What `--json` prints. Names and units are part of the schema.
#[derive(Serialize)]
struct Top<'a> {
    schema: &'static str,
    interval_ns: u64,
    queues: Vec<&'a View>,
    /// Those that were named and cannot be read.
    unreadable: Vec<Unreadable<'a>>,
}

#[derive(Serialize)]
struct Unreadable<'a> {
    name: &'a str,
    why: &'a str,
}

pub fn run(mut watch: Watch, interval: Duration, as_json: bool) -> Result<(), Failure> {
    watch.look();
    std::thread::sleep(interval);
    watch.look();
    let rows = watch.rows();
    let unreadable: Vec<_> = rows
        .iter()
        .filter_map(|row| Some(Unreadable { name: &row.name, why: row.view.as_ref().err()? }))
        .collect();
    let failed = unreadable.iter().map(|row| said_of(row.name, row.why)).collect::<Vec<_>>();
    if as_json {
        let queues = rows.iter().filter_map(|row| row.view.as_ref().ok()).collect();
        let interval_ns = interval.as_nanos() as u64;
        print(&json(&Top { schema: "shmq.top/1", interval_ns, queues, unreadable })?)?;
    } else {
        print(&text(rows, Paint::stdout()))?;
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(failed.join("\nshmq: "))) }
}

fn text(rows: &[Row], paint: Paint) -> String {
    if rows.is_empty() {
        return "no queue in /dev/shm\n".into();
    }
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(4);
    let head = format!(
        "{:<width$}  {:<8}  {:>4}  {:>7}  {:>6}  {:>6}  {:<8}  {}",
        "NAME", "STATE", "FULL", "WAITING", "IN/s", "OUT/s", "PRODUCER", "CONSUMER"
    );
    let mut text = paint.style(Style::Bold, &head) + "\n";
    for row in rows {
        let Some(cells) = Cells::of(row) else { continue };
        let name = &row.name;
        let Cells { state, percent, waiting, sent, received, producer, consumer } = cells;
        text += &format!(
            "{name:<width$}  {state:<8}  {percent:>4}  {waiting:>7}  {sent:>6}  {received:>6}  {producer:<8}  {consumer}\n"
        );
    }
    for row in rows {
        for advice in
            row.view.iter().flat_map(|view| &view.advice).filter(|advice| advice.level > Level::Note)
        {
            let style = if advice.level == Level::Trouble { Style::Red } else { Style::Yellow };
            text += &format!("\n{}: {}\n", paint.style(style, &quoted(OsStr::new(&row.name))), advice.says);
            if let Some(todo) = &advice.todo {
                text += &format!("  {todo}\n");
            }
        }
    }
    text
}
