//! The receiving end under torture: every way to receive there is, in an order drawn by lot, and every message checked.

use super::check::Check;
use super::note::{Note, Sending, Wrong};
use super::producer::end;
use super::stage::{CallError, End, Stage, Temper, some_patience};
use crate::args::Plant;
use bytemuck::Pod;
use shmq::{AttachError, DrainLimit, PeerState, Until, View, Waiting, slots};
use shmq_tool::draw::Draw;
use shmq_tool::failure::Failure;
use std::time::Duration;

/// A receiving end with all its operations behind one.
pub trait Receiver: End {
    /// Receives one message or up to `most`; `how` chooses the way. What it gets is shown to the check.
    fn receive(
        &mut self,
        how: u64,
        most: usize,
        until: Until,
        check: &mut Check<'_>,
    ) -> Result<(), CallError>;
}

/// Ways to receive.
pub const WAYS: u64 = 12;

/// Takes the role again and again, until the end of data or until it leaves for good.
pub fn run<R: Receiver>(
    stage: &Stage,
    draw: &mut Draw,
    take: impl Fn() -> Result<R, AttachError>,
) -> Result<(), Failure> {
    while let Some(rx) = stage.take(&take)? {
        if hold(stage, draw, rx)? {
            break;
        }
    }
    Ok(())
}

/// Receives until it leaves; whether it leaves for good.
fn hold(stage: &Stage, draw: &mut Draw, mut rx: impl Receiver) -> Result<bool, Failure> {
    let mut check = Check::begin(stage, rx.next_sequence())?;
    stage.enter(&rx);
    let temper = Temper::draw(draw, &mut rx);
    loop {
        if stage.plant == Some(Plant::TakeUnseen) && draw.below(100) == 0 {
            check.look_away();
        }
        let most = 1 << draw.below(8);
        let epoch = rx.peer_epoch();
        let until = match stage.plant {
            Some(Plant::Heartbeat) => Until::After(Duration::from_millis(2)),
            _ => some_patience(draw),
        };
        let received = rx.receive(draw.below(WAYS), most, until, &mut check);
        check.settle()?;
        match received {
            Ok(()) => {}
            Err(CallError::Finished) => return finish(stage, check.next()).map(|()| true),
            Err(stop) => {
                stage.told(&stop, epoch)?;
                check.nothing_came()?;
            }
        }
        temper.pause(draw);
        if draw.below(64) == 0 {
            stage.look(&rx)?;
        }
        if !stage.soak && draw.below(2000) == 0 {
            stage.leave();
            return Ok(draw.below(2) == 0);
        }
    }
}

/// Everything that was sent must have come.
fn finish(stage: &Stage, next: u64) -> Result<(), Failure> {
    stage.leave();
    let sending = Sending::read(&stage.page);
    if stage.page.get(Note::Stop) == 0 {
        return Err(stage.found(Wrong::Refused, 1, "was told of an end of data that nobody declared"));
    }
    if sending.verdict(next).is_some() {
        let text = format!("{next} messages had come at the end, and {sending:?}");
        return Err(stage.found(Wrong::Lost, sending.sent.saturating_sub(next).max(1), text));
    }
    stage.end();
    Ok(())
}

end!([] shmq::Consumer);
end!([P: Pod] slots::Consumer<P>);

impl Receiver for shmq::Consumer {
    fn receive(
        &mut self,
        how: u64,
        most: usize,
        until: Until,
        check: &mut Check<'_>,
    ) -> Result<(), CallError> {
        let number = self.next_sequence();
        let limit = DrainLimit { messages: most, bytes: most << 8 };
        match how {
            0 => {
                check.copying(1);
                let message = self.recv(until)?;
                check.copied(number, &message);
            }
            1 => {
                check.copying(1);
                check.copied(number, &self.try_recv()?);
            }
            2 => {
                let len = self.try_read()?.len();
                if let Some(less) = len.checked_sub(1) {
                    // One byte too short: the message stays.
                    let refused = self.try_recv_into(&mut vec![0; less]);
                    if !matches!(refused, Err(shmq::TryRecvError::WrongLength { .. })) {
                        return Err(CallError::Failed(format!(
                            "{less} bytes are too few for {len}, but: {refused:?}"
                        )));
                    }
                }
                check.copying(1);
                let mut buffer = vec![0; len];
                let got = self.try_recv_into(&mut buffer)?;
                check.copied(got.sequence, &buffer[..got.len]);
            }
            3 => {
                let message = self.try_read()?;
                let mut bytes = vec![0; message.len()];
                let (head, body) = bytes.split_at_mut(message.len() / 2);
                let parts = [(head.len(), body), (0, head)];
                for (at, part) in parts {
                    message.read_into(at, part).map_err(|e| CallError::Failed(e.to_string()))?;
                }
                check.in_place(message.sequence(), &bytes);
                message.acknowledge();
                check.released();
            }
            4 => {
                let message = self.read(until)?;
                check.in_place(message.sequence(), &message.to_vec());
                drop(message);
                check.kept();
            }
            5..=7 => {
                self.drain(limit, until, |view: &View<'_>| check.in_place(view.sequence(), &view.to_vec()))?;
                check.released();
            }
            8 | 9 => {
                let mut run = self.run(limit, until)?;
                while let Some(message) = run.next() {
                    check.in_place(message.sequence(), &message.to_vec());
                }
                if how == 8 || check.keeps_all() {
                    // A run that is not acknowledged stays.
                    check.kept();
                } else {
                    run.acknowledge();
                    check.released();
                }
            }
            _ => {
                check.copying(1);
                let mut buffer = vec![0; self.limits().max_message as usize];
                let got = self.recv_into(&mut buffer, until)?;
                check.copied(got.sequence, &buffer[..got.len]);
            }
        }
        Ok(())
    }
}

impl<P: Pod> Receiver for slots::Consumer<P> {
    fn receive(
        &mut self,
        how: u64,
        most: usize,
        until: Until,
        check: &mut Check<'_>,
    ) -> Result<(), CallError> {
        let number = self.next_sequence();
        match how {
            0 => {
                check.copying(1);
                let message = self.try_recv()?;
                check.copied(number, bytemuck::bytes_of(&message));
            }
            1 => {
                let message = self.try_read()?.get();
                check.in_place(number, bytemuck::bytes_of(&message));
                check.kept();
            }
            2 | 3 => {
                let mut messages = vec![P::zeroed(); most];
                check.copying(most as u64);
                let got = self.try_recv_slice(&mut messages)?;
                for (number, message) in (number..).zip(&messages[..got]) {
                    check.copied(number, bytemuck::bytes_of(message));
                }
            }
            4 => {
                let message = self.try_read()?;
                let place = message.as_ref().ok_or_else(|| CallError::Failed("not trusted".into()))?;
                check.in_place(message.sequence(), bytemuck::bytes_of(place));
                message.acknowledge();
                check.released();
            }
            5 => {
                let message = self.try_read()?;
                let place = message.as_ref().ok_or_else(|| CallError::Failed("not trusted".into()))?;
                check.in_place(message.sequence(), bytemuck::bytes_of(place));
                drop(message);
                check.kept();
            }
            6..=8 => {
                let mut run = self.run(most, until)?;
                let mut number = number;
                while let Some(message) = run.next() {
                    check.in_place(number, bytemuck::bytes_of(&message));
                    number += 1;
                }
                if how == 8 || check.keeps_all() {
                    // A run that is not acknowledged stays.
                    check.kept();
                } else {
                    run.acknowledge();
                    check.released();
                }
            }
            _ => {
                check.copying(1);
                let message = self.recv(until)?;
                check.copied(number, bytemuck::bytes_of(&message));
            }
        }
        Ok(())
    }
}
