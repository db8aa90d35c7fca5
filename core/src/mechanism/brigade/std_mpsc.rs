//! A thread per task over the standard library's channels: no descriptor, no system call unless a task sleeps.
//!
//! Timed: per hop a push, a pop, and whatever the receiver does to wait. Not timed: creating and ending the threads.
//! Distortions: the standard library's channel is crossbeam's, taken over in Rust 1.67 (library/std/src/sync/mpmc);
//! what differs is the spinning before it parks.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::TASKS;
use super::channel::{BlockingChannel, demand_of_channel_threads, set_up_threads, woken_threads};
use super::load::{BYTES_IN_FLIGHT, MESSAGE, TOUCH, WORK, hops_of_all_tokens};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/std_mpsc",
    isolates: "a thread per task over std::sync::mpsc: the channel of the standard library",
    unit: Unit::Hop,
    tasks: Tasks::Several,
    parameters: &[TASKS, BYTES_IN_FLIGHT, MESSAGE, WORK, TOUCH],
    baseline: "brigade/thread",
    requirements: &[],
    source: "doc.rust-lang.org/std/sync/mpsc",
    lap: hops_of_all_tokens,
    resources: demand_of_channel_threads,
    expects: |_, placement| woken_threads(placement),
};

struct StdMpsc;

register!(StdMpsc);

impl Mechanism for StdMpsc {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up_threads::<Self>(parameters, crew)
    }
}

impl BlockingChannel for StdMpsc {
    const LIBRARY: &'static str = "std";
    type Sender<T: Send + 'static> = Sender<T>;
    type Receiver<T: Send + 'static> = Receiver<T>;

    #[inline]
    fn open<T: Send + 'static>() -> (Sender<T>, Receiver<T>) {
        channel()
    }

    #[inline]
    fn send<T: Send + 'static>(sender: &Sender<T>, message: T) -> bool {
        sender.send(message).is_ok()
    }

    #[inline]
    fn receive<T: Send + 'static>(receiver: &Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }
}
