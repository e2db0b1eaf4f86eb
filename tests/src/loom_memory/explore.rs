//! Running a model to the end.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Explores a model, keeping panics quiet. The number of executions, or what went wrong in the last one.
///
/// `SHMQ_LOOM_EXTRA=1` in the environment allows one preemption more, and as many executions as that takes.
///
/// # Errors
/// The panic's message: of an assertion of the model, or loom's own (data race, deadlock, no end in sight).
pub fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) -> Result<usize, String> {
    /// Beyond this a model is too large for a test that runs every time.
    const MOST: usize = 200_000;
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
    let executions = Arc::new(std::sync::Mutex::new(0usize));
    let counter = executions.clone();
    let mut builder = loom::model::Builder::new();
    let extra = std::env::var("SHMQ_LOOM_EXTRA").ok().and_then(|extra| extra.parse().ok()).unwrap_or(0usize);
    let most = if extra == 0 { MOST } else { usize::MAX };
    builder.preemption_bound = Some(preemptions + extra);
    builder.max_branches = 5_000;
    builder.checkpoint_interval = 1_000;
    builder.max_permutations = Some(most);
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| {
        builder.check(move || {
            *counter.lock().unwrap() += 1;
            model();
        });
    }));
    QUIET.set(false);
    let executions = *executions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match result {
        Ok(()) if executions < most - 1 => {
            println!("{executions} executions");
            Ok(executions)
        }
        Ok(()) => Err(format!("not explored to the end in {executions} executions")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_string()));
            Err(format!("execution {executions}: {}", text.unwrap_or_default()))
        }
    }
}
