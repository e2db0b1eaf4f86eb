//! Results as tables on a terminal.

use crate::results::{Comparison, Dropped, Placed, Report, Row, Spread, Verdict, Who};
use std::fmt;

/// All of a run: its tables, its placements, its summary.
pub struct Text<'a>(pub &'a Report);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for workload in &self.0.workloads {
            table(f, workload)?;
        }
        placements(f, self.0)?;
        summary(f, &self.0.workloads)
    }
}

fn table(f: &mut fmt::Formatter<'_>, comparison: &Comparison) -> fmt::Result {
    let Comparison { workload, rounds, samples, dropped, absent, placements, .. } = comparison;
    writeln!(f, "\n{workload}: {rounds} rounds, {samples} samples{}", left_out(dropped))?;
    for absent in absent {
        writeln!(f, "  without {}: {}", absent.who, absent.why)?;
    }
    for placed in placements {
        if let (Some(name), Some(raw)) = (&placed.placement, placed.raw_round_trip_ns) {
            writeln!(f, "  {name} (raw {raw:.0} ns)")?;
        }
        if placed.trips.is_empty() {
            placed.rows.iter().try_for_each(|row| line(f, row, None))?;
        } else {
            trips(f, placed)?;
        }
        verdict(f, "best peer", placed.best_peer.as_ref())?;
        verdict(f, "limit", placed.limit.as_ref())?;
    }
    Ok(())
}

/// How many samples count nowhere, and why; nothing if all count.
pub fn left_out(dropped: &Dropped) -> String {
    let Dropped { moved, disturbed } = *dropped;
    match dropped.all() {
        0 => String::new(),
        all => format!(
            ", {all} of them dropped: the raw ping-pong changed during {moved}, and was far from every placement at {disturbed}"
        ),
    }
}

/// Round trips: the median with its ratios, and the quantiles of all trips together.
fn trips(f: &mut fmt::Formatter<'_>, placed: &Placed) -> fmt::Result {
    for row in placed.rows.iter().filter(|row| row.figure == "round_trip_p50_ns") {
        let all = placed.trips.iter().find(|trips| trips.who == row.who);
        let rest = all.map(|trips| {
            let quantiles = [trips.p99_ns, trips.p99_9_ns, trips.p99_99_ns, trips.max_ns];
            let [p99, p99_9, p99_99, max] = quantiles.map(|ns| digits(ns as f64));
            format!("p99 {p99} p99.9 {p99_9} p99.99 {p99_99} max {max}")
        });
        line(f, row, rest)?;
    }
    Ok(())
}

fn line(f: &mut fmt::Formatter<'_>, row: &Row, rest: Option<String>) -> fmt::Result {
    let Row { who, figure, samples, value, ratios } = row;
    let Spread { p25, p50, p75, p99, max } = value;
    write!(f, "    {who:38} {figure:18} {:>9} [{} {}]", digits(*p50), digits(*p25), digits(*p75))?;
    match rest {
        Some(rest) => write!(f, " {rest}")?,
        None => write!(f, " p99 {} max {}", digits(*p99), digits(*max))?,
    }
    for ratio in ratios {
        let Spread { p25, p50, p75, .. } = ratio.ratio;
        write!(f, "  / {} {p50:.2} [{p25:.2} {p75:.2}]", ratio.to)?;
    }
    writeln!(f, "  n {samples}")
}

fn verdict(f: &mut fmt::Formatter<'_>, what: &str, verdict: Option<&Verdict>) -> fmt::Result {
    let Some(Verdict { own, other, ratio: Spread { p25, p50, p75, .. } }) = verdict else { return Ok(()) };
    writeln!(f, "  {what}: {} / {} = {p50:.2} [{p25:.2} {p75:.2}]", name(other), name(own))
}

fn name(Who { family, variant }: &Who) -> String {
    if variant.is_empty() { family.to_owned() } else { format!("{family} ({variant})") }
}

/// The placements that were found, and what was dropped in all.
fn placements(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    if report.placements.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nPlacements of the processors, found in the raw ping-pongs of this run")?;
    for placement in &report.placements {
        writeln!(
            f,
            "  {:10} raw {:>5.0} ns [{:.0} {:.0}]  {} figures, {} samples",
            placement.name,
            placement.raw_p50_ns,
            placement.raw_p25_ns,
            placement.raw_p75_ns,
            placement.figures,
            placement.samples
        )?;
    }
    let dropped = all_dropped(report);
    let taken: usize = report.workloads.iter().map(|w| w.samples).sum();
    writeln!(f, "  {taken} samples in all{}", left_out(&dropped))
}

/// What all workloads dropped together.
pub fn all_dropped(report: &Report) -> Dropped {
    report.workloads.iter().fold(Dropped::default(), |sum, w| Dropped {
        moved: sum.moved + w.dropped.moved,
        disturbed: sum.disturbed + w.dropped.disturbed,
    })
}

/// All workloads, one line for each placement: ours beside the best peer and the limit.
fn summary(f: &mut fmt::Formatter<'_>, workloads: &[Comparison]) -> fmt::Result {
    let mut rows = Vec::new();
    for comparison in workloads {
        let judged = comparison.placements.iter().filter(|p| p.best_peer.is_some() || p.limit.is_some());
        rows.extend(judged.map(|placed| (comparison, placed)));
    }
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nSummary: peer time / shmq time, medians of ratios within rounds; over 1, shmq is faster")?;
    for (comparison, placed) in rows {
        let placement = placed.placement.as_deref().unwrap_or_default();
        write!(f, "  {:58} {placement:8}", comparison.workload)?;
        for (what, verdict) in [("peer", &placed.best_peer), ("limit", &placed.limit)] {
            let Some(Verdict { other, ratio: Spread { p25, p50, p75, .. }, .. }) = verdict else {
                continue;
            };
            write!(f, "  {what} {p50:5.2} [{p25:.2} {p75:.2}] {:36}", name(other))?;
        }
        writeln!(f)?;
    }
    Ok(())
}

/// As many digits as mean something, for figures from shares of a processor to times of a death.
pub fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        large if large >= 1000.0 => 0,
        middle if middle >= 1.0 => 2,
        _ => 5,
    };
    format!("{value:.decimals$}")
}
