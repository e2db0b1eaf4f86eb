//! Audio blocks from a callback that may neither allocate nor make a system call.
//!
//! The callback uses `try_send`, which never waits: when the ring is full the block is dropped and counted. It makes
//! one system call only if the other end is asleep in a blocking call, so the other end polls at its own pace. That
//! nothing was allocated is counted by an allocator of our own; that nobody was woken, by the queue itself.

use shmq::{Inspector, Options, Producer, Queue, TryRecvError, TrySendError};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::error::Error;
use std::time::Duration;

const FRAMES: usize = 128;
const BLOCKS: usize = 500;
type Block = [[f32; 2]; FRAMES];

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Counts what each thread asks for.
struct Counting;

// SAFETY: passes every call on to the system's allocator, with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> Result<(), Box<dyn Error>> {
    let name = format!("shmq-example-audio-{}", std::process::id());
    let _file = Scratch(&name);
    // Room for about 30 blocks; locked memory would be next, see `Options::lock`.
    let queue = Queue::create(&name, &Options::new().capacity(32 << 10).max_message(1024))?;
    let mut tx = queue.producer()?;
    let mut rx = queue.consumer()?;
    let inspector = Inspector::open(&name)?;
    let wakes = inspector.snapshot().producer.wakes;

    let device = std::thread::spawn(move || {
        let before = ALLOCATIONS.get();
        drop(std::hint::black_box(Box::new(0)));
        assert_eq!(ALLOCATIONS.get(), before + 1, "the count counts");

        let (mut phase, mut dropped, mut allocated) = (0.0, 0, 0);
        for _ in 0..BLOCKS {
            let before = ALLOCATIONS.get();
            dropped += usize::from(!callback(&mut tx, &mut phase));
            allocated += ALLOCATIONS.get() - before;
            // The device's own pace, outside the callback.
            std::thread::sleep(Duration::from_micros(500));
        }
        let finished = tx.finish();
        (dropped, allocated, finished)
    });

    let (mut block, mut blocks, mut peak) = ([[0f32; 2]; FRAMES], 0, 0f32);
    loop {
        match rx.try_recv_into(bytemuck::cast_slice_mut(&mut block)) {
            Ok(_) => {
                blocks += 1;
                peak = block.as_flattened().iter().fold(peak, |peak, sample| peak.max(sample.abs()));
            }
            Err(TryRecvError::Empty) => std::thread::sleep(Duration::from_millis(1)),
            Err(TryRecvError::Finished) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let (dropped, allocated, finished) = device.join().map_err(|_| "the device thread panicked")?;
    finished?;
    assert_eq!(allocated, 0, "the callback allocated");
    assert_eq!(
        inspector.snapshot().producer.wakes,
        wakes,
        "the callback made a system call to wake the reader"
    );
    assert_eq!(blocks + dropped, BLOCKS);
    assert!((0.5..=1.0).contains(&peak));
    println!("{blocks} blocks received, {dropped} dropped; nothing allocated, nobody woken in the callback");
    Ok(())
}

/// What the audio device calls. Whether the block found room.
fn callback(tx: &mut Producer, phase: &mut f32) -> bool {
    let mut block: Block = [[0.0; 2]; FRAMES];
    for frame in &mut block {
        *phase = (*phase + 440.0 / 48_000.0) % 1.0;
        *frame = [(*phase * std::f32::consts::TAU).sin(); 2];
    }
    match tx.try_send(bytemuck::cast_slice(&block)) {
        Ok(_) => true,
        Err(TrySendError::Full) => false,
        Err(broken) => panic!("{broken}"),
    }
}

/// Removes its file at the end, however it comes.
struct Scratch<'a>(&'a str);

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(format!("/dev/shm/{}", self.0));
    }
}
