//! What the demo says at its end.

use super::latency::Percentiles;
use super::stream::RUN;
use serde::Serialize;
use shmq_tool::failure::Failure;
use shmq_tool::units::{plain, show_bytes, show_count, show_duration, show_messages};
use std::time::Duration;

/// The outcome. As it stands it is the JSON: names and units are part of the schema.
#[derive(Debug, Serialize)]
pub struct Report {
    pub schema: &'static str,
    pub ok: bool,
    pub seed: u64,
    pub kind: String,
    /// Of fixed-size messages, with the number in each.
    pub message_bytes: Option<u64>,
    pub input_path: String,
    pub input_bytes: u64,
    pub messages: u64,
    pub stream_bytes: u64,
    pub elapsed_ns: u64,
    pub rate_bytes_per_s: u64,
    pub rate_messages_per_s: u64,
    pub kills: u64,
    pub producer_kills: u64,
    pub consumer_kills: u64,
    pub takeovers: u64,
    pub lost: u64,
    pub torn: u64,
    pub out_of_order: u64,
    pub redelivered: u64,
    pub redelivered_after_one_kill: u64,
    pub redelivered_allowance: u64,
    pub round_trip: Percentiles,
    pub slots_round_trip: Percentiles,
    pub raw_round_trip: Percentiles,
}

impl Report {
    /// What is wrong, in words; `None` if nothing is.
    pub fn complaint(&self) -> Option<String> {
        let mut wrong = Vec::new();
        for (n, what) in [(self.lost, "lost"), (self.torn, "torn"), (self.out_of_order, "out of order")] {
            if n > 0 {
                wrong.push(format!("{} {what}", show_messages(n)));
            }
        }
        if self.redelivered > self.redelivered_allowance || self.redelivered_after_one_kill > RUN {
            wrong.push(format!("{} redelivered, more than allowed", show_messages(self.redelivered)));
        }
        if self.takeovers != self.kills {
            wrong.push(format!("{} takeovers after {} kills", self.takeovers, self.kills));
        }
        (!wrong.is_empty()).then(|| format!("the demo failed: {}", wrong.join(", ")))
    }

    pub fn json(&self) -> Result<String, Failure> {
        let text = serde_json::to_string(self);
        text.map(|text| text + "\n").map_err(|e| Failure::new(format!("cannot write JSON: {e}")))
    }

    pub fn table(&self) -> String {
        let times = self.stream_bytes as f64 / self.input_bytes as f64;
        let mut lines = Vec::new();
        let mut line = |what: &str, text: String| lines.push(format!("{what:<13}{text}"));
        line("input", end_of(&self.input_path));
        line("", format!("{}, {times:.1} times", show_bytes(self.input_bytes)));
        let shape = match self.message_bytes {
            Some(bytes) => format!("of exactly {}", show_bytes(bytes)),
            None => "of 0 to 4096 bytes".into(),
        };
        line("messages", format!("{} {shape}", show_count(self.messages)));
        let elapsed = show_duration(Duration::from_nanos(self.elapsed_ns));
        line("bytes", format!("{} in {elapsed}", show_bytes(self.stream_bytes)));
        line(
            "rate",
            format!(
                "{}/s, {} messages/s, kills included",
                show_bytes(self.rate_bytes_per_s),
                show_count(self.rate_messages_per_s)
            ),
        );
        line(
            "kills",
            format!("{} (producer {}, consumer {})", self.kills, self.producer_kills, self.consumer_kills),
        );
        line("takeovers", self.takeovers.to_string());
        line("lost", self.lost.to_string());
        line("torn", self.torn.to_string());
        line("out of order", self.out_of_order.to_string());
        line("redelivered", format!("{} (allowed: {})", self.redelivered, self.redelivered_allowance));
        lines.push(format!("\n{:<24}{:>10}{:>10}{:>10}", "round trip, 8 bytes", "p50", "p99", "p99.9"));
        for (what, p) in [
            ("two queues", self.round_trip),
            ("two queues, fixed-size", self.slots_round_trip),
            ("two bare cache lines", self.raw_round_trip),
        ] {
            let [a, b, c] = [p.p50_ns, p.p99_ns, p.p999_ns].map(|ns| show_duration(Duration::from_nanos(ns)));
            lines.push(format!("{what:<24}{a:>10}{b:>10}{c:>10}"));
        }
        lines.join("\n") + "\n"
    }
}

/// So much of a path as fits a line, from its end.
fn end_of(path: &str) -> String {
    const ROOM: usize = 80 - 13;
    let path = plain(path);
    let letters = path.chars().count();
    if letters <= ROOM {
        path
    } else {
        format!("…{}", path.chars().skip(letters - ROOM + 1).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_80_columns_whatever_it_says() {
        let slow = Percentiles { samples: 1, p50_ns: 1 << 40, p99_ns: 1 << 45, p999_ns: 1 << 50 };
        let report = Report {
            schema: "",
            ok: true,
            seed: u64::MAX,
            kind: String::new(),
            message_bytes: Some(64),
            input_path: "/a-folder".repeat(20),
            input_bytes: 1,
            messages: 1 << 50,
            stream_bytes: 1 << 60,
            elapsed_ns: 1 << 60,
            rate_bytes_per_s: (1 << 40) + 1,
            rate_messages_per_s: 9_999_999_999,
            kills: 1_000_000,
            producer_kills: 500_000,
            consumer_kills: 500_000,
            takeovers: 1_000_000,
            lost: u64::MAX,
            torn: u64::MAX,
            out_of_order: u64::MAX,
            redelivered: 64_000_000,
            redelivered_after_one_kill: 64,
            redelivered_allowance: 64_000_000,
            round_trip: slow,
            slots_round_trip: slow,
            raw_round_trip: slow,
        };
        let table = report.table();
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(table.contains("a-folder\n"), "{table}");
    }
}
