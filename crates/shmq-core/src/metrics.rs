//! A look at a queue as named numbers: for Prometheus, or whatever collects metrics.
//!
//! [`METRICS`] lists them, [`Inspector::readings`] takes them of one look. With the feature `metrics`,
//! `Inspector::publish` hands them to the recorder of the `metrics` crate. All of it reads from outside: no end does
//! anything for it.

use crate::inspect::{EndSnapshot, Inspector, Snapshot};
use crate::layout::{Kind, Role};
use crate::role::PeerState;

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, also over restarts of the ends, for as long as the file exists.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// Name and meaning of a number.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// As Prometheus wants it: with its unit, counters with `_total`.
    pub name: &'static str,
    /// How it moves.
    pub kind: MetricKind,
    /// One sentence.
    pub help: &'static str,
}

/// One number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Which.
    pub metric: &'static Metric,
    /// Of which end; `None` if it is of the queue.
    pub role: Option<Role>,
    /// How much, in the unit of the name.
    pub value: f64,
}

macro_rules! metrics {
    ($($constant:ident $kind:ident $name:literal $help:literal;)*) => {
        $(static $constant: Metric = Metric { name: $name, kind: MetricKind::$kind, help: $help };)*

        /// All metrics there are.
        pub static METRICS: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    SENT Counter "shmq_sent_messages_total" "Messages sent since the queue was made.";
    RECEIVED Counter "shmq_received_messages_total" "Messages taken since the queue was made.";
    PENDING Gauge "shmq_pending_messages" "Messages sent and not taken.";
    PENDING_BYTES Gauge "shmq_pending_bytes" "Ring bytes of the messages sent and not taken.";
    USED Gauge "shmq_used_bytes" "Ring bytes that a producer cannot use now.";
    CAPACITY Gauge "shmq_capacity_bytes" "Ring bytes there are; of raw memory, its length.";
    DEPTH Gauge "shmq_max_messages" "Most messages that may be pending; absent where bytes alone limit them.";
    FILL Gauge "shmq_fill_ratio" "How full it is, 0 to 1: bytes or messages, whichever is nearer to its limit.";
    MOST_PENDING Gauge "shmq_most_pending_messages" "Most messages known to have been pending at a time; noted when an end comes, leaves or begins to wait.";
    FINISHED Gauge "shmq_finished" "1 once the end of data was declared.";
    CREATED Gauge "shmq_created_timestamp_seconds" "When the queue was made, seconds since 1970.";
    ATTACHED Gauge "shmq_end_attached" "1 while a living process holds the end.";
    LOST Gauge "shmq_end_lost" "1 if the last holder of the end ended without leaving and none has followed.";
    HOLDERS Counter "shmq_end_holders_total" "How often the end was taken.";
    SINCE Gauge "shmq_end_since_timestamp_seconds" "When the last holder of the end came, seconds since 1970.";
    ASLEEP Gauge "shmq_end_waiting_seconds" "For how long the end has been asleep, waiting for the other; 0 if it is not.";
    SLEEPS Counter "shmq_end_sleeps_total" "Times the end fell asleep.";
    WAKES Counter "shmq_end_wakes_total" "Times the end woke the other.";
    STALLS Counter "shmq_end_stalls_total" "Calls of the end that had to wait long enough to sleep.";
    REFUSED Counter "shmq_end_refused_total" "Operations of the end that were refused: a full queue, a message over the limits.";
}

impl Inspector {
    /// The numbers of one look, in the order of [`METRICS`], the producer's before the consumer's. One that does not apply
    /// to this queue is left out.
    ///
    /// ```
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// queue.producer()?.try_send(b"hello")?;
    /// let it = queue.inspect()?;
    /// for reading in it.readings(&it.snapshot()) {
    ///     let shmq::Metric { name, help, .. } = reading.metric;
    ///     println!("{name} {} {:?}: {help}", reading.value, reading.role);
    /// }
    /// let sent = it.readings(&it.snapshot()).next().expect("the first of them");
    /// assert_eq!((sent.metric.name, sent.value), ("shmq_sent_messages_total", 1.0));
    /// assert!(shmq::METRICS.contains(&sent.metric) && sent.metric.kind == shmq::MetricKind::Counter);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn readings(&self, seen: &Snapshot) -> impl Iterator<Item = Reading> + use<> {
        let limits = self.limits();
        let fill = fill(self.kind(), limits.capacity, limits.max_messages, seen);
        let kind = self.kind();
        // Raw memory has no messages and no ends; a pool's ring holds handles, whose bytes tell nobody anything.
        let sends = move |value: f64| (kind != Kind::Raw).then_some(value);
        let ring = move |value: u64| matches!(kind, Kind::Records | Kind::Slots).then_some(value as f64);
        let queue = [
            (&SENT, sends(seen.sent as f64)),
            (&RECEIVED, sends(seen.received as f64)),
            (&PENDING, sends(seen.pending_messages as f64)),
            (&PENDING_BYTES, ring(seen.pending_bytes)),
            (&USED, ring(seen.used_bytes)),
            (&CAPACITY, (kind != Kind::Pool).then_some(limits.capacity as f64)),
            (&DEPTH, limits.max_messages.map(|n| n as f64)),
            (&FILL, sends(fill)),
            (&MOST_PENDING, sends(seen.most_pending as f64)),
            (&FINISHED, sends(f64::from(u8::from(seen.finished)))),
            (&CREATED, Some(seconds(self.created_ns()))),
        ];
        let queue = queue
            .into_iter()
            .filter_map(|(metric, value)| Some(Reading { metric, role: None, value: value? }));
        let (producer, consumer) = (of_end(&seen.producer), of_end(&seen.consumer));
        let ends = producer.into_iter().zip(consumer).flat_map(|((metric, p), (_, c))| {
            let of = |role, value| Reading { metric, role: Some(role), value };
            [of(Role::Producer, p), of(Role::Consumer, c)]
        });
        queue.chain(ends.filter(move |_| kind != Kind::Raw))
    }

    /// Hands the numbers of one look to the recorder of the [`metrics`](https://docs.rs/metrics) crate, with the labels
    /// `queue` and, where they are of an end, `role`. To be called now and then, by any process that may read the file:
    /// nothing is published by itself. Needs the feature `metrics`.
    ///
    /// ```
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// let it = queue.inspect()?;
    /// it.publish("prices"); // every few seconds
    /// # Ok::<(), shmq::Error>(())
    /// ```
    #[cfg(feature = "metrics")]
    pub fn publish(&self, queue: &str) {
        for Reading { metric, role, value } in self.readings(&self.snapshot()) {
            let mut labels = vec![::metrics::Label::new("queue", queue.to_owned())];
            labels.extend(role.map(|role| ::metrics::Label::new("role", role.to_string())));
            match metric.kind {
                MetricKind::Counter => ::metrics::counter!(metric.name, labels).absolute(value as u64),
                MetricKind::Gauge => ::metrics::gauge!(metric.name, labels).set(value),
            }
        }
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// How full: bytes or messages, whichever is nearer to its limit.
fn fill(kind: Kind, capacity: u64, most: Option<u64>, seen: &Snapshot) -> f64 {
    let part = |of: u64, all: u64| of as f64 / all.max(1) as f64;
    let messages = most.map_or(0.0, |most| part(seen.pending_messages, most));
    // A group of fixed-size messages takes more than its messages do; their count alone decides.
    let bytes = if kind == Kind::Slots { 0.0 } else { part(seen.used_bytes, capacity) };
    messages.max(bytes).min(1.0)
}

fn of_end(end: &EndSnapshot) -> [(&'static Metric, f64); 9] {
    let yes = |yes: bool| f64::from(u8::from(yes));
    let attached = end.state == PeerState::Attached;
    // What a dead process noted when it fell asleep still stands there.
    let asleep = end.stalled_since_ns.filter(|_| attached);
    [
        (&ATTACHED, yes(attached)),
        (&LOST, yes(end.state == PeerState::Lost)),
        (&HOLDERS, end.epoch as f64),
        (&SINCE, seconds(end.since_ns)),
        (&ASLEEP, asleep.map_or(0.0, |since| seconds(end.now_ns.saturating_sub(since)))),
        (&SLEEPS, end.sleeps as f64),
        (&WAKES, end.wakes as f64),
        (&STALLS, end.stalls as f64),
        (&REFUSED, end.refused as f64),
    ]
}
