//! Ctrl-C and its kin, caught so that a run is finished and files are removed first.

use crate::failure::Failure;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Flags that signals set. A second signal of the same kind ends the process at once.
#[derive(Debug)]
pub struct Interrupt {
    flags: Vec<(i32, Arc<AtomicBool>)>,
}

impl Interrupt {
    /// From now on.
    ///
    /// # Errors
    /// What the system said.
    pub fn catch() -> Result<Self, Failure> {
        let failed = |e| Failure::io("catch signals", &e);
        let mut flags = Vec::new();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, flag.clone())
                .map_err(failed)?;
            signal_hook::flag::register(signal, flag.clone()).map_err(failed)?;
            flags.push((signal, flag));
        }
        Ok(Self { flags })
    }

    /// Whether none came yet.
    ///
    /// # Errors
    /// The signal that came.
    pub fn check(&self) -> Result<(), Failure> {
        match self.flags.iter().find(|(_, flag)| flag.load(Ordering::Relaxed)) {
            Some((signal, _)) => Err(Failure::Signal(*signal)),
            None => Ok(()),
        }
    }
}
