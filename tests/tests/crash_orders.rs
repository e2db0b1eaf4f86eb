//! P1, P2, P4 in every order that a compiler may give the stores of a process that dies: fences and Release stores are
//! all that keeps them apart.

use shmq_core::{Order, SITES};
use shmq_tests::crash::plans::ORDERS;
use shmq_tests::model::Bug;

fn leaked(labels: Vec<&'static str>) -> &'static [&'static str] {
    labels.leak()
}

/// Without the fences that it does not need, each search finds every crash state in order.
#[test]
fn p4_every_crash_state_in_every_order_of_a_compiler_recovers() {
    for orders in ORDERS {
        let fences = SITES.iter().filter(|doc| doc.site.order == Order::Compiler).map(|doc| doc.site.label);
        let others = fences.filter(|label| !orders.needs.contains(label));
        let tally = (orders.search)(Bug::Weak(leaked(others.collect())));
        let tally = tally.unwrap_or_else(|problem| panic!("{}: {problem}", orders.name));
        println!("{}: {tally:?}", orders.name);
        assert!(tally.complete, "{}: cut off", orders.name);
    }
}

#[test]
fn p4_null_control_without_any_of_these_orderings_a_crash_state_does_not_recover() {
    for orders in ORDERS {
        for label in orders.needs {
            match (orders.search)(Bug::Weak(leaked(vec![label]))) {
                Ok(tally) => panic!("{}: {label} weakened passes: {tally:?}", orders.name),
                Err(problem) => {
                    println!("{}, {label}: {}", orders.name, problem.lines().next().unwrap_or_default());
                }
            }
        }
    }
}
