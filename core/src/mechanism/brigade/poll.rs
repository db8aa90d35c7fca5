//! One thread and poll(2): the list of all channels goes into the kernel and back at every wait.
//!
//! Timed: per hop one poll over all channels, the search for the ready one in the list, one read, one write. Not
//! timed: opening the channels, making the list.
//! Distortions: the cost follows the number of tasks, since every channel is asked at every wait; the wait never
//! blocks, since the byte was written before it.

use nix::errno::Errno;

use super::event_loop::{Readiness, calls, set_up};
use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, WORK, hops_of_all_tokens};
use super::{TASKS, TRANSPORT, resources_of_one_thread};
use crate::mechanism::{
    Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};
use crate::sys::poll::PollList;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/poll",
    isolates: "a poll loop in one thread: what it costs to hand the kernel the whole list at every wait",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "poll(2)",
    lap: hops_of_all_tokens,
    resources: resources_of_one_thread,
    expects: |parameters, _| calls("poll", parameters),
};

struct Poll;

register!(Poll);

impl Mechanism for Poll {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        Load::of(parameters).map(drop)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up(parameters, |places| {
            let mut watch = PollList::default();
            places.iter().for_each(|place| watch.add(&place.reader));
            Ok(watch)
        })
    }
}

impl Readiness for PollList {
    #[inline]
    fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), Failure> {
        match PollList::wait(self, ready) {
            Err(error) if error.errno == Errno::EINTR => Ok(()),
            other => Ok(other?),
        }
    }
}
