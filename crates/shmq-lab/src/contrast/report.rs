//! What the contrast says: a table, or JSON.

use super::medium::Measured;
use super::traffic::{Count, SIZES};
use crate::args::Medium;
use serde::Serialize;
use shmq_tool::failure::Failure;
use shmq_tool::print;
use shmq_tool::units::{show_bytes, show_count, show_short};

/// One medium at one size.
#[derive(Debug, Serialize)]
pub struct Row {
    pub medium: Medium,
    pub bytes: u64,
    pub elapsed_ns: u64,
    /// Whole new messages in a second.
    pub messages_per_s: f64,
    /// Their bytes.
    pub bytes_per_s: f64,
    #[serde(flatten)]
    pub count: Count,
    /// Why there is nothing, if there is nothing.
    pub unavailable: Option<String>,
}

impl Row {
    pub fn new(medium: Medium, size: usize, measured: Result<Measured, String>) -> Self {
        let bytes = size as u64;
        match measured {
            Ok(Measured { count, elapsed }) => {
                let messages_per_s = count.whole as f64 / elapsed.as_secs_f64();
                Self {
                    medium,
                    bytes,
                    elapsed_ns: elapsed.as_nanos() as u64,
                    messages_per_s,
                    bytes_per_s: messages_per_s * size as f64,
                    count,
                    unavailable: None,
                }
            }
            Err(why) => Self {
                medium,
                bytes,
                elapsed_ns: 0,
                messages_per_s: 0.0,
                bytes_per_s: 0.0,
                count: Count::default(),
                unavailable: Some(why),
            },
        }
    }

    /// What contradicts the promises of this medium.
    fn complaint(&self) -> Option<String> {
        let Count { torn, lost, duplicated, out_of_order, .. } = self.count;
        let (title, bytes) = (self.medium.title(), show_bytes(self.bytes));
        let is_queue = !matches!(self.medium, Medium::Raw | Medium::Seqlock);
        if is_queue && !self.count.is_perfect() {
            let counts = format!("{torn} torn, {lost} lost, {duplicated} twice, {out_of_order} out of order");
            return Some(format!("{title} at {bytes}: {counts}"));
        }
        if self.medium == Medium::Seqlock && torn > 0 {
            return Some(format!("{title} at {bytes}: {torn} torn"));
        }
        (must_tear(self.medium, self.bytes as usize) && torn == 0)
            .then(|| format!("{title} at {bytes} was never torn; are there two processors?"))
    }
}

/// Whether a reader must have seen parts of several messages, or the comparison shows nothing.
pub fn must_tear(medium: Medium, size: usize) -> bool {
    medium == Medium::Raw && size >= 1024
}

/// The outcome. As it stands it is the JSON: names and units are part of the schema.
#[derive(Debug, Serialize)]
pub struct Report {
    pub schema: &'static str,
    pub ok: bool,
    pub machine: String,
    pub rows: Vec<Row>,
    /// What is not as it should be, in words.
    pub why: Vec<String>,
}

impl Report {
    pub fn new(rows: Vec<Row>) -> Self {
        let why: Vec<String> = rows.iter().filter_map(Row::complaint).collect();
        Self { schema: "shmq.contrast/1", ok: why.is_empty(), machine: machine(), rows, why }
    }

    /// The rows of one size.
    pub fn of(&self, size: usize) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.bytes == size as u64)
    }

    /// Says it; an error if anything is not as it should be.
    pub fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            let text = serde_json::to_string_pretty(self);
            let text = text.map_err(|e| Failure::new(format!("cannot write the outcome: {e}")))?;
            print::out(text + "\n")?;
        } else {
            print::out(self.table())?;
        }
        if self.ok { Ok(()) } else { Err(Failure::new(self.why.join("; "))) }
    }

    fn table(&self) -> String {
        // Nothing is nothing, and of what there is the size matters.
        const W: usize = 10;
        let heads = ["torn", "lost", "twice", "disorder"];
        let mut text = String::new();
        for size in SIZES {
            let title = show_bytes(size as u64);
            text += &format!("{title:<14}{:>15}{:>9}", "messages/s", "GB/s");
            text += &heads.map(|head| format!("{head:>W$}")).concat();
            text += "\n";
            for row in self.of(size) {
                text += &format!("{:<14}", row.medium.title());
                if let Some(why) = &row.unavailable {
                    text += &format!("  {}\n", why.chars().take(64).collect::<String>());
                    continue;
                }
                let rate = show_count(row.messages_per_s as u64);
                text += &format!("{rate:>15}{:>9.3}", row.bytes_per_s / 1e9);
                let Count { torn, lost, duplicated, out_of_order, .. } = row.count;
                let counts = [torn, lost, duplicated, out_of_order].map(|n| show_short(n as f64));
                text += &counts.map(|count| format!("{count:>W$}")).concat();
                text += "\n";
            }
            text += "\n";
        }
        text + if self.ok { "queues lost and tore nothing; raw memory did both\n" } else { "BROKEN\n" }
    }
}

/// Processor and kernel, for whoever compares figures.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let processors = std::thread::available_parallelism().map_or(0, |n| n.get());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {processors} processors, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_table_fits_80_columns_whatever_it_says() {
        let most = Count {
            reads: 1 << 50,
            whole: 1 << 50,
            torn: 1 << 50,
            lost: 1 << 62,
            duplicated: 999_949,
            out_of_order: 1,
            next: 0,
        };
        let rows = SIZES.map(|size| {
            let measured = Measured { count: most, elapsed: Duration::from_secs(1 << 22) };
            Row::new(Medium::MessageQueue, size, Ok(measured))
        });
        let none = Row::new(Medium::MessageQueue, 8, Err("why ".repeat(100)));
        let table = Report::new(rows.into_iter().chain([none]).collect()).table();
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(table.contains("disorder\n") && table.contains("1.00M"), "{table}");
    }
}
