//! Whether a pool is as it must be: both rings, and every block in exactly one place.
//!
//! Both ends may go on meanwhile. A look counts only if no position has moved during it; and what looks wrong is looked
//! at again, as long as anybody holds an end.

use super::inspector::Inspector;
use shmq::{Check, Outcome};
use std::cell::Cell;

use Outcome::{Damaged, Fine, Unchecked};

impl Inspector {
    /// Checks everything that must hold: geometry, both rings, every handle, that each block is in exactly one place,
    /// roles. Nothing is taken, and both ends may go on meanwhile. What it means is as for [`shmq::Inspector::check`].
    ///
    /// Reads both rings and both tables, not the blocks; allocates; sleeps a little when it has to look again.
    ///
    /// ```
    /// # let name = format!("shmq-doc-pool-check-{}", std::process::id());
    /// use shmq::Outcome;
    /// use shmq_pool::{Options, Pool};
    /// let pool = Pool::create(&name, 4, 4096, &Options::new())?;
    /// pool.writer()?.try_loan()?.send(5)?;
    /// let it = pool.inspect()?;
    /// assert!(it.check().iter().all(|check| matches!(check.outcome, Outcome::Fine { .. })));
    /// # use std::os::unix::fs::FileExt;
    /// # let file = std::fs::File::options().write(true).open(pool.path().unwrap())?;
    /// // A stray write where the handle of that block lies.
    /// file.write_all_at(&[9; 8], 0x3008)?;
    /// let wrong = it.check().into_iter().find(|c| matches!(c.outcome, Outcome::Damaged { .. }));
    /// assert_eq!(wrong.unwrap().what, "blocks");
    /// # pool.remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(&self) -> Vec<Check> {
        let of_queue = self.queue.check();
        let of_queue = |what| of_queue.iter().find(move |check| check.what == what).cloned();
        let ring = |what, window, noun| {
            let checks = self.queue.check_ring(window, &self.windows.layout.slots);
            Check { what, outcome: together(checks, noun) }
        };
        let full = ring("full ring", &self.windows.full, "under way");
        let empty = ring("empty ring", &self.windows.empty, "coming back");
        let whole = [&full, &empty].iter().all(|check| matches!(check.outcome, Fine { .. }));
        let blocks = if whole {
            self.every_block()
        } else {
            Unchecked { why: "where they are is not known, see the rings".into() }
        };
        let blocks = Check { what: "blocks", outcome: blocks };
        let mut roles = of_queue("roles");
        if let Some(Check { outcome: Fine { said }, .. }) = &mut roles {
            let seen = self.queue.snapshot();
            *said = format!("writer {}, reader {}", seen.producer.state, seen.consumer.state);
        }
        if self.queue.is_torn() {
            return self.queue.check();
        }
        of_queue("geometry").into_iter().chain([full, empty, blocks]).chain(roles).collect()
    }

    fn every_block(&self) -> Outcome {
        let (survey, blocks) = (self.survey(), self.blocks());
        let moved = Cell::new(false);
        let outcome = self.queue.look_again(|| {
            let before = survey.positions();
            let outcome = survey.account();
            moved.set(before != survey.positions());
            match outcome {
                // Whatever it was, it is to be looked at again.
                _ if moved.get() => Damaged { said: String::new() },
                Err(said) => Damaged { said },
                Ok(away) => {
                    let home = blocks - away;
                    let said =
                        format!("{blocks}, each in one place: {away} sent and not back, {home} at home");
                    Fine { said }
                }
            }
        });
        if moved.get() {
            return Unchecked { why: "blocks move too fast; see again when it is quieter".into() };
        }
        outcome
    }
}

/// What three checks of a ring say as one.
fn together(checks: [Outcome; 3], noun: &str) -> Outcome {
    let worst = |outcome: &Outcome| match outcome {
        Damaged { .. } => 2,
        Unchecked { .. } => 1,
        _ => 0,
    };
    let [positions, messages, words] = checks;
    let wrong = [&positions, &messages, &words].into_iter().rev().max_by_key(|outcome| worst(outcome));
    if let Some(wrong) = wrong.filter(|outcome| worst(outcome) > 0) {
        return wrong.clone();
    }
    match (positions, messages) {
        (Fine { said: positions }, Fine { said: messages }) => {
            let count = messages.split(' ').next().unwrap_or_default();
            Fine { said: format!("{count} {noun}; {positions}") }
        }
        (other, _) => other,
    }
}
