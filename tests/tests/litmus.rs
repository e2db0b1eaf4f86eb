//! The texts of `tests/litmus` say what the code does: each access has the ordering of its site, each pair of sites is in a text,
//! and each text has a control. What the memory models make of them, `ci/litmus.sh` asks herd7.

use shmq_core::{Access, Order, SiteDoc};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Labels of what others do: the kernel.
const OUTSIDE: [&str; 3] = ["KERNEL", "IPI", "MEMBARRIER"];

/// Sites with a partner that no text has, and why.
const WITHOUT: [(&str, &str); 1] = [("DIRTY", "stored and read by holders of one role, one after the other")];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("litmus").join(name)
}

fn sites() -> BTreeMap<&'static str, &'static SiteDoc> {
    let all = [shmq_core::SITES, shmq_pool::testing::SITES, shmq_raw::testing::SITES];
    all.into_iter().flatten().map(|doc| (doc.site.label, doc)).collect()
}

/// Every C11 text of a folder: its name and its lines. Each has another one for ARMv8.
fn texts(name: &str) -> Vec<(String, Vec<String>)> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder(name)).expect("a folder") {
        let file = entry.expect("an entry").file_name().into_string().expect("a plain name");
        if let Some(text) = file.strip_suffix(".aarch64.litmus") {
            assert!(folder(name).join(format!("{text}.c11.litmus")).exists(), "{text} for ARMv8 alone");
        }
        names.extend(file.strip_suffix(".c11.litmus").map(str::to_owned));
    }
    names.sort();
    let read = |text: String| {
        let here = |model: &str| {
            let path = folder(name).join(format!("{text}.{model}.litmus"));
            let said = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let begins = format!("{} {text}\n", if model == "c11" { "C" } else { "AArch64" });
            assert!(said.starts_with(&begins), "{}: its first line names it", path.display());
            said
        };
        here("aarch64");
        let lines = here("c11").lines().map(str::to_owned).collect();
        (text, lines)
    };
    names.into_iter().map(read).collect()
}

/// The labelled access of a line: its site, what it does and its ordering.
fn access(line: &str) -> Option<(&str, Access, Option<Order>)> {
    let (code, label) = line.split_once("// ")?;
    let (label, compiler) = match label.split_once(": ") {
        Some((label, "a fence for the compiler only")) => (label, true),
        Some((label, "none")) => (label, false),
        _ => (label, false),
    };
    let what = ["atomic_load", "atomic_store"].map(|call| code.contains(call));
    let access = match what {
        [true, _] => Access::Load,
        [_, true] => Access::Store,
        _ => Access::Fence,
    };
    let order =
        match code.split_once("memory_order_").map(|(_, order)| order.trim_end_matches([')', ';', ' '])) {
            Some("relaxed") => Some(Order::Relaxed),
            Some("acquire") => Some(Order::Acquire),
            Some("release") => Some(Order::Release),
            Some("seq_cst") => Some(Order::SeqCst),
            Some(other) => panic!("{line}: {other}"),
            None => compiler.then_some(Order::Compiler),
        };
    Some((label, access, order))
}

/// A label without the digit that tells one use of it from another.
fn plain(label: &str) -> &str {
    label.trim_end_matches(|c: char| c.is_ascii_digit())
}

#[test]
fn each_access_of_a_text_has_the_ordering_of_its_site() {
    let sites = sites();
    for (name, lines) in texts("") {
        for line in &lines {
            let Some((label, access, order)) = access(line).filter(|(l, ..)| !OUTSIDE.contains(&plain(l)))
            else {
                continue;
            };
            let doc = sites.get(plain(label)).unwrap_or_else(|| panic!("{name}: there is no site {label}"));
            assert_eq!((access, order), (doc.access, Some(doc.site.order)), "{name}: {label}");
        }
    }
}

#[test]
fn each_pair_of_sites_is_in_a_text() {
    let texts = texts("");
    let labels = |lines: &[String]| -> BTreeSet<String> {
        lines.iter().filter_map(|line| access(line)).map(|(label, ..)| plain(label).to_owned()).collect()
    };
    let texts: Vec<_> = texts.iter().map(|(_, lines)| labels(lines)).collect();
    let mut without = Vec::new();
    for (label, doc) in sites() {
        let both = |text: &BTreeSet<String>| text.contains(label) && text.contains(doc.partner);
        if doc.partner != "-" && !texts.iter().any(both) {
            without.push(label);
        }
    }
    assert_eq!(without, WITHOUT.map(|(label, _)| label), "without a text that has the partner, too");
}

#[test]
fn each_control_is_a_text_with_what_it_names_weakened() {
    let bases: BTreeMap<_, _> = texts("").into_iter().collect();
    let mut controlled = BTreeSet::new();
    for (name, lines) in texts("controls") {
        let (base, weakened) = name.split_once("+control-").expect("named after a text");
        let original = bases.get(base).unwrap_or_else(|| panic!("{name}: there is no {base}"));
        controlled.insert(base.to_owned());
        if matches!(weakened, "boot-first" | "fence-early") {
            // The same accesses in another order.
            let sorted = |lines: &[String]| lines.iter().skip(2).cloned().collect::<BTreeSet<_>>();
            assert!(sorted(&lines) == sorted(original) && lines[2..] != original[2..], "{name}");
            continue;
        }
        assert_eq!(lines.len(), original.len(), "{name}");
        let differs = |(a, b): &(&String, &String)| a != b;
        let changed = lines.iter().zip(original).skip(2).filter(differs).map(|(line, _)| {
            let (label, _, order) = access(line).unwrap_or_else(|| panic!("{name}: {line}"));
            let order = match order {
                None => "none",
                Some(Order::Relaxed) => "rlx",
                Some(Order::Release) => "rel",
                Some(order) => panic!("{name}: {label} as {order:?}"),
            };
            format!("{label}-{order}")
        });
        let mut changed: Vec<_> = changed.collect();
        changed.sort();
        let mut named: Vec<_> = weakened.split_inclusive("-rlx").collect();
        named = named.iter().flat_map(|part| part.split_inclusive("-none")).collect();
        named = named.iter().flat_map(|part| part.split_inclusive("-rel")).collect();
        named = named.iter().map(|part| part.trim_start_matches('-')).collect();
        named.sort_unstable();
        assert_eq!(changed, named, "{name}");
    }
    let all: BTreeSet<_> = bases.into_keys().collect();
    assert_eq!(all, controlled, "each text has a control");
}

/// Written by `ci/litmus.sh --bless`, which fails for what this test forbids; but it may not have run where herd7 is not to be had.
#[test]
fn no_text_was_allowed_and_every_control_was() {
    let results = std::fs::read_to_string(folder("RESULTS.txt")).expect("the results");
    let mut listed = BTreeSet::new();
    for row in results.lines().skip(2) {
        let columns: Vec<_> = row.split_whitespace().collect();
        let [name, outcomes @ ..] = &columns[..] else { panic!("an empty row") };
        let allowed = outcomes.contains(&"YES");
        assert!(outcomes.len() == 4 && allowed == name.contains("+control-"), "{row}");
        listed.insert((*name).to_owned());
    }
    let texts = ["", "controls"].into_iter().flat_map(texts).map(|(name, _)| name);
    assert_eq!(listed, texts.collect(), "ci/litmus.sh --bless writes them");
}
