//! A gateway under tokio: twelve queues, a TCP connection and a timer in one thread.
//!
//! It hands the messages of the queues `NAME-0` to `NAME-11` to whoever connects, one client at a time. A client says what it has
//! stored, and only then are messages acknowledged. So nothing is lost when a client, the gateway or a producer is killed:
//! whoever comes next is shown again what was not stored, and knows it by its number.
//!
//! ```sh
//! cargo run -p shmq-async --example tokio_gateway -- NAME 127.0.0.1:7000
//! ```
//!
//! All numbers are big-endian. To the client: a queue (1 byte), a number (8), a length (4), and so many bytes. From it: a
//! queue (1), and the number of the next message that it wants (8).
//!
//! | queue | number | length | |
//! |---|---|---|---|
//! | 0 to 11 | the message's | its bytes | a message |
//! | 0 to 11 | 0 | [`END`] | end of data; answered with [`ENDED`] |
//! | [`ALIVE`] | beats so far | 0 | the timer's |

use futures_util::future::try_join_all;
use shmq::{Options, RecvError, Waiting};
use shmq_async::{Async, Consumer};
use std::error::Error;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, watch};

/// How many.
pub const QUEUES: usize = 12;
/// A length that no message has: the queue has ended.
pub const END: u32 = u32::MAX;
/// What a client answers to that.
pub const ENDED: u64 = u64::MAX;
/// A queue that there is not: the gateway is alive.
pub const ALIVE: u8 = u8::MAX;
const BEAT: Duration = Duration::from_millis(50);
/// Messages of a queue that are on their way at a time.
const WINDOW: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, address] = &arguments[..] else { return Err("usage: tokio_gateway NAME ADDRESS".into()) };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(name, address))
}

/// What its queues are like.
pub fn options() -> Options {
    Options::new().capacity(16 << 10).max_message(1024)
}

/// Serves until all queues have ended and a client has stored it, or a signal comes.
pub async fn serve(name: &str, address: &str) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let open = |i| {
        let mut rx = shmq::Consumer::open_or_create(format!("{name}-{i}"), &options())?;
        rx.set_waiting(Waiting::new().across_restarts(true));
        Ok::<_, Box<dyn Error>>(Async::new(rx)?)
    };
    let mut queues: Vec<Consumer> = (0..QUEUES).map(open).collect::<Result<_, _>>()?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let work = async {
            let (client, _) = listener.accept().await?;
            connection(client, &mut queues).await
        };
        // Whatever it is at, it may be dropped: what is not acknowledged is shown again.
        let outcome = tokio::select! {
            outcome = work => outcome,
            _ = terminate.recv() => return Ok(()),
        };
        match outcome {
            Ok(()) => return Ok(()),
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<RecvError>()) => {
                return Err(error.into());
            }
            // Of the client: the next one, please.
            Err(error) => eprintln!("{error}"),
        }
    }
}

/// Serves one client, until all has ended.
async fn connection(client: TcpStream, queues: &mut [Consumer]) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (from, to) = client.into_split();
    let to = Mutex::new(to);
    let (stored, watched): (Vec<_>, Vec<_>) = queues.iter().map(|_| watch::channel(0)).unzip();
    let numbered = queues.iter_mut().zip(watched).enumerate();
    let pumps = try_join_all(numbered.map(|(i, (queue, stored))| pump(i as u8, queue, stored, &to)));
    tokio::select! {
        ended = pumps => ended.map(drop),
        gone = answers(from, &stored) => gone,
        gone = beats(&to) => gone,
    }
}

/// Hands on one queue.
async fn pump(
    number: u8,
    queue: &mut Consumer,
    mut stored: watch::Receiver<u64>,
    to: &Mutex<OwnedWriteHalf>,
) -> io::Result<()> {
    loop {
        let mut run = match queue.run(WINDOW).await {
            Ok(run) => run,
            Err(RecvError::Finished) => break,
            Err(error) => return Err(io::Error::other(error)),
        };
        let (mut bytes, mut next) = (Vec::new(), 0);
        while let Some(message) = run.next() {
            frame(&mut bytes, number, message.sequence(), message.len() as u32);
            bytes.extend(message.to_vec());
            next = message.sequence() + 1;
        }
        to.lock().await.write_all(&bytes).await?;
        stored.wait_for(|stored| *stored >= next).await.map_err(io::Error::other)?;
        run.acknowledge();
    }
    let mut bytes = Vec::new();
    frame(&mut bytes, number, 0, END);
    to.lock().await.write_all(&bytes).await?;
    stored.wait_for(|stored| *stored == ENDED).await.map_err(io::Error::other)?;
    Ok(())
}

fn frame(bytes: &mut Vec<u8>, queue: u8, number: u64, len: u32) {
    bytes.push(queue);
    bytes.extend(number.to_be_bytes());
    bytes.extend(len.to_be_bytes());
}

/// Takes in what the client has stored, until that is all there is.
async fn answers(mut from: OwnedReadHalf, stored: &[watch::Sender<u64>]) -> io::Result<()> {
    loop {
        let queue = usize::from(from.read_u8().await?);
        let next = from.read_u64().await?;
        let place = stored
            .get(queue)
            .ok_or_else(|| io::Error::other("the client names a queue that there is not"))?;
        place.send_replace(next);
        // It may close at once, before the pumps have seen it.
        if stored.iter().all(|place| *place.borrow() == ENDED) {
            return Ok(());
        }
    }
}

async fn beats(to: &Mutex<OwnedWriteHalf>) -> io::Result<()> {
    let mut timer = tokio::time::interval(BEAT);
    let mut beats = 0;
    loop {
        timer.tick().await;
        let mut bytes = Vec::new();
        frame(&mut bytes, ALIVE, beats, 0);
        to.lock().await.write_all(&bytes).await?;
        beats += 1;
    }
}
