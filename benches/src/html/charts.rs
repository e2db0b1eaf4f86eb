//! The charts of a section.

use super::dots::{dot, figure_chart, first_figures};
use super::medians::medians;
use super::names::{STANDARD, capital, class, size, times, unique};
use super::section::{REGIMES, Section};
use crate::results::{Cell, Placed, Row, Spread, Verdict, Who};
use crate::svg::{Dot, Line, Unit, dots, escaped, lines, nanoseconds};
use std::fmt::Write as _;

const RATIO: &str = "best peer's time / shmq's time: right of 1, shmq is faster";

impl Section<'_> {
    pub fn charts(&self, page: &mut String) {
        let mut charts = String::new();
        for placement in &self.placements {
            let of = if self.placements.len() > 1 { format!(", {placement}") } else { String::new() };
            if self.name == REGIMES && self.cells(placement).any(|(_, placed)| placed.best_peer.is_some()) {
                let _ = write!(charts, "<h3>Best peer's time / shmq's time{}</h3>", escaped(&of));
                medians(&mut charts, placement, &[self]);
            }
            self.ratios(&mut charts, placement, &of);
            if self.name != REGIMES {
                self.sizes(&mut charts, placement, &of);
            }
        }
        for placement in self.placements.iter().map(|name| Some(*name)).chain([None]) {
            self.waiting(&mut charts, placement);
        }
        let _ = write!(page, "<h2 id=\"{}\">{}</h2>", self.id, escaped(self.name));
        page.push_str(if charts.is_empty() { "<p>No sample counts; see below.</p>" } else { &charts });
    }

    /// The best peer beside the best of shmq, of all workloads.
    fn ratios(&self, page: &mut String, placement: &str, of: &str) {
        let mut cells: Vec<_> = self.cells(placement).collect();
        let rows = unique(cells.iter().map(|(cell, _)| cell.row.as_str()));
        let place = |cell: &Cell| rows.iter().position(|row| *row == cell.row);
        cells.sort_by_key(|(cell, _)| (place(cell), size(&cell.column)));
        let judged = cells.iter().filter_map(|(cell, placed)| Some((cell, placed.best_peer.as_ref()?)));
        let dot = |(cell, verdict): (&&Cell, &Verdict)| {
            let Spread { p25, p50, p75, .. } = verdict.ratio;
            Dot {
                class: if p50 < 1.0 { "behind" } else { "own" },
                name: format!("{}, {}", cell.row, cell.column),
                values: [p25, p50, p75],
                value: format!("{}× {}", times(p50), verdict.other.family),
            }
        };
        let all: Vec<_> = judged.map(dot).collect();
        if all.is_empty() {
            return;
        }
        let title = format!("{}: the best peer beside shmq{of}", self.name);
        let _ = write!(
            page,
            "<h3>{}</h3><p class=\"key soft\"><em><span class=\"own\"></span>shmq is ahead</em> <em><span class=\"behind\"></span>the peer is ahead.</em> \
             Thin lines go from quartile to quartile. At the right: the best peer.</p><div class=\"scroll\">{}</div>",
            escaped(&title),
            dots(&title, &all, Unit::Times, RATIO, true)
        );
    }

    /// Time by size, a small chart for each row that has several sizes.
    fn sizes(&self, page: &mut String, placement: &str, of: &str) {
        let cells: Vec<_> = self.cells(placement).collect();
        let mut figures = String::new();
        for row in unique(cells.iter().map(|(cell, _)| cell.row.as_str())) {
            let mut placed: Vec<_> = cells
                .iter()
                .filter(|(cell, _)| cell.row == row && size(&cell.column) < u64::MAX)
                .map(|(cell, placed)| (size(&cell.column), *placed))
                .collect();
            placed.sort_by_key(|(bytes, _)| *bytes);
            if placed.len() < 2 {
                continue;
            }
            // The fastest of each kind at each size.
            let line = |class, is: &dyn Fn(&Who) -> bool| {
                let point = |(bytes, placed): &(u64, &Placed)| {
                    let firsts = first_figures(placed).into_iter().filter(|row| is(&row.who));
                    let best = firsts.min_by(|a, b| a.value.p50.total_cmp(&b.value.p50))?;
                    let said = format!("{}: {}", best.who, nanoseconds(best.value.p50));
                    Some((*bytes as f64, best.value.p50, said))
                };
                Line { class, points: placed.iter().filter_map(point).collect() }
            };
            let all = [
                line("limit", &Who::is_limit),
                line("std", &|who| class(who) == "std"),
                line("peer", &|who| class(who) == "peer"),
                line("own", &Who::is_own),
            ];
            let all: Vec<_> = all.into_iter().filter(|line| !line.points.is_empty()).collect();
            let title = format!("{}, {row}{of}", self.name);
            let _ = write!(
                figures,
                "<figure><figcaption>{}</figcaption>{}</figure>",
                escaped(row),
                lines(&title, &all)
            );
        }
        if !figures.is_empty() {
            let what =
                if self.name == "Round trips" { "Time of a round trip" } else { "Time for each message" };
            let _ = write!(
                page,
                "<h3>{what} by size{of}</h3><p class=\"key soft\">The fastest of each kind, median: <em><span class=\"own\"></span>shmq</em> \
                 <em><span class=\"std\"></span>{STANDARD}</em> <em><span class=\"peer\"></span>other queues</em> \
                 <em><span class=\"limit\"></span>limit of the machine (no queue)</em></p><div class=\"grid2\">{figures}</div>"
            );
        }
    }

    /// What waiting costs: a chart for each kind of workload, which is the first word of its name.
    fn waiting(&self, page: &mut String, placement: Option<&str>) {
        /// Kind and figure; the rest of each name, and its row.
        type Group<'a> = ((&'a str, &'a str), Vec<(&'a str, &'a Row)>);
        let mut groups: Vec<Group> = Vec::new();
        for workload in self.workloads.iter().filter(|workload| workload.cell.is_none()) {
            let (kind, rest) = workload.workload.split_once([',', ' ']).unwrap_or((&workload.workload, ""));
            for placed in workload.placements.iter().filter(|p| p.placement.as_deref() == placement) {
                for row in first_figures(placed) {
                    let at = groups.iter().position(|(group, _)| *group == (kind, row.figure.as_str()));
                    let at = at.unwrap_or_else(|| {
                        groups.push(((kind, &row.figure), Vec::new()));
                        groups.len() - 1
                    });
                    groups[at].1.push((rest.trim(), row));
                }
            }
        }
        let of = placement.filter(|_| self.placements.len() > 1);
        let of = of.map_or_else(String::new, |name| format!(", {name}"));
        for ((kind, figure), rows) in groups {
            let mut all: Vec<_> =
                rows.iter().map(|(rest, row)| dot(row, format!("{rest}: {}", row.who), None, None)).collect();
            // Where nobody else takes part, all are ours.
            if !rows.iter().any(|(_, row)| row.who.is_own()) {
                all.iter_mut().for_each(|dot| dot.class = "own");
            }
            let title = format!("{}{of}", capital(kind));
            let _ = write!(page, "<h3>{}</h3>", escaped(&title));
            figure_chart(
                page,
                &title,
                figure,
                &all,
                "; at the right, how many times that of the first of its kind",
            );
        }
    }
}
