//! The queue under torture, of either shape, as the parent needs it.

use super::plan::Form;
use shmq::{AttachError, Inspector, Options, Role, slots};
use shmq_tool::failure::Failure;
use std::path::Path;

/// The queue, of either shape.
#[derive(Debug)]
pub enum Queue {
    Records(shmq::Queue),
    Slots(slots::Queue<[u8]>),
}

impl Queue {
    /// Makes it.
    pub fn create(path: &Path, form: Form) -> Result<Self, Failure> {
        let options = Options::new();
        match form {
            Form::Records { capacity, max_message, max_messages } => {
                let options = options.capacity(capacity).max_message(max_message);
                let options = max_messages.map_or(options.clone(), |most| options.max_messages(most));
                return Ok(Self::Records(shmq::Queue::create(path, &options)?));
            }
            Form::Slots { words: 1, depth } => drop(slots::Queue::<[u64; 1]>::create(path, depth, &options)?),
            Form::Slots { words: 2, depth } => drop(slots::Queue::<[u64; 2]>::create(path, depth, &options)?),
            Form::Slots { words: 7, depth } => drop(slots::Queue::<[u64; 7]>::create(path, depth, &options)?),
            Form::Slots { words: 16, depth } => {
                drop(slots::Queue::<[u64; 16]>::create(path, depth, &options)?)
            }
            Form::Slots { depth, .. } => drop(slots::Queue::<[u64; 128]>::create(path, depth, &options)?),
        }
        Ok(Self::Slots(slots::Queue::open_bytes(path, &options)?))
    }

    pub fn inspect(&self) -> Result<Inspector, Failure> {
        Ok(match self {
            Self::Records(queue) => queue.inspect()?,
            Self::Slots(queue) => queue.inspect()?,
        })
    }

    /// Whether somebody who asks for a role is told that it is taken.
    pub fn is_taken(&self, role: Role) -> bool {
        let asked = match (self, role) {
            (Self::Records(queue), Role::Producer) => queue.producer().map(drop),
            (Self::Records(queue), Role::Consumer) => queue.consumer().map(drop),
            (Self::Slots(queue), Role::Producer) => queue.producer().map(drop),
            (Self::Slots(queue), Role::Consumer) => queue.consumer().map(drop),
        };
        matches!(asked, Err(AttachError::Busy { .. }))
    }
}
