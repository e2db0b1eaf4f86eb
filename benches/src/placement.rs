//! Where the two processors are to each other, by what a cache line needs from one to the other and back. A host may
//! move virtual processors at any time, and figures change severalfold when it does.
//!
//! How long that takes differs from machine to machine, so no constant tells near from far. The placements are found in the
//! run itself, in all its raw figures together:
//!
//! 1. The figures are sorted. Where two neighbours differ by more than half, the figures fall into two groups; the widest gap
//!    goes first, and each group is looked at in the same way. One figure in two hundred may lie inside a gap: there are always
//!    some that were taken while the host moved a processor.
//! 2. A group has at least three figures, and at least one in twenty of all. A few stray figures make no placement.
//! 3. A group whose upper quartile is more than twice its lower one is what others at work look like, and no placement, unless
//!    all groups are like that.
//! 4. A figure belongs to the group on its side of the gaps, unless it is less than half of the group's lower quartile or more
//!    than twice its upper one: then others had a processor meanwhile.
//!
//! Figures that spread without a gap, as on virtual machines whose processors wander, are one placement.

#![allow(clippy::disallowed_types, reason = "the raw ping-pong is what the queues are measured against")]

use crate::gate::{Gate, Place, both};
use serde::{Deserialize, Serialize};
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Figures of two placements differ by more than this, and those before and after one sample by less.
const APART: f64 = 1.5;
/// One figure in so many may lie between two placements.
const STRAY: usize = 200;
/// A placement has at least one figure in so many.
const SHARE: usize = 20;
/// And at least so many.
const FEWEST: usize = 3;
/// How far a figure may lie from the quartiles of its placement.
const WITHIN: f64 = 2.0;

/// One placement that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// What it is called: `single`; `near` and `far`; of more, by their order.
    pub name: String,
    /// Quartiles of the raw figures, nanoseconds.
    pub raw_p25_ns: f64,
    /// Their median.
    pub raw_p50_ns: f64,
    /// The upper quartile.
    pub raw_p75_ns: f64,
    /// How many figures.
    pub figures: usize,
    /// How many samples were taken there; filled in by whoever has them.
    pub samples: usize,
}

/// Why a sample belongs to no placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The raw figures before and after it differ too much.
    Moved,
    /// One of them is far from all placements: others had a processor.
    Disturbed,
}

/// The placements of one run, nearest first.
#[derive(Clone, Debug, Default)]
pub struct Placements {
    found: Vec<Placement>,
    /// Between each group of figures and the next: the middle of the gap.
    borders: Vec<f64>,
    /// For each group, which placement it is; none for those that are none.
    groups: Vec<Option<usize>>,
}

impl Placements {
    /// Finds them in the raw figures of a run, in nanoseconds.
    pub fn find(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().filter(|ns| ns.is_finite() && *ns > 0.0).collect();
        sorted.sort_by(f64::total_cmp);
        let fewest = FEWEST.max(sorted.len().div_ceil(SHARE));
        let mut borders = Vec::new();
        split(&sorted, fewest, sorted.len() / STRAY, &mut borders);
        let mut groups = Vec::new();
        let mut rest = &sorted[..];
        for border in &borders {
            let (group, others) = rest.split_at(rest.partition_point(|ns| ns < border));
            groups.push(group);
            rest = others;
        }
        if !rest.is_empty() {
            groups.push(rest);
        }
        let quantile = |group: &[f64], q: f64| group[((group.len() - 1) as f64 * q).round() as usize];
        let is_tight = |group: &&[f64]| quantile(group, 0.75) <= WITHIN * quantile(group, 0.25);
        let tight = groups.iter().filter(|group| is_tight(group)).count();
        let count = if tight == 0 { groups.len() } else { tight };
        let mut it = Self { found: Vec::new(), borders, groups: Vec::new() };
        for group in groups {
            if tight > 0 && !is_tight(&group) {
                it.groups.push(None);
                continue;
            }
            let which = it.found.len();
            it.groups.push(Some(which));
            it.found.push(Placement {
                name: name(which, count),
                raw_p25_ns: quantile(group, 0.25),
                raw_p50_ns: quantile(group, 0.5),
                raw_p75_ns: quantile(group, 0.75),
                figures: group.len(),
                samples: 0,
            });
        }
        it
    }

    /// All of them.
    pub fn all(&self) -> &[Placement] {
        &self.found
    }

    /// Which of them one raw figure belongs to.
    fn of_one(&self, ns: f64) -> Option<usize> {
        let group = self.borders.iter().filter(|border| ns >= **border).count();
        let which = self.groups.get(group).copied().flatten()?;
        let placement = self.found.get(which)?;
        let range = placement.raw_p25_ns / WITHIN..=placement.raw_p75_ns * WITHIN;
        range.contains(&ns).then_some(which)
    }

    /// Which of them a sample belongs to, by the raw figures before and after it.
    ///
    /// # Errors
    /// Why it belongs to none.
    pub fn of(&self, before: f64, after: f64) -> Result<usize, Doubt> {
        match (self.of_one(before), self.of_one(after)) {
            (Some(a), Some(b)) if a == b && before.max(after) <= APART * before.min(after) => Ok(a),
            (Some(_), Some(_)) => Err(Doubt::Moved),
            _ => Err(Doubt::Disturbed),
        }
    }
}

/// Adds the borders between the groups of `sorted`, in order.
fn split(sorted: &[f64], fewest: usize, strays: usize, borders: &mut Vec<f64>) {
    let Some(last) = sorted.len().checked_sub(fewest) else { return };
    // The first and the last figure of a gap, with `inside` more between them.
    let gaps = (0..=strays).flat_map(|inside| {
        (fewest.max(1) - 1..sorted.len()).map_while(move |low| {
            let high = low + 1 + inside;
            (high <= last && high < sorted.len()).then(|| (sorted[low], sorted[high]))
        })
    });
    let width = |gap: &(f64, f64)| gap.1 / gap.0;
    // The first of equal ones.
    let widest = gaps.reduce(|best, gap| if width(&gap) > width(&best) { gap } else { best });
    let Some(gap) = widest.filter(|gap| width(gap) > APART) else { return };
    let border = (gap.0 * gap.1).sqrt();
    let (near, far) = sorted.split_at(sorted.partition_point(|ns| *ns < border));
    split(near, fewest, strays, borders);
    borders.push(border);
    split(far, fewest, strays, borders);
}

fn name(which: usize, of: usize) -> String {
    match (which, of) {
        (_, 1) => "single".to_owned(),
        (0, 2) => "near".to_owned(),
        (_, 2) => "far".to_owned(),
        (0, _) => "nearest".to_owned(),
        (last, of) if last + 1 == of => "farthest".to_owned(),
        (which, of) => format!("{} of {of}", which + 1),
    }
}

/// A cache line of its own, twice over.
#[repr(align(128))]
struct Line(AtomicU64);

/// Round trips of one raw figure.
pub const TRIPS: u64 = 20_000;

/// Round trip of two cache lines, nanoseconds: what the machine itself needs. It is the processors' figure, so it
/// holds for two processes on them as well as for the two threads here.
pub fn raw_ping_pong(trips: u64) -> f64 {
    let gate = Gate::new();
    let (ping, pong) = (Line(AtomicU64::new(0)), Line(AtomicU64::new(0)));
    let echo = || {
        gate.meet(1);
        for i in 1..=trips {
            while ping.0.load(Ordering::Acquire) != i {
                spin_loop();
            }
            pong.0.store(i, Ordering::Release);
        }
    };
    let ask = || {
        gate.meet(0);
        let begin = Instant::now();
        for i in 1..=trips {
            ping.0.store(i, Ordering::Release);
            while pong.0.load(Ordering::Acquire) != i {
                spin_loop();
            }
        }
        begin.elapsed().as_nanos() as f64
    };
    both(Place::Threads, Box::new(ask), Box::new(echo)) / trips as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many figures, evenly from one to the other.
    fn spread(from: f64, to: f64, count: usize) -> Vec<f64> {
        (0..count).map(|i| from + (to - from) * i as f64 / (count - 1) as f64).collect()
    }

    fn names(placements: &Placements) -> Vec<(&str, usize)> {
        placements.all().iter().map(|p| (p.name.as_str(), p.figures)).collect()
    }

    #[test]
    fn figures_close_together_are_one_placement() {
        for count in [2, 5, 40, 5000] {
            let found = Placements::find(spread(90.0, 105.0, count));
            assert_eq!(names(&found), [("single", count)]);
            assert_eq!(found.of(91.0, 104.0), Ok(0));
        }
    }

    #[test]
    fn two_clear_groups_are_near_and_far() {
        for (near, far) in [(40, 40), (3, 40), (5000, 400)] {
            let figures = [spread(55.0, 65.0, near), spread(230.0, 270.0, far)].concat();
            let found = Placements::find(figures);
            assert_eq!(names(&found), [("near", near), ("far", far)]);
            assert_eq!(found.of(56.0, 64.0), Ok(0));
            assert_eq!(found.of(269.0, 231.0), Ok(1));
            assert_eq!(found.of(60.0, 250.0), Err(Doubt::Moved));
            assert_eq!(found.of(250.0, 9000.0), Err(Doubt::Disturbed));
        }
    }

    #[test]
    fn figures_taken_during_a_move_hide_no_gap() {
        let figures =
            [spread(90.0, 105.0, 1000), spread(120.0, 350.0, 5), spread(380.0, 430.0, 1000)].concat();
        let found = Placements::find(figures);
        let medians: Vec<_> = found.all().iter().map(|p| p.raw_p50_ns.round()).collect();
        assert_eq!(medians.len(), 2, "{found:?}");
        assert!(medians[0] < 100.0 && medians[1] > 400.0, "{medians:?}");
        // And nobody believes a sample that began there.
        assert_eq!(found.of(95.0, 160.0), Err(Doubt::Moved));
    }

    #[test]
    fn a_spread_without_a_gap_is_one_placement_and_no_sample_of_it_is_dropped() {
        for count in [4, 10, 100, 3000] {
            let figures = spread(240.0, 350.0, count);
            let found = Placements::find(figures.iter().copied());
            assert_eq!(names(&found), [("single", count)]);
            for (before, after) in figures.iter().zip(figures.iter().rev()) {
                assert_eq!(found.of(*before, *after), Ok(0));
            }
        }
        // Also where it lies in two heaps, as a virtual machine's does.
        let found = Placements::find([spread(240.0, 260.0, 50), spread(330.0, 350.0, 50)].concat());
        assert_eq!(names(&found), [("single", 100)]);
    }

    #[test]
    fn a_few_outliers_are_no_placement_and_are_told() {
        let figures = [spread(90.0, 105.0, 100), vec![900.0, 5000.0, 40_000.0]].concat();
        let found = Placements::find(figures);
        assert_eq!(names(&found), [("single", 103)]);
        assert!(found.all()[0].raw_p50_ns < 105.0);
        assert_eq!(found.of(95.0, 900.0), Err(Doubt::Disturbed));
        assert_eq!(found.of(30.0, 95.0), Err(Doubt::Disturbed));
        assert_eq!(found.of(95.0, 150.0), Err(Doubt::Moved));
        assert_eq!(found.of(95.0, 95.0), Ok(0));
        // Of very few figures, too.
        let found = Placements::find([100.0, 101.0, 99.0, 102.0, 3000.0]);
        assert_eq!((names(&found), found.of(100.0, 3000.0)), (vec![("single", 5)], Err(Doubt::Disturbed)));
    }

    #[test]
    fn what_others_at_work_look_like_is_no_placement() {
        let noise: Vec<f64> = (0..40).map(|i| 1000.0 * 1.1f64.powi(i)).collect();
        let found = Placements::find([spread(250.0, 320.0, 60), noise.clone()].concat());
        assert_eq!(names(&found), [("single", 60)]);
        assert_eq!((found.of(260.0, 310.0), found.of(260.0, 3000.0)), (Ok(0), Err(Doubt::Disturbed)));
        // But where there is nothing else, it is what the machine does.
        let found = Placements::find(noise);
        assert_eq!((names(&found), found.of(5000.0, 6000.0)), (vec![("single", 40)], Ok(0)));
    }

    #[test]
    fn more_than_two_groups_are_told_in_order() {
        let groups = [30.0, 100.0, 400.0, 1000.0].map(|ns| spread(ns, ns * 1.1, 20)).concat();
        let found = Placements::find(groups);
        assert_eq!(names(&found), [("nearest", 20), ("2 of 4", 20), ("3 of 4", 20), ("farthest", 20)]);
    }

    #[test]
    fn one_figure_is_a_placement_and_none_is_none() {
        let found = Placements::find([123.0]);
        assert_eq!((names(&found), found.of(123.0, 123.0)), (vec![("single", 1)], Ok(0)));
        for nothing in [vec![], vec![f64::NAN, 0.0, f64::INFINITY]] {
            let found = Placements::find(nothing);
            assert_eq!((found.all(), found.of(1.0, 1.0)), (&[][..], Err(Doubt::Disturbed)));
        }
    }
}
