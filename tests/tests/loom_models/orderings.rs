//! Each ordering earns its place: without it, a model fails. The table covers every site there is.

use crate::{look, marks, pairs, ring, roles, signals, slots, slots_signals, slots_takeover, takeover};
use Verdict::{CrashOnly, LitmusOnly, Needed, NothingToWeaken};
use shmq_core::{Order, SITES};
use shmq_tests::loom_memory::{Faults, explore};

type Model = fn(Faults);

/// Why a site has its ordering.
enum Verdict {
    /// Weakened, this model fails.
    Needed(&'static [Model]),
    /// Relaxed as it is. What carries it is another site's ordering.
    NothingToWeaken,
    /// Orders one process's own stores for the compiler: between two threads it does nothing, so loom cannot miss
    /// it. The tests that recover every prefix of an operation's stores cover what it is for.
    CrashOnly,
    /// What it forbids is load buffering, which loom does not execute: a litmus text of this name has it.
    LitmusOnly(&'static str),
}

const TABLE: &[(&str, Verdict)] = &[
    ("DIRTY", NothingToWeaken),
    ("DIRTY_LOG", CrashOnly),
    ("LATER_WORD", NothingToWeaken),
    ("NEXT_WORD", NothingToWeaken),
    ("COMMIT", Needed(&[ring::send_receive_full, ring::batch, ring::abort_send_finish])),
    ("COMMIT_LOG", Needed(&[signals::interrupted])),
    ("SEQUENCE", Needed(&[ring::counted, slots::counted, slots::abort_counted, look::while_it_is_sent])),
    ("TAIL", Needed(&[ring::observer])),
    ("FINISH", Needed(&[ring::abort_send_finish])),
    ("FREE_LOAD", Needed(&[ring::send_receive_full, takeover::producer_of_a_full_ring])),
    ("FREED_LOAD", NothingToWeaken),
    (
        "ROOM_FENCE",
        Needed(&[
            look::while_it_is_overwritten,
            look::while_a_successor_overwrites_it,
            look::while_a_slot_is_overwritten,
        ]),
    ),
    ("UNDO_LOG", CrashOnly),
    ("NOTE_OPEN", Needed(&[marks::reader])),
    ("NOTE_FENCE", Needed(&[marks::reader, marks::origin])),
    ("NOTE_WORD", NothingToWeaken),
    ("NOTE", Needed(&[marks::origin])),
    ("NOTE_SET_BACK", NothingToWeaken),
    ("POLL", Needed(&[ring::send_receive_full, ring::batch, takeover::consumer])),
    ("RECEIVED", NothingToWeaken),
    ("READ", Needed(&[pairs::inspector])),
    ("FREED", Needed(&[pairs::inspector_of_counts])),
    ("HAND_BACK_LOAD", NothingToWeaken),
    ("HAND_BACK", Needed(&[look::while_it_is_handed_back])),
    ("PACE", NothingToWeaken),
    ("GIVE_BACK", Needed(&[ring::send_receive_full, takeover::consumer])),
    // For FREE: it says where new payload may go.
    ("RECOVER", Needed(&[takeover::producer_of_space_given_back])),
    ("WALK", NothingToWeaken),
    // Of slots.
    ("WALK_READ", Needed(&[slots_takeover::producer_of_space_given_back])),
    ("RECOVER_SEQUENCE", Needed(&[takeover::counted])),
    ("RECOVER_TAIL", Needed(&[takeover::observer])),
    ("OBSERVE", Needed(&[ring::observer, takeover::observer])),
    ("LOOK_FENCE", Needed(&[look::while_it_is_overwritten, look::while_a_slot_is_overwritten])),
    ("NOTE_LOAD", Needed(&[marks::reader, marks::origin])),
    ("NOTE_WORD_LOAD", NothingToWeaken),
    ("NOTE_LOOK_FENCE", Needed(&[marks::reader, marks::origin])),
    ("ROLE_LOAD", Needed(&[roles::clean_leave, roles::entering])),
    ("ROLE_STORE", Needed(&[roles::clean_leave, roles::entering])),
    ("COUNT", NothingToWeaken),
    ("COUNT_LOAD", NothingToWeaken),
    ("LEAVE_FENCE", Needed(&[roles::clean_leave, roles::death])),
    ("LOST_FENCE", Needed(&[roles::clean_leave, roles::death])),
    ("ANNOUNCE", Needed(&[signals::successor_announces])),
    ("SLEEP_FENCE", Needed(&[signals::empty, signals::full, signals::both, signals::finish])),
    ("CHECK_TICKET", NothingToWeaken),
    ("SERVE_TICKET", Needed(&[signals::dropped, signals::successor_announces])),
    ("WAKE_FENCE", Needed(&[signals::empty, signals::full, signals::both, signals::finish])),
    ("RING_BELL", Needed(&[signals::successor_of_a_consumer])),
    ("SOUND_FENCE", Needed(&[signals::deep_successor, signals::deep_leave])),
    ("READ_BELL", LitmusOnly("bell-06-successor-late-bell")),
];

/// What rings of slots lean on: each of these weakened, each of its models fails. All other sites that the two ends use
/// need no ordering for slots, but for roles and sleeping, which know nothing of the shape:
///
/// - `LATER_WORD` and `DIRTY` are relaxed: `COMMIT` carries the words, and only successors and observers read the rest.
/// - `RECOVER_SEQUENCE` comes behind `ROOM_FENCE`.
/// - `TAIL`, `NEXT_WORD`, `READ`, `RECEIVED`, `FREED` and `RECOVER_TAIL` are never reached.
const SLOTS: &[(&str, &[Model])] = &[
    ("COMMIT", &[slots::send_receive_full, slots::shared_word, slots::batch]),
    ("SEQUENCE", &[slots::counted, slots::abort_counted, look::while_it_is_sent]),
    ("FINISH", &[slots::finish]),
    ("FREE_LOAD", &[slots::send_receive_full]),
    ("ROOM_FENCE", &[look::while_a_slot_is_overwritten]),
    ("POLL", &[slots::send_receive_full, slots::shared_word, slots::batch]),
    ("GIVE_BACK", &[slots::send_receive_full, slots_takeover::producer_of_space_given_back]),
    ("HAND_BACK", &[look::while_it_is_handed_back]),
    // For SEQUENCE: it says from where on the words are counted.
    ("RECOVER", &[slots::counted]),
    ("WALK_READ", &[slots_takeover::producer_of_space_given_back]),
    ("OBSERVE", &[slots::observer]),
    ("LOOK_FENCE", &[look::while_a_slot_is_overwritten]),
];

/// The models of slots, deaths included.
const SLOT_MODELS: &[Model] = &[
    slots::send_receive_full,
    slots::shared_word,
    slots::batch,
    slots::abort_send,
    slots::finish,
    slots::pending,
    slots::counted,
    slots::abort_counted,
    slots::observer,
    |faults| slots_takeover::producer_after(5, faults),
    |faults| slots_takeover::producer_after(6, faults),
    slots_takeover::producer_of_space_given_back,
    |faults| slots_takeover::consumer_after(0, faults),
    |faults| slots_takeover::consumer_after(1, faults),
    |faults| slots_takeover::consumer_after(slots_takeover::TAKE_STORES, faults),
    slots_takeover::both,
    slots_takeover::finished,
];

/// Both fences are needed for sleeping on a ring of slots, too.
const SLEEPING: [Model; 2] = [slots_signals::empty, slots_signals::both];

fn run(model: Model, weak: &'static [&'static str]) -> Result<usize, String> {
    explore(2, move || model(Faults { weak, ..Faults::default() }))
}

fn leaked(labels: &[&'static str]) -> &'static [&'static str] {
    labels.to_vec().leak()
}

#[test]
fn the_table_covers_every_site_in_its_order() {
    let listed: Vec<_> = TABLE.iter().map(|(label, _)| *label).collect();
    let sites: Vec<_> = SITES.iter().map(|doc| doc.site.label).collect();
    assert_eq!(listed, sites);
    for ((label, verdict), doc) in TABLE.iter().zip(SITES) {
        let agrees = match doc.site.order {
            Order::Relaxed => matches!(verdict, NothingToWeaken),
            Order::Compiler => matches!(verdict, CrashOnly | Needed(_)),
            Order::Acquire | Order::Release | Order::SeqCst => matches!(verdict, Needed(_) | LitmusOnly(_)),
        };
        assert!(agrees, "{label} is {:?}", doc.site.order);
    }
}

#[test]
fn null_control_without_its_ordering_each_site_fails_a_model() {
    for (label, verdict) in TABLE {
        match verdict {
            Needed(models) => {
                for (i, model) in models.iter().enumerate() {
                    assert!(run(*model, leaked(&[label])).is_err(), "{label} weakened passes its model {i}");
                }
            }
            LitmusOnly(text) => {
                let control = format!(
                    "{}/litmus/controls/{text}+control-{label}-rlx.c11.litmus",
                    env!("CARGO_MANIFEST_DIR")
                );
                assert!(std::path::Path::new(&control).exists(), "{label}: there is no {control}");
            }
            NothingToWeaken | CrashOnly => {}
        }
    }
}

#[test]
fn null_control_without_its_ordering_each_site_of_slots_fails_a_model_of_slots() {
    for (label, models) in SLOTS {
        for (i, model) in models.iter().enumerate() {
            assert!(run(*model, leaked(&[label])).is_err(), "{label} weakened passes its model {i} of slots");
        }
    }
}

#[test]
fn null_control_without_its_fence_a_sleeper_on_slots_misses_a_wake() {
    for label in ["SLEEP_FENCE", "WAKE_FENCE"] {
        for model in SLEEPING {
            assert!(run(model, leaked(&[label])).is_err(), "{label}");
        }
    }
}

#[test]
fn slots_lean_on_no_other_site() {
    let leaned: Vec<_> = SLOTS.iter().map(|(label, _)| *label).collect();
    let all: Vec<_> = SITES.iter().map(|doc| doc.site.label).collect();
    assert!(leaned.iter().all(|label| all.contains(label)));
    let others: Vec<_> = all.into_iter().filter(|label| !leaned.contains(label)).collect();
    let others = leaked(&others);
    for (i, model) in SLOT_MODELS.iter().enumerate() {
        run(*model, others).unwrap_or_else(|e| panic!("model {i} without the other sites' orderings: {e}"));
    }
}

#[test]
fn null_control_acquire_and_release_are_not_enough_between_sleeper_and_waker() {
    for label in ["SLEEP_FENCE", "WAKE_FENCE"] {
        for model in [signals::empty, signals::full, signals::finish] {
            let faults = Faults { acq_rel: leaked(&[label]), ..Faults::default() };
            assert!(explore(3, move || model(faults)).is_err(), "{label}");
        }
    }
    let faults = Faults { acq_rel: &["SOUND_FENCE"], ..Faults::default() };
    assert!(explore(3, move || signals::deep_successor(faults)).is_err());
}

/// Every file of the library with its text.
fn sources(folder: &std::path::Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else {
            let text = std::fs::read_to_string(&path).expect("a readable source");
            found.push((path.display().to_string(), text));
        }
    }
    found
}

#[test]
fn the_code_uses_every_site_of_the_table_and_no_other() {
    let sources = sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/shmq-core/src"));
    let seam = |name: &str| {
        ["memory/site.rs", "memory/testing.rs", "macros.rs"].iter().any(|file| name.ends_with(file))
    };
    let outside: Vec<_> = sources.iter().filter(|(name, _)| !seam(name)).collect();
    for doc in SITES {
        let (name, label) = (format!("at::{}", doc.site.label), doc.site.label);
        let ends = |text: &str| !text.starts_with(|c: char| c == '_' || c.is_alphanumeric());
        let used = outside
            .iter()
            .any(|(_, text)| text.match_indices(&name).any(|(at, _)| ends(&text[at + name.len()..])));
        assert!(used, "nothing in the library is called {label}");
    }
    for (name, text) in outside {
        for made in ["Site {", "order: Order::"] {
            assert!(!text.contains(made), "{name} makes a site that the table lacks: {made}");
        }
    }
}
