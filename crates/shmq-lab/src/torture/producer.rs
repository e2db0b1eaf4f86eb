//! The sending end under torture: every way to send there is, in an order drawn by lot.

use super::note::{Note, Sending, Wrong};
use super::plan::Unit;
use super::stage::{CallError, End, Stage, Temper, linger, some_patience};
use bytemuck::Pod;
use shmq::{AttachError, PeerState, Until, Waiting, slots};
use shmq_tool::draw::Draw;
use shmq_tool::failure::Failure;
use std::io::IoSlice;
use std::ops::Range;

/// Most messages of a send that may happen in part.
const SLICE: u64 = 12;

/// A sending end with all its operations behind one.
pub trait Sender: End + Sized {
    /// Whether several messages can be sent as far as there is room.
    const IN_PART: bool;
    /// Sends one message, or all of them together; `how` chooses the way.
    fn send(&mut self, how: u64, messages: &[Vec<u8>], until: Until) -> Result<Range<u64>, CallError>;
    /// Sends as many as there is room for.
    fn send_in_part(&mut self, messages: &[Vec<u8>]) -> Result<Range<u64>, CallError>;
    fn finish(self) -> Result<u64, CallError>;
}

/// Takes the role again and again, until the end of data or until it leaves for good.
pub fn run<S: Sender>(
    stage: &Stage,
    draw: &mut Draw,
    take: impl Fn() -> Result<S, AttachError>,
) -> Result<(), Failure> {
    while let Some(tx) = stage.take(&take)? {
        if hold(stage, draw, tx)? {
            break;
        }
    }
    Ok(())
}

/// Sends until it leaves; whether it leaves for good.
pub fn hold(stage: &Stage, draw: &mut Draw, mut tx: impl Sender) -> Result<bool, Failure> {
    let mut next = tx.next_sequence();
    let before = Sending::read(&stage.page);
    if let Some(wrong) = before.verdict(next) {
        let count = before.sent.saturating_sub(next).max(1);
        return Err(stage.found(wrong, count, format!("is to go on with message {next} after {before:?}")));
    }
    Sending::done(next).write(&stage.page);
    stage.enter(&tx);
    let temper = Temper::draw(draw, &mut tx);
    let mut unsent = Vec::new();
    while stage.page.get(Note::Stop) == 0 {
        next = send(stage, draw, &mut tx, next, &mut unsent)?;
        temper.pause(draw);
        if draw.below(64) == 0 {
            stage.look(&tx)?;
        }
        if !stage.soak && draw.below(2000) == 0 {
            stage.leave();
            return Ok(draw.below(2) == 0);
        }
    }
    stage.leave();
    match tx.finish() {
        Ok(total) if total == next => {
            stage.end();
            Ok(true)
        }
        other => Err(stage.found(Wrong::Lost, 1, format!("finished with {other:?} after {next} messages"))),
    }
}

/// Sends what comes next, or tries to; returns what then comes next.
fn send(
    stage: &Stage,
    draw: &mut Draw,
    tx: &mut impl Sender,
    next: u64,
    messages: &mut Vec<Vec<u8>>,
) -> Result<u64, Failure> {
    let unit = stage.messages.unit(next);
    let doubt = match unit.messages {
        1 => singles(stage, tx, draw, unit),
        together => together,
    };
    messages.resize_with(doubt as usize, Vec::new);
    for (number, message) in (next..).zip(messages.iter_mut()) {
        stage.messages.write(number, message);
    }
    let in_part = doubt > 1 && unit.messages == 1;
    Sending { sent: next, doubt, in_part }.write(&stage.page);
    let epoch = tx.peer_epoch();
    let sent = if in_part {
        tx.send_in_part(messages)
    } else {
        tx.send(draw.below(8), messages, some_patience(draw))
    };
    let end = match sent {
        Ok(sent) if sent.start != next || sent.end > next + doubt || !in_part && sent.end != next + doubt => {
            let text = format!("{doubt} messages from {next} on were sent as {sent:?}");
            return Err(stage.found(Wrong::OutOfOrder, 1, text));
        }
        Ok(sent) => sent.end,
        Err(stop) => {
            stage.told(&stop, epoch)?;
            next
        }
    };
    Sending::done(end).write(&stage.page);
    Ok(end)
}

/// How many messages that are no batch to send at once.
fn singles<S: Sender>(stage: &Stage, _: &S, draw: &mut Draw, unit: Unit) -> u64 {
    if !S::IN_PART || draw.below(4) != 0 {
        return 1;
    }
    let most = 1 + draw.below(SLICE);
    (1..most).find(|i| stage.messages.unit(unit.first + i).messages > 1).unwrap_or(most)
}

macro_rules! end {
    ([$($generics:tt)*] $end:ty) => {
        impl<$($generics)*> End for $end {
            fn next_sequence(&self) -> u64 {
                self.next_sequence()
            }
            fn epoch(&self) -> u64 {
                self.epoch()
            }
            fn peer(&self) -> PeerState {
                self.peer()
            }
            fn peer_epoch(&self) -> u64 {
                self.peer_epoch()
            }
            fn set_waiting(&mut self, waiting: Waiting) {
                self.set_waiting(waiting);
            }
        }
    };
}
pub(super) use end;

end!([] shmq::Producer);
end!([P: Pod] slots::Producer<P>);

impl Sender for shmq::Producer {
    const IN_PART: bool = false;

    fn send(&mut self, how: u64, messages: &[Vec<u8>], until: Until) -> Result<Range<u64>, CallError> {
        let [message] = messages else { return send_batch(self, how, messages, until) };
        let (at, number) = (message.len() / 3, self.next_sequence());
        let (head, body) = message.split_at(at);
        let wrong = |e: shmq::OutOfBounds| CallError::Failed(e.to_string());
        let number = match how {
            0 => self.try_send(message)?,
            1 => self.send_slices(&[IoSlice::new(head), IoSlice::new(body)], until)?,
            2 => {
                let mut claim = self.claim(message.len(), until)?;
                claim.write_at(at, body).map_err(wrong)?;
                linger(number);
                claim.write_at(0, head).map_err(wrong)?;
                claim.commit()
            }
            3 => {
                // More than it takes; what is written beyond the message must not show up anywhere.
                let most = self.limits().max_message as usize;
                let mut claim = self.claim((message.len() + 100).min(most), until)?;
                let rest = claim.len() - message.len();
                claim.write_at(message.len(), &vec![0xee; rest]).map_err(wrong)?;
                claim.write_at(0, message).map_err(wrong)?;
                claim.commit_part(message.len()).map_err(wrong)?
            }
            4 | 5 => {
                let mut claim = self.claim(message.len(), until)?;
                claim.write_at(0, &vec![0xee; message.len()]).map_err(wrong)?;
                claim.abort();
                self.send(message, until)?
            }
            _ => self.send(message, until)?,
        };
        Ok(number..number + 1)
    }

    fn send_in_part(&mut self, _: &[Vec<u8>]) -> Result<Range<u64>, CallError> {
        unreachable!("only asked of a sender that can")
    }

    fn finish(self) -> Result<u64, CallError> {
        Ok(self.finish()?)
    }
}

fn send_batch(
    tx: &mut shmq::Producer,
    how: u64,
    messages: &[Vec<u8>],
    until: Until,
) -> Result<Range<u64>, CallError> {
    match how {
        0..=3 => {
            let mut batch = tx.try_batch()?;
            for message in messages {
                let (head, body) = message.split_at(message.len() / 2);
                linger(batch.push_slices(&[IoSlice::new(head), IoSlice::new(body)])?);
            }
            match how {
                0 | 1 => return Ok(batch.commit()),
                _ => batch.abort(),
            }
            Ok(tx.send_batch(messages, until)?)
        }
        4 => Ok(tx.try_send_batch(messages)?),
        _ => Ok(tx.send_batch(messages, until)?),
    }
}

fn values<P: Pod>(messages: &[Vec<u8>]) -> Vec<P> {
    messages.iter().map(|message| bytemuck::pod_read_unaligned(message)).collect()
}

impl<P: Pod> Sender for slots::Producer<P> {
    const IN_PART: bool = true;

    fn send(&mut self, how: u64, messages: &[Vec<u8>], until: Until) -> Result<Range<u64>, CallError> {
        let values = values::<P>(messages);
        let [value] = values[..] else {
            return Ok(if how < 4 {
                self.try_send_batch(&values)?
            } else {
                self.send_batch(&values, until)?
            });
        };
        let number = match how {
            0 => self.try_send(&value)?,
            1 => {
                let number = self.next_sequence();
                let mut claim = self.try_claim()?;
                *claim.as_mut().ok_or_else(|| CallError::Failed("not trusted".into()))? = value;
                linger(number);
                claim.commit()
            }
            2 | 3 => {
                let mut claim = self.try_claim()?;
                let place = claim.as_mut().ok_or_else(|| CallError::Failed("not trusted".into()))?;
                bytemuck::bytes_of_mut(place).fill(0xee);
                claim.abort();
                self.send(&value, until)?
            }
            _ => self.send(&value, until)?,
        };
        Ok(number..number + 1)
    }

    fn send_in_part(&mut self, messages: &[Vec<u8>]) -> Result<Range<u64>, CallError> {
        let first = self.next_sequence();
        let sent = self.try_send_slice(&values::<P>(messages))? as u64;
        Ok(first..first + sent)
    }

    fn finish(self) -> Result<u64, CallError> {
        Ok(self.finish()?)
    }
}
