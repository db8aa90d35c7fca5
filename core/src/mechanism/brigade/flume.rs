//! A thread per task over flume's unbounded channels: a queue below a mutex, and a parked thread where it is empty.
//!
//! Timed: per hop a push, a pop, and the wakeup of the receiver that has parked. Not timed: creating and ending the
//! threads.
//! Distortions: flume's mutex is the standard library's and may be met locked on several CPUs.

use flume::{Receiver, Sender, unbounded};

use super::TASKS;
use super::channel::{BlockingChannel, demand_of_channel_threads, set_up_threads, woken_threads};
use super::load::{BYTES_IN_FLIGHT, MESSAGE, TOUCH, WORK, hops_of_all_tokens};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/flume",
    isolates: "a thread per task over flume's channels, which park without spinning first",
    unit: Unit::Hop,
    tasks: Tasks::Several,
    parameters: &[TASKS, BYTES_IN_FLIGHT, MESSAGE, WORK, TOUCH],
    baseline: "brigade/thread",
    requirements: &[],
    source: "docs.rs/flume",
    lap: hops_of_all_tokens,
    resources: demand_of_channel_threads,
    expects: |_, placement| woken_threads(placement),
};

struct Flume;

register!(Flume);

impl Mechanism for Flume {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up_threads::<Self>(parameters, crew)
    }
}

impl BlockingChannel for Flume {
    const LIBRARY: &'static str = "flume";
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
