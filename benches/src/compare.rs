//! Interleaved samples, each between two raw ping-pongs, sorted by placement; medians, and ratios within a round.

use crate::placement::{Placement, raw_ping_pong};
use serde::Serialize;
use std::fmt;

/// What one run of a contender measured: names with their unit, and values.
pub type Figures = Vec<(&'static str, f64)>;

/// One contender of a workload: its name, and how to run it once.
pub type Contender = (&'static str, Box<dyn Fn() -> Figures>);

/// A sample with the machine's own figure around it.
struct Sample {
    contender: usize,
    round: usize,
    placement: Placement,
    raw_ns: Option<f64>,
    figures: Figures,
}

/// Quantiles of some values, by the nearest rank.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// The lower quartile.
    pub p25: f64,
    /// The median.
    pub p50: f64,
    /// The upper quartile.
    pub p75: f64,
    /// Only one in a hundred is larger.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of these values; `None` if there are none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |q: f64| values[(last as f64 * q).round() as usize];
        Some(Self { p25: at(0.25), p50: at(0.5), p75: at(0.75), p99: at(0.99), max: values[last] })
    }
}

/// One figure of one contender.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Whose.
    pub contender: &'static str,
    /// What, with its unit.
    pub figure: &'static str,
    /// How many samples.
    pub samples: usize,
    /// Its values.
    pub value: Spread,
    /// Its ratios to the first contender's in the same round; `None` where that is zero or missing.
    pub ratio: Option<Spread>,
}

/// The rows of one placement.
#[derive(Debug, Serialize)]
pub struct Placed {
    /// Where the processors were.
    pub placement: Placement,
    /// Median of the raw ping-pongs, if the workload depends on it.
    pub raw_round_trip_ns: Option<f64>,
    /// One for each contender and figure.
    pub rows: Vec<Row>,
}

/// What came out of one workload.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Its name.
    pub workload: String,
    /// How often each contender ran.
    pub rounds: usize,
    /// Samples during which the placement changed; they count nowhere.
    pub dropped: usize,
    /// The results, near before far.
    pub placements: Vec<Placed>,
}

/// Runs one contender, with the placement before and after; `None` if that has changed meanwhile.
fn sample(contender: usize, round: usize, run: &dyn Fn() -> Figures) -> Option<Sample> {
    let before = raw_ping_pong();
    let figures = run();
    let after = raw_ping_pong();
    let placement = Placement::of(before);
    (placement == Placement::of(after)).then_some(Sample {
        contender,
        round,
        placement,
        raw_ns: Some((before + after) / 2.0),
        figures,
    })
}

/// Runs all contenders in turn, `rounds` times, and tells near from far.
pub fn compare(workload: &str, contenders: &[Contender], rounds: usize) -> Comparison {
    measure(workload, contenders, rounds, sample)
}

/// As [`compare`], for what does not depend on the caches, and may last longer than the processors stay in place.
pub fn compare_anywhere(workload: &str, contenders: &[Contender], rounds: usize) -> Comparison {
    measure(workload, contenders, rounds, |contender, round, run| {
        Some(Sample { contender, round, placement: Placement::Any, raw_ns: None, figures: run() })
    })
}

fn measure(
    workload: &str,
    contenders: &[Contender],
    rounds: usize,
    sample: impl Fn(usize, usize, &dyn Fn() -> Figures) -> Option<Sample>,
) -> Comparison {
    let mut samples = Vec::new();
    for round in 0..rounds {
        for (contender, (_, run)) in contenders.iter().enumerate() {
            samples.extend(sample(contender, round, run));
        }
    }
    let placements = [Placement::Near, Placement::Far, Placement::Any]
        .into_iter()
        .filter_map(|placement| {
            let here: Vec<&Sample> = samples.iter().filter(|s| s.placement == placement).collect();
            (!here.is_empty()).then(|| placed(placement, contenders, &here))
        })
        .collect();
    let dropped = rounds * contenders.len() - samples.len();
    Comparison { workload: workload.to_owned(), rounds, dropped, placements }
}

fn placed(placement: Placement, contenders: &[Contender], samples: &[&Sample]) -> Placed {
    let raw = Spread::of(samples.iter().filter_map(|s| s.raw_ns).collect());
    let mut rows = Vec::new();
    for (i, (contender, _)) in contenders.iter().enumerate() {
        let own: Vec<&Sample> = samples.iter().copied().filter(|s| s.contender == i).collect();
        let Some(first) = own.first() else { continue };
        rows.extend(first.figures.iter().filter_map(|(figure, _)| row(contender, figure, &own, samples)));
    }
    Placed { placement, raw_round_trip_ns: raw.map(|raw| raw.p50), rows }
}

/// One figure of one contender, from its own samples and those of all.
fn row(contender: &'static str, figure: &'static str, own: &[&Sample], all: &[&Sample]) -> Option<Row> {
    let value = |s: &Sample| s.figures.iter().find(|(name, _)| *name == figure).map(|(_, value)| *value);
    let ratio = |s: &&Sample| {
        let first = all.iter().find(|first| first.contender == 0 && first.round == s.round)?;
        Some(value(s)? / value(first).filter(|first| *first != 0.0)?)
    };
    Some(Row {
        contender,
        figure,
        samples: own.len(),
        value: Spread::of(own.iter().filter_map(|s| value(s)).collect())?,
        ratio: Spread::of(own.iter().filter_map(ratio).collect()),
    })
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workload, rounds, dropped, placements } = self;
        writeln!(f, "\n{workload}: {rounds} rounds, {dropped} samples dropped because the placement moved")?;
        for Placed { placement, raw_round_trip_ns, rows } in placements {
            match (placement, raw_round_trip_ns) {
                (Placement::Near, Some(raw)) => writeln!(f, "  near (raw {raw:.0} ns)")?,
                (_, Some(raw)) => writeln!(f, "  far (raw {raw:.0} ns)")?,
                (_, None) => {}
            }
            for row in rows {
                writeln!(f, "    {row}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contender, figure, samples, value, ratio } = self;
        let Spread { p25, p50, p75, p99, max } = value;
        write!(f, "{contender:24} {figure:32} {:>12}", digits(*p50))?;
        write!(f, " [{} {}] p99 {} max {}", digits(*p25), digits(*p75), digits(*p99), digits(*max))?;
        if let Some(ratio) = ratio {
            write!(f, "  ratio {:.2} [{:.2} {:.2}]", ratio.p50, ratio.p25, ratio.p75)?;
        }
        write!(f, "  n {samples}")
    }
}

/// As many digits as mean something, for figures from shares of a processor to times of a death.
fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        large if large >= 1000.0 => 0,
        middle if middle >= 1.0 => 2,
        _ => 5,
    };
    format!("{value:.decimals$}")
}
