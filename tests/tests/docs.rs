//! The documents say what the code does: tables and drawings are read and compared with the constants.

use shmq_core::layout::{self, Control, Counter, Header, Role};
use shmq_core::{Order, SITES, SiteDoc, slot_layout, word};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The part of a document under one heading, up to the next one.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start =
        text.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading:?}")) + 4;
    let end = text[start..].find("\n## ").map_or(text.len(), |end| start + end);
    &text[start..end]
}

/// The rows of the table whose header starts with `first`, without header and rule.
fn table<'a>(text: &'a str, first: &str) -> Vec<Vec<&'a str>> {
    let header = format!("| {first} |");
    let rows = text.lines().skip_while(|line| !line.starts_with(&header)).skip(2);
    let rows: Vec<Vec<_>> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(!rows.is_empty(), "no table that starts with {first:?}");
    rows
}

/// Fields of a drawing: name, and where and how long it is. Rows must follow each other without a gap.
fn drawing(section: &str) -> BTreeMap<&str, (usize, usize)> {
    let mut fields = BTreeMap::new();
    let mut next = 0;
    for row in section.lines().filter(|line| line.starts_with("0x")) {
        let (at, names) = row.split_once('|').expect("fields follow the offset");
        let at = number(at.trim());
        assert_eq!(at, next, "the row before {row:?} does not end where it begins");
        let names: Vec<&str> = names.trim().trim_end_matches('|').split('|').map(str::trim).collect();
        for name in &names {
            let (name, len) = match name.split_once('[') {
                Some((name, len)) => (name, len.trim_end_matches(']').parse().expect("a length")),
                None => (*name, 8 / names.len()),
            };
            if name != "unused" {
                assert_eq!(fields.insert(name, (next, len)), None, "{name} is drawn twice");
            }
            next += len;
        }
    }
    assert_eq!(next, layout::PAGE, "the drawing covers the page");
    fields
}

fn number(text: &str) -> usize {
    usize::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_else(|e| panic!("{text}: {e}"))
}

macro_rules! header_fields {
    ($($field:ident),*) => {{
        // Complete by construction: a field that is not named here does not compile.
        let Header { $($field: _),* } = bytemuck_zero();
        [$((stringify!($field), offset_of!(Header, $field))),*]
    }};
}

fn bytemuck_zero() -> Header {
    let limits = shmq::Options::new().limits().expect("the defaults are possible");
    shmq_core::Geometry::records(limits, [0; 32]).header()
}

#[test]
fn the_drawn_geometry_page_is_the_header() {
    let format = read("docs/FORMAT.md");
    let page = section(&format, "Geometry page");
    let drawn = drawing(page);
    let fields = header_fields!(
        magic,
        version,
        kind,
        compatible,
        incompatible,
        capacity,
        max_message,
        max_messages,
        producer_at,
        consumer_at,
        ring_at,
        length,
        queue_id,
        boot_id,
        created_ns,
        tag,
        slot_align,
        slot_group,
        reserved,
        checksum
    );
    let ends = fields.iter().skip(1).map(|&(_, at)| at).chain([size_of::<Header>()]);
    let real: BTreeMap<_, _> =
        fields.iter().zip(ends).map(|(&(name, at), end)| (name, (at, end - at))).collect();
    assert_eq!(drawn, real);
    let explained: BTreeSet<_> = table(page, "field").into_iter().map(|row| row[0]).collect();
    assert_eq!(explained, drawn.keys().copied().collect());
}

#[test]
fn the_drawn_role_pages_are_the_control_words() {
    let format = read("docs/FORMAT.md");
    let mut names = BTreeSet::new();
    for role in [Role::Producer, Role::Consumer] {
        let (heading, own): (_, &[(&str, Control)]) = match role {
            Role::Producer => (
                "Producer page",
                &[("TAIL", layout::TAIL), ("SEQUENCE", layout::SEQUENCE), ("DIRTY", layout::DIRTY)],
            ),
            Role::Consumer => (
                "Consumer page",
                &[
                    ("READ", layout::READ),
                    ("RECEIVED", layout::RECEIVED),
                    ("FREE", layout::FREE),
                    ("FREED", layout::FREED),
                ],
            ),
        };
        // Complete by construction, as above.
        let layout::RoleWords { bell, ticket, epoch, left, boot, pid, since, counters } = *role.words();
        assert_eq!(boot[1].offset(), boot[0].offset() + 8);
        let common = [
            ("bell", bell),
            ("ticket", ticket),
            ("epoch", epoch),
            ("left", left),
            ("pid", pid),
            ("since", since),
        ];
        let counter = |which: Counter| role.words().counter(which).offset();
        assert_eq!(counters.offset(), counter(Counter::Sleeps));
        let mut real: BTreeMap<String, (usize, usize)> =
            common.iter().chain(own).map(|&(name, word)| (name.into(), (word.offset(), 8))).collect();
        real.insert("boot".into(), (boot[0].offset(), 16));
        for which in [
            Counter::Sleeps,
            Counter::Wakes,
            Counter::Stalls,
            Counter::Refused,
            Counter::StalledSince,
            Counter::StalledUntil,
            Counter::StalledNs,
            Counter::MostPending,
            Counter::Began,
        ] {
            real.insert(format!("{which:?}"), (counter(which), 8));
        }
        if role == Role::Producer {
            for (name, cells) in [("MARK", layout::MARK), ("ORIGIN", layout::ORIGIN)] {
                for (i, cell) in cells.0.iter().enumerate() {
                    let [first, second, third] = cell.words.map(Control::offset);
                    assert_eq!((second, third), (first + 8, first + 16));
                    real.insert(format!("{name}_LABEL_{i}"), (cell.label.offset(), 8));
                    real.insert(format!("{name}_{i}"), (first, 24));
                }
            }
        }
        let drawn = drawing(section(&format, heading));
        let drawn: BTreeMap<String, _> =
            drawn.into_iter().map(|(name, place)| (name.into(), place)).collect();
        assert_eq!(drawn, real, "{heading}");
        names.extend(drawn.into_keys());
    }
    let explained = table(section(&format, "Consumer page"), "word");
    let explained = explained.iter().flat_map(|row| row[0].split(", "));
    assert_eq!(explained.map(str::to_owned).collect::<BTreeSet<_>>(), names);
}

#[test]
fn the_constants_are_the_documented_ones() {
    let format = read("docs/FORMAT.md");
    let real: BTreeMap<&str, u64> = BTreeMap::from([
        ("VERSION", layout::VERSION.into()),
        ("PAGE", layout::PAGE as u64),
        ("FALSE_SHARING_LINE", layout::FALSE_SHARING_LINE as u64),
        ("WORD", layout::WORD),
        ("MIN_CAPACITY", layout::MIN_CAPACITY),
        ("MAX_CAPACITY", layout::MAX_CAPACITY),
        ("MAX_MESSAGE", layout::MAX_MESSAGE),
        ("TAG", layout::TAG as u64),
    ]);
    let mut rows = table(&format, "constant");
    let magic = rows.remove(0);
    let bytes: Vec<u8> = magic[1].split(' ').map(|byte| number(byte) as u8).collect();
    assert_eq!((magic[0], &bytes[..]), ("MAGIC", &layout::MAGIC[..]));
    let documented = rows.iter().map(|row| (row[0], row[1].parse().expect("a number"))).collect();
    assert_eq!(real, documented);

    let parts = layout::Parts::standard(4096);
    let drawn: Vec<usize> = section(&format, "Parts")
        .lines()
        .filter_map(|line| line.strip_prefix("0x"))
        .map(|line| number(line.split(' ').next().expect("an offset")))
        .collect();
    assert_eq!(drawn, [0, parts.producer, parts.consumer, parts.ring]);

    let kinds = [layout::Kind::Records, layout::Kind::Slots, layout::Kind::Raw, layout::Kind::Pool];
    let kinds: Vec<_> = kinds.into_iter().map(|kind| (kind.to_string(), (kind as u32).to_string())).collect();
    let rows = table(&format, "a file of");
    assert_eq!(kinds, rows.iter().map(|row| (row[0].into(), row[1].into())).collect::<Vec<_>>());
}

#[test]
fn the_drawn_commit_word_is_the_one_in_use() {
    let format = read("docs/FORMAT.md");
    let mask = |bits: &str| {
        let (low, high) = bits.split_once('-').expect("a range of bits");
        let (low, high): (u32, u32) = (low.parse().unwrap(), high.parse().unwrap());
        (u64::MAX >> (63 - high)) & (u64::MAX << low)
    };
    let masks: BTreeMap<_, _> = table(&format, "bits").iter().map(|row| (row[1], mask(row[0]))).collect();
    use word::RecordKind as Kind;
    assert_eq!(masks["kind"], word::word(Kind::End, 0, 0));
    assert_eq!(masks["sequence"], word::word(Kind::None, 0, u64::MAX));
    assert_eq!(masks["length"], word::word(Kind::None, u32::MAX.into(), 0));
    assert_eq!(masks.len(), 3);
    let kinds = [Kind::None, Kind::Message, Kind::Padding, Kind::End];
    let kinds: Vec<_> = kinds.into_iter().map(|k| (format!("{k:?}"), (k as u64).to_string())).collect();
    let rows = table(&format, "record");
    assert_eq!(kinds, rows.iter().map(|row| (row[0].into(), row[1].into())).collect::<Vec<_>>());
}

#[test]
fn the_documented_rings_of_slots_are_as_they_are_made() {
    let format = read("docs/FORMAT.md");
    for row in table(&format, "bytes of a message") {
        let row: Vec<u64> = row.iter().map(|cell| cell.parse().expect("a number")).collect();
        let made = slot_layout::SlotLayout::new(row[0], row[1], slot_layout::best_group(row[0]))
            .expect("a possible ring");
        assert_eq!(row[2..], [made.group, made.group_bytes, made.groups, made.capacity]);
    }
    assert!(format.contains("bit 63 declares the end of data") && slot_layout::END == 1 << 63);
}

#[test]
fn the_documented_seqlock_cell_is_the_one_in_use() {
    use shmq_raw::testing::{ALIGN, BEGUN, HEAD, LATEST, PID, SHAPE, SLOTS, room};
    let raw = read("docs/RAW.md");
    let words = [("BEGUN", BEGUN), ("LATEST", LATEST), ("SHAPE", SHAPE), ("PID", PID), ("slots", HEAD)];
    let rows = table(&raw, "word");
    let documented: Vec<_> = rows.iter().map(|row| (row[0], number(row[1]))).collect();
    assert_eq!(documented, words);
    for row in table(&raw, "bytes of a value") {
        let row: Vec<usize> = row.iter().map(|cell| cell.parse().expect("a number")).collect();
        assert_eq!(row[1], room(row[0], SLOTS));
    }
    assert!(
        raw.contains(&format!("at a multiple of {ALIGN}")) && raw.contains(&format!("has {SLOTS} slots"))
    );
}

#[test]
fn every_ordering_is_documented_as_it_is() {
    sites_are_documented("docs/DESIGN.md", SITES);
    sites_are_documented("docs/RAW.md", shmq_raw::testing::SITES);
}

fn sites_are_documented(document: &str, sites: &[SiteDoc]) {
    let text = read(document);
    let plain = |text: &str| text.replace('`', "");
    let documented: Vec<String> = table(&text, "site").iter().map(|row| plain(&row.join(" | "))).collect();
    let real: Vec<String> = sites
        .iter()
        .map(|row| {
            let partner = row.partner.to_owned();
            [
                row.site.label,
                &format!("{:?}", row.access),
                &format!("{:?}", row.site.order),
                &partner,
                row.why,
            ]
            .join(" | ")
        })
        .map(|row| plain(&row))
        .collect();
    let expected: String = real.iter().map(|row| format!("| {row} |\n")).collect();
    assert!(documented == real, "the table of {document} should read\n{expected}");
    // The table itself: a partner is another row, or none.
    let labels: BTreeSet<_> = sites.iter().map(|row| row.site.label).collect();
    assert_eq!(labels.len(), sites.len(), "labels are unique");
    for row in sites {
        assert!(row.partner == "-" || labels.contains(row.partner), "{}: {}", row.site.label, row.partner);
    }
}

#[test]
fn for_every_ordering_it_is_written_down_which_test_notices_a_weaker_one() {
    let correctness = read("docs/CORRECTNESS.md");
    let rows = table(&correctness, "site");
    let listed: BTreeSet<_> = rows.iter().map(|row| row[0]).collect();
    let ordered = SITES.iter().filter(|row| row.site.order != Order::Relaxed).map(|row| row.site.label);
    assert_eq!(listed, ordered.collect(), "ci/weaken.sh prints the table");
    for row in rows {
        assert!(row.len() == 4 && !row[3].is_empty(), "{row:?}: nobody notices");
    }
}

/// The documents: at the top, in `docs/`, of each crate, and of the litmus texts.
fn documents() -> Vec<String> {
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(root().join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("plain text")).collect()
    };
    let mut all: Vec<String> = names("").into_iter().filter(|name| name.ends_with(".md")).collect();
    all.extend(
        names("docs").into_iter().filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")),
    );
    all.extend(names("crates").into_iter().map(|name| format!("crates/{name}/README.md")));
    all.extend(["docs/results/README.md".into(), "tests/litmus/README.md".into()]);
    all.retain(|name| root().join(name).exists());
    all
}

/// The lines of a document that are not in a code block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// The links of a document that lead nowhere: to a file or heading that is not there, or by a label that is not defined.
fn broken_links(name: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = prose(text).collect();
    let defined = |line: &str| -> Option<(String, String)> {
        let (label, target) = line.strip_prefix('[')?.split_once("]: ")?;
        Some((label.into(), target.into()))
    };
    let labels: BTreeMap<String, String> = lines.iter().filter_map(|line| defined(line)).collect();
    let mut broken = Vec::new();
    let mut targets: Vec<String> = labels.values().cloned().collect();
    let prose = lines.join("\n");
    targets.extend(prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())));
    for used in prose.split("][").skip(1).filter_map(|rest| Some(rest.split_once(']')?.0)) {
        if !labels.contains_key(used) {
            broken.push(format!("{name} has no [{used}]: line"));
        }
    }
    for target in targets.into_iter().filter(|target| !target.starts_with("http")) {
        let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
        let path = match file {
            "" => root().join(name),
            file => root().join(name).parent().expect("a file has a folder").join(file),
        };
        if !path.exists() {
            broken.push(format!("{name} links to {target}: there is no such file"));
        } else if !anchor.is_empty() {
            let there =
                if file.is_empty() { text.into() } else { std::fs::read_to_string(path).expect("text") };
            if !anchors(&there).contains(anchor) {
                broken.push(format!("{name} links to {target}: there is no such heading"));
            }
        }
    }
    broken
}

#[test]
fn every_link_between_documents_leads_to_a_file_and_a_heading() {
    let documents = documents();
    assert!(documents.len() > 15, "{documents:?}");
    let broken: Vec<String> = documents.iter().flat_map(|name| broken_links(name, &read(name))).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn null_control_a_link_that_leads_nowhere_is_found() {
    let sound = "# One, and *two*\n[a](README.md) [b](#one-and-two) [c](docs/DESIGN.md#orderings) [d][x]\n\n[x]: LICENSE-MIT\n";
    assert_eq!(broken_links("README.md", sound), <[String; 0]>::default());
    for (good, bad) in [
        ("(README.md)", "(README.txt)"),
        ("(#one-and-two)", "(#one)"),
        ("DESIGN.md#orderings", "DESIGN.md#ordering"),
        ("[x]: LICENSE-MIT", "[x]: LICENSE"),
        ("[d][x]", "[d][y]"),
        ("# One", "```\n# One\n```\n"),
    ] {
        assert!(sound.contains(good));
        assert_eq!(broken_links("README.md", &sound.replace(good, bad)).len(), 1, "{bad}");
    }
}

/// The sources in which tests may lie, by their path without `.rs`.
fn sources() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root().join("tests"), root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                all.insert(path.with_extension("").display().to_string(), text);
            }
        }
    }
    all
}

/// Whether a source has this test: a function behind its attribute, or a case of a macro of the file's own that makes them.
fn has_test(text: &str, test: &str) -> bool {
    let makes_cases = text.contains("#[test] fn $name()");
    let function = format!("fn {test}(");
    let is_case =
        |line: &str| makes_cases && line.strip_prefix(test).is_some_and(|rest| rest.starts_with(':'));
    let mut marked = false;
    text.lines().map(str::trim).any(|line| {
        match line {
            "#[test]" => marked = true,
            _ if line.starts_with("#[tokio::test") => marked = true,
            _ if line.is_empty() || line.starts_with("#[") => {}
            _ => {
                let line = line.strip_prefix("async ").unwrap_or(line);
                return std::mem::take(&mut marked) && line.starts_with(&function) || is_case(line);
            }
        }
        false
    })
}

/// The names like `file::test` in a cell for which no file of that name has that test.
fn unknown_tests<'a>(cell: &'a str, sources: &BTreeMap<String, String>) -> Vec<&'a str> {
    let names = cell.split('`').skip(1).step_by(2).filter(|name| name.contains("::"));
    let is_there = |name: &str| {
        let (file, test) = name.split_once("::").expect("a name of two parts");
        let file = format!("/{file}");
        sources.iter().any(|(path, text)| path.ends_with(&file) && has_test(text, test))
    };
    names.filter(|name| !is_there(name)).collect()
}

#[test]
fn every_promise_names_its_tests_for_every_shape() {
    let correctness = read("docs/CORRECTNESS.md");
    let rows = table(section(&correctness, "The promises, shape by shape"), "promise");
    let sources = sources();
    let mut shapes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in &rows {
        let [promise, shape, tests] = row[..] else { panic!("{row:?}") };
        assert!(!tests.is_empty(), "{row:?}: neither a test nor a reason");
        let unknown = unknown_tests(tests, &sources);
        assert!(unknown.is_empty(), "{promise}, {shape}: no such tests: {unknown:#?}");
        shapes.entry(promise.split(' ').next().expect("a number")).or_default().push(shape);
    }
    let all = [
        "records",
        "slots",
        "pair",
        "pool",
        "raw region",
        "seqlock",
        "inspector",
        "tools",
        "wait set",
        "async ends",
    ];
    for (promise, shapes) in &shapes {
        assert_eq!(shapes[..], all, "{promise}");
    }
    let numbers = (1..=14).filter(|&number| number != 13).map(|number| format!("P{number}"));
    let others = ["Fork", "Truncation", "Acknowledging"].map(str::to_owned);
    for promise in numbers.chain(others) {
        assert!(shapes.contains_key(&promise[..]), "{promise} is not in the table");
    }
}

#[test]
fn null_control_a_test_that_is_not_there_is_missed() {
    let sources = sources();
    let here = "`docs::null_control_a_test_that_is_not_there_is_missed`, and `memcpy`, \
        `sigbus::p5_a_send_into_a_truncated_file_says_so`, `async_ends::p12_select_and_timeouts_lose_nothing`";
    assert_eq!(unknown_tests(here, &sources), [""; 0]);
    // Another file, another name, a function that is no test, a case that is not there.
    let wrong = "`dogs::null_control_a_test_that_is_not_there_is_missed`, `docs::null`, `docs::root`, `sigbus::p5_a_send`";
    for wrong in wrong.split(", ") {
        assert_eq!(unknown_tests(wrong, &sources).len(), 1, "{wrong}");
    }
}

#[test]
fn every_example_is_listed_in_the_readme() {
    let readme = read("README.md");
    for folder in ["crates/shmq/examples", "crates/shmq-raw/examples"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("there are examples") {
            let name = entry.expect("a file").file_name().into_string().expect("plain text");
            assert!(readme.contains(&format!("{folder}/{name}")), "README.md does not mention {name}");
        }
    }
}
