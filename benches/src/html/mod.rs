//! Results as one page that needs no other file: a summary, charts, and all figures folded away.

mod charts;
mod dots;
mod figures;
mod medians;
mod names;
mod section;

use crate::report::{all_dropped, left_out};
use crate::results::Report;
use crate::svg::escaped;
use medians::medians;
use names::date;
use section::{REGIMES, Section};
use std::fmt::Write as _;

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn page(report: &Report) -> String {
    let mut page = String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
    page.push_str(
        "<meta name=\"viewport\" content=\"width=device-width\"><title>shmq benchmarks</title><style>",
    );
    page.push_str(STYLE);
    page.push_str("</style><h1>shmq benchmarks</h1>");
    introduction(&mut page, report);
    let sections = Section::all(report);
    contents(&mut page, &sections);
    summary(&mut page, report, &sections);
    for section in &sections {
        section.charts(&mut page);
    }
    page.push_str(
        "<h2 id=\"figures\">All figures</h2><p>Every workload with all its contenders; click to unfold.</p>",
    );
    for section in &sections {
        section.figures(&mut page);
    }
    page.push_str("</html>\n");
    page
}

fn introduction(page: &mut String, report: &Report) {
    let machine = &report.machine;
    let said = |value: &Option<String>| escaped(value.as_deref().unwrap_or("unknown"));
    let _ = write!(
        page,
        "<p>{} ({} processors to use, {}), Linux {}. shmq {}, commit {}, {}. Load before the first sample: {}.</p>",
        said(&machine.processor),
        machine.processors.map_or_else(|| "?".to_owned(), |n| n.to_string()),
        escaped(&machine.architecture),
        said(&machine.kernel),
        escaped(&report.version),
        said(&machine.commit),
        date(machine.time),
        machine.load_average.map_or_else(|| "unknown".to_owned(), |load| format!("{load:.2}")),
    );
    if report.quick {
        page.push_str(
            "<p class=\"warn\">A quick run: it shows that everything works. Its figures mean nothing.</p>",
        );
    }
    if !report.peers {
        page.push_str("<p class=\"warn\">Without the queues of other projects: compiled without the feature <code>peers</code>.</p>");
    }
}

fn contents(page: &mut String, sections: &[Section]) {
    page.push_str("<nav aria-label=\"Contents\"><a href=\"#summary\">Summary</a>");
    for section in sections {
        let _ = write!(page, " <a href=\"#{}\">{}</a>", section.id, escaped(section.name));
    }
    page.push_str(" <a href=\"#figures\">All figures</a></nav>");
}

fn summary(page: &mut String, report: &Report, sections: &[Section]) {
    page.push_str("<h2 id=\"summary\">Summary</h2>");
    let taken: usize = report.workloads.iter().map(|workload| workload.samples).sum();
    if !report.placements.is_empty() {
        page.push_str("<p>Where the two processors were, found in the raw ping-pongs of two cache lines around each sample:</p>");
        page.push_str("<div class=\"scroll\"><table><tr><th>placement<th>raw ping-pong, median<th>quartiles<th>samples</tr>");
        for placement in &report.placements {
            let _ = write!(
                page,
                "<tr><td>{}<td>{:.0} ns<td>{:.0} to {:.0} ns<td>{}</tr>",
                escaped(&placement.name),
                placement.raw_p50_ns,
                placement.raw_p25_ns,
                placement.raw_p75_ns,
                placement.samples
            );
        }
        page.push_str("</table></div>");
    }
    let _ = write!(page, "<p class=\"soft\">{taken} samples in all{}.</p>", left_out(&all_dropped(report)));
    let sections: Vec<_> = sections.iter().filter(|section| section.name != REGIMES).collect();
    for placement in &report.placements {
        let of = if report.placements.len() > 1 { format!(", {}", placement.name) } else { String::new() };
        if sections
            .iter()
            .any(|section| section.cells(&placement.name).any(|(_, placed)| placed.best_peer.is_some()))
        {
            let _ = write!(
                page,
                "<h3>Best peer's time / shmq's time{}</h3><p>Medians of ratios within one round. <b>Over 1, shmq is faster.</b> \
                 Below each: who is ahead. The best use of each queue counts. Quartiles are in <a href=\"#figures\">all figures</a>.</p>",
                escaped(&of)
            );
            medians(page, &placement.name, &sections);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::machine::Machine;
    use crate::placement::Placements;
    use crate::results::{
        Cell, Comparison, Dropped, Placed, Ratio, Report, Row, SCHEMA, Spread, Trips, Verdict, Who,
    };

    fn spread(value: f64) -> Spread {
        Spread { p25: value * 0.9, p50: value, p75: value * 1.1, p99: value * 2.0, max: value * 3.0 }
    }

    fn who(family: &str) -> Who {
        Who { family: family.to_owned(), variant: "try".to_owned() }
    }

    fn placed(placement: Option<&str>, figure: &str, ns: f64) -> Placed {
        let row = |(family, times): &(&str, f64)| Row {
            who: who(family),
            figure: figure.to_owned(),
            samples: 3,
            value: spread(ns * times),
            ratios: vec![Ratio { to: "shmq slots".to_owned(), ratio: spread(*times) }],
        };
        let families =
            [("shmq slots", 1.0), ("std::sync::mpsc sync_channel", 4.0), ("<peer>", 0.5), ("limit", 0.4)];
        let verdict = |family, times| {
            Some(Verdict { own: who("shmq slots"), other: who(family), ratio: spread(times) })
        };
        let trips = Trips {
            who: who("shmq slots"),
            count: 2,
            p50_ns: 100,
            p99_ns: 200,
            p99_9_ns: 200,
            p99_99_ns: 200,
            max_ns: 200,
            steps: vec![(100.0, 1), (199.5, 1)],
        };
        Placed {
            placement: placement.map(str::to_owned),
            raw_round_trip_ns: placement.map(|_| 100.0),
            rows: families.iter().map(row).collect(),
            trips: if figure.starts_with("round") { vec![trips] } else { Vec::new() },
            best_peer: placement.and_then(|_| verdict("<peer>", 0.5)),
            limit: placement.and_then(|_| verdict("limit", 0.4)),
        }
    }

    fn report(raw: &[f64]) -> Report {
        let found = Placements::find(raw.iter().copied());
        let names: Vec<_> = found.all().iter().map(|placement| placement.name.as_str()).collect();
        let comparison = |workload: &str, cell: Option<Cell>, placements| Comparison {
            workload: workload.to_owned(),
            cell,
            bytes: Some(64),
            rounds: 3,
            samples: 12,
            dropped: Dropped { moved: 2, disturbed: 1 },
            absent: Vec::new(),
            placements,
        };
        let cell = |section: &str, column: &str| {
            let [section, row, column] = [section, "one by one", column].map(str::to_owned);
            Some(Cell { section, row, column })
        };
        let everywhere =
            |figure, ns| names.iter().map(|name| placed(Some(name), figure, ns)).collect::<Vec<_>>();
        Report {
            schema: SCHEMA.to_owned(),
            quick: false,
            peers: true,
            version: "0".to_owned(),
            machine: Machine::look(),
            placements: found.all().to_vec(),
            workloads: vec![
                comparison(
                    "round trip 8 B",
                    cell("Round trips", "8 B"),
                    everywhere("round_trip_p50_ns", 100.0),
                ),
                comparison("stream 8 B", cell("Streams", "8 B"), everywhere("message_ns", 3.0)),
                comparison("stream 64 B", cell("Streams", "64 B"), everywhere("message_ns", 6.0)),
                comparison("regime full, 8 B", cell("Regimes", "8 B"), everywhere("message_ns", 6.0)),
                comparison("wake, asleep", None, everywhere("round_trip_p50_ns", 9000.0)),
                comparison("idle receiver", None, vec![placed(None, "processor_share", 0.01)]),
            ],
        }
    }

    #[test]
    fn no_chart_is_empty_every_axis_has_a_name_and_every_link_leads_somewhere() {
        for raw in [&[60.0; 9][..], &[60.0, 61.0, 62.0, 250.0, 251.0, 252.0], &[]] {
            let page = page(&report(raw));
            let charts: Vec<_> =
                page.split("<svg ").skip(1).filter_map(|rest| rest.split("</svg>").next()).collect();
            assert!(!charts.is_empty());
            for chart in charts {
                assert!(chart.contains("<circle") || chart.contains("<path class=\"own\""), "{chart}");
                assert!(chart.contains("class=\"axis\"") && chart.contains("class=\"tick"), "{chart}");
            }
            for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(page.contains(&format!("id=\"{link}\"")), "{link}");
            }
            assert!(!page.contains("<peer>") && page.contains("</html>"));
        }
    }

    #[test]
    fn the_summary_comes_first_and_what_was_dropped_is_said() {
        let page = page(&report(&[60.0, 61.0, 62.0, 250.0, 251.0, 252.0]));
        let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text:?}"));
        let order =
            ["<nav", "id=\"summary\"", "<td>near", "<td>far", "id=\"streams\"", "<svg", "<details"].map(at);
        let (summary, charts, folded) = (&order[..4], order[5], order[6]);
        assert!(summary.is_sorted() && summary[3] < charts && charts < folded, "{order:?}");
        assert!(page.contains("72 samples in all, 18 of them dropped"));
        // All figures are folded: outside there is the small table only.
        assert!(at("table class=\"all\"") > folded);
    }

    #[test]
    fn the_page_of_results_that_were_kept_is_the_same() {
        let report = report(&[60.0, 250.0]);
        let kept = serde_json::to_string(&report).expect("plain data");
        assert_eq!(page(&serde_json::from_str(&kept).expect("its own")), page(&report));
    }
}
