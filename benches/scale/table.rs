//! The report as tables, with the growth from row to row.

use crate::Report;
use shmq_benches::{Spread, nanoseconds};
use std::fmt::Write as _;

/// A table whose columns are as wide as they need to be.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    fn write(&self, text: &mut String) {
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                let width = width(column);
                let _ = if column == 0 {
                    write!(text, "  {cell:width$}")
                } else {
                    write!(text, "  {cell:>width$}")
                };
            }
            text.push('\n');
        }
    }
}

/// Bytes, exact where they are few.
fn bytes(bytes: i64) -> String {
    match bytes.unsigned_abs() {
        0..10_240 => bytes.to_string(),
        whole if whole % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// A median.
fn time(spread: Spread) -> String {
    nanoseconds(spread.p50)
}

/// A figure, and how many times that of the row before it is.
fn grown(shown: String, now: f64, before: Option<f64>) -> String {
    match before.filter(|before| *before > 0.0) {
        Some(before) => format!("{shown} x{:.1}", now / before),
        None => shown,
    }
}

/// All tables.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    if report.quick {
        text.push_str("A quick run: it shows that everything works; its times mean nothing.\n");
    }
    text.push_str("Times are medians; --json has the quartiles. xN: N times the figure of the row above.\n");
    handles(&mut text, report);
    rings(&mut text, report);
    many(&mut text, report);
    looks(&mut text, report);
    for why in &report.without {
        let _ = writeln!(text, "without {why}");
    }
    text
}

fn handles(text: &mut String, report: &Report) {
    text.push_str("\nEach handle, of a queue of 4 KiB: bytes in the program, on its heap, mapped; mappings; descriptors\n");
    let mut table = Table::new(&["handle", "size_of", "heap", "mapped", "mappings", "descriptors"]);
    for handle in &report.handles {
        let held = &handle.held;
        table.rows.push(vec![
            handle.handle.to_owned(),
            handle.size_of.to_string(),
            bytes(held.heap_bytes),
            bytes(held.mapped_bytes),
            held.mappings.to_string(),
            held.descriptors.to_string(),
        ]);
    }
    table.write(text);
}

fn rings(text: &mut String, report: &Report) {
    text.push_str("\nRings by size: bytes of the file, making it, opening it, taking each role, and with the ring full\n");
    let head =
        ["ring", "file", "allocated", "create", "open", "producer", "consumer", "full: producer", "consumer"];
    let mut table = Table::new(&head);
    for (i, ring) in report.rings.iter().enumerate() {
        let before = i.checked_sub(1).map(|i| &report.rings[i]).filter(|before| before.shape == ring.shape);
        let file = grown(
            bytes(ring.file_bytes as i64),
            ring.file_bytes as f64,
            before.map(|before| before.file_bytes as f64),
        );
        let ns = |of: fn(&crate::Ring) -> Spread| {
            grown(time(of(ring)), of(ring).p50, before.map(|before| of(before).p50))
        };
        table.rows.push(vec![
            format!("{} {}", ring.shape, bytes(ring.ring_bytes as i64)),
            file,
            bytes(ring.allocated_bytes as i64),
            ns(|ring| ring.create_ns),
            ns(|ring| ring.open_ns),
            ns(|ring| ring.producer_ns),
            ns(|ring| ring.consumer_ns),
            ns(|ring| ring.full_producer_ns),
            ns(|ring| ring.full_consumer_ns),
        ]);
    }
    table.write(text);
}

fn many(text: &mut String, report: &Report) {
    text.push_str("\nMany queues with rings of 64 KiB in one process, both ends of each; times for each queue, the rest for all\n");
    let head =
        ["queues", "create", "attach both", "heap", "private", "shared", "mapped", "mappings", "descriptors"];
    let mut table = Table::new(&head);
    for (i, many) in report.many.iter().enumerate() {
        let before = i.checked_sub(1).map(|i| &report.many[i]).filter(|before| before.shape == many.shape);
        let ns = |of: fn(&crate::Many) -> Spread| {
            grown(time(of(many)), of(many).p50, before.map(|before| of(before).p50))
        };
        let count = |shown: fn(i64) -> String, of: fn(&crate::Many) -> i64| {
            grown(shown(of(many)), of(many) as f64, before.map(|before| of(before) as f64))
        };
        table.rows.push(vec![
            format!("{} {}", many.queues, many.shape),
            ns(|many| many.create_ns),
            ns(|many| many.attach_ns),
            count(bytes, |many| many.held.heap_bytes),
            count(bytes, |many| many.held.private_bytes),
            count(bytes, |many| many.held.shared_bytes),
            count(bytes, |many| many.held.mapped_bytes),
            count(|n| n.to_string(), |many| many.held.mappings),
            count(|n| n.to_string(), |many| many.held.descriptors),
        ]);
    }
    table.write(text);
    for many in report.many.iter().filter(|many| many.stopped.is_some()) {
        let why = many.stopped.as_deref().unwrap_or_default();
        let _ = writeln!(text, "  no more than {} queues of {}: {why}", many.queues, many.shape);
    }
}

fn looks(text: &mut String, report: &Report) {
    text.push_str("\nA look at a ring of 1 MiB, by how many messages of 64 bytes are in it\n");
    let head = ["pending", "producer's pending()", "consumer's pending()", "snapshot()", "inspect()"];
    let mut table = Table::new(&head);
    for (i, look) in report.looks.iter().enumerate() {
        let before = i.checked_sub(1).map(|i| &report.looks[i]).filter(|before| before.shape == look.shape);
        let ns = |of: fn(&crate::Look) -> Spread| {
            grown(time(of(look)), of(look).p50, before.map(|before| of(before).p50))
        };
        table.rows.push(vec![
            format!("{} {}", look.pending, look.shape),
            ns(|look| look.producer_pending_ns),
            ns(|look| look.consumer_pending_ns),
            ns(|look| look.snapshot_ns),
            ns(|look| look.inspect_ns),
        ]);
    }
    table.write(text);
}
