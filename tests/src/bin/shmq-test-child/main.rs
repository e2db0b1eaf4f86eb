//! The other process of the tests: runs one named script and reports by lines on stdout. Not for users.

mod attach;
#[cfg(target_arch = "x86_64")]
mod errno;
mod forks;
mod gateway;
mod kernel;
mod memory;
mod pool;
mod raw;
mod region;
mod resource;
mod role;
mod scribble;
mod set;
mod sigbus;
mod slots;
mod stage;
mod step;
mod stop;
mod stream;
mod truncated;
mod wait;

use std::process::ExitCode;

/// A violated promise, or an error nobody expected: said in a line, then exit code 1.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    if let Err(error) = shmq_tests::process::die_with_test() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["produce", name, witness, mode, waiting] => stream::produce(name, witness, mode, waiting),
        ["consume", name, witness, mode, waiting] => stream::consume(name, witness, mode, waiting),
        ["slots-produce", name, witness, mode, waiting] => slots::produce(name, witness, mode, waiting),
        ["slots-consume", name, witness, mode, waiting] => slots::consume(name, witness, mode, waiting),
        ["pool-produce", name, witness, waiting] => pool::produce(name, witness, waiting),
        ["pool-consume", name, witness, mode, waiting] => pool::consume(name, witness, mode, waiting),
        ["pool-attach"] => pool::attach(),
        ["pool-hold", name, role] => pool::hold(name, role),
        ["slots-attach"] => slots::attach(),
        ["slots-hold", name, role] => slots::hold(name, role),
        ["raw-send", name, fault, life] => raw::send(name, fault, number(life)),
        ["raw-recv", name, fault, life] => raw::receive(name, fault, number(life)),
        ["region-write", name] => region::write(name),
        ["commit-and-die", name, messages] => raw::commit_and_die(name, number(messages)),
        ["hold", name, role] => role::hold(name, role),
        ["race", name, witness, who, rounds] => role::race(name, witness, number(who), number(rounds)),
        ["lock", name, role] => role::lock(name, role),
        #[cfg(target_arch = "x86_64")]
        ["errno", operation, folder] => errno::errno(operation, folder),
        ["gateway", prefix, count] => gateway::serve(prefix, count),
        ["gateway-feed", name, messages] => gateway::feed(name, number(messages)),
        ["stage", input, output, mode] => stage::stage(input, output, mode),
        ["step", kind, name, script, mode] => step::step(kind, name, script, mode),
        ["scribble", kind, name, role, seed, mode] => {
            scribble::scribble(kind, name, role, number(seed), mode)
        }
        ["suffer", kind, name, role, seed, millis] => {
            scribble::suffer(kind, name, role, number(seed), number(millis))
        }
        ["resource", case, directory] => resource::resource(case, directory),
        ["sigbus", case, kind, guard, name] => sigbus::sigbus(case, kind, guard, name),
        ["truncated", case, guard, name] => truncated::truncated(case, guard, name),
        ["stoppable", shape, role, phase, how] => stop::stoppable(shape, role, phase, how),
        ["one-processor", how, rounds] => stop::one_processor(how, number(rounds)),
        ["idle"] => role::idle(),
        ["race-create", name, witness, who, rounds] => {
            role::race_create(name, witness, number(who), number(rounds))
        }
        ["watch-open", name, witness] => attach::watch_open(name, witness),
        ["attach"] => attach::attach(),
        ["modes", directory] => attach::modes(directory),
        ["full", directory] => attach::full(directory),
        ["without-proc", existing, new] => attach::without_proc(existing, new),
        ["nobody", closed, open, readable] => attach::nobody(closed, open, readable),
        ["descriptor", socket] => attach::descriptor(socket),
        ["blocked", name, waiting, millis] => wait::blocked(name, waiting, number(millis)),
        ["many-deep", directory] => wait::many_deep(directory),
        ["until-the-end", name] => wait::until_the_end(name),
        ["hand-over", name, role, messages, planted] => {
            wait::hand_over(name, role, number(messages), planted)
        }
        ["set-feed", directory, messages] => set::feed(directory, number(messages)),
        ["set-idle", directory, ends, millis] => set::idle(directory, number(ends), number(millis)),
        ["set-leaks", name, sets] => set::leaks(name, number(sets)),
        ["set-forked", name] => set::forked(name),
        ["set-stranger", name] => set::stranger(name),
        ["set-hold", name] => set::hold(name),
        _ => Err(format!("no such script: {arguments:?}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("violation: {why}");
            ExitCode::FAILURE
        }
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|e| panic!("{text:?} is no number: {e}"))
}

/// How an end is to wait, by name; across restarts, because the other end is killed all the time.
fn waiting(name: &str) -> shmq::Waiting {
    match name {
        "low-power" => shmq::Waiting::low_power(),
        "dedicated" => shmq::Waiting::dedicated_core(),
        _ => shmq::Waiting::new(),
    }
}

/// What an unexpected error says.
fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The name of an error's variant.
fn variant(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}
