//! Results as tables on a terminal.

use crate::compare::{Comparison, Placed, Row, Spread, Verdict};
use crate::placement::Placement;
use std::fmt;

/// One workload.
pub struct Table<'a>(pub &'a Comparison);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { workload, rounds, dropped, absent, placements, .. } = self.0;
        writeln!(
            f,
            "\n{workload}: {rounds} rounds, {dropped} samples dropped because the placement moved or could not be told"
        )?;
        for absent in absent {
            writeln!(f, "  without {}, {}: {}", absent.family, absent.variant, absent.why)?;
        }
        for placed in placements {
            match (placed.placement, placed.raw_round_trip_ns) {
                (Placement::Near, Some(raw)) => writeln!(f, "  near (raw {raw:.0} ns)")?,
                (_, Some(raw)) => writeln!(f, "  far (raw {raw:.0} ns)")?,
                (_, None) => {}
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
}

/// Round trips: the median with its ratios, and the quantiles of all trips together.
fn trips(f: &mut fmt::Formatter<'_>, placed: &Placed) -> fmt::Result {
    for row in placed.rows.iter().filter(|row| row.figure == "round_trip_p50_ns") {
        let all =
            placed.trips.iter().find(|trips| (trips.family, trips.variant) == (row.family, row.variant));
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
    let Row { family, variant, figure, samples, value, ratios } = row;
    let Spread { p25, p50, p75, p99, max } = value;
    let name = if variant.is_empty() { (*family).to_owned() } else { format!("{family}, {variant}") };
    write!(f, "    {name:38} {figure:18} {:>9} [{} {}]", digits(*p50), digits(*p25), digits(*p75))?;
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
    writeln!(f, "  {what}: {} / {} = {p50:.2} [{p25:.2} {p75:.2}]", name(*other), name(*own))
}

fn name((family, variant): (&str, &str)) -> String {
    if variant.is_empty() { family.to_owned() } else { format!("{family} ({variant})") }
}

/// All workloads, one line for each placement: ours beside the best peer and the limit.
pub struct Summary<'a>(pub &'a [Comparison]);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = Vec::new();
        for comparison in self.0 {
            let judged = comparison.placements.iter().filter(|p| p.best_peer.is_some() || p.limit.is_some());
            rows.extend(judged.map(|placed| (comparison, placed)));
        }
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nSummary: medians of ratios within rounds, over 1 where shmq is faster")?;
        for (comparison, placed) in rows {
            let placement = if placed.placement == Placement::Near { "near" } else { "far" };
            write!(f, "  {:58} {placement:4}", comparison.workload)?;
            for (what, verdict) in [("peer", &placed.best_peer), ("limit", &placed.limit)] {
                let Some(Verdict { other, ratio: Spread { p25, p50, p75, .. }, .. }) = verdict else {
                    continue;
                };
                write!(f, "  {what} {p50:5.2} [{p25:.2} {p75:.2}] {:36}", name(*other))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
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
