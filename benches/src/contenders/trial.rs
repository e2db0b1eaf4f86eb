//! One contender, ready to be run.

use crate::run::Outcome;

/// One variant of a contender, and how to run a number of messages or trips of it.
pub struct Trial {
    /// Whose it is.
    pub family: &'static str,
    /// How it is used.
    pub variant: &'static str,
    /// Runs it, or says why that cannot be.
    pub run: Box<dyn Fn(u64) -> Result<Outcome, String>>,
}

impl Trial {
    pub(super) fn new(
        family: &'static str,
        variant: &'static str,
        run: impl Fn(u64) -> Result<Outcome, String> + 'static,
    ) -> Self {
        Self { family, variant, run: Box::new(run) }
    }
}

/// An error as a reason.
pub fn because(error: impl std::fmt::Display) -> String {
    error.to_string()
}
