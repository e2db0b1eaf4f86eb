//! Results as one page that needs no other file.

use crate::bench::Report;
use crate::compare::{Comparison, Contender, Placed, Row, Spread, Verdict};
use crate::placement::Placement;
use crate::report::digits;
use crate::svg::{Bar, Ridge, bars, escaped, nanoseconds, ridges};
use std::fmt::Write as _;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d8dee4; --paper: #fff; --own: #1f6feb;
  --peer: #9aa4af; --limit: #d4a017; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #30363d; --paper: #0d1117;
  --own: #58a6ff; --peer: #6e7681; --limit: #e3b341; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1000px; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2.2em; } h3 { font-size: 1em; margin: 1em 0 .2em; }
p, li { max-width: 75ch; } .soft, .tick { color: var(--soft); } .warn { border-left: 4px solid var(--limit); padding-left: .8em; }
table { border-collapse: collapse; font-size: 13px; width: 100%; } td, th { padding: .2em .6em; border-bottom: 1px solid var(--line);
  text-align: right; font-variant-numeric: tabular-nums; } td { white-space: nowrap; } td:first-child, th:first-child, .words { text-align: left; white-space: normal; }
.scroll { overflow-x: auto; } .behind { color: var(--limit); font-weight: 600; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--ink); } svg .name { text-anchor: end; }
svg .tick { text-anchor: middle; fill: var(--soft); font-size: 11px; } svg .grid, svg .base { stroke: var(--line); }
svg .one { stroke: var(--own); stroke-width: 1.5; stroke-dasharray: 4 3; } svg .mark { stroke: var(--ink); stroke-width: 1.5; }
svg .own { fill: var(--own); } svg .peer { fill: var(--peer); } svg .limit { fill: var(--limit); }
svg .quartiles { stroke: var(--ink); fill: none; opacity: .7; } .key span { padding: 0 .5em; margin-right: .6em; border-radius: 3px; }
.key .own { background: var(--own); } .key .peer { background: var(--peer); } .key .limit { background: var(--limit); }
summary { cursor: pointer; color: var(--soft); }
";

/// The whole page.
pub fn page(report: &Report) -> String {
    let mut page = String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
    page.push_str(
        "<meta name=\"viewport\" content=\"width=device-width\"><title>shmq benchmarks</title><style>",
    );
    page.push_str(STYLE);
    page.push_str("</style><h1>shmq benchmarks</h1>");
    introduction(&mut page, report);
    summary(&mut page, &report.workloads);
    for workload in &report.workloads {
        section(&mut page, workload);
    }
    page.push_str("</html>\n");
    page
}

fn introduction(page: &mut String, report: &Report) {
    let machine = &report.machine;
    let said = |value: &Option<String>| escaped(value.as_deref().unwrap_or("unknown"));
    let _ = write!(
        page,
        "<p>shmq {}; {} ({} processors to use, {}), Linux {}; load before the first sample {}.</p>",
        report.version,
        said(&machine.processor),
        machine.processors.map_or_else(|| "?".to_owned(), |n| n.to_string()),
        machine.architecture,
        said(&machine.kernel),
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
    page.push_str(
        "<p>Contenders took turns. A raw ping-pong of two cache lines before and after each sample tells <i>near</i> (a shared \
         last-level cache) from <i>far</i>; samples during which that changed were dropped. Ratios are medians of ratios within a \
         round. Bars start at the best use of shmq; to the right is slower. Thin marks are quartiles.</p>\
         <p class=\"key\"><span class=\"own\">&nbsp;</span>shmq <span class=\"peer\">&nbsp;</span>others \
         <span class=\"limit\">&nbsp;</span>limits of the machine, which are no queues</p>",
    );
}

fn placement(placed: &Placed) -> String {
    let raw = placed.raw_round_trip_ns.map_or_else(String::new, |raw| format!(", raw ping-pong {raw:.0} ns"));
    let name = match placed.placement {
        Placement::Near => "near",
        Placement::Far => "far",
        Placement::Any => "wherever the processors were",
    };
    format!("{name}{raw}")
}

fn summary(page: &mut String, workloads: &[Comparison]) {
    let judged = |placed: &&Placed| placed.best_peer.is_some() || placed.limit.is_some();
    let rows: Vec<_> = workloads
        .iter()
        .flat_map(|w| w.placements.iter().filter(judged).map(move |placed| (w, placed)))
        .collect();
    if rows.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Summary</h2><p>The other's time divided by that of shmq's best use: over 1, shmq is faster.</p>",
    );
    page.push_str("<div class=\"scroll\"><table><tr><th>workload<th class=\"words\">placement<th class=\"words\">best use of shmq");
    page.push_str("<th class=\"words\">best peer<th>ratio<th class=\"words\">limit<th>ratio</tr>");
    for (workload, placed) in rows {
        let own =
            placed.best_peer.as_ref().or(placed.limit.as_ref()).map(|v| named(v.own)).unwrap_or_default();
        let where_to = if placed.placement == Placement::Near { "near" } else { "far" };
        let _ = write!(
            page,
            "<tr><td>{}<td class=\"words\">{where_to}<td class=\"words\">{own}",
            escaped(&workload.workload)
        );
        for (verdict, may_lead) in [(&placed.best_peer, false), (&placed.limit, true)] {
            let Some(Verdict { other, ratio: Spread { p25, p50, p75, .. }, .. }) = verdict else {
                page.push_str("<td><td>");
                continue;
            };
            let class = if *p50 < 1.0 && !may_lead { " class=\"behind\"" } else { "" };
            let _ = write!(
                page,
                "<td class=\"words\">{}<td{class}>{p50:.2} <span class=\"soft\">[{p25:.2} {p75:.2}]</span>",
                named(*other)
            );
        }
        page.push_str("</tr>");
    }
    page.push_str("</table></div>");
}

fn named((family, variant): (&str, &str)) -> String {
    let name = if variant.is_empty() { family.to_owned() } else { format!("{family}, {variant}") };
    escaped(&name)
}

fn class(family: &str) -> &'static str {
    if Contender::is_own(family) {
        "own"
    } else if Contender::is_peer(family) {
        "peer"
    } else {
        "limit"
    }
}

fn section(page: &mut String, workload: &Comparison) {
    let Comparison { workload: name, rounds, dropped, absent, placements, bytes } = workload;
    let _ = write!(
        page,
        "<h2>{}</h2><p class=\"soft\">{rounds} rounds, {dropped} samples dropped.",
        escaped(name)
    );
    for absent in absent {
        let _ =
            write!(page, " Without {}: {}.", named((absent.family, absent.variant)), escaped(&absent.why));
    }
    page.push_str("</p>");
    for placed in placements {
        let title = format!("{name}, {}", placement(placed));
        let _ = write!(page, "<h3>{}</h3>", escaped(&placement(placed)));
        page.push_str(&bars(&title, &ratios(placed, *bytes)));
        if !placed.trips.is_empty() {
            page.push_str("<h3>Round trips: how many of which length</h3><p class=\"soft\">Both axes are logarithmic. Marks: median, 99, 99.9 and 99.99 %.</p>");
            page.push_str(&ridges(&format!("Round trips, {title}"), &distributions(placed)));
        }
        details(page, placed);
    }
}

/// A bar for each contender, by its first figure; the fastest on top.
fn ratios(placed: &Placed, bytes: Option<usize>) -> Vec<Bar> {
    let own = placed.best_peer.as_ref().or(placed.limit.as_ref()).map(|verdict| verdict.own.0);
    let mut seen = Vec::new();
    let mut rows: Vec<&Row> = Vec::new();
    for row in &placed.rows {
        if !seen.contains(&(row.family, row.variant)) {
            seen.push((row.family, row.variant));
            rows.push(row);
        }
    }
    rows.sort_by(|a, b| a.value.p50.total_cmp(&b.value.p50));
    let bar = |row: &&Row| {
        let ratio = row.ratios.iter().find(|ratio| own.is_none_or(|own| own == ratio.to))?.ratio;
        let name = if row.variant.is_empty() {
            row.family.to_owned()
        } else {
            format!("{}, {}", row.family, row.variant)
        };
        let rate = bytes.filter(|_| row.figure == "message_ns").map(|bytes| bytes as f64 / row.value.p50);
        let rate =
            rate.filter(|rate| *rate >= 1.0).map_or_else(String::new, |rate| format!(", {rate:.0} GB/s"));
        let value =
            if row.figure.ends_with("_ns") { nanoseconds(row.value.p50) } else { digits(row.value.p50) };
        Some(Bar {
            class: class(row.family),
            name,
            ratio: [ratio.p25, ratio.p50, ratio.p75],
            value: format!("{:.2}×, {value}{rate}", ratio.p50),
        })
    };
    rows.iter().filter_map(bar).collect()
}

fn distributions(placed: &Placed) -> Vec<Ridge> {
    let mut all: Vec<_> = placed.trips.iter().collect();
    all.sort_by_key(|trips| trips.p50_ns);
    let ridge = |trips: &&crate::compare::Trips| Ridge {
        class: class(trips.family),
        name: if trips.variant.is_empty() {
            trips.family.to_owned()
        } else {
            format!("{}, {}", trips.family, trips.variant)
        },
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

/// All figures, folded away.
fn details(page: &mut String, placed: &Placed) {
    page.push_str("<details><summary>All figures</summary><div class=\"scroll\"><table><tr><th>contender<th>figure<th>median");
    page.push_str("<th>quartiles<th>largest<th>samples<th class=\"words\">ratios</tr>");
    for row in &placed.rows {
        let Spread { p25, p50, p75, max, .. } = row.value;
        let ratios: Vec<String> =
            row.ratios.iter().map(|r| format!("{:.2} to {}", r.ratio.p50, escaped(r.to))).collect();
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{} – {}<td>{}<td>{}<td class=\"words\">{}</tr>",
            named((row.family, row.variant)),
            row.figure,
            digits(p50),
            digits(p25),
            digits(p75),
            digits(max),
            row.samples,
            ratios.join(", "),
        );
    }
    page.push_str("</table></div></details>");
}
