//! What the features `tracing` and `metrics` tell: each event once, at its time, and every number under its name.

use shmq::{Corruption, Inspector, METRICS, Options, Queue, RecvError, Role, Until, Waiting};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    /// What this thread's calls told, while it listens.
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Keeps each event of this crate as a line: level, text, fields.
///
/// One for the whole process, set before any test's first event: `tracing` remembers for each place in the code whether
/// anybody listens, and a place that one test's thread comes to first would stay silent for another's subscriber.
struct FileEvent;

impl FileEvent {
    fn ready() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| tracing::subscriber::set_global_default(Self).unwrap());
    }

    fn by(run: impl FnOnce()) -> Vec<String> {
        LINES.set(Some(Vec::new()));
        run();
        LINES.take().unwrap()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.0.insert_str(0, &format!("{value:?}")),
            // Differs from run to run; that it is missing, is told.
            "queue" if format!("{value:?}").is_empty() => self.0.push_str(" no-queue"),
            "queue" | "waited_us" => write!(self.0, " {}", field.name()).unwrap(),
            name => write!(self.0, " {name}={value:?}").unwrap(),
        }
    }
}

impl Subscriber for FileEvent {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "shmq"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        LINES.with_borrow_mut(|lines| {
            let Some(lines) = lines else { return };
            let mut line = Line(String::new());
            event.record(&mut line);
            lines.push(format!("{} {}", event.metadata().level(), line.0));
        });
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A queue's name, whose file is removed at the end.
struct Name(String);

impl Name {
    fn new(test: &str) -> Self {
        FileEvent::ready();
        Self(format!("shmq-observe-{test}-{}", std::process::id()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(shmq::path_of(&self.0).unwrap());
    }
}

#[test]
fn a_life_from_creation_to_the_end_of_data() {
    let name = Name::new("life");
    let heard = FileEvent::by(|| {
        let queue = Queue::create(&name.0, &Options::new()).unwrap();
        let mut tx = queue.producer().unwrap();
        let mut rx = queue.consumer().unwrap();
        // Nothing of this is told.
        for _ in 0..1000 {
            tx.try_send(b"message").unwrap();
            rx.try_recv().unwrap();
        }
        tx.finish().unwrap();
    });
    let told = [
        "DEBUG queue created queue kind=records bytes=1060864",
        "DEBUG end attached queue role=producer epoch=1",
        "DEBUG end attached queue role=consumer epoch=1",
        "DEBUG end of data declared queue messages=1000",
        "DEBUG end left queue role=producer epoch=1",
        "DEBUG end left queue role=consumer epoch=1",
    ];
    assert_eq!(heard, told);
}

#[test]
fn sleeping_is_told_once_for_a_call_and_a_peer_that_left_is_missed() {
    let name = Name::new("sleep");
    let queue = Queue::create(&name.0, &Options::new()).unwrap();
    let mut rx = queue.consumer().unwrap();
    rx.set_waiting(Waiting::low_power());
    let heard = FileEvent::by(|| {
        // Several slices of sleep.
        assert_eq!(rx.recv(Duration::from_millis(50)), Err(RecvError::TimedOut));
        drop(queue.producer().unwrap());
        assert_eq!(rx.recv(Until::Forever), Err(RecvError::ProducerLeft));
    });
    let calls = heard.iter().filter(|line| !line.contains("end attached") && !line.contains("end left"));
    let told = [
        "TRACE end asleep queue role=consumer",
        "TRACE end goes on queue role=consumer waited_us",
        "TRACE end asleep queue role=consumer",
        "DEBUG peer left queue role=producer",
        "TRACE end goes on queue role=consumer waited_us",
    ];
    assert_eq!(calls.collect::<Vec<_>>(), told);
}

#[test]
fn a_death_is_told_by_who_waits_and_by_who_takes_over() {
    let name = Name::new("death");
    let queue = Queue::create(&name.0, &Options::new()).unwrap();
    drop(queue.producer().unwrap());
    // As a killed process leaves it: the role free, and no mark of a clean leave (docs/FORMAT.md says where that is).
    let page = std::fs::File::options().write(true).open(shmq::path_of(&name.0).unwrap()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&page, &[0; 8], 0x1208).unwrap();
    let mut rx = queue.consumer().unwrap();
    let heard = FileEvent::by(|| {
        assert_eq!(rx.recv(Until::Forever), Err(RecvError::ProducerLost));
        std::mem::forget(queue.producer().unwrap());
    });
    assert!(heard.contains(&"WARN peer lost queue role=producer".into()), "{heard:?}");
    let over = "INFO end taken over from a dead process queue role=producer epoch=2";
    assert!(heard.contains(&over.into()), "{heard:?}");
}

#[test]
fn corruption_is_told_once_by_who_found_it() {
    let name = Name::new("corrupt");
    let queue = Queue::create(&name.0, &Options::new()).unwrap();
    queue.producer().unwrap().try_send(b"whole").unwrap();
    let mut rx = queue.consumer().unwrap();
    let page = std::fs::File::options().write(true).open(shmq::path_of(&name.0).unwrap()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&page, &[0xff; 8], 3 * 4096).unwrap();
    let heard = FileEvent::by(|| {
        for _ in 0..3 {
            assert!(matches!(rx.try_recv(), Err(shmq::TryRecvError::Corrupt { .. })));
        }
    });
    let what = Corruption::Sequence;
    assert_eq!(heard, [format!("{} queue corrupt queue role=consumer what={what}", Level::ERROR)]);
}

/// Every number that was handed over, by name and labels.
#[derive(Clone, Default)]
struct Numbers(Arc<Mutex<BTreeMap<String, f64>>>);

struct One(String, Numbers);

impl metrics::CounterFn for One {
    fn increment(&self, _: u64) {
        panic!("counts are handed over as they stand");
    }
    fn absolute(&self, value: u64) {
        self.1.0.lock().unwrap().insert(self.0.clone(), value as f64);
    }
}

impl metrics::GaugeFn for One {
    fn increment(&self, _: f64) {
        panic!("as above");
    }
    fn decrement(&self, _: f64) {
        panic!("as above");
    }
    fn set(&self, value: f64) {
        self.1.0.lock().unwrap().insert(self.0.clone(), value);
    }
}

impl Numbers {
    fn one(&self, key: &metrics::Key) -> Arc<One> {
        let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
        Arc::new(One(key.name().to_owned() + &labels.collect::<String>(), self.clone()))
    }
}

impl metrics::Recorder for Numbers {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(self.one(key))
    }
    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(self.one(key))
    }
    fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

#[test]
fn every_metric_is_published_as_it_is_read() {
    FileEvent::ready();
    let queue = Queue::anonymous(&Options::new().max_messages(4)).unwrap();
    let mut tx = queue.producer().unwrap();
    tx.try_send(b"one").unwrap();
    tx.try_send(b"two").unwrap();
    queue.consumer().unwrap().try_recv().unwrap();
    let it: Inspector = queue.inspect().unwrap();
    let numbers = Numbers::default();
    metrics::with_local_recorder(&numbers, || it.publish("prices"));
    let published = numbers.0.lock().unwrap().clone();
    for (name, value) in [
        ("shmq_sent_messages_total queue=prices", 2.0),
        ("shmq_received_messages_total queue=prices", 1.0),
        ("shmq_pending_messages queue=prices", 1.0),
        ("shmq_fill_ratio queue=prices", 0.25),
        ("shmq_end_attached queue=prices role=producer", 1.0),
        ("shmq_end_attached queue=prices role=consumer", 0.0),
    ] {
        assert_eq!(published.get(name), Some(&value), "{name} in {published:?}");
    }
    let readings: Vec<_> = it.readings(&it.snapshot()).collect();
    assert_eq!(published.len(), readings.len(), "each has a name and labels of its own");
    // In the order of the table, and all of it: this queue has a limit of messages, too.
    let mut names: Vec<_> = readings.iter().map(|reading| reading.metric.name).collect();
    names.dedup();
    assert_eq!(names, METRICS.iter().map(|metric| metric.name).collect::<Vec<_>>());
    assert!(readings.iter().all(|r| r.role.is_some() == r.metric.name.contains("_end_")));
    assert_eq!(readings.iter().filter(|r| r.role == Some(Role::Consumer)).count(), 9);
}
