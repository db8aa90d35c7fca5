//! A thread per task over flume's unbounded channels: a queue below a mutex, and a parked thread where it is empty.
//!
//! Timed: per hop a push, a pop, and the wakeup of the receiver that has parked. Not timed: creating and ending the
//! threads.
//! Distortions: flume's mutex is the standard library's and may be met locked on several CPUs.

use flume::{Receiver, Sender, unbounded};

use super::blocking::{Port, seat_threads};
use super::channel::{MessagePort, demand_of_channel_threads, woken_threads};
use super::load::{BYTES_IN_FLIGHT, Load, MESSAGE, TOUCH, WORK, by_size, hops_of_all_tokens};
use super::{TASKS, places};
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
    demand: demand_of_channel_threads,
    expects: |_, placement| woken_threads(placement),
};

struct Flume;

register!(Flume);

impl Mechanism for Flume {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        by_size!(parameters, seat(parameters, crew))
    }
}

type Ends<const BYTES: usize> = MessagePort<Receiver<[u8; BYTES]>, Sender<[u8; BYTES]>, BYTES>;

fn seat<const BYTES: usize>(parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
    let load = Load::of_tokens(parameters);
    let (senders, receivers) = (0..load.tasks).map(|_| unbounded()).unzip();
    seat_threads(places(receivers, senders).into_iter().map(Ends::<BYTES>::new), load, crew)
}

impl<const BYTES: usize> Port for Ends<BYTES> {
    #[inline]
    fn receive(&mut self) -> Result<Option<u8>, Failure> {
        let message = self.place.reader.recv().ok();
        Ok(message.map(|message| self.keep(message)))
    }

    #[inline]
    fn send(&mut self, byte: u8) -> Result<(), Failure> {
        let message = self.message(byte);
        // It fails only when the next task is gone, whose own failure the crew tells.
        self.place.writer.send(message).map_err(|error| Failure::library("flume", error))
    }
}
