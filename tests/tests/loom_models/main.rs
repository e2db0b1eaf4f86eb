//! Loom models of the protocol: every interleaving of two ends, up to a number of preemptions, and every value that
//! a load may return under the memory model.

mod look;
mod marks;
mod orderings;
mod pairs;
mod report;
mod ring;
mod roles;
mod sets;
mod signals;
mod slots;
mod slots_signals;
mod slots_takeover;
mod takeover;
