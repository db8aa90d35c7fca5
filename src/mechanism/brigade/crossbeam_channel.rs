//! A thread per task over crossbeam's unbounded channels: no descriptor, no system call unless somebody sleeps.
//!
//! Timed: per hop a push, a pop, and whatever the receiver does to wait: it spins and yields for some microseconds before
//! it parks. Not timed: creating and ending the threads.
//! Distortions: on one CPU the spinning is in the way of the sender; on several it finds the token before it sleeps when
//! tasks are few. With more tasks than CPUs it spins in vain.

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::blocking::{Port, seat_threads};
use super::channel::{MessagePort, demand_of_channel_threads, woken_threads};
use super::load::{BYTES_IN_FLIGHT, Load, MESSAGE, TOUCH, WORK, by_size, hops_of_all_tokens};
use super::{TASKS, places};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/crossbeam_channel",
    isolates: "a thread per task over crossbeam's channels: a queue in user space in place of the pipe",
    unit: Unit::Hop,
    tasks: Tasks::Several,
    parameters: &[TASKS, BYTES_IN_FLIGHT, MESSAGE, WORK, TOUCH],
    baseline: "brigade/thread",
    requirements: &[],
    source: "docs.rs/crossbeam-channel",
    lap: hops_of_all_tokens,
    demand: demand_of_channel_threads,
    expects: |_, placement| woken_threads(placement),
};

struct CrossbeamChannel;

register!(CrossbeamChannel);

impl Mechanism for CrossbeamChannel {
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
        self.place.writer.send(message).map_err(|error| Failure::library("crossbeam", error))
    }
}
