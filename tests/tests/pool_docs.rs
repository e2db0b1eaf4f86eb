//! docs/POOL.md says what the code does: tables and drawings are read and compared with the constants.

use shmq_core::layout::PAGE;
use shmq_pool::testing::{HANDLE, HELD, HUGE, Handle, LENT, LOW, Layout, MANY, MAX_BLOCK, MAX_BLOCKS, SITES};
use std::path::Path;

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/POOL.md");
    std::fs::read_to_string(path).expect("docs/POOL.md")
}

/// The rows of the table whose header starts with `first`, without header and rule.
fn table<'a>(text: &'a str, first: &str) -> Vec<Vec<&'a str>> {
    let header = format!("| {first} |");
    let rows = text.lines().skip_while(|line| !line.starts_with(&header)).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let rows: Vec<Vec<_>> =
        rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect();
    assert!(!rows.is_empty(), "no table that starts with {first:?}");
    rows
}

#[test]
fn every_ordering_of_a_pool_is_documented_as_it_is() {
    let text = document();
    let documented: Vec<String> = table(&text, "site").iter().map(|row| row.join(" | ")).collect();
    let real = SITES.iter().map(|row| {
        let (label, access, order) = (row.site.label, row.access, row.site.order);
        format!("{label} | {access:?} | {order:?} | {} | {}", row.partner, row.why)
    });
    let real: Vec<String> = real.collect();
    assert_eq!(documented, real);
}

#[test]
fn the_drawn_parts_of_a_pool_are_where_they_are() {
    let text = document();
    let drawn: Vec<usize> = text
        .lines()
        .filter_map(|line| line.strip_prefix("0x"))
        .map(|line| usize::from_str_radix(line.split(' ').next().expect("an offset"), 16).expect("hex"))
        .collect();
    for (blocks, size) in [(1, 1), (100, 5000), (65536, 100), (8, 16 << 20)] {
        let it = Layout::new(blocks, size, 7).expect("a possible pool");
        assert_eq!(drawn, [0, it.full.producer, it.full.consumer, it.full.ring]);
        // In the order drawn, on whole pages, each behind the one before.
        let ring = (it.slots.capacity as usize).next_multiple_of(PAGE);
        let parts =
            [it.full.ring, it.empty.producer, it.empty.consumer, it.empty.ring, it.lent, it.held, it.first];
        let sizes = [ring, PAGE, PAGE, ring, (blocks * LENT) as usize, (blocks * HELD) as usize];
        for (i, size) in sizes.into_iter().enumerate() {
            assert!(parts[i].is_multiple_of(PAGE) && parts[i] + size <= parts[i + 1], "part {i} of {it:?}");
        }
        assert_eq!(it.stride, size.next_multiple_of(PAGE as u64));
        assert!(it.first as u64 + blocks * it.stride <= it.length);
        let many = blocks * it.stride >= MANY;
        assert!(!many || (it.first as u64).is_multiple_of(HUGE));
    }
    assert!(
        text.contains("from 32 MiB in all, at a multiple of 2 MiB") && MANY == 32 << 20 && HUGE == 2 << 20
    );
}

#[test]
fn the_documented_limits_and_handle_of_a_pool_are_those_in_use() {
    let text = document();
    let limits = table(&text, "limit");
    assert_eq!(limits[0], ["blocks", &format!("1 to {MAX_BLOCKS}")]);
    assert_eq!(limits[1], ["bytes of all blocks", &format!("at most {} TiB", MAX_BLOCK >> 40)]);
    assert!(text.contains(" 63            48 47") && LOW == (1 << 48) - 1);
    let handle = u64::from_le_bytes(Handle { block: 1, low: 0 }.bytes());
    assert_eq!((handle, HANDLE), (1 << 48, 8));
    let words = table(&text, "table");
    let bytes = |name: &str| 8 * words.iter().filter(|row| row[0] == name).count() as u64;
    assert_eq!((bytes("LENT"), bytes("HELD")), (LENT, HELD));
}
