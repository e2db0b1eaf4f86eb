//! What the processes of a torture note in a page that outlives them: what each end has certainly done, what it was about
//! to do, and what it found wrong.

use shmq::Role;
use shmq_tool::failure::Failure;
use shmq_tool::page::{self, Page};
use std::path::Path;

/// The words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Not zero: the producer is to finish. The parent's.
    Stop,
    /// How far the producer is: a [`Sending`].
    Sending,
    /// How far the consumer is: a [`Taking`].
    Taking,
    /// The last life that got as far as asking for the role.
    Arrived(Role),
    /// The holder of a role, from after taking it until before leaving it: a [`Holder`].
    Holder(Role),
    /// Lives up to this one may have been killed. The parent's, before it kills.
    Doomed(Role),
    /// Not zero: this end has come to the end of data.
    Ended(Role),
    /// Bytes that were received and found right.
    Bytes,
    /// Messages that a successor saw again, lawfully.
    Again,
    /// Times that an end was told that the other died, and that it left.
    ToldLost,
    ToldLeft,
    /// What went wrong, see [`Wrong`].
    Wrong(Wrong),
}

/// Ways in which a promise may be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A message with other bytes than were sent.
    Torn,
    /// Messages that never came.
    Lost,
    /// A message whose number is not the next one.
    OutOfOrder,
    /// Messages that came again beyond the allowance.
    Repeated,
    /// A batch or a run, part of which happened.
    Split,
    /// A living process that was called lost or left.
    CalledDead,
    /// An operation that failed without reason.
    Refused,
}

impl Wrong {
    pub const ALL: [Self; 7] = [
        Self::Torn,
        Self::Lost,
        Self::OutOfOrder,
        Self::Repeated,
        Self::Split,
        Self::CalledDead,
        Self::Refused,
    ];
}

const WRONG: usize = 15;
const WORDS: usize = WRONG + Wrong::ALL.len();

impl page::Note for Note {
    fn index(self) -> usize {
        let of = |role| usize::from(role == Role::Consumer);
        match self {
            Self::Stop => 0,
            Self::Sending => 1,
            Self::Taking => 2,
            Self::Arrived(role) => 3 + of(role),
            Self::Holder(role) => 5 + of(role),
            Self::Doomed(role) => 7 + of(role),
            Self::Ended(role) => 9 + of(role),
            Self::Bytes => 11,
            Self::Again => 12,
            Self::ToldLost => 13,
            Self::ToldLeft => 14,
            Self::Wrong(wrong) => WRONG + wrong as usize,
        }
    }
}

/// Makes the page of one queue.
pub fn create(path: &Path) -> Result<Page, Failure> {
    Page::create(path, WORDS)
}

/// Maps the one that the parent made.
pub fn open(path: &Path) -> Result<Page, Failure> {
    Page::open(path, WORDS)
}

/// How far a producer is. One word, so that a kill leaves all of it or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Messages whose sending has returned.
    pub sent: u64,
    /// Messages of the call that has not: they are all there, or none is.
    pub doubt: u64,
    /// Or only some, from the first on.
    pub in_part: bool,
}

impl Sending {
    pub fn done(sent: u64) -> Self {
        Self { sent, doubt: 0, in_part: false }
    }

    pub fn read(page: &Page) -> Self {
        let word = page.get(Note::Sending);
        Self { sent: word >> 16, doubt: (word >> 1) & 0x7fff, in_part: word & 1 != 0 }
    }

    pub fn write(self, page: &Page) {
        page.set(Note::Sending, self.sent << 16 | self.doubt << 1 | u64::from(self.in_part));
    }

    /// What is wrong with a successor that is to go on at `next`.
    pub fn verdict(self, next: u64) -> Option<Wrong> {
        let end = self.sent + self.doubt;
        match next {
            next if next == self.sent || next == end => None,
            next if next < self.sent => Some(Wrong::Lost),
            next if next > end => Some(Wrong::OutOfOrder),
            _ => (!self.in_part).then_some(Wrong::Split),
        }
    }
}

/// How far a consumer is; one word, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taking {
    /// The message that comes next; everything before it was seen.
    pub next: u64,
    /// Messages before it that were seen in place and not given back: they come again all, or none.
    pub open: u64,
    /// Messages from it on that a call may have taken that has not returned.
    pub doubt: u64,
}

impl Taking {
    pub fn done(next: u64) -> Self {
        Self { next, open: 0, doubt: 0 }
    }

    pub fn read(page: &Page) -> Self {
        let word = page.get(Note::Taking);
        Self { next: word >> 24, open: (word >> 12) & 0xfff, doubt: word & 0xfff }
    }

    pub fn write(self, page: &Page) {
        page.set(Note::Taking, self.next << 24 | self.open << 12 | self.doubt);
    }

    /// What is wrong with a successor that is to go on at `next`.
    pub fn verdict(self, next: u64) -> Option<Wrong> {
        let open = self.next - self.open;
        match next {
            next if next == open || (self.next..=self.next + self.doubt).contains(&next) => None,
            next if next < open => Some(Wrong::Repeated),
            next if next > self.next + self.doubt => Some(Wrong::Lost),
            _ => Some(Wrong::Split),
        }
    }
}

/// Who holds a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which of the processes of this torture.
    pub life: u64,
    /// The number that the queue gave it.
    pub epoch: u64,
}

impl Holder {
    pub fn read(page: &Page, role: Role) -> Option<Self> {
        match page.get(Note::Holder(role)) {
            0 => None,
            word => Some(Self { life: word >> 32, epoch: word & 0xffff_ffff }),
        }
    }

    pub fn write(self, page: &Page, role: Role) {
        page.set(Note::Holder(role), self.life << 32 | self.epoch);
    }

    /// To be noted before a role is given up.
    pub fn leave(page: &Page, role: Role) {
        page.set(Note::Holder(role), 0);
    }

    /// Whether the holder with this epoch lives: it has the role now, and nobody has begun to kill it.
    pub fn is_alive(page: &Page, role: Role, epoch: u64) -> bool {
        // In this order: what is not doomed after the look at its note was alive at that look.
        Self::read(page, role)
            .is_some_and(|holder| holder.epoch == epoch && holder.life > page.get(Note::Doomed(role)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let path = std::env::temp_dir().join(format!(
            "shmq-lab-note-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let page = create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        page
    }

    #[test]
    fn notes_come_back_as_they_were_written() {
        let page = page();
        for sending in [Sending::done(0), Sending { sent: 1 << 40, doubt: 8, in_part: true }] {
            sending.write(&page);
            assert_eq!(Sending::read(&page), sending);
        }
        for taking in [Taking::done(0), Taking { next: 1 << 38, open: 256, doubt: 300 }] {
            taking.write(&page);
            assert_eq!(Taking::read(&page), taking);
        }
        for wrong in Wrong::ALL {
            page.add(Note::Wrong(wrong), wrong as u64 + 1);
        }
        assert!(Wrong::ALL.iter().all(|&wrong| page.get(Note::Wrong(wrong)) == wrong as u64 + 1));
    }

    #[test]
    fn a_successor_of_the_producer_goes_on_behind_what_was_sent_or_behind_what_was_in_doubt() {
        let batch = Sending { sent: 10, doubt: 4, in_part: false };
        let verdicts = [9, 10, 11, 13, 14, 15].map(|next| batch.verdict(next));
        let split = Some(Wrong::Split);
        assert_eq!(verdicts, [Some(Wrong::Lost), None, split, split, None, Some(Wrong::OutOfOrder)]);
        assert_eq!(Sending { in_part: true, ..batch }.verdict(11), None);
    }

    #[test]
    fn a_successor_of_the_consumer_sees_an_open_run_again_or_not_at_all() {
        let run = Taking { next: 10, open: 3, doubt: 0 };
        let verdicts = [6, 7, 8, 10, 11].map(|next| run.verdict(next));
        assert_eq!(verdicts, [Some(Wrong::Repeated), None, Some(Wrong::Split), None, Some(Wrong::Lost)]);
        let copies = Taking { next: 10, open: 0, doubt: 2 };
        let verdicts = [9, 10, 11, 12, 13].map(|next| copies.verdict(next));
        assert_eq!(verdicts, [Some(Wrong::Repeated), None, None, None, Some(Wrong::Lost)]);
    }

    #[test]
    fn a_holder_is_alive_until_it_is_condemned_replaced_or_leaves() {
        let page = page();
        let role = Role::Consumer;
        assert!(!Holder::is_alive(&page, role, 1));
        Holder { life: 7, epoch: 2 }.write(&page, role);
        assert!(Holder::is_alive(&page, role, 2) && !Holder::is_alive(&page, role, 1));
        assert!(!Holder::is_alive(&page, Role::Producer, 2));
        page.set(Note::Doomed(role), 6);
        assert!(Holder::is_alive(&page, role, 2));
        page.set(Note::Doomed(role), 7);
        assert!(!Holder::is_alive(&page, role, 2));
        Holder { life: 8, epoch: 3 }.write(&page, role);
        assert!(Holder::is_alive(&page, role, 3));
        Holder::leave(&page, role);
        assert!(!Holder::is_alive(&page, role, 3));
    }
}
