//! A thread for each stage over flume's channels: one queue below a mutex for every capacity, and a parked thread where
//! it is empty or full.
//!
//! Timed: per message two crossings of a channel, the transform, the checks of the sink, and the switches between the
//! threads that wait. Not timed: creating and ending the threads, waking the driver.
//! Distortions: the mutex is the standard library's and may be met locked on several CPUs.

use flume::{Receiver, Sender, bounded, unbounded};

use super::channel::{Capacity, MessageChannel};
use super::threads::set_up;
use super::{Message, OF_THREADS, messages_per_lap, resources_of_threads, woken};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "pipeline/thread_flume",
    isolates: "a thread for each stage over flume's channels: a queue below a mutex, and threads that park to wait",
    unit: Unit::Message,
    tasks: Tasks::Several,
    parameters: OF_THREADS,
    baseline: "pipeline/inline",
    requirements: &[],
    source: "docs.rs/flume",
    lap: messages_per_lap,
    resources: resources_of_threads,
    expects: woken,
};

struct ThreadFlume;

register!(ThreadFlume);

impl Mechanism for ThreadFlume {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up::<Self>(parameters, crew)
    }
}

impl MessageChannel for ThreadFlume {
    type Sender = Sender<Message>;
    type Receiver = Receiver<Message>;

    fn open(capacity: Capacity) -> (Sender<Message>, Receiver<Message>) {
        match capacity {
            Capacity::Bounded(messages) => bounded(messages),
            Capacity::Unbounded => unbounded(),
        }
    }

    #[inline]
    async fn send(sender: &mut Sender<Message>, message: Message) -> bool {
        sender.send(message).is_ok()
    }

    #[inline]
    async fn receive(receiver: &mut Receiver<Message>) -> Option<Message> {
        receiver.recv().ok()
    }
}
