//! Prometheus text, version 0.0.4: what [`shmq::METRICS`] lists and, of pools, [`shmq_pool::METRICS`], of any number of
//! files.

use shmq::{MetricKind, Reading};
use std::fmt::Write;

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is known of one queue: its numbers, or nothing because it cannot be opened.
pub struct Scrape {
    /// Its path: the label `queue`.
    pub queue: String,
    pub readings: Option<Vec<Reading>>,
}

/// All of it. Each metric comes once, with the lines of all queues under it, as the format demands.
pub fn text(queues: &[Scrape]) -> String {
    let mut text = String::new();
    let up = queues.iter().map(|q| (labels(&q.queue, None), f64::from(u8::from(q.readings.is_some()))));
    family(&mut text, "shmq_up", MetricKind::Gauge, "1 if the queue could be opened and read.", up);
    for metric in shmq::METRICS.iter().chain(shmq_pool::METRICS) {
        let samples = queues.iter().flat_map(|q| {
            let readings = q.readings.iter().flatten().filter(|reading| reading.metric == *metric);
            readings.map(|reading| (labels(&q.queue, reading.role), reading.value))
        });
        family(&mut text, metric.name, metric.kind, metric.help, samples);
    }
    text
}

fn family(
    text: &mut String,
    name: &str,
    kind: MetricKind,
    help: &str,
    samples: impl Iterator<Item = (String, f64)>,
) {
    let kind = match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
    };
    let mut samples = samples.peekable();
    if samples.peek().is_some() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
    for (labels, value) in samples {
        let _ = writeln!(text, "{name}{{{labels}}} {value}");
    }
}

fn labels(queue: &str, role: Option<shmq::Role>) -> String {
    let queue = queue.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
    match role {
        Some(role) => format!(r#"queue="{queue}",role="{role}""#),
        None => format!(r#"queue="{queue}""#),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(queue: &str, values: &[f64]) -> Scrape {
        let readings = shmq::METRICS.iter().zip(values).map(|(&metric, &value)| Reading {
            metric,
            role: metric.name.contains("_end_").then_some(shmq::Role::Producer),
            value,
        });
        Scrape { queue: queue.into(), readings: Some(readings.collect()) }
    }

    #[test]
    fn each_metric_comes_once_with_the_lines_of_all_queues() {
        let gone = Scrape { queue: "/dev/shm/gone".into(), readings: None };
        let text = text(&[scrape("/dev/shm/a", &[1.0; 99]), gone, scrape("/dev/shm/b", &[0.5; 99])]);
        let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let once: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!((names.len(), once.len()), (shmq::METRICS.len() + 1, names.len()));
        assert!(text.contains("shmq_up{queue=\"/dev/shm/gone\"} 0\n"));
        assert!(text.contains(
            "# TYPE shmq_fill_ratio gauge\nshmq_fill_ratio{queue=\"/dev/shm/a\"} 1\nshmq_fill_ratio{queue=\"/dev/shm/b\"} 0.5\n"
        ));
        assert!(text.contains("shmq_end_attached{queue=\"/dev/shm/a\",role=\"producer\"} 1\n"));
    }

    #[test]
    fn names_follow_the_conventions_and_any_path_can_be_a_label() {
        for metric in shmq::METRICS {
            let counter = metric.kind == MetricKind::Counter;
            assert_eq!(metric.name.ends_with("_total"), counter, "{}", metric.name);
            assert!(
                metric.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                    && metric.help.ends_with('.')
            );
        }
        assert_eq!(labels("a\"b\\c\nd", None), r#"queue="a\"b\\c\nd""#);
    }
}
