//! A thread per task over crossbeam's unbounded channels: no descriptor, no system call unless a task sleeps.
//!
//! Timed: per hop a push, a pop, and whatever the receiver does to wait: it spins and yields for some microseconds
//! before it parks. Not timed: creating and ending the threads.
//! Distortions: on one CPU the spinning is in the way of the sender; on several it finds the token before it sleeps
//! when tasks are few. With more tasks than CPUs it spins in vain.

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::TASKS;
use super::channel::{BlockingChannel, demand_of_channel_threads, set_up_threads, woken_threads};
use super::load::{BYTES_IN_FLIGHT, MESSAGE, TOUCH, WORK, hops_of_all_tokens};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/crossbeam_channel",
    isolates: "a thread per task over crossbeam's channels: a queue in user space instead of the pipe",
    unit: Unit::Hop,
    tasks: Tasks::Several,
    parameters: &[TASKS, BYTES_IN_FLIGHT, MESSAGE, WORK, TOUCH],
    baseline: "brigade/thread",
    requirements: &[],
    source: "docs.rs/crossbeam-channel",
    lap: hops_of_all_tokens,
    resources: demand_of_channel_threads,
    expects: |_, placement| woken_threads(placement),
};

struct CrossbeamChannel;

register!(CrossbeamChannel);

impl Mechanism for CrossbeamChannel {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up_threads::<Self>(parameters, crew)
    }
}

impl BlockingChannel for CrossbeamChannel {
    const LIBRARY: &'static str = "crossbeam";
    type Sender<T: Send + 'static> = Sender<T>;
    type Receiver<T: Send + 'static> = Receiver<T>;

    #[inline]
    fn open<T: Send + 'static>() -> (Sender<T>, Receiver<T>) {
        unbounded()
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
