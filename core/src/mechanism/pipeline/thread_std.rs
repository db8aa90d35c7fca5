//! A thread for each stage over the standard library's channels.
//!
//! Timed: per message two crossings of a channel, the transform, the checks of the sink, and the switches between the
//! threads that wait. Not timed: creating and ending the threads, waking the driver.
//! Distortions: the standard library's channel is crossbeam's, taken over in Rust 1.67 (library/std/src/sync/mpmc);
//! what differs is the spinning before it parks.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::channel::{Capacity, MessageChannel};
use super::threads::set_up;
use super::{Message, OF_THREADS, messages_per_lap, met, resources_of_threads};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "pipeline/thread_std",
    isolates: "a thread for each stage over std::sync::mpsc: the channel of the standard library",
    unit: Unit::Message,
    tasks: Tasks::Several,
    parameters: OF_THREADS,
    baseline: "pipeline/inline",
    requirements: &[],
    source: "doc.rust-lang.org/std/sync/mpsc",
    lap: messages_per_lap,
    resources: resources_of_threads,
    expects: met,
};

struct ThreadStd;

register!(ThreadStd);

impl Mechanism for ThreadStd {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up::<Self>(parameters, crew)
    }
}

impl MessageChannel for ThreadStd {
    type Sender = StdSender;
    type Receiver = Receiver<Message>;

    fn open(capacity: Capacity) -> (StdSender, Receiver<Message>) {
        match capacity {
            Capacity::Bounded(messages) => {
                let (sender, receiver) = sync_channel(messages);
                (StdSender::Bounded(sender), receiver)
            }
            Capacity::Unbounded => {
                let (sender, receiver) = channel();
                (StdSender::Unbounded(sender), receiver)
            }
        }
    }

    #[inline]
    async fn send(sender: &mut StdSender, message: Message) -> bool {
        match sender {
            StdSender::Bounded(sender) => sender.send(message).is_ok(),
            StdSender::Unbounded(sender) => sender.send(message).is_ok(),
        }
    }

    #[inline]
    async fn receive(receiver: &mut Receiver<Message>) -> Option<Message> {
        receiver.recv().ok()
    }
}

/// The library has a type for each.
#[derive(Debug, Clone)]
enum StdSender {
    Bounded(SyncSender<Message>),
    Unbounded(Sender<Message>),
}
