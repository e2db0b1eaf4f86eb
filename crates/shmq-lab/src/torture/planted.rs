//! A producer with a planted bug, to show that the checks find one: its payload arrives after the word that publishes it.

use super::producer::{Sender, hold};
use super::stage::{CallError, End, Stage};
use memmap2::MmapOptions;
use shmq::{AttachError, PeerState, Until, Waiting};
use shmq_core::{Fault, Faulty, Geometry, Map, RecordTx, Refused, SlotTx, Window};
use shmq_tool::draw::Draw;
use shmq_tool::failure::Failure;
use std::ops::Range;

/// An end that holds its role lawfully, and sends through other memory.
pub struct Planted<S> {
    guard: S,
    ring: Ring,
}

enum Ring {
    Records(RecordTx<Faulty<Map>>),
    Slots(SlotTx<Faulty<Map>>),
}

/// As [`super::producer::run`], through faulty memory.
pub fn run<S: Sender>(
    stage: &Stage,
    draw: &mut Draw,
    take: impl Fn() -> Result<S, AttachError>,
) -> Result<(), Failure> {
    while let Some(guard) = stage.take(&take)? {
        if hold(stage, draw, Planted::new(stage, guard)?)? {
            break;
        }
    }
    Ok(())
}

/// Maps the queue a second time, with the fault.
fn window(stage: &Stage) -> Result<(Window<Faulty<Map>>, Geometry), Failure> {
    let failed = |e| Failure::io("map the queue", &e);
    let path = stage.queue();
    let file = std::fs::File::options().read(true).write(true).open(&path).map_err(failed)?;
    let bytes = std::fs::read(&path).map_err(failed)?;
    let geometry = Geometry::parse(&bytes, bytes.len() as u64)?;
    let map = MmapOptions::new().len(bytes.len()).map_raw(&file).map_err(failed)?;
    let memory = Faulty::new(Map::new(map), Fault::PublishFirst);
    let window = Window::new(memory, geometry.parts).ok_or_else(|| Failure::new("this is no queue"))?;
    Ok((window, geometry))
}

impl<S: Sender> Planted<S> {
    /// Builds it on an end that was just taken and is used for nothing else.
    pub fn new(stage: &Stage, guard: S) -> Result<Self, Failure> {
        let (window, geometry) = window(stage)?;
        let limits = geometry.limits;
        let ring = match geometry.slot_layout() {
            Some(shape) => SlotTx::attach(window, shape).map(Ring::Slots),
            None => RecordTx::attach(window, limits.max_message, limits.max_messages).map(Ring::Records),
        };
        let ring = ring.map_err(|what| AttachError::Corrupt { path: None, what })?;
        Ok(Self { guard, ring })
    }
}

impl<S: End> End for Planted<S> {
    fn next_sequence(&self) -> u64 {
        match &self.ring {
            Ring::Records(tx) => tx.sequence(),
            Ring::Slots(tx) => tx.sequence(),
        }
    }
    fn epoch(&self) -> u64 {
        self.guard.epoch()
    }
    fn peer(&self) -> PeerState {
        self.guard.peer()
    }
    fn peer_epoch(&self) -> u64 {
        self.guard.peer_epoch()
    }
    fn set_waiting(&mut self, _: Waiting) {}
}

impl<S: Sender> Sender for Planted<S> {
    const IN_PART: bool = false;

    fn send(&mut self, _: u64, messages: &[Vec<u8>], _: Until) -> Result<Range<u64>, CallError> {
        let first = self.next_sequence();
        for message in messages {
            let sent = match &mut self.ring {
                Ring::Records(tx) => tx.try_send(message),
                Ring::Slots(tx) => tx.try_send(message),
            };
            match sent {
                Ok(_) => {}
                Err(Refused::Full) => return Err(CallError::TimedOut),
                Err(other) => return Err(CallError::Failed(format!("{other:?}"))),
            }
        }
        Ok(first..first + messages.len() as u64)
    }

    fn send_in_part(&mut self, _: &[Vec<u8>]) -> Result<Range<u64>, CallError> {
        unreachable!("only asked of a sender that can")
    }

    fn finish(mut self) -> Result<u64, CallError> {
        let total = self.next_sequence();
        let finished = match &mut self.ring {
            Ring::Records(tx) => tx.finish(),
            Ring::Slots(tx) => tx.finish(),
        };
        finished.map_err(|refused| CallError::Failed(format!("{refused:?}")))?;
        Ok(total)
    }
}
