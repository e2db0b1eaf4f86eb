//! P1, P8: which sizes can be, to the byte, what a queue gets when nothing was said, and that what cannot be is refused with a word
//! of what would do.

use shmq::{CreateError, Limits, OpenError, Options, Waiting};
use shmq_core::layout::{
    CONSUMER, Counter, Header, Kind, MAX_CAPACITY, MAX_MESSAGE, MIN_CAPACITY, PAGE, PRODUCER, Role,
};
use shmq_core::slot_layout::best_group;
use shmq_core::{Geometry, SlotLayout};
use std::time::Duration;

fn limits(options: &Options) -> (u64, u64, Option<u64>) {
    let Limits { capacity, max_message, max_messages, .. } = options.limits().expect("possible limits");
    (capacity, max_message, max_messages)
}

fn why<T: std::fmt::Debug>(result: Result<T, CreateError>) -> String {
    match result {
        Err(CreateError::Options { why }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn p1_what_is_not_said_follows_from_what_is() {
    let options = Options::new;
    assert_eq!(limits(&options()), (1 << 20, 64 << 10, None));
    assert_eq!(limits(&options().max_messages(7)), (1 << 20, 64 << 10, Some(7)));
    assert_eq!(limits(&options().max_message(0)), (1 << 20, 0, None));
    // The smallest ring that such a message fits wherever it begins.
    assert_eq!(limits(&options().max_message((1 << 19) - 16)), (1 << 20, (1 << 19) - 16, None));
    assert_eq!(limits(&options().max_message((1 << 19) - 15)), (1 << 21, (1 << 19) - 15, None));
    assert_eq!(limits(&options().max_message(MAX_MESSAGE)), (1 << 33, MAX_MESSAGE, None));
    // As much as the ring takes, up to 64 KiB.
    assert_eq!(limits(&options().capacity(4096)), (4096, 2032, None));
    assert_eq!(limits(&options().capacity(1 << 17)), (1 << 17, (1 << 16) - 16, None));
    assert_eq!(limits(&options().capacity(1 << 18)), (1 << 18, 1 << 16, None));
    assert_eq!(limits(&options().capacity(MAX_CAPACITY)), (MAX_CAPACITY, 1 << 16, None));
    assert_eq!(limits(&options().capacity(4096).max_message(2032)), (4096, 2032, None));
}

#[test]
fn each_option_leaves_the_others_as_they_were() {
    let all = Options::new().capacity(4096).max_message(100).max_messages(3).tag("a tag").mode(0o1640);
    let all = all.prefault(false).lock(true).huge_pages(true);
    assert_eq!(limits(&all), (4096, 100, Some(3)));
    let text = format!("{all:?}");
    for part in
        ["mode: 416", "prefault: false", "lock: true", "huge_pages: true", "tag: [97, 32, 116, 97, 103, 0"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(format!("{:?}", Options::default()), format!("{:?}", Options::new()));
}

#[test]
fn ready_made_ways_to_wait_are_what_they_say() {
    let new = Waiting::new;
    let micros = Duration::from_micros;
    assert_eq!(new(), new().sleep(true).adaptive(true).across_restarts(false));
    assert_ne!(new(), new().spin(micros(50)).yields(micros(50)), "the default looks at the machine");
    assert_eq!(Waiting::default(), new());
    assert_eq!(Waiting::dedicated_core(), new().spin(Duration::MAX).yields(Duration::ZERO).sleep(false));
    assert_eq!(Waiting::shared_core(), new().spin(micros(5)).yields(micros(100)));
    assert_eq!(Waiting::low_power(), new().spin(Duration::ZERO).yields(Duration::ZERO));
}

#[test]
fn p8_limits_that_cannot_be_are_refused_with_some_that_can() {
    let options = Options::new;
    assert!(why(options().max_message(MAX_MESSAGE + 1).limits()).contains("at most 4294967280 bytes"));
    for (capacity, would_do) in [(0u64, 4096u64), (1, 4096), (2048, 4096), (4097, 8192), (1 << 41, 1 << 40)] {
        let said = why(options().capacity(capacity).limits());
        assert!(said.contains(&format!("not {capacity}; {would_do} would do")), "{said}");
    }
    for (capacity, message, would_do) in [(4096, 2033, 8192), (4096, 4080, 8192), (4096, 4081, 16384)] {
        let said = why(options().capacity(capacity).max_message(message).limits());
        assert!(said.contains("up to 2032 bytes"), "{said}");
        assert!(said.contains(&format!("a capacity of {would_do} would do")), "{said}");
    }
    assert!(why(options().max_messages(0).limits()).contains("1 is the least"));
}

#[test]
fn p8_slots_take_their_limits_from_size_and_depth_alone() {
    let slots = |size, align, depth, options: &Options| Geometry::slots(size, align, depth, options);
    let plain = Options::new();
    let made = slots(24, 8, 100, &plain).expect("possible");
    assert_eq!((made.limits.max_message, made.limits.max_messages), (24, Some(100)));
    assert_eq!((made.slot_align, made.slot_group), (8, best_group(24) as u32));
    assert_eq!(made.limits.capacity, SlotLayout::new(24, 100, best_group(24)).expect("possible").capacity);
    for other in [plain.clone().capacity(4096), plain.clone().max_message(8), plain.clone().max_messages(8)] {
        assert!(why(slots(8, 8, 8, &other)).contains("leave the others out"));
        assert!(why(Geometry::raw(8, 0, 0, &other)).contains("leave those out"));
    }
    for align in [0, 3, 16] {
        assert!(why(slots(48, align, 8, &plain)).contains(&format!("not {align};")));
    }
    for align in [1, 2, 4, 8] {
        assert!(slots(48, align, 8, &plain).is_ok());
    }
    for (size, depth) in [(0, 8), (8, 0), (1 << 33, 1), (8, 1 << 41), (1 << 32, 1 << 10)] {
        assert!(why(slots(size, 8, depth, &plain)).contains("both must be at least 1"));
    }
}

#[test]
fn p8_regions_are_whole_elements_or_bytes() {
    let raw = |bytes, element, align| Geometry::raw(bytes, element, align, &Options::new());
    let made = raw(PAGE as u64 + 1, 0, 0).expect("possible");
    assert_eq!((made.limits.capacity, made.length), (PAGE as u64 + 1, 3 * PAGE as u64));
    assert_eq!(raw(PAGE as u64, 8, 8).expect("possible").length, 2 * PAGE as u64);
    for bytes in [0, MAX_CAPACITY + 1] {
        assert!(why(raw(bytes, 0, 0)).contains(&format!("not {bytes}")));
    }
    assert!(raw(1, 0, 0).is_ok() && raw(MAX_CAPACITY, 0, 0).is_ok());
    // A number of elements, an alignment that is a power of two, within a page, and divides their size.
    for (element, align) in [(16, 0), (16, 3), (16, 32), (12, 8), (5, 1), (8192, 8192), (0, 8)] {
        assert!(why(raw(12 << 10, element, align)).contains("not a number of elements"), "{element} {align}");
    }
    for (element, align) in [(16, 16), (12, 4), (4096, 4096), (1, 1)] {
        assert!(raw(12 << 10, element, align).is_ok(), "{element} {align}");
    }
}

#[test]
fn p8_a_geometry_page_is_read_back_as_it_was_written_and_nothing_else_is_believed() {
    let (plain, mut tag) = (Options::new().tag("a tag"), [0; 32]);
    tag[..5].copy_from_slice(b"a tag");
    let limits = plain.limits().expect("possible");
    for made in [
        Geometry::records(limits, tag),
        Geometry::slots(24, 8, 100, &plain).expect("possible"),
        Geometry::raw(8192, 16, 8, &plain).expect("possible"),
    ] {
        let made = Geometry { queue_id: [1; 16], boot_id: [2; 16], created_ns: 3, ..made };
        let header = made.header();
        let bytes = bytemuck::bytes_of(&header);
        assert_eq!(Geometry::parse(bytes, made.length).expect("as it was written"), made);
        assert_eq!(made.tag_text(), "a tag");
        assert!(Geometry::parse(bytes, made.length - 1).is_err());
        assert!(Geometry::parse(bytes, made.length + 1).is_err());
        assert!(Geometry::parse(&bytes[..bytes.len() - 1], made.length).is_err());
    }
    assert_eq!(MIN_CAPACITY, 4096);
}

/// One line, where that wastes little; else several.
#[test]
fn as_many_messages_share_a_word_as_was_measured_to_be_best() {
    for (size, group) in [
        (0, 1),
        (1, 7),
        (8, 7),
        (9, 15),
        (16, 15),
        (17, 5),
        (24, 5),
        (25, 7),
        (32, 7),
        (33, 1),
        (40, 1),
        (56, 1),
        (57, 7),
        (64, 7),
        (65, 7),
        (72, 7),
        (128, 3),
        (248, 2),
        (249, 3),
        (256, 3),
        (504, 2),
        (512, 2),
        (513, 2),
        (1024, 2),
        (1025, 1),
        (1 << 20, 1),
    ] {
        assert_eq!(best_group(size), group, "messages of {size} bytes");
    }
}

#[test]
fn shapes_have_limits() {
    let possible = |size, depth, group| SlotLayout::new(size, depth, group).is_some();
    assert!(!possible(0, 1, 1) && !possible(1, 0, 1) && !possible(1, 1, 0));
    assert!(possible(1 << 32, 1, 1) && !possible((1 << 32) + 1, 1, 1));
    assert!(possible(1, 1, 1 << 16) && !possible(1, 1, (1 << 16) + 1));
    // 64 bytes each: 2^34 groups, of which one is more than the depth needs.
    assert!(possible(8, (1 << 34) - 1, 1) && !possible(8, 1 << 34, 1));
    assert!(!possible(1, (1 << 40) + 1, 1 << 16));
    let shape = SlotLayout::new(20, 100, 5).expect("possible");
    assert_eq!((shape.stride, shape.head, shape.used, shape.group_bytes), (24, 8, 128, 128));
    assert_eq!((shape.groups, shape.capacity), (21, 21 * 128));
    let lines = SlotLayout::new(64, 3, 2).expect("possible");
    assert_eq!((lines.head, lines.used, lines.group_bytes, lines.groups), (64, 192, 192, 3));
}

#[test]
fn kinds_and_roles_have_names_and_counters_their_places() {
    let kinds = [Kind::Records, Kind::Slots, Kind::Raw, Kind::Pool].map(|kind| kind.to_string());
    assert_eq!(kinds, ["records", "slots", "raw", "pool"]);
    assert_eq!([Role::Producer, Role::Consumer].map(|role| role.to_string()), ["producer", "consumer"]);
    for words in [PRODUCER, CONSUMER] {
        let places =
            [Counter::Sleeps, Counter::Wakes, Counter::Began].map(|which| words.counter(which).offset());
        assert_eq!(places, [0x280, 0x288, 0x2c0]);
    }
}

/// What is said of a page after this change, with a checksum that is right again.
fn changed(made: &Geometry, change: impl Fn(&mut Header)) -> Result<Geometry, OpenError> {
    let mut header = made.header();
    change(&mut header);
    header.checksum = header.sum();
    Geometry::parse(bytemuck::bytes_of(&header), header.length)
}

#[test]
fn p8_parts_that_do_not_lie_on_pages_of_their_own_are_refused() {
    let page = PAGE as u64;
    let records = Geometry::records(Options::new().limits().expect("possible"), [0; 32]);
    let spread = |producer: u64, consumer: u64, ring: u64| {
        changed(&records, |header| {
            (header.producer_at, header.consumer_at, header.ring_at) = (producer, consumer, ring);
            header.length = ring + header.capacity + page;
        })
    };
    assert!(spread(page, 2 * page, 3 * page).is_ok());
    assert!(spread(2 * page, 5 * page, 9 * page).is_ok());
    for (producer, consumer, ring) in [
        (page + 8, 3 * page, 5 * page),
        (page, 3 * page + 8, 5 * page),
        (page, 3 * page, 5 * page + 8),
        (page + 8, 3 * page + 8, 5 * page),
        (page + 8, 3 * page, 5 * page + 8),
        (page, 3 * page + 8, 5 * page + 8),
        (page + 8, 3 * page + 8, 5 * page + 8),
        (0, page, 2 * page),
        (page, page, 3 * page),
        (2 * page, page, 3 * page),
        (page, 2 * page, 2 * page),
    ] {
        assert!(spread(producer, consumer, ring).is_err(), "{producer} {consumer} {ring}");
    }
    let raw = Geometry::raw(8192, 0, 0, &Options::new()).expect("possible");
    let ends = |producer: u64, consumer: u64, ring: u64| {
        changed(&raw, |header| {
            (header.producer_at, header.consumer_at, header.ring_at) = (producer, consumer, ring);
            header.length = 4 * page;
        })
    };
    assert!(ends(0, 0, page).is_ok() && ends(0, 0, 2 * page).is_ok());
    for (producer, consumer, ring) in [(page, 0, page), (0, page, page), (page, page, page), (0, 0, 0)] {
        assert!(ends(producer, consumer, ring).is_err(), "{producer} {consumer} {ring}");
    }
}

#[test]
fn p8_first_bytes_that_were_spoiled_are_told_from_those_of_something_else() {
    let made = Geometry::records(Options::new().limits().expect("possible"), [0; 32]);
    let said = |magic: &[u8; 8]| {
        let header = Header { magic: *magic, ..made.header() };
        Geometry::parse(bytemuck::bytes_of(&header), made.length).expect_err("another magic").to_string()
    };
    for spoiled in [b"\x89SMQ\n\x1a\n\0", b"\x09SMQ\r\n\x1a\n", b"\x89SMQ\r\n\x1a\r"] {
        assert!(said(spoiled).contains("text-mode"), "{spoiled:?}");
    }
    for other in [b"\x89PNG\r\n\x1a\n", b"\x7fELF\x02\x01\x01\0", b"\x89SM!\r\n\x1a\n", &[0; 8]] {
        assert!(said(other).contains("not a queue's"), "{other:?}");
    }
}

#[test]
fn p8_of_a_damaged_page_is_believed_what_the_rest_confirms() {
    let made = Geometry::records(Options::new().limits().expect("possible"), [0; 32]);
    let salvaged = |change: &dyn Fn(&mut Header)| {
        let mut header = made.header();
        change(&mut header);
        Geometry::salvage(bytemuck::bytes_of(&header))
    };
    assert_eq!(salvaged(&|_| ()), Some(made));
    assert_eq!(salvaged(&|header| header.checksum ^= 1), Some(made), "a checksum that is wrong");
    assert_eq!(salvaged(&|header| header.magic = [0; 8]), Some(made), "first bytes that are wrong");
    assert_eq!(
        salvaged(&|header| {
            header.magic = [0; 8];
            header.checksum ^= 1;
        }),
        None,
        "both: something else"
    );
    assert_eq!(salvaged(&|header| header.capacity += 8), None, "limits that cannot be");
    assert_eq!(Geometry::salvage(&[0; 100]), None);
}

#[test]
fn p8_limits_in_a_file_are_derived_again() {
    let plain = Options::new();
    let slots = Geometry::slots(24, 8, 100, &plain).expect("possible");
    assert!(changed(&slots, |_| ()).is_ok());
    for align in [0, 3, 16] {
        assert!(changed(&slots, |header| header.slot_align = align).is_err(), "{align}");
    }
    assert!(changed(&slots, |header| header.max_messages += 5).is_err(), "more than the ring holds");
    assert!(changed(&slots, |header| header.slot_group += 1).is_err());

    let raw = Geometry::raw(8192, 16, 8, &plain).expect("possible");
    assert!(changed(&raw, |_| ()).is_ok());
    assert!(changed(&raw, |header| header.max_message = 24).is_err(), "no number of elements");
    assert!(changed(&raw, |header| (header.capacity, header.length) = (0, 4096)).is_err());
    assert!(changed(&raw, |header| header.slot_group = 1).is_err());
    assert!(changed(&raw, |header| header.max_messages = 1).is_err());

    let pool = Geometry { kind: Kind::Pool, ..Geometry::slots(8, 8, 100, &plain).expect("possible") };
    assert!(changed(&pool, |_| ()).is_ok());
    assert!(changed(&pool, |header| header.max_messages += 7).is_err());

    let records = Geometry::records(plain.limits().expect("possible"), [0; 32]);
    for change in [
        |header: &mut Header| header.slot_align = 8,
        |header: &mut Header| header.slot_group = 1,
        |header: &mut Header| header.capacity += 8,
        |header: &mut Header| header.max_message = header.capacity / 2,
        |header: &mut Header| header.capacity /= 1024,
    ] {
        assert!(changed(&records, change).is_err());
    }
}
