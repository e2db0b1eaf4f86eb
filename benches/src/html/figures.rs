//! All figures of a section, folded away.

use super::dots::contenders;
use super::names::{class, named, place};
use super::section::Section;
use crate::report::{digits, left_out};
use crate::results::{Comparison, Placed, Spread, Trips, Verdict};
use crate::svg::{Ridge, escaped, nanoseconds, ridges};
use std::fmt::Write as _;

impl Section<'_> {
    pub fn figures(&self, page: &mut String) {
        let _ = write!(
            page,
            "<details><summary>{} ({} workloads)</summary>",
            escaped(self.name),
            self.workloads.len()
        );
        for workload in &self.workloads {
            let Comparison { workload: name, rounds, samples, dropped, absent, placements, bytes, .. } =
                workload;
            let _ = write!(
                page,
                "<details><summary>{}</summary><p class=\"soft\">{rounds} rounds, {samples} samples{}.",
                escaped(name),
                left_out(dropped)
            );
            for absent in absent {
                let _ = write!(page, " Without {}: {}.", named(&absent.who), escaped(&absent.why));
            }
            page.push_str("</p>");
            for placed in placements {
                let title = format!("{name}{}", place(placed));
                if let (Some(name), Some(raw)) = (&placed.placement, placed.raw_round_trip_ns) {
                    let _ = write!(page, "<p>Placement: {}, raw ping-pong {raw:.0} ns.</p>", escaped(name));
                }
                if workload.cell.is_some() {
                    contenders(page, &title, placed, *bytes);
                }
                if !placed.trips.is_empty() {
                    page.push_str("<p class=\"soft\">How many round trips of which length. Heights are logarithmic, too. Marks: median, 99, 99.9 and 99.99 %.</p>");
                    let _ = write!(
                        page,
                        "<div class=\"scroll\">{}</div>",
                        ridges(&format!("Round trips, {title}"), &distributions(placed))
                    );
                }
                table(page, placed);
            }
            page.push_str("</details>");
        }
        page.push_str("</details>");
    }
}

fn distributions(placed: &Placed) -> Vec<Ridge> {
    let mut all: Vec<_> = placed.trips.iter().collect();
    all.sort_by_key(|trips| trips.p50_ns);
    let ridge = |trips: &&Trips| Ridge {
        class: class(&trips.who),
        name: trips.who.to_string(),
        steps: trips.steps.clone(),
        marks: vec![
            (trips.p50_ns as f64, "median"),
            (trips.p99_ns as f64, "99 %"),
            (trips.p99_9_ns as f64, "99.9 %"),
            (trips.p99_99_ns as f64, "99.99 %"),
        ],
        value: format!("{}, 99 % {}", nanoseconds(trips.p50_ns as f64), nanoseconds(trips.p99_ns as f64)),
    };
    all.iter().map(ridge).collect()
}

/// All figures of one placement.
fn table(page: &mut String, placed: &Placed) {
    for (what, verdict) in [("Best peer", &placed.best_peer), ("Limit", &placed.limit)] {
        if let Some(Verdict { own, other, ratio: Spread { p25, p50, p75, .. } }) = verdict {
            let _ = write!(
                page,
                "<p>{what}: {} / {} = {p50:.2} [{p25:.2} {p75:.2}]</p>",
                named(other),
                named(own)
            );
        }
    }
    page.push_str("<div class=\"scroll\"><table class=\"all\"><tr><th>contender<th>figure<th>median");
    page.push_str("<th>quartiles<th>largest<th>samples<th class=\"words\">ratios</tr>");
    for row in &placed.rows {
        let Spread { p25, p50, p75, max, .. } = row.value;
        let ratios: Vec<String> =
            row.ratios.iter().map(|r| format!("{:.2} to {}", r.ratio.p50, escaped(&r.to))).collect();
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{} – {}<td>{}<td>{}<td class=\"words\">{}</tr>",
            named(&row.who),
            escaped(&row.figure),
            digits(p50),
            digits(p25),
            digits(p75),
            digits(max),
            row.samples,
            ratios.join(", "),
        );
    }
    page.push_str("</table></div>");
}
