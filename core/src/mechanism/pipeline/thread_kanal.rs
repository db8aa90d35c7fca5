//! A thread for each stage over kanal's channels: a queue below a spin lock, and a sender that finds its receiver
//! waiting copies the message into it.
//!
//! Timed: per message two crossings of a channel, the transform, the checks of the sink, and the switches between the
//! threads that wait. Not timed: creating and ending the threads, waking the driver.
//! Distortions: a thread that waits gives its CPU to others 256 times (sched_yield(2)) before it parks: with few stages
//! it never sleeps, with many each of them runs to look in vain. The lock is not given up by a thread that is preempted
//! while it holds it; others spin for the rest of their time slice, unless the process has one CPU. kanal counts the
//! CPUs once, and is made to do so by the thread that asks for the instance, before threads are confined to some.

use std::time::Duration;

use kanal::{Receiver, Sender, bounded, unbounded};

use super::channel::{Capacity, MessageChannel};
use super::threads::set_up;
use super::{Message, OF_THREADS, messages_per_lap, resources_of_threads, woken};
use crate::mechanism::{
    Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "pipeline/thread_kanal",
    isolates: "a thread for each stage over kanal's channels: messages handed from stack to stack, waiters that yield",
    unit: Unit::Message,
    tasks: Tasks::Several,
    parameters: OF_THREADS,
    baseline: "pipeline/inline",
    requirements: &[],
    source: "docs.rs/kanal; kanal's src/signal.rs and src/backoff.rs",
    lap: messages_per_lap,
    resources: resources_of_threads,
    expects: woken,
};

struct ThreadKanal;

register!(ThreadKanal);

impl Mechanism for ThreadKanal {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        count_cpus();
        Ok(())
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up::<Self>(parameters, crew)
    }
}

impl MessageChannel for ThreadKanal {
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

/// Makes kanal count the CPUs of the calling thread's mask, which it does at the first wait with a timeout.
pub(super) fn count_cpus() {
    let (_sender, receiver) = bounded::<()>(0);
    // There is nothing to receive, and no time to wait.
    let _ = receiver.recv_timeout(Duration::ZERO);
}
