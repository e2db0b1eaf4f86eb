//! Interleaved samples, each between two raw ping-pongs, sorted by placement; medians, and ratios within a round.

use crate::placement::{Placement, raw_ping_pong};
use crate::run::{Figures, Outcome};
use hdrhistogram::Histogram;
use serde::Serialize;

/// One variant of a contender, and how to run one sample of it.
pub struct Contender {
    /// Whose it is.
    pub family: &'static str,
    /// How it is used; may be empty.
    pub variant: &'static str,
    /// Runs one sample.
    pub run: Box<dyn Fn() -> Outcome>,
}

impl Contender {
    /// One that has no variants and measures plain figures.
    pub fn new(family: &'static str, run: impl Fn() -> Figures + 'static) -> Self {
        Self { family, variant: "", run: Box::new(move || run().into()) }
    }

    /// Measures nothing itself: shows where the machine's own limit is.
    fn is_limit(family: &str) -> bool {
        family.starts_with("limit")
    }

    /// One of this project's own.
    pub fn is_own(family: &str) -> bool {
        family.starts_with("shmq")
    }

    /// A queue that a user might take instead.
    pub fn is_peer(family: &str) -> bool {
        !Self::is_limit(family) && !Self::is_own(family)
    }
}

/// What the ratios are to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// The first contender.
    First,
    /// The best variant of each of this project's own.
    Own,
}

/// A sample with the machine's own figure around it.
struct Sample {
    contender: usize,
    round: usize,
    placement: Placement,
    raw_ns: Option<f64>,
    outcome: Outcome,
}

impl Sample {
    fn value(&self, figure: &str) -> Option<f64> {
        self.outcome.figures.iter().find(|(name, _)| *name == figure).map(|(_, value)| *value)
    }

    /// What decides: a stream's or round trip's first figure.
    fn first(&self) -> Option<f64> {
        self.outcome.figures.first().map(|(_, value)| *value)
    }
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

/// How many times a baseline's figure a contender's is, in the same rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    /// The baseline's name.
    pub to: &'static str,
    /// Over 1: larger than the baseline's, so slower.
    pub ratio: Spread,
}

/// One figure of one contender.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Whose.
    pub family: &'static str,
    /// How it was used.
    pub variant: &'static str,
    /// What, with its unit.
    pub figure: &'static str,
    /// How many samples.
    pub samples: usize,
    /// Its values.
    pub value: Spread,
    /// Ratios to each baseline; none where that is zero or missing.
    pub ratios: Vec<Ratio>,
}

/// Round trips of all samples together.
#[derive(Clone, Debug, Serialize)]
pub struct Trips {
    /// Whose.
    pub family: &'static str,
    /// How it was used.
    pub variant: &'static str,
    /// How many.
    pub count: u64,
    /// The median, nanoseconds.
    pub p50_ns: u64,
    /// One in a hundred took longer.
    pub p99_ns: u64,
    /// One in a thousand.
    pub p99_9_ns: u64,
    /// One in ten thousand.
    pub p99_99_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// From how many nanoseconds on, and how many: 20 steps for each factor of ten.
    pub steps: Vec<(f64, u64)>,
}

impl Trips {
    /// Steps for each factor of ten.
    pub const STEPS: f64 = 20.0;

    fn of(family: &'static str, variant: &'static str, trips: &Histogram<u64>) -> Self {
        let mut steps: Vec<(f64, u64)> = Vec::new();
        for value in trips.iter_recorded() {
            let step = ((value.value_iterated_to().max(1) as f64).log10() * Self::STEPS).floor();
            let from = (10f64.powf(step / Self::STEPS) * 10.0).round() / 10.0;
            match steps.last_mut() {
                Some(last) if last.0 == from => last.1 += value.count_at_value(),
                _ => steps.push((from, value.count_at_value())),
            }
        }
        let at = |q| trips.value_at_quantile(q);
        Self {
            family,
            variant,
            count: trips.len(),
            p50_ns: at(0.5),
            p99_ns: at(0.99),
            p99_9_ns: at(0.999),
            p99_99_ns: at(0.9999),
            max_ns: trips.max(),
            steps,
        }
    }
}

/// The best of a kind, compared with the best of this project's own.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Our family and variant.
    pub own: (&'static str, &'static str),
    /// The best peer's, or the lowest limit's.
    pub other: (&'static str, &'static str),
    /// The other's figure divided by ours, in the same rounds. Over 1: shmq is faster.
    pub ratio: Spread,
}

/// The rows of one placement.
#[derive(Clone, Debug, Serialize)]
pub struct Placed {
    /// Where the processors were.
    pub placement: Placement,
    /// Median of the raw ping-pongs, if the workload depends on it.
    pub raw_round_trip_ns: Option<f64>,
    /// One for each contender and figure.
    pub rows: Vec<Row>,
    /// For round trips, one for each contender.
    pub trips: Vec<Trips>,
    /// Where this project's own take part: the best of them beside the best peer.
    pub best_peer: Option<Verdict>,
    /// The best of them beside the limit of the machine.
    pub limit: Option<Verdict>,
}

/// A contender that did not take part, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Absent {
    /// Whose.
    pub family: &'static str,
    /// How it would have been used.
    pub variant: &'static str,
    /// What was in the way.
    pub why: String,
}

/// What came out of one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Its name.
    pub workload: String,
    /// Bytes of a message, on average, if it is about messages.
    pub bytes: Option<usize>,
    /// How often each contender ran.
    pub rounds: usize,
    /// Samples during which the placement changed, or during which others had a processor; they count nowhere.
    pub dropped: usize,
    /// Who did not take part.
    pub absent: Vec<Absent>,
    /// The results, near before far.
    pub placements: Vec<Placed>,
}

/// Runs one contender, with the placement before and after; `None` if that has changed or cannot be told.
fn sample(contender: usize, round: usize, run: &dyn Fn() -> Outcome, trips: u64) -> Option<Sample> {
    let before = raw_ping_pong(trips);
    let outcome = run();
    let after = raw_ping_pong(trips);
    let placement = Placement::of(before)?;
    (Placement::of(after) == Some(placement)).then_some(Sample {
        contender,
        round,
        placement,
        raw_ns: Some((before + after) / 2.0),
        outcome,
    })
}

/// Runs all contenders in turn, `rounds` times, and tells near from far by so many raw `trips`.
pub fn compare(
    workload: &str,
    contenders: &[Contender],
    rounds: usize,
    baseline: Baseline,
    trips: u64,
) -> Comparison {
    measure(workload, contenders, rounds, baseline, |contender, round, run| {
        sample(contender, round, run, trips)
    })
}

/// As [`compare`], for what does not depend on the caches, and may last longer than the processors stay in place.
pub fn compare_anywhere(workload: &str, contenders: &[Contender], rounds: usize) -> Comparison {
    measure(workload, contenders, rounds, Baseline::First, |contender, round, run| {
        Some(Sample { contender, round, placement: Placement::Any, raw_ns: None, outcome: run() })
    })
}

fn measure(
    workload: &str,
    contenders: &[Contender],
    rounds: usize,
    baseline: Baseline,
    sample: impl Fn(usize, usize, &dyn Fn() -> Outcome) -> Option<Sample>,
) -> Comparison {
    let mut samples = Vec::new();
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            // Not always the same one after the same one.
            let contender = (turn + round) % contenders.len();
            samples.extend(sample(contender, round, &contenders[contender].run));
        }
    }
    let placements = [Placement::Near, Placement::Far, Placement::Any]
        .into_iter()
        .filter_map(|placement| {
            let here: Vec<&Sample> = samples.iter().filter(|s| s.placement == placement).collect();
            (!here.is_empty()).then(|| Table { contenders, samples: here }.placed(placement, baseline))
        })
        .collect();
    let dropped = rounds * contenders.len() - samples.len();
    Comparison { workload: workload.to_owned(), bytes: None, rounds, dropped, absent: Vec::new(), placements }
}

/// The samples of one placement.
struct Table<'a> {
    contenders: &'a [Contender],
    samples: Vec<&'a Sample>,
}

impl Table<'_> {
    fn of(&self, contender: usize) -> impl Iterator<Item = &Sample> {
        self.samples.iter().copied().filter(move |s| s.contender == contender)
    }

    fn median(&self, contender: usize) -> Option<f64> {
        Some(Spread::of(self.of(contender).filter_map(Sample::first).collect())?.p50)
    }

    /// The contender with the lowest first figure among those of the families that `which` names.
    fn best(&self, which: impl Fn(&str) -> bool) -> Option<usize> {
        let candidates = (0..self.contenders.len()).filter(|i| which(self.contenders[*i].family));
        let medians = candidates.filter_map(|i| Some((i, self.median(i)?)));
        medians.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i)
    }

    /// Ratios of a figure to a baseline's, within rounds.
    fn ratio(&self, contender: usize, to: usize, figure: &str) -> Option<Spread> {
        let ratio = |s: &Sample| {
            let base = self.of(to).find(|base| base.round == s.round)?.value(figure)?;
            Some(s.value(figure)? / Some(base).filter(|base| *base != 0.0)?)
        };
        Spread::of(self.of(contender).filter_map(ratio).collect())
    }

    fn verdict(&self, own: usize, other: usize) -> Option<Verdict> {
        let name = |i: usize| (self.contenders[i].family, self.contenders[i].variant);
        let figure = self.of(own).next()?.outcome.figures.first()?.0;
        Some(Verdict { own: name(own), other: name(other), ratio: self.ratio(other, own, figure)? })
    }

    fn placed(&self, placement: Placement, baseline: Baseline) -> Placed {
        let raw = Spread::of(self.samples.iter().filter_map(|s| s.raw_ns).collect());
        let baselines: Vec<usize> = match baseline {
            Baseline::First => vec![0],
            Baseline::Own => {
                let own = ["shmq records", "shmq slots"];
                own.into_iter().filter_map(|family| self.best(|other| other == family)).collect()
            }
        };
        let (mut rows, mut trips) = (Vec::new(), Vec::new());
        for (i, contender) in self.contenders.iter().enumerate() {
            let Some(first) = self.of(i).next() else { continue };
            let figures = first.outcome.figures.iter();
            rows.extend(figures.filter_map(|(figure, _)| self.row(i, figure, &baselines)));
            let all = self.of(i).filter_map(|s| s.outcome.trips.as_ref()).cloned().reduce(|mut all, one| {
                all += one;
                all
            });
            trips.extend(all.map(|all| Trips::of(contender.family, contender.variant, &all)));
        }
        let own = self.best(Contender::is_own).filter(|_| baseline == Baseline::Own);
        let beside = |which: fn(&str) -> bool| self.verdict(own?, self.best(which)?);
        Placed {
            placement,
            raw_round_trip_ns: raw.map(|raw| raw.p50),
            rows,
            trips,
            best_peer: beside(Contender::is_peer),
            limit: beside(Contender::is_limit),
        }
    }

    fn row(&self, contender: usize, figure: &'static str, baselines: &[usize]) -> Option<Row> {
        let Contender { family, variant, .. } = self.contenders[contender];
        let values: Vec<f64> = self.of(contender).filter_map(|s| s.value(figure)).collect();
        let ratio = |to: &usize| {
            Some(Ratio { to: self.contenders[*to].family, ratio: self.ratio(contender, *to, figure)? })
        };
        Some(Row {
            family,
            variant,
            figure,
            samples: values.len(),
            value: Spread::of(values)?,
            ratios: baselines.iter().filter_map(ratio).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A machine that slows everything down from round to round, the same for all.
    fn contender(family: &'static str, times: f64) -> Contender {
        let calls = Cell::new(0.0);
        Contender::new(family, move || {
            calls.set(calls.get() + 1.0);
            vec![("message_ns", calls.get() * times)]
        })
    }

    #[test]
    fn ratios_are_within_rounds_and_to_the_best_of_ones_own() {
        let contenders = [
            contender("shmq slots", 3.0),
            contender("shmq records", 2.0),
            contender("shmq records", 1.0),
            contender("peer", 4.0),
            contender("limit", 0.5),
        ];
        let run = |contender: usize, round, run: &dyn Fn() -> Outcome| {
            Some(Sample { contender, round, placement: Placement::Near, raw_ns: Some(100.0), outcome: run() })
        };
        let result = measure("w", &contenders, 5, Baseline::Own, run);
        let [placed] = &result.placements[..] else { panic!("one placement") };
        let peer = placed.rows.iter().find(|row| row.family == "peer").expect("it took part");
        let ratios: Vec<_> = peer.ratios.iter().map(|r| (r.to, r.ratio.p25, r.ratio.p75)).collect();
        assert_eq!(ratios, [("shmq records", 4.0, 4.0), ("shmq slots", 4.0 / 3.0, 4.0 / 3.0)]);
        assert_eq!(placed.best_peer.as_ref().expect("a peer").ratio.p50, 4.0);
        assert_eq!(placed.limit.as_ref().expect("a limit").ratio.p50, 0.5);
    }

    #[test]
    fn a_sample_during_which_the_placement_moved_counts_nowhere() {
        let contenders = [contender("shmq records", 1.0), contender("peer", 1.0)];
        let run = |contender: usize, round: usize, run: &dyn Fn() -> Outcome| {
            let placement = if round == 0 { Placement::Near } else { Placement::Far };
            let outcome = run();
            (round != 2).then_some(Sample { contender, round, placement, raw_ns: Some(1.0), outcome })
        };
        let result = measure("w", &contenders, 4, Baseline::First, run);
        assert_eq!(result.dropped, 2);
        let samples: Vec<_> = result.placements.iter().map(|p| p.rows[0].samples).collect();
        assert_eq!(samples, [1, 2]);
    }
}
