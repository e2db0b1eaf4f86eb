//! A signal played through raw shared memory, and once more through a queue; both recorded, compared and drawn.
//!
//! `cargo run --release -p shmq-raw --example signal [FOLDER]` leaves `raw.wav`, `queue.wav` and `signal.svg` in the folder,
//! by default `target/signal`.
//!
//! The player is a process of its own. Every 5 ms it puts a block into a ring of blocks in raw memory. The recorder copies each
//! block 15 ms later, by the clock alone; nobody waits for anybody, and nobody looks whether a block is there.
//! That is how a sound card works, and it is good enough: while both keep time, nothing is lost, and when one is late, some
//! blocks sound wrong and the next ones are right again. In the middle the player sleeps for 50 ms, as on a busy machine, and
//! then catches up: the drawing shows what that does. Through the queue every block arrives, however late anybody is.

use shmq::{Consumer, Options, Producer, Queue, RecvError, Until};
use shmq_raw::Region;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const RATE: u32 = 48_000;
/// Samples of a block: 5 ms.
const BLOCK: usize = 240;
const BLOCK_TIME: Duration = Duration::from_millis(5);
/// Blocks of the signal: 2 s.
const BLOCKS: usize = 400;
/// Before this one the player oversleeps.
const HICCUP: usize = BLOCKS / 2;
/// Blocks in raw memory: what is older is overwritten.
const RING: usize = 8;
/// How many blocks the recorder stays behind the player.
const BEHIND: u32 = 3;
/// The ring follows the time at which the player began.
const RING_AT: usize = 64;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [play, how, name] if play == "play" => play_to(how, name),
        [] => record(Path::new("target/signal")),
        [folder] => record(Path::new(folder)),
        _ => Err("usage: signal [FOLDER]".into()),
    }
}

/// The signal: a tone that climbs, swelling four times.
fn sample(i: usize) -> f32 {
    let t = i as f32 / RATE as f32;
    let phase = std::f32::consts::TAU * (110.0 * t + 110.0 * t * t);
    0.8 * phase.sin() * (std::f32::consts::PI * 2.0 * t).sin().abs()
}

fn block(number: usize) -> [f32; BLOCK] {
    std::array::from_fn(|i| sample(number * BLOCK + i))
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Waits for the time of a block, and once for too long.
fn keep_time(begin: Duration, number: usize) {
    sleep_until(begin + BLOCK_TIME * number as u32);
    if number == HICCUP {
        std::thread::sleep(10 * BLOCK_TIME);
    }
}

fn sleep_until(when: Duration) {
    std::thread::sleep(when.saturating_sub(now()));
}

/// The player.
fn play_to(how: &str, name: &str) -> Outcome {
    let begin = now() + Duration::from_millis(20);
    if how == "raw" {
        let region = Region::open(name, &shmq_raw::Options::new().tag("signal/1"))?;
        let ring = region.slice::<f32>(RING_AT, RING * BLOCK)?;
        // One word: it is there or not, never half.
        region.cell::<u64>(0)?.store(begin.as_nanos() as u64);
        for number in 0..BLOCKS {
            keep_time(begin, number);
            ring.write_at(number % RING * BLOCK, &block(number))?;
        }
    } else {
        let mut tx = Producer::open(name)?;
        for number in 0..BLOCKS {
            keep_time(begin, number);
            tx.send(bytemuck::bytes_of(&block(number)), Until::Forever)?;
        }
        tx.finish()?;
    }
    Ok(())
}

/// A player that does not outlive its recorder.
struct Player(Child);

impl Player {
    fn start(how: &str, name: &str) -> Outcome<Self> {
        Ok(Self(Command::new(std::env::current_exe()?).args(["play", how, name]).spawn()?))
    }

    fn is_there(&mut self) -> Outcome {
        match self.0.try_wait()? {
            Some(status) if !status.success() => Err(format!("the player ended with {status}").into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// By the clock alone.
fn through_raw(name: &str) -> Outcome<Vec<f32>> {
    let bytes = RING_AT + RING * BLOCK * size_of::<f32>();
    let region = Region::create(name, &shmq_raw::Options::new().bytes(bytes as u64).tag("signal/1"))?;
    let recorded = listen(&region, name);
    region.remove()?;
    recorded
}

fn listen(region: &Region, name: &str) -> Outcome<Vec<f32>> {
    let mut player = Player::start("raw", name)?;
    let (begun, ring) = (region.cell::<u64>(0)?, region.slice::<f32>(RING_AT, RING * BLOCK)?);
    while begun.load() == 0 {
        player.is_there()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    let begin = Duration::from_nanos(begun.load());
    let mut recorded = vec![0.0; BLOCKS * BLOCK];
    for (number, block) in recorded.chunks_mut(BLOCK).enumerate() {
        sleep_until(begin + BLOCK_TIME * (number as u32 + BEHIND));
        ring.read_at(number % RING * BLOCK, block)?;
    }
    Ok(recorded)
}

/// Block after block, whenever it comes.
fn through_queue(name: &str) -> Outcome<Vec<f32>> {
    let options = Options::new().max_message((BLOCK * size_of::<f32>()) as u64);
    let mut rx: Consumer = Queue::create(name, &options)?.consumer()?;
    let player = Player::start("queue", name);
    let (mut recorded, mut block) = (Vec::new(), [0.0f32; BLOCK]);
    let end = loop {
        match rx.recv_into(bytemuck::bytes_of_mut(&mut block), Duration::from_secs(10)) {
            Ok(_) => recorded.extend(block),
            Err(end) => break end,
        }
    };
    drop((rx, player?));
    Queue::open(name)?.remove()?;
    if end == RecvError::Finished { Ok(recorded) } else { Err(end.into()) }
}

fn record(folder: &Path) -> Outcome {
    std::fs::create_dir_all(folder)?;
    let name = format!("shmq-example-signal-{}", std::process::id());
    let played: Vec<f32> = (0..BLOCKS * BLOCK).map(sample).collect();
    let (raw, queue) = (through_raw(&name)?, through_queue(&name)?);
    let wrong = |recorded: &[f32]| {
        recorded.chunks(BLOCK).zip(played.chunks(BLOCK)).filter(|(got, sent)| got != sent).count()
    };
    println!("raw memory: {} of {BLOCKS} blocks differ from what was played", wrong(&raw));
    println!("the queue:  {} of {BLOCKS}", wrong(&queue));
    let files =
        [("raw.wav", wav(&raw)), ("queue.wav", wav(&queue)), ("signal.svg", drawing(&raw, &queue).into())];
    for (file, bytes) in files {
        let path: PathBuf = folder.join(file);
        std::fs::write(&path, bytes)?;
        println!("{}", path.display());
    }
    if queue != played {
        return Err("the queue did not deliver what was played".into());
    }
    Ok(())
}

/// 16 bits, one channel.
fn wav(samples: &[f32]) -> Vec<u8> {
    let data = 2 * samples.len() as u32;
    let mut bytes = Vec::with_capacity(44 + data as usize);
    bytes.extend(b"RIFF");
    bytes.extend((36 + data).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend([1u16, 1].map(u16::to_le_bytes).concat());
    bytes.extend([RATE, 2 * RATE].map(u32::to_le_bytes).concat());
    bytes.extend([2u16, 16].map(u16::to_le_bytes).concat());
    bytes.extend(b"data");
    bytes.extend(data.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|&s| ((s.clamp(-1.0, 1.0) * 32767.0) as i16).to_le_bytes()));
    bytes
}

const WIDTH: usize = 1000;
const HEIGHT: f32 = 150.0;

/// Both waveforms, and their difference, one above the other.
fn drawing(raw: &[f32], queue: &[f32]) -> String {
    let difference: Vec<f32> = raw.iter().zip(queue).map(|(a, b)| a - b).collect();
    let panels = [
        ("through raw memory, by the clock", raw, "#c05020"),
        ("through the queue", queue, "#2060a0"),
        ("the difference", &difference[..], "#a02040"),
    ];
    let height = panels.len() as f32 * (HEIGHT + 40.0) + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-family=\"sans-serif\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        WIDTH + 40
    );
    for (i, (title, samples, colour)) in panels.into_iter().enumerate() {
        let top = 40.0 + i as f32 * (HEIGHT + 40.0);
        let largest = samples.iter().fold(0.0f32, |most, s| most.max(s.abs()));
        let _ = writeln!(svg, "<text x=\"20\" y=\"{}\">{title}; at most {largest:.3}</text>", top - 10.0);
        let _ = writeln!(
            svg,
            "<rect x=\"20\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#ccc\"/>"
        );
        let _ = writeln!(svg, "<path fill=\"none\" stroke=\"{colour}\" d=\"{}\"/>", outline(samples, top));
    }
    svg + "</svg>\n"
}

/// For each column a line from its lowest to its highest sample.
fn outline(samples: &[f32], top: f32) -> String {
    let mut path = String::new();
    let y = |value: f32| top + HEIGHT / 2.0 * (1.0 - value.clamp(-1.0, 1.0));
    for (x, column) in samples.chunks(samples.len().div_ceil(WIDTH).max(1)).enumerate() {
        let (low, high) = column.iter().fold((1.0f32, -1.0f32), |(l, h), &s| (l.min(s), h.max(s)));
        let _ = write!(path, "M{} {:.1}V{:.1}", 20 + x, y(low) + 0.5, y(high) - 0.5);
    }
    path
}
