//! What a set can wait for: the ends of queues, and room for a message of one's own size.

use crate::ends::{self, Receiving};
use crate::{Consumer, Producer, slots};
use shmq_core::role::RoleGuard;
use shmq_core::waitable::Waitable;

/// Room for so much, as something to wait for; made by [`Producer::room_for`] and [`slots::Producer::room_for`].
#[derive(Debug)]
pub struct RoomFor<'a, P> {
    producer: &'a mut P,
    len: u64,
}

/// Room for a batch of so many and so large messages, as something to wait for; made by [`Producer::room_for_batch`].
#[derive(Debug)]
pub struct RoomForBatch<'a> {
    producer: &'a mut Producer,
    lens: &'a [usize],
}

impl Producer {
    /// That there is room for a message of `len` bytes, as something that a [`crate::WaitSet`] can wait for. The producer itself
    /// stands for room for a message of any size.
    ///
    /// ```
    /// use shmq::{Options, Until, WaitSet, What};
    /// let (mut tx, mut rx) = shmq::pair(&Options::new().max_messages(1))?;
    /// tx.try_send(b"first")?;
    /// let (mut set, mut events) = (WaitSet::new()?, Vec::new());
    /// assert!(set.wait(&mut (tx.room_for(6),), &mut events, std::time::Duration::ZERO).is_err());
    /// rx.try_recv()?;
    /// set.wait(&mut (tx.room_for(6),), &mut events, Until::Forever)?;
    /// assert_eq!(events[0].what, What::Ready);
    /// tx.try_send(b"second")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn room_for(&mut self, len: usize) -> RoomFor<'_, Self> {
        RoomFor { producer: self, len: len as u64 }
    }

    /// That there is room for messages of these lengths all at once, as [`Producer::try_send_batch`] and
    /// [`Producer::try_send_batch_marked`] want it. A batch that never fits is told at once, as is any error.
    ///
    /// ```
    /// use shmq::{Options, TrySendError, Until, WaitSet};
    /// let (mut tx, mut rx) = shmq::pair(&Options::new().max_messages(2))?;
    /// let batch = ["one", "two"];
    /// tx.try_send(b"before")?;
    /// assert_eq!(tx.try_send_batch(&batch), Err(TrySendError::Full));
    /// let lens = batch.map(str::len);
    /// let (mut set, mut events) = (WaitSet::new()?, Vec::new());
    /// assert!(set.wait(&mut (tx.room_for_batch(&lens),), &mut events, std::time::Duration::ZERO).is_err());
    /// rx.try_recv()?;
    /// set.wait(&mut (tx.room_for_batch(&lens),), &mut events, Until::Forever)?;
    /// tx.try_send_batch(&batch)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn room_for_batch<'a>(&'a mut self, lens: &'a [usize]) -> RoomForBatch<'a> {
        RoomForBatch { producer: self, lens }
    }
}

impl<P: ?Sized> slots::Producer<P> {
    /// That there is room for so many messages, as something that a [`crate::WaitSet`] can wait for. The producer itself stands
    /// for room for one. More than the depth is told at once, as is any error.
    pub fn room_for(&mut self, messages: usize) -> RoomFor<'_, Self> {
        RoomFor { producer: self, len: messages as u64 }
    }
}

/// Is ready when there is room for a message of any size.
impl Waitable for Producer {
    fn is_ready(&mut self) -> bool {
        let any = self.end.limits.max_message;
        ends::is_ready_for(&mut self.end, any)
    }

    fn with_guard(&mut self, act: &mut dyn FnMut(&mut RoleGuard)) {
        act(&mut self.end.guard);
    }
}

impl Waitable for RoomFor<'_, Producer> {
    fn is_ready(&mut self) -> bool {
        ends::is_ready_for(&mut self.producer.end, self.len)
    }

    fn with_guard(&mut self, act: &mut dyn FnMut(&mut RoleGuard)) {
        self.producer.with_guard(act);
    }
}

impl Waitable for RoomForBatch<'_> {
    fn is_ready(&mut self) -> bool {
        let end = &mut self.producer.end;
        let lens = self.lens.iter().map(|&len| len as u64);
        end.guard.is_torn() || end.ring.is_ready_for_batch(lens) || end.is_deserted()
    }

    fn with_guard(&mut self, act: &mut dyn FnMut(&mut RoleGuard)) {
        self.producer.with_guard(act);
    }
}

/// Is ready when there is room for a message.
impl<P: ?Sized> Waitable for slots::Producer<P> {
    fn is_ready(&mut self) -> bool {
        ends::is_ready_for(&mut self.end, 1)
    }

    fn with_guard(&mut self, act: &mut dyn FnMut(&mut RoleGuard)) {
        act(&mut self.end.guard);
    }
}

impl<P: ?Sized> Waitable for RoomFor<'_, slots::Producer<P>> {
    fn is_ready(&mut self) -> bool {
        ends::is_ready_for(&mut self.producer.end, self.len)
    }

    fn with_guard(&mut self, act: &mut dyn FnMut(&mut RoleGuard)) {
        self.producer.with_guard(act);
    }
}

/// Is ready when there is a message, or the end of data.
impl Waitable for Consumer {
    fn is_ready(&mut self) -> bool {
        ends::is_ready(&mut self.end)
    }

    fn let_run_ahead(&mut self) {
        Receiving::let_run_ahead(&mut self.end.ring);
    }

    fn with_guard(&mut self, act: &mut dyn FnMut(&mut RoleGuard)) {
        act(&mut self.end.guard);
    }
}

/// Is ready when there is a message, or the end of data.
impl<P: ?Sized> Waitable for slots::Consumer<P> {
    fn is_ready(&mut self) -> bool {
        ends::is_ready(&mut self.end)
    }

    fn let_run_ahead(&mut self) {
        Receiving::let_run_ahead(&mut self.end.ring);
    }

    fn with_guard(&mut self, act: &mut dyn FnMut(&mut RoleGuard)) {
        act(&mut self.end.guard);
    }
}
