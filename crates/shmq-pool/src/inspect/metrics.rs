//! A look at a pool as named numbers, beside those of any queue.

use super::inspector::{Inspector, Snapshot};
use shmq::{Metric, MetricKind, Reading};

static BLOCKS: Metric =
    Metric { name: "shmq_pool_blocks", kind: MetricKind::Gauge, help: "Blocks of the pool." };
static BLOCK_BYTES: Metric =
    Metric { name: "shmq_pool_block_bytes", kind: MetricKind::Gauge, help: "Bytes of each block." };
static AT_HOME: Metric = Metric {
    name: "shmq_pool_home_blocks",
    kind: MetricKind::Gauge,
    help: "Blocks that the writer has, free or on loan.",
};
static HELD: Metric = Metric {
    name: "shmq_pool_held_blocks",
    kind: MetricKind::Gauge,
    help: "Blocks that the reader has received and not given back, or had when it died.",
};
static COMING_BACK: Metric = Metric {
    name: "shmq_pool_returning_blocks",
    kind: MetricKind::Gauge,
    help: "Blocks that the reader has given back and the writer not taken yet.",
};
static RETURNED: Metric = Metric {
    name: "shmq_pool_returned_blocks_total",
    kind: MetricKind::Counter,
    help: "Blocks given back since the pool was made.",
};

/// The metrics that only pools have.
pub static METRICS: &[&Metric] = &[&BLOCKS, &BLOCK_BYTES, &AT_HOME, &HELD, &COMING_BACK, &RETURNED];

impl Inspector {
    /// The numbers of one look: those of [`shmq::Inspector::readings`] that apply, where a message is a full block, and
    /// then [`METRICS`]. A pool is as full as the writer finds it: what is under way or held counts.
    ///
    /// ```
    /// # let pool = shmq_pool::Pool::anonymous(4, 4096, &shmq_pool::Options::new())?;
    /// pool.writer()?.try_loan()?.send(5)?;
    /// let it = pool.inspect()?;
    /// let of = |name| it.readings(&it.snapshot()).find(|r| r.metric.name == name).map(|r| r.value);
    /// assert_eq!(of("shmq_pending_messages"), Some(1.0));
    /// assert_eq!(of("shmq_fill_ratio"), Some(0.25));
    /// assert_eq!(of("shmq_pool_home_blocks"), Some(3.0));
    /// assert!(shmq_pool::METRICS.iter().any(|metric| metric.name == "shmq_pool_home_blocks"));
    /// # Ok::<(), shmq_pool::Error>(())
    /// ```
    pub fn readings(&self, seen: &Snapshot) -> impl Iterator<Item = Reading> + use<> {
        let fill = (seen.under_way + seen.held) as f64 / self.blocks().max(1) as f64;
        let queue =
            self.queue.readings(&self.queue.snapshot()).map(move |reading| match reading.metric.name {
                "shmq_fill_ratio" => Reading { value: fill.min(1.0), ..reading },
                _ => reading,
            });
        let own = [
            (&BLOCKS, self.blocks()),
            (&BLOCK_BYTES, self.block_size()),
            (&AT_HOME, seen.at_home),
            (&HELD, seen.held),
            (&COMING_BACK, seen.coming_back),
            (&RETURNED, seen.returned),
        ];
        queue.chain(own.map(|(metric, value)| Reading { metric, role: None, value: value as f64 }))
    }
}
