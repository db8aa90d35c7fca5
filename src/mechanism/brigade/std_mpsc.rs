//! A thread per task over the standard library's channels: no descriptor, no system call unless somebody sleeps.
//!
//! Timed: per hop a push, a pop, and whatever the receiver does to wait. Not timed: creating and ending the threads.
//! Distortions: the standard library's channel is crossbeam's, taken over in Rust 1.67 (library/std/src/sync/mpmc); what
//! differs is the spinning before it parks.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::blocking::{Port, seat_threads};
use super::channel::{MessagePort, demand_of_channel_threads, woken_threads};
use super::load::{BYTES_IN_FLIGHT, Load, MESSAGE, TOUCH, WORK, by_size, hops_of_all_tokens};
use super::{TASKS, places};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/std_mpsc",
    isolates: "a thread per task over std::sync::mpsc: what every Rust program has at hand",
    unit: Unit::Hop,
    tasks: Tasks::Several,
    parameters: &[TASKS, BYTES_IN_FLIGHT, MESSAGE, WORK, TOUCH],
    baseline: "brigade/thread",
    requirements: &[],
    source: "doc.rust-lang.org/std/sync/mpsc",
    lap: hops_of_all_tokens,
    demand: demand_of_channel_threads,
    expects: |_, placement| woken_threads(placement),
};

struct StdMpsc;

register!(StdMpsc);

impl Mechanism for StdMpsc {
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
    let (senders, receivers) = (0..load.tasks).map(|_| channel()).unzip();
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
        self.place.writer.send(message).map_err(|error| Failure::library("std", error))
    }
}
