//! One thread and select(2), by the raw system call: it works past 1024 descriptors, which is the limit of the C
//! library's `fd_set` and not the kernel's.
//!
//! Timed: per hop the copy of the bitmap, one select over all channels, the search for the set bits, one read, one
//! write. Not timed: opening the channels, making the bitmap.
//! Distortions: the cost follows the highest descriptor as well as the number of tasks; the wait never blocks, since
//! the byte was written before it.

use nix::errno::Errno;

use super::event_loop::{Readiness, calls, set_up};
use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, WORK, hops_of_all_tokens};
use super::{TASKS, TRANSPORT, resources_of_one_thread};
use crate::mechanism::{
    Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};
use crate::sys::select::SelectSet;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/select",
    isolates: "a select loop in one thread: the oldest way to wait for one of many, by a bitmap of all descriptors",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "select(2), pselect6; fs/select.c, core_sys_select",
    lap: hops_of_all_tokens,
    resources: resources_of_one_thread,
    expects: |parameters, _| calls("select", parameters),
};

struct Select;

register!(Select);

impl Mechanism for Select {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        Load::of(parameters).map(drop)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up(parameters, |places| {
            let mut watch = SelectSet::default();
            places.iter().enumerate().for_each(|(task, place)| watch.add(&place.reader, task));
            Ok(watch)
        })
    }
}

impl Readiness for SelectSet {
    #[inline]
    fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), Failure> {
        match SelectSet::wait(self, ready) {
            Err(error) if error.errno == Errno::EINTR => Ok(()),
            other => Ok(other?),
        }
    }
}
