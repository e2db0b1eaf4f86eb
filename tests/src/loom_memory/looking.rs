//! The memory of a model as somebody sees it who only looks.

use super::LoomMemory;
use shmq_core::{Memory, Site, Window, at};

/// Copies by looking. Whoever looks races with the producer's next messages, and throws away what came of it; for the two
/// ends such a race would be a defect, so the memory itself raises an alarm.
#[derive(Clone)]
pub struct Looking(pub LoomMemory);

// SAFETY: everything is handed on, a copy as the words it consists of.
unsafe impl Memory for Looking {
    fn len(&self) -> usize {
        self.0.len()
    }

    unsafe fn load(&self, at: usize, site: Site) -> u64 {
        // SAFETY: the caller's.
        unsafe { self.0.load(at, site) }
    }

    unsafe fn store(&self, _: usize, _: u64, _: Site) {
        unreachable!("nobody who looks stores");
    }

    fn fence(&self, site: Site) {
        self.0.fence(site);
    }

    unsafe fn copy_in(&self, _: usize, _: &[u8]) {
        unreachable!("nobody who looks stores");
    }

    unsafe fn copy_out(&self, from: usize, into: &mut [u8]) {
        for (i, chunk) in into.chunks_mut(8).enumerate() {
            // SAFETY: the caller's.
            let word = unsafe { self.0.load(from + 8 * i, at::COUNT_LOAD) };
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}

impl Looking {
    /// The queue in this memory.
    pub fn at(memory: &LoomMemory) -> Window<Self> {
        let window = memory.window();
        Window::new(Self(window.memory().clone()), *window.parts()).expect("a good ring")
    }
}
