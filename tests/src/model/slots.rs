//! The ring of fixed-size messages beside the specification, as [`super::Rig`] is for records.
//!
//! Messages are two words, so that one can be torn. What was written and not published differs from what is sent under
//! the same number, so that it would show.

use super::ram::{self, CONTROLS, Guest, Image, Ram, address, peek};
use super::{Bug, Effect, Ghost, Live, Verdict, marked, note};
use shmq_core::layout::{DIRTY, READ, Role};
use shmq_core::slot_layout::END;
use shmq_core::{Recording, Refused, RingState, SlotLayout, SlotPoll, SlotRx, SlotTx, Store, Window, Words};

/// Bytes of a message.
const SIZE: u64 = 16;

/// Something a producer of fixed-size messages does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotTxOp {
    /// One message.
    Send,
    /// All of so many or none.
    Batch(u64),
    /// As many of so many as there is room for, group by group.
    Slice(u64),
    /// One message with a mark.
    Mark,
    /// All of so many or none, with a mark.
    MarkBatch(u64),
    /// A claim that is filled and given up.
    Abort,
    /// A batch that is filled and never published.
    Forget(u64),
    /// End of data.
    Finish,
}

/// Something a consumer of fixed-size messages does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotRxOp {
    /// Takes the next message.
    Recv,
    /// Looks at the next message and leaves it.
    Keep,
    /// Takes a run of at most so many.
    Run(usize),
    /// Looks at so many, then takes all it has seen.
    Look(usize),
}

/// Both ends of a ring of slots.
pub type SlotLive = Live<SlotTx<Ram>, SlotRx<Ram>>;

/// A memory and the two views of it.
#[derive(Debug)]
pub struct SlotRig {
    shape: SlotLayout,
    words: Words,
    recording: Recording,
    rams: [Ram; 2],
    pub(crate) guest: Guest,
    white_box: bool,
}

macro_rules! ensure {
    ($cond:expr, $($what:tt)*) => { if !$cond { return Err(format!($($what)*)); } };
}

/// The words of a message: number and place, never zero. Those of one that is not sent are marked.
fn content(sequence: u64, sent: bool) -> [u8; SIZE as usize] {
    let word = |i| (sequence + 1) << 8 | u64::from(!sent) << 7 | i;
    let mut bytes = [0; SIZE as usize];
    bytes[..8].copy_from_slice(&word(1).to_le_bytes());
    bytes[8..].copy_from_slice(&word(2).to_le_bytes());
    bytes
}

impl SlotRig {
    /// A ring that nobody has attached to, with a bug planted in both ends.
    pub fn new(depth: u64, group: u64, bug: Bug) -> Self {
        let shape = SlotLayout::new(SIZE, depth, group).expect("a possible shape");
        let words = Words::new(ram::parts(shape.capacity).ring + shape.capacity as usize);
        let recording = Recording::new(words.clone());
        let guest = Guest::default();
        let rams = [(); 2].map(|()| Ram::new(recording.clone(), bug, guest.clone()));
        Self { shape, words, recording, rams, guest, white_box: bug == Bug::None }
    }

    /// Both roles free, nothing sent.
    pub fn vacant(&self) -> SlotLive {
        let (queue, doubt) = (Default::default(), super::Doubt::None);
        Live {
            tx: None,
            rx: None,
            ghost: Ghost { taken: 0, queue, mark: None, finished: false, doubt, released: 0 },
        }
    }

    /// All of the memory that matters.
    pub fn save(&self) -> Image {
        ram::save(&self.words, self.shape.capacity)
    }

    /// Puts an image back.
    pub fn restore(&self, image: &[u64]) {
        ram::restore(&self.words, image);
        self.rams.iter().for_each(Ram::reset);
        self.recording.take_log();
    }

    /// The stores since the last call.
    pub fn take_log(&self) -> Vec<Store> {
        self.recording.take_log()
    }

    /// For each of them, how many of the first must come before it; see [`Recording::bounds`].
    pub fn bounds(&self) -> Vec<usize> {
        self.recording.bounds()
    }

    fn window(&self, role: Role) -> Window<Ram> {
        let ram = self.rams[role as usize].clone();
        Window::new(ram, ram::parts(self.shape.capacity)).expect("the rig's parts are in order")
    }

    /// A successor takes a free role; `meanwhile` tells what the other end did until that was over.
    pub(crate) fn attach_while(
        &self,
        live: &mut SlotLive,
        role: Role,
        meanwhile: impl FnOnce(&mut SlotLive) -> Verdict,
    ) -> Verdict {
        let window = self.window(role);
        match role {
            Role::Producer => {
                let tx = SlotTx::attach(window, self.shape)
                    .map_err(|c| format!("a producer could not attach: {c}"))?;
                meanwhile(live)?;
                let finished = tx.state() == RingState::Finished;
                live.ghost.see_producer(tx.sequence(), finished)?;
                live.ghost.see_mark(tx.mark())?;
                live.tx = (!finished).then_some(tx);
            }
            Role::Consumer => {
                let rx = SlotRx::attach(window, self.shape)
                    .map_err(|c| format!("a consumer could not attach: {c}"))?;
                meanwhile(live)?;
                live.ghost.see_consumer(rx.sequence())?;
                live.rx = Some(rx);
            }
        }
        Ok(())
    }

    /// A living producer does something. The ghost is not changed: the caller applies the effect, or cuts it short.
    pub fn send(&self, live: &mut SlotLive, op: SlotTxOp) -> Verdict<Effect> {
        let tx = live.tx.as_mut().expect("the producer lives");
        let (next, depth) = (live.ghost.next(), self.shape.depth);
        let pending = live.ghost.queue.len() as u64;
        // What a dead consumer may have taken may be room or not.
        let room = depth.saturating_sub(pending)..=depth + live.ghost.released as u64 - pending;
        let before = self.recording.stores();
        let dirty_to = tx.private()[3].saturating_sub(next);
        let wants = match op {
            SlotTxOp::Send | SlotTxOp::Mark | SlotTxOp::Abort => 1,
            SlotTxOp::Batch(n) | SlotTxOp::MarkBatch(n) | SlotTxOp::Forget(n) | SlotTxOp::Slice(n) => n,
            SlotTxOp::Finish => 0,
        };
        let outcome = match op {
            SlotTxOp::Send => tx.try_send(&content(next, true)).map(|first| (first, 1)),
            SlotTxOp::Batch(n) => fill(tx, n, true),
            SlotTxOp::Mark => {
                tx.try_send_marked(&content(next, true), &note(next + 1)).map(|first| (first, 1))
            }
            SlotTxOp::MarkBatch(n) => {
                let contents: Vec<_> = (next..next + n).map(|i| content(i, true)).collect();
                tx.try_send_batch_marked(&contents, &note(next + n)).map(|first| (first, n))
            }
            SlotTxOp::Slice(n) => slice(tx, n),
            SlotTxOp::Abort => fill(tx, 1, false),
            SlotTxOp::Forget(n) => fill(tx, n, false),
            SlotTxOp::Finish => tx.finish().map(|()| (tx.sequence(), 0)),
        };
        let stores = (self.recording.stores() - before) as u64;
        let bound = (wants + dirty_to) * (SIZE / 8 + 2) + 5 + 4;
        ensure!(stores <= bound, "{op:?} took {stores} stores, over {bound}");
        match outcome {
            Ok((first, sent)) => {
                ensure!(first == next, "sent as {first} instead of {next}");
                ensure!(sent <= *room.end(), "{op:?} sent {sent} where there was room for {room:?}");
                if op == SlotTxOp::Finish {
                    ensure!(tx.try_send(&content(next, true)) == Err(Refused::Finished), "goes on");
                    live.tx = None;
                    return Ok(Effect::Finished);
                }
                let lens = vec![SIZE; sent as usize];
                Ok(match op {
                    _ if sent == 0 => Effect::None,
                    SlotTxOp::Slice(_) => Effect::SentEach(lens),
                    SlotTxOp::Mark | SlotTxOp::MarkBatch(_) => Effect::Sent(marked(lens)),
                    _ => Effect::Sent(lens),
                })
            }
            Err(Refused::TooLarge) => {
                ensure!(wants > depth, "{op:?} is within the limits and was refused");
                Ok(Effect::None)
            }
            Err(Refused::Full) => {
                ensure!(wants > *room.start(), "{op:?} found no room, but there was for {room:?}");
                Ok(Effect::None)
            }
            Err(refused) => Err(format!("{refused:?}")),
        }
    }

    /// A living consumer does something; as for `send`.
    pub fn receive(&self, live: &mut SlotLive, op: SlotRxOp) -> Verdict<Effect> {
        let rx = live.rx.as_mut().expect("the consumer lives");
        let before = self.recording.stores();
        let took = match op {
            SlotRxOp::Look(n) => {
                look(rx, &mut live.ghost, n, false)?;
                look(rx, &mut live.ghost, n, true)?
            }
            SlotRxOp::Run(n) => run(rx, &mut live.ghost, n, true)?,
            SlotRxOp::Recv => run(rx, &mut live.ghost, 1, true)?,
            SlotRxOp::Keep => run(rx, &mut live.ghost, 1, false)?,
        };
        let stores = self.recording.stores() - before;
        // Where it is, and each line of the groups that it went through.
        let shape = rx.layout();
        let most = if let SlotRxOp::Look(n) | SlotRxOp::Run(n) = op { n as u64 } else { 1 };
        let groups = 1 + most.min(shape.depth).div_ceil(shape.group);
        let bound = 1 + 2 * groups * shape.group_bytes / 64;
        ensure!(stores as u64 <= bound, "{op:?} took {stores} stores, over {bound}");
        Ok(if took == 0 { Effect::None } else { Effect::Took(took) })
    }

    /// What must hold between any two operations.
    pub fn inspect(&self, live: &SlotLive) -> Verdict {
        let ghost = &live.ghost;
        let pending = ghost.queue.len() as u64;
        if let Some(tx) = &live.tx {
            ensure!(tx.sequence() == ghost.next(), "the next message is {}", tx.sequence());
            ensure!(tx.state() == RingState::Open, "the producer stopped: {:?}", tx.state());
            let said = tx.pending();
            let least = pending - ghost.released as u64;
            ensure!((least..=pending).contains(&said), "the producer calls {said} of {pending} pending");
            self.no_word_leads(tx)?;
            ghost.see_mark(tx.mark())?;
        }
        if let Some(rx) = &live.rx {
            ensure!(rx.sequence() == ghost.taken, "the consumer is at {}", rx.sequence());
            let (said, doubt) = (rx.pending(), super::rig::in_doubt(ghost));
            ensure!(said >= pending && said <= pending + doubt, "the consumer calls {said} pending");
            if live.tx.is_some() || ghost.finished {
                ghost.see_mark(rx.mark())?;
            } else {
                ghost.see_lagging_mark(rx.mark())?;
            }
            let read = peek(&self.words, address(READ));
            ensure!(!self.white_box || read == rx.sequence(), "the consumer's page says {read}");
        }
        Ok(())
    }

    /// A word counts no message of its group that is not published, but for those of a batch, of which `DIRTY` knows.
    fn no_word_leads(&self, tx: &SlotTx<Ram>) -> Verdict {
        let SlotLayout { groups, group, group_bytes, .. } = self.shape;
        let [sequence, .., dirty_to] = tx.private();
        let dirty = peek(&self.words, address(DIRTY));
        if !self.white_box {
            return Ok(());
        }
        ensure!(dirty_to <= sequence || dirty == dirty_to, "dirty up to {dirty_to}, but DIRTY says {dirty}");
        // The groups from that of the next message on, and where each begins.
        for turn in sequence / group..sequence / group + groups {
            let at = ram::parts(self.shape.capacity).ring as u64 + turn % groups * group_bytes;
            let count = peek(&self.words, at as usize) & !END;
            let most = sequence.max(dirty_to).max(turn * group);
            ensure!(count <= most, "a word says {count}, {sequence} are sent");
        }
        Ok(())
    }

    /// A state as seen from the lap of its first message that is not taken: counts relative to that.
    pub fn relative(&self, image: &[u64], live: &SlotLive) -> Vec<u64> {
        let SlotLayout { groups, group, group_bytes, .. } = self.shape;
        let base = live.ghost.taken / (groups * group) * (groups * group);
        let at = |count: u64| count.wrapping_sub(base);
        let [_, sequence, dirty, read, ..] = image[..CONTROLS.len()] else { unreachable!() };
        // Where nothing runs ahead it does not matter what DIRTY says.
        let mut seen = vec![at(sequence), at(dirty.max(read)), at(read)];
        seen.extend(super::relative_marks(image, &live.ghost));
        for (i, &word) in image[CONTROLS.len()..].iter().enumerate() {
            let is_count = (i as u64 * 8).is_multiple_of(group_bytes);
            seen.push(match word {
                0 => 0,
                _ if is_count => at(word & !END) << 1 | word >> 63 | 1 << 40,
                _ => at(word >> 8) << 8 | word & 0xff,
            });
        }
        if let Some(tx) = &live.tx {
            let [sequence, stop, limit, dirty_to] = tx.private();
            seen.extend([tx.group_end(), sequence, stop, limit, dirty_to.max(sequence)].map(at));
        }
        if let Some(rx) = &live.rx {
            seen.push(at(rx.group_end()));
            seen.extend(rx.private().map(at));
            seen.push(u64::from(rx.state() == RingState::Finished));
        }
        seen
    }
}

/// Writes so many messages, and publishes them or does not. The first sequence number and how many were sent.
fn fill(tx: &mut SlotTx<Ram>, messages: u64, publish: bool) -> Result<(u64, u64), Refused> {
    let first = tx.sequence();
    if publish {
        let contents: Vec<_> = (0..messages).map(|i| content(first + i, true)).collect();
        return Ok((tx.try_send_batch(&contents)?, messages));
    }
    let mut draft = tx.begin();
    tx.reserve(&draft, messages)?;
    for i in 0..messages {
        tx.fill(&draft, &content(first + i, false));
        tx.seal(&mut draft);
    }
    Ok((first, 0))
}

/// As many of so many as there is room for, visible group by group.
fn slice(tx: &mut SlotTx<Ram>, messages: u64) -> Result<(u64, u64), Refused> {
    let first = tx.sequence();
    let contents: Vec<_> = (0..messages).map(|i| content(first + i, true)).collect();
    tx.refresh()?;
    // The two ways to do it are to leave the same behind.
    let sent = if messages.is_multiple_of(2) {
        tx.try_send_iter(&mut contents.into_iter())
    } else {
        tx.try_send_slice(&contents)
    };
    Ok((first, sent? as u64))
}

fn compare(bytes: [u8; SIZE as usize], sequence: u64) -> Verdict {
    ensure!(bytes == content(sequence, true), "message {sequence} is torn or another: {bytes:x?}");
    Ok(())
}

/// Takes a run of at most so many, or looks at it and leaves it. How many were taken.
fn run(rx: &mut SlotRx<Ram>, ghost: &mut Ghost, most: usize, take: bool) -> Verdict<usize> {
    let mut seen = 0;
    while seen < most {
        match rx.poll() {
            SlotPoll::Messages(there) => {
                ghost.see_message(seen, rx.sequence(), SIZE)?;
                ensure!(there >= 1 && there <= rx.layout().group, "{there} messages in a group");
                let mut bytes = [0xee; SIZE as usize];
                rx.copy_out(&mut bytes);
                compare(bytes, rx.sequence())?;
                if !take {
                    return Ok(0);
                }
                rx.skip();
                seen += 1;
            }
            SlotPoll::Empty => {
                ghost.see_empty(seen)?;
                break;
            }
            SlotPoll::Finished => {
                ghost.see_end(seen)?;
                ensure!(rx.poll() == SlotPoll::Finished, "a finished ring goes on");
                break;
            }
            SlotPoll::Corrupt(what) => return Err(format!("a healthy ring is called corrupt: {what}")),
        }
    }
    if seen != 0 {
        rx.settle();
    }
    Ok(seen)
}

/// Looks at so many messages, then takes what it has seen, or leaves it. How many there were.
fn look(rx: &mut SlotRx<Ram>, ghost: &mut Ghost, messages: usize, take: bool) -> Verdict<usize> {
    let (mut ahead, mut seen) = (rx.ahead(), 0);
    while seen < messages
        && let Some((place, sequence)) = rx.look_ahead(&mut ahead)
    {
        ghost.see_message(seen, sequence, SIZE)?;
        let mut bytes = [0xee; SIZE as usize];
        rx.window().copy_out_at(place, &mut bytes);
        compare(bytes, sequence)?;
        seen += 1;
    }
    if take && seen != 0 {
        rx.acknowledge_to(&ahead);
    }
    Ok(seen)
}
