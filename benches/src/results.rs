//! What a run came to: the schema of what `--json` prints and `--from` reads. Names and units are part of it.

use crate::machine::Machine;
use crate::placement::Placement;
use serde::{Deserialize, Serialize};

/// Name and version of the schema.
pub const SCHEMA: &str = "shmq.bench/2";

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Name and version of the schema.
    pub schema: String,
    /// Whether the figures mean nothing.
    pub quick: bool,
    /// Whether the queues of other projects took part.
    pub peers: bool,
    /// Version of shmq.
    pub version: String,
    /// Where it was measured.
    pub machine: Machine,
    /// The placements that were found in all raw figures of the run, nearest first.
    pub placements: Vec<Placement>,
    /// What came out.
    pub workloads: Vec<Comparison>,
}

/// Quantiles of some values, by the nearest rank.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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

/// A contender: whose it is, and how it is used, which may be empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Whose.
    pub family: String,
    /// How it is used.
    pub variant: String,
}

impl Who {
    /// One of this project's own.
    pub fn is_own(&self) -> bool {
        self.family.starts_with("shmq")
    }

    /// Measures nothing itself: shows where the machine's own limit is.
    pub fn is_limit(&self) -> bool {
        self.family.starts_with("limit")
    }

    /// A queue that a user might take instead.
    pub fn is_peer(&self) -> bool {
        !self.is_own() && !self.is_limit()
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.variant.as_str() {
            "" => f.pad(&self.family),
            variant => f.pad(&format!("{}, {variant}", self.family)),
        }
    }
}

/// How many times a baseline's figure a contender's is, in the same rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ratio {
    /// The baseline's family.
    pub to: String,
    /// Over 1: larger than the baseline's, so slower.
    pub ratio: Spread,
}

/// One figure of one contender.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Whose.
    #[serde(flatten)]
    pub who: Who,
    /// What, with its unit.
    pub figure: String,
    /// How many samples.
    pub samples: usize,
    /// Its values.
    pub value: Spread,
    /// Ratios to each baseline; none where that is zero or missing.
    pub ratios: Vec<Ratio>,
}

/// Round trips of all samples together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trips {
    /// Whose.
    #[serde(flatten)]
    pub who: Who,
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
    /// From how many nanoseconds on, and how many: [`Trips::STEPS`] for each factor of ten.
    pub steps: Vec<(f64, u64)>,
}

impl Trips {
    /// Steps for each factor of ten.
    pub const STEPS: f64 = 20.0;
}

/// The best of a kind, compared with the best of this project's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// Ours.
    pub own: Who,
    /// The best peer, or the lowest limit.
    pub other: Who,
    /// The other's figure divided by ours, in the same rounds. Over 1: shmq is faster.
    pub ratio: Spread,
}

/// The results of one placement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Placed {
    /// The placement's name; none if the workload does not depend on it.
    pub placement: Option<String>,
    /// Median of the raw ping-pongs around these samples.
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Absent {
    /// Whose.
    #[serde(flatten)]
    pub who: Who,
    /// What was in the way.
    pub why: String,
}

/// Where a workload stands in a table of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The kind.
    pub section: String,
    /// The row.
    pub row: String,
    /// The column: the size of a message.
    pub column: String,
}

/// Samples that count nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The raw ping-pong changed while the sample was taken.
    pub moved: usize,
    /// The raw ping-pong was far from every placement.
    pub disturbed: usize,
}

impl Dropped {
    /// Both.
    pub fn all(&self) -> usize {
        self.moved + self.disturbed
    }
}

/// What came out of one workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// Its name.
    pub workload: String,
    /// Where it stands, if it has its like.
    pub cell: Option<Cell>,
    /// Bytes of a message, on average, if it is about messages.
    pub bytes: Option<usize>,
    /// How often each contender ran.
    pub rounds: usize,
    /// Samples that were taken.
    pub samples: usize,
    /// Those of them that count nowhere.
    pub dropped: Dropped,
    /// Who did not take part.
    pub absent: Vec<Absent>,
    /// The results, near before far.
    pub placements: Vec<Placed>,
}
