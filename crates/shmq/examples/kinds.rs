//! Messages of several kinds through one queue: a tag in front, plain structs behind it, and no header of one's own making.
//!
//! A kind with a body of any length goes through the same queue. What is too short, or of a kind that this receiver does not know, is
//! told and passed over: the other process may be newer, or hostile.

use bytemuck::{Pod, Zeroable};
use shmq::{Options, OutOfBounds, Producer, SendError, Until, View};
use std::io::IoSlice;

#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Order {
    id: u64,
    price: f64,
    quantity: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Cancel {
    id: u64,
}

/// The tag of each kind. A number once given is never used for anything else.
const ORDER: u32 = 1;
const CANCEL: u32 = 2;
const NOTE: u32 = 3;

/// Behind the tag. Values are read from any offset, so it need not be aligned.
const BODY: usize = size_of::<u32>();

/// One message: the tag and the body, put together in the queue.
fn send(tx: &mut Producer, tag: u32, body: &[u8]) -> Result<u64, SendError> {
    tx.send_slices(&[IoSlice::new(&tag.to_ne_bytes()), IoSlice::new(body)], Until::Forever)
}

/// What was received, as the program works with it.
#[derive(Debug, PartialEq)]
enum Request {
    Order(Order),
    Cancel(Cancel),
    Note(String),
    Unknown(u32),
}

fn read(message: &View<'_>) -> Result<Request, OutOfBounds> {
    Ok(match message.read_value::<u32>(0)? {
        ORDER => Request::Order(message.read_value(BODY)?),
        CANCEL => Request::Cancel(message.read_value(BODY)?),
        NOTE => Request::Note(String::from_utf8_lossy(&message.to_vec()[BODY..]).into_owned()),
        other => Request::Unknown(other),
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut tx, mut rx) = shmq::pair(&Options::new().tag("trading/1"))?; // or a queue with a name
    let order = Order { id: 7, price: 99.5, quantity: 3 };
    send(&mut tx, ORDER, bytemuck::bytes_of(&order))?;
    send(&mut tx, CANCEL, bytemuck::bytes_of(&Cancel { id: 7 }))?;
    send(&mut tx, NOTE, b"second thoughts")?;
    send(&mut tx, 99, b"from the future")?;
    send(&mut tx, ORDER, b"too short")?;
    tx.finish()?;

    let mut seen = Vec::new();
    rx.drain(100, Until::Forever, |message| match read(message) {
        Ok(request) => seen.push(request),
        Err(wrong) => println!("message {}: {wrong}", message.sequence()),
    })?;
    let note = Request::Note("second thoughts".into());
    assert_eq!(seen, [Request::Order(order), Request::Cancel(Cancel { id: 7 }), note, Request::Unknown(99)]);
    println!("{seen:#?}");
    Ok(())
}
