//! The queues, and how each of them does the same work.
//!
//! Every function makes one or more variants of one family: the plain one is a try-loop on both sides; the others are
//! what the queue's own documents recommend for speed. In a batched workload a variant whose name does not speak of batches
//! still sends and receives one by one.

mod kernel;
mod limits;
#[cfg(feature = "peers")]
pub mod peers_processes;
#[cfg(feature = "peers")]
mod peers_threads;
mod shmq_pool;
mod shmq_processes;
mod shmq_threads;
mod standard;
mod trial;

#[cfg(feature = "peers")]
mod cpp;

use crate::gate::Place;
use crate::payload::Payload;
use crate::run::Task;
use bytemuck::Pod;
pub use trial::Trial;

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
    all.extend(shmq_pool::any::<crate::payload::Words<N>>(task));
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
    all.extend(shmq_pool::any::<P>(task));
    all.extend(limits::any::<P>(task));
    all
}
