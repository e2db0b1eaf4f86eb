//! The stage of the example, to be killed.

use crate::{Outcome, said};

#[allow(dead_code, reason = "what supervises it is not used here")]
#[path = "../../../../crates/shmq/examples/pipeline.rs"]
mod pipeline;

pub fn stage(input: &str, output: &str, mode: &str) -> Outcome {
    pipeline::stage(input, output, mode == "marks").map_err(said)
}
