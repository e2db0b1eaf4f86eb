//! An echo service under tokio: what comes in by one queue goes out by another. Try it, in three terminals:
//!
//! ```sh
//! cargo run -p shmq-async --example echo -- questions answers
//! shmq recv answers
//! shmq send questions
//! ```
//!
//! SIGTERM ends it in good order: what it has read is answered, and then the output is declared to have ended. Killed and started
//! again, it goes on where it was: a message is acknowledged when its answer is in the output, and the number of answers there says
//! which questions have theirs. Its peers may be killed and started again as well.

use shmq::{AttachError, Options, RecvError, Waiting};
use shmq_async::Async;
use std::error::Error;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// So long it waits at the end for room for its last answer.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let names: Vec<_> = std::env::args().skip(1).collect();
    let [input, output] = &names[..] else { return Err("usage: echo INPUT OUTPUT".into()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answers = runtime.block_on(serve(input, output))?;
    match answers {
        Some(answers) => println!("{answers} answers in all"),
        None => println!(
            "all was answered before, or nobody took the last answer; then the next start goes on with it"
        ),
    }
    Ok(())
}

/// What its queues are like.
pub fn options() -> Options {
    Options::new().capacity(8 << 10).max_message(1024)
}

/// Answers until the end of its input, or a signal; `None`: its output had ended before, or stayed full.
pub async fn serve(input: &str, output: &str) -> Result<Option<u64>, Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut rx = shmq::Consumer::open_or_create(input, &options())?;
    let mut tx = match shmq::Producer::open_or_create(output, &options()) {
        Err(shmq::Error::Attach(AttachError::Finished { .. })) => return Ok(None),
        tx => tx?,
    };
    rx.set_waiting(Waiting::new().across_restarts(true));
    tx.set_waiting(Waiting::new().across_restarts(true));
    let (mut rx, mut tx) = (Async::new(rx)?, Async::new(tx)?);

    let (told, mut stop) = watch::channel(false);
    tokio::spawn(async move {
        terminate.recv().await;
        told.send(true)
    });

    loop {
        let question = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            question = rx.read() => match question {
                Ok(question) => question,
                Err(RecvError::Finished) => break,
                Err(error) => return Err(error.into()),
            },
        };
        // A predecessor may have been killed between the two steps below.
        if question.sequence() >= tx.get_ref().next_sequence() {
            let answer = question.to_vec();
            let mut late = stop.clone();
            let late = async {
                let _ = late.wait_for(|stop| *stop).await;
                tokio::time::sleep(GRACE).await;
            };
            tokio::select! {
                sent = tx.send(&answer) => sent?,
                () = late => return Ok(None),
            };
        }
        question.acknowledge();
    }
    Ok(Some(tx.into_inner().finish()?))
}
