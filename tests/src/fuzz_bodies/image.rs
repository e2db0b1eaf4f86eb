//! A file that claims to be a queue.

use super::Bytes;
use shmq::{
    Check, Inspector, Kind, Options, Outcome, PendingEnd, Queue, Role, TryRecvError, TrySendError, slots,
};
use shmq_core::Geometry;
use shmq_core::layout::{CHECKSUM_AT, Header, PAGE, TAG, fnv1a};
use shmq_core::word::{self, RecordKind};
use std::io::{IoSlice, Write};
use std::os::fd::OwnedFd;

const CAPACITY: u64 = 4096;
const LENGTH: usize = 3 * PAGE + CAPACITY as usize;

/// The bytes as a file: as they are, or as changes to a healthy queue. Opened both by name and by descriptor.
pub fn image(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let how = bytes.byte();
    let file = match how & 9 {
        0 => changed(&mut bytes, how & 2 != 0),
        8 => changed_slots(&mut bytes, how & 2 != 0),
        _ => bytes.rest().to_vec(),
    };
    if how & 4 == 0 {
        let Some(fd) = sealed(&file) else { return };
        let Ok(again) = fd.try_clone() else { return };
        if let Ok(queue) = Queue::from_fd(fd, &Options::new()) {
            work(&queue, &mut bytes);
        } else if let Ok(queue) = slots::Queue::<u64>::from_fd(again, &Options::new()) {
            work_slots(
                &queue,
                &mut bytes,
                |tx, message| tx.try_send(&u64::from_le_bytes(message.try_into().unwrap_or_default())),
                |rx| rx.try_recv().map(|_| ()),
            );
        }
    } else {
        let named = tempfile::Builder::new().prefix("shmq-image-").tempfile_in("/dev/shm");
        let mut named = named.expect("room in /dev/shm");
        named.write_all(&file).expect("room in /dev/shm");
        if let Ok(inspector) = Inspector::open_damaged(named.path()) {
            look(&inspector);
        }
        if let Ok(queue) = Queue::open(named.path()) {
            work(&queue, &mut bytes);
        }
        if let Ok(queue) = slots::Queue::open_bytes(named.path(), &Options::new()) {
            let mut buffer = vec![0; queue.message_size() as usize];
            work_slots(
                &queue,
                &mut bytes,
                |tx, message| tx.try_send(message),
                |rx| {
                    assert!(rx.try_recv_into(&mut []).is_err(), "no message has no bytes");
                    rx.try_recv_into(&mut buffer).map(|_| ())
                },
            );
        }
    }
}

/// Everything that looks and takes nothing: `dump` and `doctor`, but for what they print.
fn look(inspector: &Inspector) {
    inspector.snapshot();
    let mut pending = inspector.pending();
    let (mut messages, mut bytes) = (0, 0);
    for message in pending.by_ref() {
        (messages, bytes) = (messages + 1, bytes + message.bytes.len() as u64);
    }
    assert!(pending.end().is_some(), "a walk ends with a reason");
    let limits = inspector.limits();
    let most = limits.max_messages.filter(|_| inspector.kind() == Kind::Slots).unwrap_or(limits.capacity / 8);
    assert!(messages <= most && bytes <= limits.capacity.max(messages * limits.max_message));
    let checks = inspector.check();
    let damaged = |check: &Check| matches!(check.outcome, Outcome::Damaged { .. });
    if matches!(pending.end(), Some(PendingEnd::Damaged(_))) {
        assert!(checks.iter().any(damaged), "what a walk finds, a check finds");
    }
    for role in [Role::Producer, Role::Consumer] {
        assert_eq!(inspector.process(role), None, "nobody holds an end of it");
    }
}

/// A healthy empty queue with some words changed.
fn changed(bytes: &mut Bytes<'_>, sum: bool) -> Vec<u8> {
    let limits = Options::new().capacity(CAPACITY).max_message(1000).limits().expect("possible limits");
    let mut file = vec![0; LENGTH];
    file[..size_of::<Header>()]
        .copy_from_slice(as_bytes(&Geometry::records(limits, [0; TAG]).header()).as_ref());
    for _ in 0..bytes.below(24) {
        let (at, value) = change(bytes);
        file[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    if sum {
        let sum = fnv1a(&file[..CHECKSUM_AT]);
        file[CHECKSUM_AT..CHECKSUM_AT + 8].copy_from_slice(&sum.to_le_bytes());
    }
    file
}

/// The same for fixed-size messages.
fn changed_slots(bytes: &mut Bytes<'_>, sum: bool) -> Vec<u8> {
    let (size, align, depth) = [(8, 8, 100), (8, 8, 7), (13, 1, 9), (100, 1, 6)][bytes.below(4) as usize];
    let geometry = Geometry::slots(size, align, depth, &Options::new()).expect("possible limits");
    let shape = geometry.slot_layout().expect("it is one of slots");
    let mut file = vec![0; geometry.length as usize];
    file[..size_of::<Header>()].copy_from_slice(as_bytes(&geometry.header()).as_ref());
    for _ in 0..bytes.below(12) {
        let near = bytes.below(2 * depth + 20);
        let value = match bytes.below(5) {
            0 => bytes.word(),
            1 => near.wrapping_sub(depth),
            2 => 1 << 63 | near,
            _ => near,
        };
        let at = match bytes.below(6) {
            0 => 8 * bytes.below(size_of::<Header>() as u64 / 8) as usize,
            1 => PAGE + 8 * bytes.below(3) as usize,
            2 => 2 * PAGE,
            _ => 3 * PAGE + (shape.group_bytes * bytes.below(shape.groups)) as usize,
        };
        file[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    if sum {
        let sum = fnv1a(&file[..CHECKSUM_AT]);
        file[CHECKSUM_AT..CHECKSUM_AT + 8].copy_from_slice(&sum.to_le_bytes());
    }
    file
}

fn as_bytes(header: &Header) -> [u8; size_of::<Header>()] {
    // SAFETY: `Header` is plain data without padding, as its asserted offsets and its `Pod` say.
    unsafe { std::mem::transmute_copy(header) }
}

/// Where a word changes, and to what.
fn change(bytes: &mut Bytes<'_>) -> (usize, u64) {
    let small = bytes.below(2 * CAPACITY);
    let value = match bytes.below(4) {
        0 => bytes.word(),
        1 => small & !7,
        2 => u64::wrapping_sub(0, small & !7),
        _ => {
            let kind = [RecordKind::Message, RecordKind::Padding, RecordKind::End][(small % 3) as usize];
            word::word(kind, bytes.below(1100), bytes.below(4))
        }
    };
    let at = match bytes.below(4) {
        0 => 8 * bytes.below(size_of::<Header>() as u64 / 8) as usize,
        1 => PAGE + 8 * bytes.below(3) as usize,
        2 => 2 * PAGE + [0x00, 0x08, 0x80, 0x88][bytes.below(4) as usize],
        _ => PAGE + 8 * bytes.below((LENGTH - PAGE) as u64 / 8) as usize,
    };
    (at, value)
}

pub(super) fn sealed(file: &[u8]) -> Option<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let fd = memfd_create("shmq-image", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).ok()?;
    let mut memfd = std::fs::File::from(fd);
    memfd.write_all(file).ok()?;
    fcntl_add_seals(&memfd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).ok()?;
    Some(memfd.into())
}

/// Everything the two ends and an observer can do that does not wait.
fn work(queue: &Queue, bytes: &mut Bytes<'_>) {
    let limits = queue.limits();
    let inspector = queue.inspect();
    let mut tx = queue.producer().ok();
    let mut rx = queue.consumer().ok();
    for _ in 0..16 {
        if let Some(tx) = &mut tx {
            send(tx, bytes, limits.max_message);
            let _ = (tx.mark(), tx.origin());
        }
        if let Some(rx) = &mut rx {
            receive(rx, bytes);
            rx.peer_mark();
        }
        if let Ok(inspector) = &inspector {
            let seen = inspector.snapshot();
            assert!(seen.used_bytes <= limits.capacity && seen.pending_bytes <= limits.capacity);
        }
    }
    if let Some(tx) = tx {
        let _ = tx.finish();
    }
    if let Some(rx) = &mut rx {
        // Each message takes room from a ring that nobody fills any more; so this ends.
        for _ in 0..=limits.capacity / 8 {
            if rx.try_recv().is_err() {
                return;
            }
        }
        panic!("more messages than the ring has words");
    }
}

fn send(tx: &mut shmq::Producer, bytes: &mut Bytes<'_>, max: u64) {
    let message = vec![0x5a; bytes.below(max + 2) as usize];
    let sent = match bytes.below(4) {
        0 => tx.try_send_slices(&[IoSlice::new(b"head"), IoSlice::new(&message)]).map(|_| ()),
        1 => tx.try_send_batch(&[&message[..], b"", b"tail"]).map(|_| ()),
        2 => tx.try_claim(message.len()).map(|mut claim| {
            claim.write_at(0, &message).expect("as long as the claim");
            claim.commit_part(message.len() / 2).expect("shorter than the claim");
        }),
        _ => tx.try_send(&message).map(|_| ()),
    };
    assert!(tx.room_bytes().is_none_or(|room| room <= max));
    if let Err(TrySendError::Corrupt { what }) = sent {
        assert!(matches!(tx.try_send(b""), Err(TrySendError::Corrupt { what: w }) if w == what), "sticky");
    }
}

fn receive(rx: &mut shmq::Consumer, bytes: &mut Bytes<'_>) {
    let mut buffer = [0; 64];
    let received = match bytes.below(4) {
        0 => rx.try_recv_into(&mut buffer).map(|_| ()),
        1 => rx.try_drain(shmq::DrainLimit::default(), |view| drop(view.to_vec())).map(|_| ()),
        2 => rx.try_read().map(drop),
        _ => rx.try_recv().map(|_| ()),
    };
    rx.pending();
    if let Err(TryRecvError::Corrupt { what }) = received {
        assert_eq!(rx.try_recv(), Err(TryRecvError::Corrupt { what }), "corruption is sticky");
    }
}

/// The same for fixed-size messages, sent and received as the type wants it.
fn work_slots<P: ?Sized>(
    queue: &slots::Queue<P>,
    bytes: &mut Bytes<'_>,
    mut send: impl FnMut(&mut slots::Producer<P>, &[u8]) -> Result<u64, TrySendError>,
    mut receive: impl FnMut(&mut slots::Consumer<P>) -> Result<(), TryRecvError>,
) {
    let (depth, message) = (queue.depth(), vec![0x5a; queue.message_size() as usize]);
    let inspector = queue.inspect();
    let mut tx = queue.producer().ok();
    let mut rx = queue.consumer().ok();
    for _ in 0..16 {
        for _ in 0..bytes.below(depth + 2) {
            let Some(tx) = &mut tx else { break };
            if let Err(TrySendError::Corrupt { what }) = send(tx, &message) {
                let again = send(tx, &message);
                assert!(matches!(again, Err(TrySendError::Corrupt { what: w }) if w == what), "sticky");
            }
            assert!(tx.pending() <= depth && tx.room() <= depth);
        }
        for _ in 0..bytes.below(depth + 2) {
            let Some(rx) = &mut rx else { break };
            if let Err(TryRecvError::Corrupt { what }) = receive(rx) {
                assert_eq!(receive(rx), Err(TryRecvError::Corrupt { what }), "corruption is sticky");
            }
            assert!(rx.pending() <= depth);
        }
        if let Ok(inspector) = &inspector {
            assert!(inspector.snapshot().pending_messages <= depth);
        }
    }
    if let Some(tx) = tx {
        let _ = tx.finish();
    }
    let Some(mut rx) = rx else { return };
    // Nobody stores words any more, and a word is larger than a number for at most one lap and a depth more.
    let laps = 2 * inspector.map_or(u64::MAX, |inspector| inspector.limits().capacity / 8 + 1);
    assert!((0..=laps).any(|_| receive(&mut rx).is_err()), "more messages than the words can mean");
}
