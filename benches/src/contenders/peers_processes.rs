//! Other people's queues between two processes. All of them are set up to lose nothing.

use super::trial::{Trial, because};
use crate::gate::Gate;
use crate::payload::{Batch, Payload, Sum, Words, fill};
use crate::run::{Outcome, Task};
use crate::waiting::child::{Name, sweep};
use bytemuck::Pod;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::update_connections::UpdateConnections as _;
use iceoryx2::prelude::{
    BackpressureStrategy, Config, FileName, IceoryxSend, LogLevel, Node, NodeBuilder, Path,
    SemanticString as _, ZeroCopySend, ipc, set_log_level,
};
use iceoryx2::service::builder::publish_subscribe::Builder;
use ringfire::{FlowControl, RingConsumer, RingProducer, RingProducerBuilder};
use rustix::fs::{MemfdFlags, memfd_create};
use std::collections::VecDeque;
use std::fmt::Debug;
use std::fs::File;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

const ICEORYX: &str = "iceoryx2";
const RINGFIRE: &str = "ringfire";
const SHAQ: &str = "shaq";
const RTIPC: &str = "rtipc";

pub fn fixed<const N: usize>(task: Task) -> Vec<Trial>
where
    [u64; N]: Pod,
{
    let mut all = vec![
        Trial::new(ICEORYX, "copies", move |count| {
            iceoryx::<[u64; N], Words<N>, _>(task, count, || {
                move |tx: &Publisher<ipc::Service, [u64; N], ()>, n| tx.send_copy([n; N]).is_ok()
            })
        }),
        Trial::new(ICEORYX, "in place", move |count| {
            iceoryx::<[u64; N], Words<N>, _>(task, count, || {
                move |tx: &Publisher<ipc::Service, [u64; N], ()>, n| {
                    tx.loan_uninit().expect("room for a message").write_payload([n; N]).send().is_ok()
                }
            })
        }),
        Trial::new(SHAQ, "try", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (tx, rx) = shaq::<N>(task)?;
                Ok((
                    move || {
                        let mut tx = tx();
                        move |n, _| u64::from(tx.try_write([n; N]).is_ok())
                    },
                    move || {
                        let mut rx = rx();
                        move |_, sum: &mut Sum| rx.try_read().map_or(0, |message| sum.words(&message))
                    },
                ))
            })
        }),
        shaq_batches::<N>("in place", task),
        ringfire::<N>("try", task, false),
        rtipc::<N>(task),
    ];
    if task.batch > 1 {
        all.push(ringfire::<N>("batches", task, true));
    }
    all
}

pub fn any<P: Payload>(task: Task) -> Vec<Trial> {
    vec![Trial::new(ICEORYX, "in place", move |count| iceoryx_slices::<P>(task, count))]
}

/// A file or folder, and files in `/dev/shm` whose names begin in the same way; removed with the last end.
pub struct Scraps {
    path: PathBuf,
    name: String,
}

impl Scraps {
    /// In this folder, with a name that nobody else has.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let name = Name::fresh().as_str().to_owned();
        Self { path: folder.into().join(&name), name }
    }

    /// The file or folder.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

impl Drop for Scraps {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path).or_else(|_| std::fs::remove_file(&self.path));
        sweep(&self.name);
    }
}

/// The two ends wait here: a message sent before the receiver is there would be lost.
struct Meeting {
    scraps: Scraps,
    gate: Gate,
}

impl Meeting {
    fn new(folder: impl Into<PathBuf>) -> Arc<Self> {
        Arc::new(Self { scraps: Scraps::new(folder), gate: Gate::new() })
    }

    /// Both ends have done their part.
    fn met(&self, which: usize) {
        self.gate.meet(which);
    }

    /// A node, and a service for one end of each kind, without overflow, to be opened or made.
    fn service<M>(&self, depth: usize) -> (Node<ipc::Service>, Builder<M, (), ipc::Service>)
    where
        M: IceoryxSend + Debug + ?Sized,
    {
        let node = node(self.scraps.path());
        let name = self.scraps.name.as_str().try_into().expect("a plain name");
        let service = node
            .service_builder(&name)
            .publish_subscribe::<M>()
            .enable_safe_overflow(false)
            .history_size(0)
            .max_publishers(1)
            .max_subscribers(1)
            .subscriber_max_buffer_size(depth);
        (node, service)
    }
}

/// A node of iceoryx2 with a folder of its own; whatever it has in `/dev/shm` begins with the folder's name.
pub fn node(folder: &std::path::Path) -> Node<ipc::Service> {
    // The files of a node may be gone before it is; it says so, and it does not matter.
    set_log_level(LogLevel::Fatal);
    let mut config = Config::default();
    let root = Path::new(folder.as_os_str().as_encoded_bytes()).expect("a plain path");
    config.global.set_root_path(&root);
    let name = folder.file_name().expect("a folder with a name");
    config.global.prefix = FileName::new(name.as_encoded_bytes()).expect("a plain name");
    NodeBuilder::new().config(&config).create::<ipc::Service>().expect("a node")
}

/// Publisher and subscriber with backpressure instead of overflow; sending waits for room.
fn iceoryx<M, P, S>(
    task: Task,
    count: u64,
    make_send: impl FnOnce() -> S + Copy + Send,
) -> Result<Outcome, String>
where
    M: ZeroCopySend + Debug + AsRef<[u64]> + 'static,
    P: Payload,
    S: FnMut(&Publisher<ipc::Service, M, ()>, u64) -> bool,
{
    let service = move |meeting: &Meeting| {
        let (node, service) = meeting.service::<M>(task.depth(P::MEAN));
        (node, service.open_or_create().expect("a service"))
    };
    task.run::<P, _, _, _, _>(count, || {
        let meeting = Meeting::new(std::env::temp_dir());
        let other = Arc::clone(&meeting);
        Ok((
            move || {
                let (node, service) = service(&meeting);
                let tx = service
                    .publisher_builder()
                    .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
                    .create()
                    .expect("a publisher");
                let mut send = make_send();
                meeting.met(1);
                meeting.met(1);
                let _ = tx.update_connections();
                move |n, _| {
                    let _alive = (&node, &meeting);
                    u64::from(send(&tx, n))
                }
            },
            move || {
                let (node, service) = service(&other);
                other.met(0);
                let rx = service.subscriber_builder().create().expect("a subscriber");
                let _ = rx.update_connections();
                other.met(0);
                move |_, sum: &mut Sum| {
                    let _alive = (&node, &other);
                    rx.receive()
                        .expect("a publisher")
                        .map_or(0, |message| sum.words(message.payload().as_ref()))
                }
            },
        ))
    })
}

/// The same for messages of any length, written and read in place.
fn iceoryx_slices<P: Payload>(task: Task, count: u64) -> Result<Outcome, String> {
    let service = move |meeting: &Meeting| {
        let (node, service) = meeting.service::<[u8]>(task.depth(P::MEAN));
        (node, service.open_or_create().expect("a service"))
    };
    task.run::<P, _, _, _, _>(count, || {
        let meeting = Meeting::new(std::env::temp_dir());
        let other = Arc::clone(&meeting);
        Ok((
            move || {
                let (node, service) = service(&meeting);
                let tx = service
                    .publisher_builder()
                    .initial_max_slice_len(P::MAX)
                    .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
                    .create()
                    .expect("a publisher");
                meeting.met(1);
                meeting.met(1);
                let _ = tx.update_connections();
                move |n, _| {
                    let _alive = (&node, &meeting);
                    let mut message = tx.loan_slice_uninit(P::len(n)).expect("room for a message");
                    let room: *mut [MaybeUninit<u8>] = message.payload_mut();
                    // SAFETY: bytes that are written before they are read.
                    fill(unsafe { &mut *(room as *mut [u8]) }, n);
                    // SAFETY: all of it has been written.
                    u64::from(unsafe { message.assume_init() }.send().is_ok())
                }
            },
            move || {
                let (node, service) = service(&other);
                other.met(0);
                let rx = service.subscriber_builder().create().expect("a subscriber");
                let _ = rx.update_connections();
                other.met(0);
                move |_, sum: &mut Sum| {
                    let _alive = (&node, &other);
                    rx.receive().expect("a publisher").map_or(0, |message| sum.bytes(message.payload()))
                }
            },
        ))
    })
}

/// Lossless backpressure; the same number of messages, each with its sequence number.
fn ringfire<const N: usize>(variant: &'static str, task: Task, batches: bool) -> Trial
where
    [u64; N]: Pod,
{
    let capacity = task.depth(8 * N).next_power_of_two() as u64;
    Trial::new(RINGFIRE, variant, move |count| {
        task.run::<Words<N>, _, _, _, _>(count, || {
            let meeting = Meeting::new("/dev/shm");
            let other = Arc::clone(&meeting);
            Ok((
                move || {
                    let mut tx: RingProducer<[u64; N]> = RingProducerBuilder::new(capacity)
                        .flow_control(FlowControl::LosslessBackpressure)
                        .max_readers(1)
                        .build(&meeting.scraps.path)
                        .expect("a ring");
                    let mut batch = Batch::<N>::new(task.batch);
                    meeting.met(1);
                    meeting.met(1);
                    move |n: u64, max: u64| {
                        let _alive = &meeting;
                        if batches {
                            let messages = batch.messages(n, max);
                            tx.push_batch(messages);
                            return messages.len() as u64;
                        }
                        u64::from(tx.try_push(&[n; N]).is_ok())
                    }
                },
                move || {
                    other.met(0);
                    let mut rx = RingConsumer::<[u64; N]>::attach(&other.scraps.path).expect("the ring");
                    other.met(0);
                    let mut got = vec![[0; N]; task.batch];
                    move |max: u64, sum: &mut Sum| {
                        let _alive = &other;
                        if batches {
                            let most = got.len().min(max as usize);
                            let some = rx.recv_batch(&mut got[..most]);
                            return got[..some].iter().map(|message| sum.words(message)).sum();
                        }
                        rx.try_recv().map_or(0, |message| sum.words(&message))
                    }
                },
            ))
        })
    })
}

/// What makes the two ends over an anonymous file.
#[expect(clippy::type_complexity, reason = "types of closures have no names")]
fn shaq<const N: usize>(
    task: Task,
) -> Result<
    (
        impl FnOnce() -> shaq::spsc::Producer<[u64; N]> + Send,
        impl FnOnce() -> shaq::spsc::Consumer<[u64; N]> + Send,
    ),
    String,
> {
    let file = || memfd_create("shaq", MemfdFlags::CLOEXEC).map(File::from).map_err(because);
    let file = file()?;
    let other = file.try_clone().map_err(because)?;
    let size = shaq::spsc::minimum_file_size::<[u64; N]>(task.depth(8 * N)).next_multiple_of(4096);
    // SAFETY: nobody else has the file; this handle is gone before another is made.
    drop(unsafe { shaq::spsc::Producer::<[u64; N]>::create(&file, size) }.map_err(because)?);
    Ok((
        // SAFETY: the only producer, and words mean the same in every process.
        move || unsafe { shaq::spsc::Producer::join(&file) }.expect("the queue"),
        // SAFETY: the only consumer.
        move || unsafe { shaq::spsc::Consumer::join(&other) }.expect("the queue"),
    ))
}

/// Written into reserved places and read where they lie, many at a time if the task says so.
fn shaq_batches<const N: usize>(variant: &'static str, task: Task) -> Trial
where
    [u64; N]: Pod,
{
    Trial::new(SHAQ, variant, move |count| {
        task.run::<Words<N>, _, _, _, _>(count, || {
            let (tx, rx) = shaq::<N>(task)?;
            Ok((
                move || {
                    let mut tx = tx();
                    move |n, max: u64| {
                        let (most, mut sent) = (max.min(task.batch as u64), 0);
                        let mut batch = tx.write_batch();
                        while sent < most {
                            // SAFETY: written at once, before the batch is published.
                            let Some(message) = (unsafe { batch.try_as_mut() }) else { break };
                            message.write([n + sent; N]);
                            sent += 1;
                        }
                        sent
                    }
                },
                move || {
                    let mut rx = rx();
                    move |max: u64, sum: &mut Sum| {
                        let most = NonZeroUsize::new(task.batch.min(max as usize)).expect("at least one");
                        let Some(run) = rx.try_reserve_read_batch(most) else { return 0 };
                        let (first, second) = run.as_slices();
                        first.iter().chain(second).map(|message| sum.words(message)).sum()
                    }
                },
            ))
        })
    })
}

/// Written and read in place. Pushing without force loses nothing.
fn rtipc<const N: usize>(task: Task) -> Trial
where
    [u64; N]: Pod,
{
    Trial::new(RTIPC, "in place", move |count| {
        task.run::<Words<N>, _, _, _, _>(count, || {
            let channel = rtipc::ChannelAttributes {
                additional_messages: task.depth(8 * N).saturating_sub(3),
                message_size: NonZeroUsize::new(8 * N).expect("a size"),
                eventfd: false,
                info: Vec::new(),
            };
            let attributes =
                rtipc::GroupAttributes { producers: Vec::new(), consumers: vec![channel], info: Vec::new() };
            let mut group = rtipc::ChannelGroup::from_attr(&attributes).map_err(|e| format!("{e:?}"))?;
            let rx = Moved(group.acquire_consumer::<[u64; N]>(0).ok_or("no consumer")?);
            let (request, descriptors) = group.serialize();
            let cloned = descriptors.iter().map(|fd| fd.try_clone_to_owned());
            let descriptors: VecDeque<OwnedFd> = cloned.collect::<Result<_, _>>().map_err(because)?;
            Ok((
                move || {
                    let mut group =
                        rtipc::ChannelGroup::deserialize(&request, descriptors).expect("the group");
                    let mut tx = group.acquire_producer::<[u64; N]>(0).expect("its producer");
                    let mut made = None;
                    move |n, _| {
                        if made != Some(n) {
                            *tx.current_message() = [n; N];
                            made = Some(n);
                        }
                        u64::from(tx.try_push().expect("a sound queue") == rtipc::TryPushResult::Success)
                    }
                },
                move || {
                    let Moved(mut rx) = { rx };
                    move |_, sum: &mut Sum| match rx.pop().expect("a sound queue") {
                        rtipc::PopResult::Success => sum.words(rx.current_message().expect("just taken")),
                        rtipc::PopResult::SuccessMessagesDiscarded => panic!("a message was lost"),
                        rtipc::PopResult::NoMessage | rtipc::PopResult::NoNewMessage => 0,
                    }
                },
            ))
        })
    })
}

/// Something that stays in the thread that made it: only its closure goes to where the other end might be a thread.
struct Moved<T>(T);

// SAFETY: contenders of this file run between processes; nothing of them changes threads.
unsafe impl<T> Send for Moved<T> {}
