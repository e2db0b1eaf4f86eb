//! Frames of a video, from one process to another without a copy: the first draws them where the second adds them up.
//!
//! The frames are raw 8-bit RGB, 1280 x 720, 2.6 MiB each, and made up here: two waves that move. The writer puts a
//! checksum in front of each; the reader computes it again, in place, and compares. Halfway the reader is killed and
//! started again; it sees again the frames that the dead one held, and no frame and no block is lost.
//!
//! `cargo run --release -p shmq-pool --example video [FRAMES]`

use indicatif::{ProgressBar, ProgressStyle};
use shmq_pool::{Block, Options, Pool, RecvError, Until, Waiting};
use std::error::Error;
use std::process::{Child, Command};
use std::time::Instant;

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;
const FRAME: usize = WIDTH * HEIGHT * 3;
const BLOCKS: u64 = 8;
const SCHEMA: &str = "example.rgb-1280x720/1";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["read", name] => read(name),
        [] => film(400),
        [frames] => film(frames.parse()?),
        _ => Err("usage: video [FRAMES]".into()),
    }
}

fn film(frames: u64) -> Result<(), Box<dyn Error>> {
    let name = format!("shmq-example-video-{}", std::process::id());
    let _file = Scratch(&name);
    let pool = Pool::create(&name, BLOCKS, 8 + FRAME, &Options::new().tag(SCHEMA))?;
    let mut tx = pool.writer()?;
    tx.set_waiting(Waiting::new().across_restarts(true));
    // SAFETY: the other end is this program, which writes to no block that it reads.
    unsafe { tx.trust_peer() };
    let mut reader = start(&name)?;
    let bar = ProgressBar::new(frames * FRAME as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {msg}")?);
    let begin = Instant::now();
    for n in 0..frames {
        if n == frames / 2 {
            reader.kill()?;
            reader.wait()?;
            bar.set_message("reader killed, and succeeded");
            reader = start(&name)?;
        }
        let mut loan = tx.loan(Until::Forever)?;
        let (sum, pixels) = loan.as_mut_slice().ok_or("the reader is not trusted")?.split_at_mut(8);
        draw(&mut pixels[..FRAME], n);
        sum.copy_from_slice(&checksum(&pixels[..FRAME]).to_le_bytes());
        loan.send(8 + FRAME)?;
        bar.inc(FRAME as u64);
    }
    let sent = tx.finish()?;
    bar.finish();
    let seconds = begin.elapsed().as_secs_f64();
    if !reader.wait()?.success() {
        return Err("the reader failed".into());
    }
    println!(
        "{sent} frames drawn and added up in {seconds:.1} s, {:.0} frames a second",
        sent as f64 / seconds
    );
    Ok(())
}

fn start(name: &str) -> Result<Child, Box<dyn Error>> {
    Ok(Command::new(std::env::current_exe()?).args(["read", name]).spawn()?)
}

fn read(name: &str) -> Result<(), Box<dyn Error>> {
    let mut rx = Pool::open_with(name, &Options::new().tag(SCHEMA))?.reader()?;
    // SAFETY: the other end is this program, which writes to no block that is not on loan to it.
    unsafe { rx.trust_peer() };
    let again = rx.to_be_seen_again();
    let (mut frames, mut changed) = (0u64, 0u64);
    let mut previous: Option<Block<'_>> = None;
    loop {
        let block = match rx.read(Until::Forever) {
            Ok(block) => block,
            Err(RecvError::Finished) => break,
            Err(gone) => return Err(gone.into()),
        };
        let (sum, pixels) = block.as_slice().ok_or("the writer is not trusted")?.split_at(8);
        assert!(checksum(pixels).to_le_bytes() == sum, "frame {} is not what was drawn", block.sequence());
        // Two frames at a time, both where they are: how many of some pixels have changed?
        if let Some(previous) = previous.as_ref().and_then(Block::as_slice) {
            let pairs = pixels.iter().zip(&previous[8..]).step_by(4096);
            changed += pairs.filter(|(now, before)| now != before).count() as u64;
        }
        frames += 1;
        if let Some(before) = previous.replace(block) {
            before.acknowledge(); // it goes back
        }
    }
    if let Some(last) = previous {
        last.acknowledge();
    }
    println!("the last reader added up {frames} frames, {again} of them seen again after the kill,");
    println!("and found that {changed} of the pixels it looked at had changed");
    Ok(())
}

/// Two waves that move with the frame's number.
fn draw(pixels: &mut [u8], n: u64) {
    let wave = |i: usize, speed: u64| ((i as u64 * 3 + n * speed) & 0xff) as u8;
    let columns: Vec<u8> = (0..WIDTH).map(|x| wave(x, 5)).collect();
    for (y, row) in pixels.chunks_exact_mut(WIDTH * 3).enumerate() {
        let shade = wave(y, 11);
        for (pixel, &column) in row.chunks_exact_mut(3).zip(&columns) {
            pixel.copy_from_slice(&[column ^ shade, column.wrapping_add(shade), n as u8]);
        }
    }
}

/// A sum that depends on every byte and on its place, eight bytes at a time.
fn checksum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8).map(|chunk| u64::from_le_bytes(chunk.try_into().expect("8 bytes")));
    words.fold(0, |sum: u64, word| (sum.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Removes its file at the end, however it comes.
struct Scratch<'a>(&'a str);

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(format!("/dev/shm/{}", self.0));
    }
}
