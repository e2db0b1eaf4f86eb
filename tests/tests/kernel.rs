//! P5, P8: what the kernel, or a stranger who is on good terms with it, can do to a process that has a queue. Each case is a
//! child process; one that cannot be made here says so and passes, with `SHMQ_NO_SKIPS=1` it fails.

use shmq_tests::process::cases::case;

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

macro_rules! cases {
    ($($name:ident: $case:literal, $expected:literal;)*) => {
        $(#[test] fn $name() { case(HELPER, $case, $expected, None); })*
    };
}

cases! {
    p5_descriptors_are_those_of_the_thread: "own-table", "works, untouched";
    p5_a_queue_in_a_thread_with_other_descriptors_is_refused: "moved-table", "Io, Io, Io, Io, untouched";
    p8_a_relative_path_means_the_same_after_a_change_of_directory:
        "chdir", "TimedOut, taken, taken, 0 pending, 0 and 1 left";
    p3_an_end_whose_descriptors_were_closed_by_others_calls_nobody_lost:
        "stolen-number", "attached, attached, still here, TimedOut";
    p8_a_queue_is_made_under_a_storm_of_signals: "signals", "works, works";
    p8_a_container_with_a_boot_id_of_its_own_is_no_other_boot:
        "container-boot", "taken, taken, taken, OtherBoot told";
    nobody_spins_on_a_quota_of_one_processor: "quota", "does not spin";
    control_without_a_quota_an_end_spins: "no-quota", "spins";
    p5_a_forked_child_that_uses_an_end_is_killed: "fork-uses", "signal 11";
    p5_a_forked_child_that_drops_an_end_loses_nothing: "fork-drops", "code 0";
    p5_a_child_without_handlers_that_drops_an_end_loses_nothing: "clone-drops", "code 0";
    p5_a_child_of_the_same_process_id_that_drops_an_end_loses_nothing: "namespace-drops", "code 0";
    p5_a_forked_child_can_look_and_take_an_end_of_its_own: "fork-looks", "code 0";
    p5_a_strangers_file_with_holes_costs_no_memory: "hollow", "small, and the whole one touched";
    p4_a_lock_that_is_not_kept_is_nobodys_however_many_try: "overlay-cell", "0 taken, Io";
    p8_huge_pages_are_had_or_told_and_a_strangers_are_refused: "huge", "4096; 2 MiB, works; Options, taken";
    p8_a_full_disk_that_copies_on_write: "btrfs", "false, taken on a full disk, true";
    p8_a_leave_that_does_not_reach_the_disk_is_none: "write-back", "left, then lost, then taken";
    p5_a_child_of_a_child_has_no_end_of_either: "fork-again", "code 0";
    p5_a_forked_childs_pair_is_a_copy: "fork-pair", "code 0, code 0, untouched";
}
