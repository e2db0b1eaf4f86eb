//! Which test notices it if a site is one step weaker: the table of `docs/CORRECTNESS.md`, made by `ci/weaken.sh`.

use crate::{look, marks, pairs, ring, roles, sets, signals, slots, slots_signals, slots_takeover, takeover};
use shmq_core::{Order, SITES, SiteDoc};
use shmq_tests::crash::plans::ORDERS;
use shmq_tests::loom_memory::{Faults, Reached, explore};
use shmq_tests::model::Bug;
use std::collections::BTreeMap;

type Model = fn(Faults);

macro_rules! models {
    ($($model:expr),* $(,)?) => { &[$((stringify!($model), $model)),*] };
}

/// Everything that weakening a site may break, by name.
const MODELS: &[(&str, Model)] = models![
    ring::send_receive_full,
    ring::depth_limit,
    ring::batch,
    ring::abort_send_finish,
    ring::observer,
    ring::counted,
    pairs::inspector,
    pairs::inspector_of_slots,
    pairs::inspector_of_counts,
    look::while_it_is_overwritten,
    look::while_a_successor_overwrites_it,
    look::while_a_slot_is_overwritten,
    look::while_it_is_handed_back,
    look::while_it_is_sent,
    marks::reader,
    marks::consumer,
    marks::consumer_of_slots,
    marks::successor,
    marks::same_label,
    marks::origin,
    takeover::producer,
    takeover::producer_of_a_full_ring,
    takeover::producer_of_space_given_back,
    takeover::consumer,
    takeover::both,
    takeover::both_in_taking_their_roles,
    takeover::observer,
    takeover::finished,
    takeover::counted,
    roles::clean_leave,
    roles::death,
    roles::entering,
    signals::empty,
    signals::interrupted,
    signals::full,
    signals::both,
    signals::finish,
    signals::deep::<false>,
    signals::deep_full,
    signals::deep_successor,
    signals::deep_leave,
    signals::dropped,
    signals::successor_announces,
    signals::successor::<false>,
    signals::successor_of_a_consumer,
    signals::leave::<false>,
    slots::send_receive_full,
    slots::shared_word,
    slots::batch,
    slots::abort_send,
    slots::finish,
    slots::observer,
    slots::counted,
    slots::abort_counted,
    slots_takeover::producer_of_space_given_back,
    slots_takeover::both,
    slots_takeover::finished,
    slots_signals::empty,
    slots_signals::both,
    sets::receivers,
    sets::sender_and_receiver,
    sets::again,
];

/// What a weaker site is called, and how a model is made to have one.
fn steps(doc: &SiteDoc) -> Vec<(&'static str, Faults)> {
    let label: &'static [&'static str] = vec![doc.site.label].leak();
    let without = Faults { weak: label, ..Faults::default() };
    match doc.site.order {
        Order::Relaxed => vec![],
        Order::Acquire | Order::Release if doc.access == shmq_core::Access::Fence => {
            vec![("none", without)]
        }
        Order::Acquire | Order::Release => vec![("Relaxed", without)],
        Order::Compiler => vec![("none", without)],
        Order::SeqCst => {
            vec![("AcqRel", Faults { acq_rel: label, ..Faults::default() }), ("none", without)]
        }
    }
}

/// The models that reach each site.
fn reached() -> BTreeMap<&'static str, Vec<(&'static str, Model)>> {
    let mut by_site = BTreeMap::<_, Vec<_>>::new();
    for &(name, model) in MODELS {
        let reached: &'static Reached = Box::leak(Box::default());
        let faults = Faults { reached: Some(reached), ..Faults::default() };
        explore(2, move || model(faults)).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        for label in reached.lock().unwrap().iter() {
            by_site.entry(*label).or_default().push((name, model));
        }
    }
    by_site
}

/// The models that fail with these faults, of those that reach the site. Most show it in two preemptions; if none does, in
/// three.
fn noticed(models: &[(&str, Model)], faults: Faults) -> Vec<String> {
    for bound in [2, 3] {
        let fails = |model: Model| {
            explore(bound, move || model(faults)).is_err_and(|problem| !problem.starts_with("not explored"))
        };
        let failing = models.iter().filter(|(_, model)| fails(*model));
        let names: Vec<String> = failing.map(|(name, _)| (*name).to_string()).collect();
        if !names.is_empty() {
            return names;
        }
    }
    Vec::new()
}

/// The litmus texts that show what goes wrong without the ordering of this site alone, where loom cannot.
fn litmus(label: &str) -> Vec<String> {
    let controls = concat!(env!("CARGO_MANIFEST_DIR"), "/litmus/controls");
    let names =
        std::fs::read_dir(controls).expect("the controls").map(|entry| entry.expect("an entry").file_name());
    let names = names.filter_map(|name| name.into_string().ok());
    let of = |name: String| name.strip_suffix(&format!("+control-{label}-rlx.c11.litmus")).map(str::to_owned);
    names.filter_map(of).map(|text| format!("litmus: {text}")).collect()
}

#[test]
#[ignore = "takes a quarter of an hour; ci/weaken.sh runs it"]
fn report_which_test_notices_a_weaker_site() {
    // These sites alone, if any are named.
    let named = std::env::var("SHMQ_WEAKEN").unwrap_or_default();
    let named: Vec<_> = named.split_whitespace().collect();
    let labels: Vec<_> = SITES.iter().map(|doc| doc.site.label).collect();
    assert!(named.iter().all(|name| labels.contains(name)), "there are no other sites than {labels:?}");
    let reached = reached();
    let mut unnoticed = Vec::new();
    println!("| site | order | weakened to | noticed by |\n|---|---|---|---|");
    for doc in SITES.iter().filter(|doc| named.is_empty() || named.contains(&doc.site.label)) {
        let label = doc.site.label;
        for (weaker, faults) in steps(doc) {
            let mut noticed = noticed(reached.get(label).map_or(&[][..], Vec::as_slice), faults);
            // Each search needs the sites it lists and no other: tests of their own see to that.
            let crash = ORDERS.iter().filter(|orders| weaker != "AcqRel" && orders.needs.contains(&label));
            for orders in crash {
                let bug = Bug::Weak(vec![label].leak());
                assert!((orders.search)(bug).is_err(), "{}: {label}", orders.name);
                noticed.push(format!("crash: {}", orders.name));
            }
            if noticed.is_empty() {
                noticed = litmus(label);
            }
            if noticed.is_empty() {
                unnoticed.push(format!("{label} as {weaker}"));
            }
            println!("| {label} | {:?} | {weaker} | {} |", doc.site.order, noticed.join(", "));
        }
    }
    println!("nobody notices: {unnoticed:?}");
}
