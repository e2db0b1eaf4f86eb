//! Pairs and files, records and slots, as users see them: one family of ends, with one family of errors.

use shmq::{
    AttachError, CreateError, OpenError, Options, RecvError, SendError, TryRecvError, TrySendError, Until,
    slots,
};
use std::time::Duration;

/// A name in /dev/shm that goes away with the test.
struct Name(String);

impl Name {
    fn new(what: &str) -> Self {
        Self(format!("shmq-test-{what}-{}", std::process::id()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(format!("/dev/shm/{}", self.0));
    }
}

/// The same story told to a queue of either shape; what it answered, as text. Its messages are numbers.
macro_rules! story {
    ($tx:ident, $rx:ident, $make:expr, $try_send:expr, $send:expr, $try_recv:expr, $recv:expr) => {{
        let mut heard = Vec::new();
        let short = Duration::from_millis(1);
        let (mut $tx, mut $rx) = $make;
        heard.push(format!("{:?}", $try_recv));
        for i in 0..3u64 {
            heard.push(format!("{:?}", $try_send(i)));
        }
        heard.push(format!("{:?}", $recv(short)));
        heard.push(format!("{:?}", $try_send(3)));
        heard.push(format!("{:?}", $send(4, short)));
        heard.push(format!("{:?}", ($tx.pending(), $rx.pending(), $tx.next_sequence(), $rx.next_sequence())));
        heard.push(format!(
            "{:?}",
            ($tx.peer(), $rx.peer(), $tx.limits().max_message, $rx.limits().max_messages)
        ));
        heard.push(format!("{:?}", $rx.try_read().map(|message| message.sequence())));
        heard.push(format!("{:?}", $rx.try_drain(1, |_| ())));
        heard.push(format!("{:?}", $rx.drain(10, short, |_| Err::<(), _>("no"))));
        let run = $rx
            .try_run(5)
            .map(|mut run| (run.next().is_some(), run.messages(), run.bytes(), run.acknowledge()));
        heard.push(format!("{run:?}"));
        heard.push(format!("{:?}", $recv(short)));
        heard.push(format!("{:?}", $send(5, short)));
        drop($tx);
        heard.push(format!("{:?}", $recv(short)));
        heard.push(format!("{:?}", $recv(short)));
        heard
    }};
}

macro_rules! records {
    ($make:expr) => {
        story!(
            tx,
            rx,
            $make,
            |i: u64| tx.try_send_value(&i),
            |i: u64, until: Duration| tx.send_value(&i, until),
            rx.try_recv_value::<u64>(),
            |until: Duration| rx.recv_value::<u64>(until)
        )
    };
}

macro_rules! slots {
    ($make:expr) => {
        story!(
            tx,
            rx,
            $make,
            |i: u64| tx.try_send(&i),
            |i: u64, until: Duration| tx.send(&i, until),
            rx.try_recv(),
            |until: Duration| rx.recv(until)
        )
    };
}

#[test]
fn what_is_written_for_one_queue_is_told_the_same_by_another() {
    let options = Options::new().max_message(8).max_messages(2);
    let queue = shmq::Queue::anonymous(&options).unwrap();
    let stories = [
        records!((queue.producer().unwrap(), queue.consumer().unwrap())),
        records!(shmq::pair(&options).unwrap()),
        slots!({
            let queue = slots::Queue::<u64>::anonymous(2, &Options::new()).unwrap();
            (queue.producer().unwrap(), queue.consumer().unwrap())
        }),
        slots!(slots::pair::<u64>(2).unwrap()),
    ];
    for story in &stories {
        assert_eq!(story, &stories[0]);
    }
    assert_eq!(stories[0].last().unwrap(), "Err(ProducerLeft)");
}

/// For ends of either kind, as any function would be written.
fn send_one(tx: &mut shmq::Producer, slots: &mut slots::Producer<u64>) {
    tx.try_send(b"one").unwrap();
    slots.try_send(&1).unwrap();
}

#[test]
fn p5_what_lies_in_place_is_a_slice_only_where_the_peer_is_vouched_for() {
    let (mut tx, mut rx) = shmq::pair(&Options::new()).unwrap();
    let (mut slots_tx, mut slots_rx) = slots::pair::<u64>(4).unwrap();
    send_one(&mut tx, &mut slots_tx);
    assert_eq!(rx.try_read().unwrap().as_slice(), Some(&b"one"[..]));
    assert_eq!(slots_rx.try_read().unwrap().as_ref(), Some(&1));
    assert!(tx.try_claim(1).unwrap().as_mut_slice().is_some());
    assert!(slots_tx.try_claim().unwrap().as_mut().is_some());

    let queue = shmq::Queue::anonymous(&Options::new()).unwrap();
    let slots_queue = slots::Queue::<u64>::anonymous(4, &Options::new()).unwrap();
    let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
    let (mut slots_tx, mut slots_rx) = (slots_queue.producer().unwrap(), slots_queue.consumer().unwrap());
    send_one(&mut tx, &mut slots_tx);
    assert_eq!(rx.try_read().unwrap().as_slice(), None);
    assert_eq!(rx.try_run(1).unwrap().next().unwrap().as_slice(), None);
    assert_eq!(slots_rx.try_read().unwrap().as_ref(), None);
    assert!(tx.try_claim(1).unwrap().as_mut_slice().is_none());
    assert!(slots_tx.try_claim().unwrap().as_mut().is_none());
    let bytes = slots::Queue::anonymous_bytes(3, 4, &Options::new()).unwrap();
    let (mut tx, mut rx) = (bytes.producer().unwrap(), bytes.consumer().unwrap());
    assert!(tx.try_claim().unwrap().as_mut_slice().is_none());
    let mut claim = tx.try_claim().unwrap();
    claim.write_at(0, b"abc").unwrap();
    claim.write_at(1, b"X").unwrap();
    assert!(claim.write_at(2, b"XY").is_err());
    claim.commit();
    let message = rx.try_read().unwrap();
    assert_eq!(
        (message.as_slice(), message.to_vec(), message.read_value(1)),
        (None, b"aXc".to_vec(), Ok(*b"Xc"))
    );
    assert!(message.read_value::<u64>(0).is_err());
}

#[test]
fn p3_a_blocked_end_of_a_pair_hears_that_the_other_is_gone() {
    let (mut tx, rx) = slots::pair::<u64>(1).unwrap();
    tx.send(&1, Until::Forever).unwrap();
    let blocked = std::thread::spawn(move || (tx.send(&2, Until::Forever), tx.try_send_slice(&[3]), tx));
    std::thread::sleep(Duration::from_millis(30));
    drop(rx);
    let (sent, slice, mut tx) = blocked.join().unwrap();
    assert_eq!((sent, slice), (Err(SendError::ConsumerLeft), Err(TrySendError::ConsumerLeft)));
    assert_eq!(tx.try_send(&4), Err(TrySendError::ConsumerLeft));
    assert_eq!(tx.try_send_iter(0..5), Err(TrySendError::ConsumerLeft));
    assert_eq!(tx.try_send_batch(&[5]), Err(TrySendError::ConsumerLeft));

    // Full or not.
    let (mut tx, rx) = slots::pair::<u64>(8).unwrap();
    tx.try_send(&1).unwrap();
    drop(rx);
    assert_eq!(tx.try_send(&2), Err(TrySendError::ConsumerLeft));
    assert_eq!(tx.send(&2, Until::Forever), Err(SendError::ConsumerLeft));

    let (tx, mut rx) = slots::pair::<u64>(1).unwrap();
    let blocked = std::thread::spawn(move || rx.recv(Until::Forever));
    std::thread::sleep(Duration::from_millis(30));
    drop(tx);
    assert_eq!(blocked.join().unwrap(), Err(RecvError::ProducerLeft));
}

#[test]
fn p3_every_call_on_a_full_pair_without_a_consumer_says_so() {
    let (mut tx, rx) = shmq::pair(&Options::new().max_messages(1)).unwrap();
    tx.try_send(b"one").unwrap();
    let full = tx.try_claim(3).map(|_| ());
    assert_eq!(full, Err(TrySendError::Full));
    let full = tx.try_batch().unwrap().push(b"two").map(|_| ());
    assert_eq!(full, Err(TrySendError::Full));
    drop(rx);
    assert_eq!(tx.try_claim(3).map(|_| ()), Err(TrySendError::ConsumerLeft));
    assert_eq!(tx.try_batch().unwrap().push(b"two").map(|_| ()), Err(TrySendError::ConsumerLeft));
    assert_eq!(tx.try_send(b"two"), Err(TrySendError::ConsumerLeft));
    let (mut tx, rx) = slots::pair::<u64>(1).unwrap();
    tx.try_send(&1).unwrap();
    assert_eq!(tx.try_claim().map(|_| ()), Err(TrySendError::Full));
    drop(rx);
    assert_eq!(tx.try_claim().map(|_| ()), Err(TrySendError::ConsumerLeft));
    assert_eq!(tx.try_batch().unwrap().push(&2).map(|_| ()), Err(TrySendError::ConsumerLeft));
}

#[test]
fn p2_a_pair_carries_a_stream_whole_and_in_order() {
    for depth in [1, 2, 7, 100] {
        let (mut tx, mut rx) = slots::pair::<[u64; 3]>(depth).unwrap();
        let sender = std::thread::spawn(move || {
            for i in 0..50_000u64 {
                tx.send(&[i, !i, i ^ 0x55], Until::Forever).unwrap();
            }
            tx.finish().unwrap();
        });
        let mut next = 0;
        for message in rx.messages(Until::Forever) {
            assert_eq!(message, Ok([next, !next, next ^ 0x55]));
            next += 1;
        }
        assert_eq!(next, 50_000);
        sender.join().unwrap();
    }
}

#[test]
fn p6_impossible_pairs_say_what_would_be_possible() {
    let why = |made: Result<_, CreateError>| match made {
        Err(error @ CreateError::Options { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(why(slots::pair::<u64>(0).map(drop)).contains("at least 1"));
    assert!(why(slots::pair::<()>(5).map(drop)).contains("at least 1"));
    assert!(why(slots::pair::<u128>(5).map(drop)).contains("alignment of up to 8"));
    let name = Name::new("options");
    let options = Options::new().capacity(1 << 20);
    assert!(
        why(slots::Queue::<u64>::create(&name.0, 5, &options).map(drop)).contains("leave the others out")
    );
}

#[test]
fn p6_slices_and_batches() {
    let name = Name::new("slices");
    let queue = slots::Queue::<u64>::create(&name.0, 20, &Options::new()).unwrap();
    let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
    let numbers: Vec<u64> = (0..100).collect();
    assert_eq!((tx.depth(), tx.room(), tx.message_size()), (20, 20, 8));
    assert_eq!(tx.try_send_slice(&numbers[..9]), Ok(9));
    assert_eq!(tx.try_send_slice(&numbers[9..]), Ok(11));
    assert_eq!(tx.try_send_slice(&numbers[20..]), Ok(0));
    assert_eq!(tx.try_send(&20), Err(TrySendError::Full));
    assert_eq!((tx.pending(), rx.pending(), tx.next_sequence()), (20, 20, 20));
    let mut got = [0; 15];
    assert_eq!(rx.try_recv_slice(&mut got), Ok(15));
    assert_eq!(got[..], numbers[..15]);
    assert_eq!(tx.try_send_batch(&numbers[20..35]), Ok(20..35));
    assert_eq!(tx.try_send_batch(&[0]), Err(TrySendError::Full));
    assert_eq!(tx.try_send_batch(&numbers[..21]), Err(TrySendError::TooLarge { len: 21, max: 20 }));
    assert_eq!(tx.send(&0, Duration::ZERO), Err(SendError::TimedOut));
    tx.finish().unwrap();
    let rest: Vec<u64> = std::iter::from_fn(|| rx.recv(Until::Forever).ok()).collect();
    assert_eq!(rest[..], numbers[15..35]);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Finished));
    assert_eq!(rx.recv(Until::Forever), Err(RecvError::Finished));
    assert!(matches!(queue.producer(), Err(AttachError::Finished { .. })));
    let seen = queue.inspect().unwrap().snapshot();
    assert_eq!((seen.sent, seen.received, seen.pending_messages, seen.finished), (35, 35, 0, true));
}

#[test]
fn p1_claims_and_guards_in_place() {
    let name = Name::new("inplace");
    let queue = slots::Queue::<[u32; 4]>::create(&name.0, 3, &Options::new()).unwrap();
    let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
    // SAFETY: both ends are this test's, and nobody else has the file mapped.
    unsafe {
        tx.trust_peer();
        rx.trust_peer();
    }
    let mut claim = tx.try_claim().unwrap();
    *claim.as_mut().unwrap() = [1, 2, 3, 4];
    claim.abort();
    assert!(matches!(rx.try_recv(), Err(TryRecvError::Empty)));
    let _ = tx.try_claim().unwrap();
    let mut claim = tx.try_claim().unwrap();
    *claim.as_mut().unwrap() = [5, 6, 7, 8];
    assert_eq!(claim.commit(), 0);
    assert_eq!(rx.try_read().unwrap().as_ref(), Some(&[5, 6, 7, 8])); // it stays
    rx.try_read().unwrap().acknowledge();
    assert!(rx.try_read().is_err());
}

#[test]
fn p8_a_file_of_another_type_is_refused() {
    let name = Name::new("types");
    let tagged = Options::new().tag("ticks/1");
    let queue = slots::Queue::<[u8; 8]>::create(&name.0, 4, &tagged).unwrap();
    assert!(matches!(
        slots::Queue::<u32>::open(&name.0),
        Err(OpenError::WrongMessage { expected: 4, found: 8, .. })
    ));
    assert!(
        matches!(slots::Queue::<u64>::open(&name.0), Err(OpenError::WrongMessage { .. })),
        "another alignment"
    );
    assert!(matches!(shmq::Queue::open(&name.0), Err(OpenError::WrongKind { .. })));
    let other = Options::new().tag("ticks/2");
    assert!(matches!(slots::Queue::<[u8; 8]>::open_with(&name.0, &other), Err(OpenError::Tag { .. })));
    assert!(slots::Queue::<[u8; 8]>::open_with(&name.0, &tagged).is_ok());

    let bytes = slots::Queue::<[u8]>::open_bytes(&name.0, &tagged).unwrap();
    let (mut tx, mut rx) = (bytes.producer().unwrap(), bytes.consumer().unwrap());
    assert_eq!(tx.try_send(b"short"), Err(TrySendError::WrongLength { len: 5, expected: 8 }));
    assert_eq!(
        tx.send(b"much too long", Duration::ZERO),
        Err(SendError::WrongLength { len: 13, expected: 8 })
    );
    assert_eq!(tx.try_send(b"8 bytes!"), Ok(0));
    let mut buffer = [0; 10];
    assert_eq!(rx.try_recv_into(&mut buffer[..7]), Err(TryRecvError::WrongLength { len: 8, buffer: 7 }));
    assert_eq!(rx.try_recv_into(&mut buffer).map(|got| (got.len, got.sequence)), Ok((8, 0)));
    assert_eq!(&buffer[..8], b"8 bytes!");
    drop((tx, rx, bytes));
    queue.remove().unwrap();
}

#[test]
fn p4_a_successor_goes_on_in_the_middle_of_a_line() {
    let name = Name::new("middle");
    let queue = slots::Queue::<u64>::create(&name.0, 10, &Options::new()).unwrap();
    for i in 0..50u64 {
        let mut tx = queue.producer().unwrap();
        assert!(matches!(queue.producer(), Err(AttachError::Busy { .. })));
        assert_eq!(tx.next_sequence(), 2 * i);
        tx.try_send_batch(&[2 * i, 2 * i + 1]).unwrap();
        drop(tx);
        let mut rx = queue.consumer().unwrap();
        assert_eq!(rx.next_sequence(), 2 * i);
        assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(2 * i), Ok(2 * i + 1)));
    }
}

/// Slices in both directions, of `N` bytes a message, in pieces that fit no group; and batches, all or none.
fn slices_of<const N: usize>()
where
    [u8; N]: bytemuck::Pod,
{
    let message = |n: u64| -> [u8; N] { std::array::from_fn(|i| (n as usize * 31 + i * 7) as u8) };
    for depth in [1, 2, 5, 40] {
        let queue = shmq::slots::Queue::<[u8; N]>::anonymous(depth, &shmq::Options::new()).unwrap();
        let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
        let (mut sent, mut got) = (0, 0);
        while got < 500 {
            let some: Vec<_> = (sent..sent + 1 + sent % 11).map(message).collect();
            if sent % 3 == 0 {
                sent += tx.try_send_batch(&some).map_or(0, |numbers| numbers.end - numbers.start);
            }
            let some: Vec<_> = (sent..sent + 1 + sent % 7).map(message).collect();
            sent += tx.try_send_slice(&some).unwrap() as u64;
            let mut into = vec![[0xee; N]; 1 + (got % 9) as usize];
            let n = rx.try_recv_slice(&mut into).unwrap();
            assert!(n >= 1 && n as u64 <= depth);
            for (seen, n) in into[..n].iter().zip(got..) {
                assert_eq!(*seen, message(n), "message {n} of {N} bytes, depth {depth}");
            }
            assert!(into[n..].iter().all(|rest| *rest == [0xee; N]), "no more than was there");
            got += n as u64;
            assert_eq!((tx.next_sequence(), rx.next_sequence()), (sent, got));
        }
    }
}

#[test]
fn p1_p2_slices_and_batches_of_every_kind_of_size_arrive_whole_and_in_order() {
    slices_of::<1>();
    slices_of::<3>();
    slices_of::<8>();
    slices_of::<13>();
    slices_of::<16>();
    slices_of::<24>();
    slices_of::<64>();
    slices_of::<1024>();
}

#[test]
fn p6_who_asks_for_other_limits_than_a_queue_has_is_told() {
    let name = Name::new("limits");
    let made =
        shmq::Queue::open_or_create(&name.0, &Options::new().max_message(100).max_messages(7)).unwrap();
    let open = |options: Options| shmq::Queue::open_or_create(&name.0, &options);
    assert_eq!(
        open(Options::new()).unwrap().limits(),
        made.limits(),
        "who asks for nothing gets what there is"
    );
    assert_eq!(open(Options::new().max_message(100).max_messages(7)).unwrap().limits(), made.limits());
    for (options, expected) in [
        (Options::new().max_message(101), ("largest message", 101, Some(100))),
        (Options::new().max_messages(8), ("number of pending messages", 8, Some(7))),
        (Options::new().capacity(4096), ("capacity", 4096, Some(made.limits().capacity))),
    ] {
        match open(options) {
            Err(shmq::Error::Open(OpenError::OtherLimit { what, asked, found, .. })) => {
                assert_eq!((what, asked, found), expected);
            }
            other => panic!("{other:?}"),
        }
    }
    made.remove().unwrap();
    let made = shmq::Queue::open_or_create(&name.0, &Options::new()).unwrap();
    let why = open(Options::new().max_messages(8)).unwrap_err().to_string();
    assert!(why.contains("its number of pending messages is none, not 8"), "{why}");
    made.remove().unwrap();
    let made = slots::Queue::<u64>::open_or_create(&name.0, 5, &Options::new()).unwrap();
    assert!(slots::Queue::<u64>::open_or_create(&name.0, 5, &Options::new()).is_ok());
    let why = slots::Queue::<u64>::open_or_create(&name.0, 6, &Options::new()).unwrap_err().to_string();
    assert!(why.contains("its depth is 5, not 6"), "{why}");
    // Refused while an end is held; the handle goes on.
    let tx = made.producer().unwrap();
    assert!(matches!(made.remove(), Err(AttachError::Busy { .. })));
    drop(tx);
    assert_eq!(made.producer().unwrap().epoch(), 2);
    made.remove().unwrap();
}
