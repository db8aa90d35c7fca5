//! A thread for each stage over crossbeam's channels: an array of slots where the capacity is bounded, a list of blocks
//! where it is not, and a meeting of two threads where it is 0.
//!
//! Timed: per message two crossings of a channel, the transform, the checks of the sink, and the switches between the
//! threads that wait. Not timed: creating and ending the threads, waking the driver.
//! Distortions: a thread that waits spins and yields for some microseconds before it parks, so that its time without
//! its CPU time says little.

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

use super::channel::{Capacity, MessageChannel};
use super::threads::set_up;
use super::{Message, OF_THREADS, messages_per_lap, met, resources_of_threads};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "pipeline/thread_crossbeam",
    isolates: "a thread for each stage over crossbeam's channels, which spin and yield before they sleep",
    unit: Unit::Message,
    tasks: Tasks::Several,
    parameters: OF_THREADS,
    baseline: "pipeline/inline",
    requirements: &[],
    source: "docs.rs/crossbeam-channel",
    lap: messages_per_lap,
    resources: resources_of_threads,
    expects: met,
};

struct ThreadCrossbeam;

register!(ThreadCrossbeam);

impl Mechanism for ThreadCrossbeam {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up::<Self>(parameters, crew)
    }
}

impl MessageChannel for ThreadCrossbeam {
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
