//! What both ends of a pool do alike.

/// The calls that both ends have, with what they say of themselves: whose end it is, whose the other, and which call waits.
macro_rules! every_end {
    ($own:literal, $peer:literal, $waits:literal) => {
        #[doc = concat!("State of the ", $peer, ". One system call if it has its end or died.")]
        pub fn peer(&self) -> shmq::PeerState {
            self.end.borrow().guard.peer()
        }

        #[doc = concat!("How often the ", $peer, "'s end was taken, 0 for never.")]
        pub fn peer_epoch(&self) -> u64 {
            self.end.borrow().guard.peer_epoch()
        }

        #[doc = concat!("How often the ", $own, "'s end was taken, this time included.")]
        pub fn epoch(&self) -> u64 {
            self.end.borrow().guard.epoch()
        }

        /// Blocks of the pool.
        pub fn blocks(&self) -> u64 {
            self.bytes.blocks()
        }

        /// Bytes of a block.
        pub fn block_size(&self) -> usize {
            self.bytes.size() as usize
        }

        #[doc = concat!("Sets how `", $waits, "` waits; as the example of [`shmq::Waiting`].")]
        pub fn set_waiting(&mut self, waiting: shmq::Waiting) {
            self.end.get_mut().waiting = waiting;
        }

        #[doc = concat!("Lets a handle end a blocked `", $waits, "`, as the example of [`shmq::StopHandle`].")]
        /// Replaces the one it had; `None`: none does.
        pub fn set_stop<'a>(&mut self, stop: impl Into<Option<&'a shmq::StopHandle>>) {
            self.end.get_mut().set_stop(stop);
        }

        #[doc = concat!("Drops this end as if its process had died: the ", $peer, " goes on with what is there and is then told")]
        #[doc = concat!("that its ", $own, " is lost, and a successor may come. As `shmq::Producer::leave_as_lost`.")]
        ///
        /// ```
        /// use shmq_pool::{LoanError, Options, Pool, RecvError, Until};
        /// let pool = Pool::anonymous(1, 4096, &Options::new())?;
        /// let (tx, rx) = (pool.writer()?, pool.reader()?);
        /// tx.try_loan()?.send(1)?;
        /// rx.leave_as_lost();
        /// assert_eq!(tx.loan(Until::Forever).unwrap_err(), LoanError::ReaderLost);
        /// let rx = pool.reader()?; // a successor
        /// tx.leave_as_lost();
        /// rx.read(Until::Forever)?.acknowledge();
        /// assert_eq!(rx.read(Until::Forever).unwrap_err(), RecvError::WriterLost);
        /// # Ok::<(), shmq_pool::Error>(())
        /// ```
        pub fn leave_as_lost(mut self) {
            self.end.get_mut().guard.leave_as_lost();
        }
    };
}

/// What makes an end one that can be waited for beside others, by itself or by a reference.
macro_rules! waitable {
    ($end:ident: $doc:literal) => {
        #[doc = $doc]
        impl shmq::Waitable for &$end {
            fn is_ready(&mut self) -> bool {
                let mut end = self.end.borrow_mut();
                end.guard.is_torn() || end.ring.is_ready()
            }

            fn let_run_ahead(&mut self) {
                self.end.borrow_mut().ring.let_run_ahead();
            }

            fn with_guard(&mut self, act: &mut dyn FnMut(&mut shmq_core::role::RoleGuard)) {
                act(&mut self.end.borrow_mut().guard);
            }
        }

        /// As the reference.
        impl shmq::Waitable for $end {
            fn is_ready(&mut self) -> bool {
                (&*self).is_ready()
            }

            fn let_run_ahead(&mut self) {
                (&*self).let_run_ahead();
            }

            fn with_guard(&mut self, act: &mut dyn FnMut(&mut shmq_core::role::RoleGuard)) {
                (&*self).with_guard(act);
            }
        }
    };
}

pub(crate) use {every_end, waitable};
