//! Which of its stores a dying process has made.

use crate::model::Verdict;

/// In which orders the stores of one process may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The protocol's.
    Program,
    /// Every order that a compiler may make of it, with up to two operations in a row.
    Compiler,
}

impl Cut {
    /// Calls `visit` for every set of stores that a death can leave, but for none and all of them: which are there. A
    /// store is its place and its value; the first `bounds` stores, each, must come before it.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn each(
        self,
        stores: &[(usize, u64)],
        bounds: &[usize],
        visit: &mut dyn FnMut(&[bool]) -> Verdict,
    ) -> Verdict {
        let mut there = vec![false; stores.len()];
        match self {
            Self::Program => {
                for i in 1..stores.len() {
                    there[i - 1] = true;
                    visit(&there)?;
                }
                Ok(())
            }
            Self::Compiler => choose(stores, bounds, &mut there, 0, visit),
        }
    }
}

/// The stores from the `next` on are made or not, if those that must come before one are.
fn choose(
    stores: &[(usize, u64)],
    bounds: &[usize],
    there: &mut Vec<bool>,
    next: usize,
    visit: &mut dyn FnMut(&[bool]) -> Verdict,
) -> Verdict {
    if next == stores.len() {
        let some = there.iter().any(|&there| there);
        return if some && there.iter().any(|&there| !there) { visit(there) } else { Ok(()) };
    }
    choose(stores, bounds, there, next + 1, visit)?;
    let first = there[..bounds[next]].iter().all(|&there| there);
    let same = (0..next).all(|i| there[i] || stores[i].0 != stores[next].0);
    if first && same {
        there[next] = true;
        choose(stores, bounds, there, next + 1, visit)?;
        there[next] = false;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(stores: &[(usize, u64)], bounds: &[usize]) -> usize {
        let mut sets = 0;
        let mut one = |_: &[bool]| {
            sets += 1;
            Ok(())
        };
        Cut::Compiler.each(stores, bounds, &mut one).unwrap();
        sets
    }

    #[test]
    fn only_fences_release_stores_and_shared_words_keep_stores_in_order() {
        let apart = [(0, 1), (1, 1), (2, 1)];
        assert_eq!(count(&apart, &[0, 0, 0]), 6, "all subsets but two");
        assert_eq!(count(&apart, &[0, 1, 2]), 2, "as written");
        assert_eq!(count(&apart, &[0, 0, 2]), 3, "the last one is a Release");
        assert_eq!(count(&[(0, 1), (0, 2), (0, 3)], &[0, 0, 0]), 2, "one word");
    }
}
