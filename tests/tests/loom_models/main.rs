//! Loom models of the protocol: every interleaving of two ends, up to a number of preemptions, and every value that
//! a load may return under the memory model.

mod orderings;
mod ring;
mod roles;
mod signals;
mod slots;
mod takeover;
