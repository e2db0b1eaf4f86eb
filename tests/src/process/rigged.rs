//! A mapping with a death wish.

use shmq_core::stop::StopHandle;
use shmq_core::{FileEvent, FileWatch, Geometry, Map, Memory, Park, Site, Window};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A mapping of which everything is real, but which can kill its own process after a number of stored words, and can sleep
/// longer than it is told to, so that a lost wake shows as what it is.
#[derive(Clone, Debug)]
pub struct Rigged {
    map: Map,
    /// Words that may still be stored before SIGKILL.
    life: Rc<Cell<u64>>,
    /// Sleep this long instead; and how often it took that long.
    patience: Option<Duration>,
    overslept: Rc<Cell<u64>>,
    mute: bool,
    /// What is triggered between the last look and the sleep.
    late: Option<StopHandle>,
}

impl Rigged {
    /// Nothing out of the ordinary yet.
    pub fn new(map: Map) -> Self {
        Self {
            map,
            life: Rc::new(Cell::new(u64::MAX)),
            patience: None,
            overslept: Rc::default(),
            mute: false,
            late: None,
        }
    }

    /// Dies before the word after the next `words` is stored.
    pub fn die_after(&self, words: u64) {
        self.life.set(words);
    }

    /// Sleeps until woken, or this long.
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// Pokes nobody.
    pub fn mute(self) -> Self {
        Self { mute: true, ..self }
    }

    /// Triggers this handle each time a sleep begins: after the last look, before the kernel's.
    pub fn stops_late(self, stop: &StopHandle) -> Self {
        Self { late: Some(stop.clone()), ..self }
    }

    fn trigger_late(&self) {
        if let Some(late) = &self.late {
            late.trigger();
        }
    }

    /// Sleeps that nobody ended.
    pub fn overslept(&self) -> u64 {
        self.overslept.get()
    }

    /// A window on the ring of a file.
    pub fn window(&self, geometry: &Geometry) -> Window<Self> {
        Window::new(self.clone(), geometry.parts).expect("a checked geometry")
    }

    /// How many of `words` can be stored; SIGKILL if that is none.
    fn live(&self, words: u64) -> u64 {
        let left = self.life.get();
        if left == 0 && words > 0 {
            // SAFETY: a plain system call; it does not return.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            unreachable!("killed");
        }
        self.life.set(left.saturating_sub(words));
        words.min(left)
    }
}

// SAFETY: passes on calls that meet the contract, or parts of them, in order, until the process ends.
unsafe impl Memory for Rigged {
    fn len(&self) -> usize {
        self.map.len()
    }
    unsafe fn load(&self, at: usize, site: Site) -> u64 {
        // SAFETY: the caller's.
        unsafe { self.map.load(at, site) }
    }
    unsafe fn store(&self, at: usize, value: u64, site: Site) {
        self.live(1);
        // SAFETY: the caller's.
        unsafe { self.map.store(at, value, site) }
    }
    fn fence(&self, site: Site) {
        self.map.fence(site);
    }
    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        let words = from.len().div_ceil(8) as u64;
        let now = self.live(words);
        let cut = from.len().min(now as usize * 8);
        // SAFETY: the caller's; a part of it.
        unsafe { self.map.copy_in(at, &from[..cut]) }
        self.live(words - now);
    }
    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe { self.map.copy_out(at, into) }
    }
}

impl Park for Rigged {
    type FileWatch = FileWatch;

    unsafe fn park(&self, at: usize, seen: u32, timeout: Duration, stop: Option<&StopHandle>) {
        let begin = Instant::now();
        let timeout = self.patience.unwrap_or(timeout);
        self.trigger_late();
        // SAFETY: the caller's.
        unsafe { self.map.park(at, seen, timeout, stop) };
        if begin.elapsed() >= timeout {
            self.overslept.set(self.overslept.get() + 1);
        }
    }
    unsafe fn unpark(&self, at: usize) -> bool {
        // SAFETY: the caller's.
        unsafe { self.map.unpark(at) }
    }
    fn poke(&self, at: usize) {
        if !self.mute {
            self.map.poke(at);
        }
    }
    fn listen(&self, watch: &mut Option<FileWatch>) -> bool {
        self.map.listen(watch)
    }
    fn stop_listening(&self, watch: &mut FileWatch) {
        self.map.stop_listening(watch);
    }
    fn park_deeply(&self, watch: &mut FileWatch, timeout: Duration, stop: Option<&StopHandle>) -> FileEvent {
        self.trigger_late();
        let begin = Instant::now();
        let timeout = self.patience.unwrap_or(timeout);
        let event = self.map.park_deeply(watch, timeout, stop);
        if event == FileEvent::Nothing && begin.elapsed() >= timeout {
            self.overslept.set(self.overslept.get() + 1);
        }
        event
    }
    fn fence_everywhere(&self) -> bool {
        self.map.fence_everywhere()
    }
    fn is_registered(&self) -> bool {
        self.map.is_registered()
    }
}
