//! How far the producer of a ring of fixed-size messages has come, as its words tell it.

use crate::corruption::Corruption;
use crate::layout::SEQUENCE;
use crate::memory::{Memory, Site, Window, at};
use crate::slot_layout::{COUNT_LIMIT, END, SlotLayout};

/// The producer's position as the words tell it, from the stored one on: sequence number of the next message, and whether
/// the end was declared. The stored one lags by at most a group or a batch.
pub fn find_sequence<M: Memory>(
    window: &Window<M>,
    layout: &SlotLayout,
    site: Site,
) -> Result<(u64, bool), Corruption> {
    let ring = window.parts().ring as u64;
    let start = window.load(SEQUENCE, at::RECOVER);
    if start > COUNT_LIMIT {
        return Err(Corruption::Position);
    }
    let mut sequence = start;
    // A group later at every turn, so at most one lap.
    for _ in 0..=layout.groups {
        let end = layout.group_end(sequence);
        let word = window.load_at(ring + layout.word_offset(sequence), site);
        let count = word & !END;
        if count.saturating_sub(start) > layout.depth + layout.group {
            return Err(Corruption::Word);
        }
        if word & END != 0 && count >= sequence && count <= end {
            return Ok((count, true));
        }
        if count < end {
            return Ok((sequence.max(count), false));
        }
        sequence = end;
    }
    Err(Corruption::Word)
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::layout::{PAGE, Parts};
    use crate::memory::testing::Words;
    use crate::slot_layout::best_group;

    #[test]
    fn an_end_that_moves_on_is_where_the_layout_says() {
        for size in [1, 8, 12, 16, 24, 32, 40, 56, 57, 64, 128, 200, 256, 1000, 1024] {
            for depth in [1, 2, 3, 7, 8, 20] {
                let layout = SlotLayout::new(size, depth, best_group(size)).unwrap();
                let ring = 2 * PAGE;
                let parts = Parts { producer: 0, consumer: PAGE, ring, capacity: layout.capacity };
                let window = Window::new(Words::new(ring + layout.capacity as usize), parts).unwrap();
                let groups = window.groups(&layout).unwrap();
                let mut cursor = groups.cursor(0);
                for sequence in 0..100 {
                    if cursor.is_over() {
                        groups.turn(&mut cursor);
                    }
                    let [word, slot] = [layout.word_offset(sequence), layout.message_offset(sequence)]
                        .map(|offset| ring as u64 + offset);
                    assert_eq!(
                        (groups.next_place(&cursor), cursor.end()),
                        (slot, layout.group_end(sequence))
                    );
                    assert_eq!(groups.ahead(&cursor, 0), groups.ahead(&groups.cursor(sequence), 0));
                    assert!(slot >= word + layout.head);
                    assert!(slot + layout.stride <= word + layout.group_bytes);
                    assert!(groups.place(&cursor).is_none(), "nothing is open yet");
                    groups.open(&mut cursor, sequence + 1);
                    assert!(groups.place(&cursor).is_some_and(|span| span.len() == layout.stride));
                    cursor.step();
                }
            }
        }
    }
}
