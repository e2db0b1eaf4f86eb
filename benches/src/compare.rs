//! Interleaved samples, each between two raw ping-pongs; and, once the run's placements are known, medians, and ratios within a
//! round.

use crate::placement::{Doubt, Placement, Placements, raw_ping_pong};
use crate::results::{Absent, Cell, Comparison, Dropped, Placed, Ratio, Row, Spread, Trips, Verdict, Who};
use crate::run::{Figures, Outcome};
use hdrhistogram::Histogram;

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

    fn who(&self) -> Who {
        Who { family: self.family.to_owned(), variant: self.variant.to_owned() }
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

/// A sample with the machine's own figures around it.
struct Sample {
    contender: usize,
    round: usize,
    /// The raw ping-pong before and after, if it matters.
    raw_ns: Option<[f64; 2]>,
    figures: Figures,
    /// Lengths of round trips, and how often each occurred: a histogram of each sample would fill the memory.
    trips: Vec<(u64, u64)>,
}

impl Sample {
    fn value(&self, figure: &str) -> Option<f64> {
        self.figures.iter().find(|(name, _)| *name == figure).map(|(_, value)| *value)
    }

    /// What decides: a stream's or round trip's first figure.
    fn first(&self) -> Option<f64> {
        self.figures.first().map(|(_, value)| *value)
    }
}

/// All samples of one workload.
pub struct Measured {
    /// Its name.
    pub workload: String,
    /// Where it stands, if it has its like.
    pub cell: Option<Cell>,
    /// Bytes of a message, if it is about messages.
    pub bytes: Option<usize>,
    /// Who did not take part.
    pub absent: Vec<Absent>,
    rounds: usize,
    baseline: Baseline,
    contenders: Vec<Who>,
    samples: Vec<Sample>,
}

/// Runs all contenders in turn, `rounds` times, each sample between two raw ping-pongs of so many `trips`; of none, for what does
/// not depend on the caches and may last longer than the processors stay in place.
pub fn compare(
    workload: &str,
    contenders: &[Contender],
    rounds: usize,
    baseline: Baseline,
    trips: Option<u64>,
) -> Measured {
    measure(workload, contenders, rounds, baseline, || trips.map(raw_ping_pong))
}

fn measure(
    workload: &str,
    contenders: &[Contender],
    rounds: usize,
    baseline: Baseline,
    raw: impl Fn() -> Option<f64>,
) -> Measured {
    let mut samples = Vec::new();
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            // Not always the same one after the same one.
            let contender = (turn + round) % contenders.len();
            let before = raw();
            let Outcome { figures, trips } = (contenders[contender].run)();
            let raw_ns = before.zip(raw()).map(|(before, after)| [before, after]);
            let trips = trips.iter().flat_map(Histogram::iter_recorded);
            let trips = trips.map(|step| (step.value_iterated_to(), step.count_at_value())).collect();
            samples.push(Sample { contender, round, raw_ns, figures, trips });
        }
    }
    Measured {
        workload: workload.to_owned(),
        cell: None,
        bytes: None,
        absent: Vec::new(),
        rounds,
        baseline,
        contenders: contenders.iter().map(Contender::who).collect(),
        samples,
    }
}

impl Measured {
    /// All raw figures, in nanoseconds.
    pub fn raw_figures(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().filter_map(|sample| sample.raw_ns).flatten()
    }

    /// What came out, with the samples filed by placement.
    fn filed(&self, placements: &Placements, counts: &mut [Placement]) -> Comparison {
        let mut files: Vec<Vec<&Sample>> = placements.all().iter().map(|_| Vec::new()).collect();
        let (mut anywhere, mut dropped) = (Vec::new(), Dropped::default());
        for sample in &self.samples {
            let Some([before, after]) = sample.raw_ns else {
                anywhere.push(sample);
                continue;
            };
            match placements.of(before, after) {
                Ok(which) => {
                    files[which].push(sample);
                    counts[which].samples += 1;
                }
                Err(Doubt::Moved) => dropped.moved += 1,
                Err(Doubt::Disturbed) => dropped.disturbed += 1,
            }
        }
        let names = placements.all().iter().map(|placement| Some(placement.name.clone()));
        let files = names.zip(files).chain([(None, anywhere)]);
        let placed = files.filter(|(_, samples)| !samples.is_empty()).map(|(placement, samples)| {
            Table { contenders: &self.contenders, samples }.placed(placement, self.baseline)
        });
        Comparison {
            workload: self.workload.clone(),
            cell: self.cell.clone(),
            bytes: self.bytes,
            rounds: self.rounds,
            samples: self.samples.len(),
            dropped,
            absent: self.absent.clone(),
            placements: placed.collect(),
        }
    }
}

/// The placements of a run, found in all its raw figures, and what came out of each workload.
pub fn file(run: &[Measured]) -> (Vec<Placement>, Vec<Comparison>) {
    let placements = Placements::find(run.iter().flat_map(Measured::raw_figures));
    let mut counts = placements.all().to_vec();
    let comparisons = run.iter().map(|measured| measured.filed(&placements, &mut counts)).collect();
    (counts, comparisons)
}

/// The samples of one placement.
struct Table<'a> {
    contenders: &'a [Who],
    samples: Vec<&'a Sample>,
}

impl Table<'_> {
    fn of(&self, contender: usize) -> impl Iterator<Item = &Sample> {
        self.samples.iter().copied().filter(move |s| s.contender == contender)
    }

    fn median(&self, contender: usize) -> Option<f64> {
        Some(Spread::of(self.of(contender).filter_map(Sample::first).collect())?.p50)
    }

    /// The contender with the lowest first figure among those that `which` names.
    fn best(&self, which: impl Fn(&Who) -> bool) -> Option<usize> {
        let candidates = (0..self.contenders.len()).filter(|i| which(&self.contenders[*i]));
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
        let who = |i: usize| self.contenders[i].clone();
        let figure = self.of(own).next()?.figures.first()?.0;
        Some(Verdict { own: who(own), other: who(other), ratio: self.ratio(other, own, figure)? })
    }

    fn placed(&self, placement: Option<String>, baseline: Baseline) -> Placed {
        let raw = self.samples.iter().filter_map(|s| s.raw_ns).flatten().collect();
        let baselines: Vec<usize> = match baseline {
            Baseline::First => vec![0],
            Baseline::Own => {
                let own = ["shmq records", "shmq slots"];
                own.into_iter().filter_map(|family| self.best(|other| other.family == family)).collect()
            }
        };
        let (mut rows, mut trips) = (Vec::new(), Vec::new());
        for (i, who) in self.contenders.iter().enumerate() {
            let Some(first) = self.of(i).next() else { continue };
            let figures = first.figures.iter();
            rows.extend(figures.filter_map(|(figure, _)| self.row(i, figure, &baselines)));
            trips.extend(distribution(who, self.of(i).flat_map(|s| &s.trips).copied()));
        }
        let own = self.best(Who::is_own).filter(|_| baseline == Baseline::Own);
        let beside = |which: fn(&Who) -> bool| self.verdict(own?, self.best(which)?);
        Placed {
            placement,
            raw_round_trip_ns: Spread::of(raw).map(|raw| raw.p50),
            rows,
            trips,
            best_peer: beside(Who::is_peer),
            limit: beside(Who::is_limit),
        }
    }

    fn row(&self, contender: usize, figure: &'static str, baselines: &[usize]) -> Option<Row> {
        let values: Vec<f64> = self.of(contender).filter_map(|s| s.value(figure)).collect();
        let ratio = |to: &usize| {
            let family = self.contenders[*to].family.clone();
            Some(Ratio { to: family, ratio: self.ratio(contender, *to, figure)? })
        };
        Some(Row {
            who: self.contenders[contender].clone(),
            figure: figure.to_owned(),
            samples: values.len(),
            value: Spread::of(values)?,
            ratios: baselines.iter().filter_map(ratio).collect(),
        })
    }
}

/// Round trips of all samples together; `None` if there are none.
fn distribution(who: &Who, counted: impl Iterator<Item = (u64, u64)>) -> Option<Trips> {
    let mut trips = crate::run::histogram();
    counted.for_each(|(ns, count)| trips.saturating_record_n(ns, count));
    if trips.is_empty() {
        return None;
    }
    let mut steps: Vec<(f64, u64)> = Vec::new();
    for value in trips.iter_recorded() {
        let step = ((value.value_iterated_to().max(1) as f64).log10() * Trips::STEPS).floor();
        let from = (10f64.powf(step / Trips::STEPS) * 10.0).round() / 10.0;
        match steps.last_mut() {
            Some(last) if last.0 == from => last.1 += value.count_at_value(),
            _ => steps.push((from, value.count_at_value())),
        }
    }
    let at = |q| trips.value_at_quantile(q);
    Some(Trips {
        who: who.clone(),
        count: trips.len(),
        p50_ns: at(0.5),
        p99_ns: at(0.99),
        p99_9_ns: at(0.999),
        p99_99_ns: at(0.9999),
        max_ns: trips.max(),
        steps,
    })
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

    /// One workload, with raw figures as from a list, over and over.
    fn run(contenders: &[Contender], rounds: usize, baseline: Baseline, raw: &[f64]) -> Measured {
        let at = Cell::new(0);
        measure("w", contenders, rounds, baseline, || {
            at.set(at.get() + 1);
            Some(raw[(at.get() - 1) % raw.len()])
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
        let (_, comparisons) = file(&[run(&contenders, 5, Baseline::Own, &[100.0])]);
        let [placed] = &comparisons[0].placements[..] else { panic!("one placement") };
        let peer = placed.rows.iter().find(|row| row.who.family == "peer").expect("it took part");
        let ratios: Vec<_> = peer.ratios.iter().map(|r| (r.to.as_str(), r.ratio.p25, r.ratio.p75)).collect();
        assert_eq!(ratios, [("shmq records", 4.0, 4.0), ("shmq slots", 4.0 / 3.0, 4.0 / 3.0)]);
        assert_eq!(placed.best_peer.as_ref().expect("a peer").ratio.p50, 4.0);
        assert_eq!(placed.limit.as_ref().expect("a limit").ratio.p50, 0.5);
    }

    #[test]
    fn every_sample_is_filed_or_counted_as_dropped() {
        let contenders = [contender("shmq records", 1.0), contender("peer", 1.0)];
        // Four rounds of two: near, one that moved, one that was disturbed, and far.
        let near = [60.0; 4];
        let raw = [&near[..], &[60.0, 250.0], &[60.0, 9000.0], &[250.0; 8]].concat();
        let measured = run(&contenders, 4, Baseline::First, &raw);
        let (placements, comparisons) = file(&[measured]);
        let found: Vec<_> = placements.iter().map(|p| (p.name.as_str(), p.samples)).collect();
        assert_eq!(found, [("near", 2), ("far", 4)]);
        let result = &comparisons[0];
        assert_eq!((result.samples, result.dropped), (8, Dropped { moved: 1, disturbed: 1 }));
        let filed: Vec<_> =
            result.placements.iter().map(|p| (p.placement.as_deref(), p.rows[0].samples)).collect();
        assert_eq!(filed, [(Some("near"), 1), (Some("far"), 2)]);
    }

    #[test]
    fn placements_are_those_of_the_whole_run() {
        let contenders = [contender("shmq records", 1.0)];
        let workloads = [60.0, 250.0].map(|ns| run(&contenders, 3, Baseline::First, &[ns]));
        let (placements, comparisons) = file(&workloads);
        assert_eq!(placements.len(), 2);
        let names: Vec<_> = comparisons.iter().map(|c| c.placements[0].placement.as_deref()).collect();
        assert_eq!(names, [Some("near"), Some("far")]);
    }

    #[test]
    fn what_depends_on_no_placement_has_none() {
        let contenders = [contender("a", 1.0)];
        let (placements, comparisons) = file(&[compare("w", &contenders, 2, Baseline::First, None)]);
        assert_eq!((placements.len(), &comparisons[0].placements[0].placement), (0, &None));
        assert_eq!(comparisons[0].placements[0].rows[0].samples, 2);
    }
}
