//! The queues, and how each of them does the same work.
//!
//! Every function makes one or more variants of one family: the plain one is a try-loop on both sides; the others are
//! what the queue's own documents recommend for speed. In a batched workload a variant whose name does not speak of batches
//! still sends and receives one by one.

mod kernel;
mod limits;
#[cfg(feature = "peers")]
mod peers_processes;
#[cfg(feature = "peers")]
mod peers_threads;
mod shmq_processes;
mod shmq_threads;
mod standard;

#[cfg(feature = "peers")]
mod cpp;

use crate::gate::Place;
use crate::payload::Payload;
use crate::run::{Outcome, Task};
use bytemuck::Pod;

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
    fn new(
        family: &'static str,
        variant: &'static str,
        run: impl Fn(u64) -> Result<Outcome, String> + 'static,
    ) -> Self {
        Self { family, variant, run: Box::new(run) }
    }
}

/// For messages of a fixed size that fit a stack.
pub fn fixed<const N: usize>(task: Task) -> Vec<Trial>
where
    [u64; N]: Pod,
{
    let mut all = Vec::new();
    match task.place {
        Place::Threads => {
            all.extend(shmq_threads::fixed::<N>(task));
            all.extend(standard::fixed::<N>(task));
            #[cfg(feature = "peers")]
            all.extend(peers_threads::fixed::<N>(task));
        }
        Place::Processes => {
            all.extend(shmq_processes::fixed::<N>(task));
            #[cfg(feature = "peers")]
            all.extend(peers_processes::fixed::<N>(task));
            all.extend(kernel::any::<crate::payload::Words<N>>(task));
        }
    }
    #[cfg(feature = "peers")]
    all.extend(cpp::fixed(task, 8 * N));
    all.extend(limits::any::<crate::payload::Words<N>>(task));
    all
}

/// For messages of any length.
pub fn any<P: Payload>(task: Task) -> Vec<Trial> {
    let mut all = Vec::new();
    match task.place {
        Place::Threads => {
            all.extend(shmq_threads::any::<P>(task));
            all.extend(standard::any::<P>(task));
            #[cfg(feature = "peers")]
            all.extend(peers_threads::any::<P>(task));
        }
        Place::Processes => {
            all.extend(shmq_processes::any::<P>(task));
            #[cfg(feature = "peers")]
            all.extend(peers_processes::any::<P>(task));
            all.extend(kernel::any::<P>(task));
        }
    }
    all.extend(limits::any::<P>(task));
    all
}

/// An error as a reason.
fn because(error: impl std::fmt::Display) -> String {
    error.to_string()
}
