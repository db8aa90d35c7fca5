//! A thread per task, each blocking in an io_uring of its own: the wakeup and the switch of `brigade/thread`, with one
//! system call a hop in place of two.
//!
//! Timed: per hop one io_uring_enter that submits the write and the next read and waits for both, the wakeup of the
//! next task, the switch. Not timed: creating the threads and their rings.
//! Distortions: as in `brigade/thread`; the read of a task that waits is finished by task work in its own thread, and
//! before Linux 6.4 that of a pipe by a kernel worker.

use std::os::fd::OwnedFd;

use super::blocking::{Port, lead, pass_on};
use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, WORK, hops_of_all_tokens, pieces};
use super::rings::{TASKRUN, adapted, probe, setup, supports};
use super::{RingEnds, TASKS, TRANSPORT, channels_for, descriptors, places};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Placement, Resources, Tasks, Unit,
    Unsupported, register,
};
use crate::sys::uring::{LinkFlag, Ring, RingSetup, Slots};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/uring_per_thread",
    isolates: "a blocking thread per task, each in its own ring: input and output in one system call, the switch as \
               before",
    unit: Unit::Hop,
    tasks: Tasks::Several,
    parameters: &[TASKS, TRANSPORT, TASKRUN, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH],
    baseline: "brigade/thread",
    requirements: &["io_uring with IORING_OP_READ (Linux 5.6); taskrun=defer: 6.1"],
    source: "io_uring(7), io_uring_enter(2)",
    lap: hops_of_all_tokens,
    resources: |parameters| Resources {
        descriptors: descriptors(parameters) + parameters.number(TASKS.name) + 8,
        threads: parameters.number(TASKS.name),
        processes: 0,
    },
    expects: |parameters, placement| {
        // A token that waits already is read at once; a large one may be met half way.
        let again = pieces(parameters) as f64 - 1.0;
        let calls = Expectation::nothing().call("io_uring_enter", Bound::Between(0.9, 1.1 + again));
        let most = Bound::AtMost(if placement == Placement::SameCpu { 1.0 } else { 3.0 });
        adapted(parameters, calls.voluntary(most).wakeups(most))
    },
};

struct UringPerThread;

register!(UringPerThread);

impl Mechanism for UringPerThread {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        probe()
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        supports(setup(parameters))?;
        Load::of(parameters).map(drop)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let load = Load::of(parameters)?;
        let setup = setup(parameters);
        let (readers, writers) =
            channels_for(parameters, &load, false)?.into_iter().map(|c| (c.reader, c.writer)).unzip();
        let mut places = places(readers, writers).into_iter();
        let driver = places.next().ok_or_else(|| Failure::Corrupted("a brigade without tasks".into()))?;
        for (index, place) in places.enumerate() {
            crew.spawn(index + 1, move |ready| {
                // Made by the thread that uses it, which a ring of a single issuer demands.
                let mut port = RingPort::new(place, setup, &load)?;
                let mut task_load = load.task_load();
                ready.signal();
                pass_on(&mut port, &mut task_load)
            })?;
        }
        Ok(lead(RingPort::new(driver, setup, &load)?, load))
    }
}

const READ: usize = 0;
/// Writes take the slots and tags behind the read's in turn: a driver sends all its tokens before it waits.
const FIRST_WRITE: usize = 1;

struct RingPort {
    // Before the descriptors: dropping the ring cancels what waits on them.
    ring: Ring,
    place: RingEnds<OwnedFd>,
    /// Writes in the queue or on their way.
    writes: usize,
    /// Bytes of a token.
    payload: usize,
}

impl RingPort {
    fn new(place: RingEnds<OwnedFd>, setup: RingSetup, load: &Load) -> Result<Self, Failure> {
        // As small as it can be: hundreds of rings share the caches.
        let slots = FIRST_WRITE + load.tokens as usize;
        let memory = Slots { count: slots, bytes: load.payload };
        let ring = Ring::new(slots.next_power_of_two() as u32, memory, slots, setup)?;
        Ok(Self { ring, place, writes: 0, payload: load.payload })
    }
}

impl Port for RingPort {
    /// Submits the writes with the read, and waits for all of them.
    fn receive(&mut self) -> Result<Option<u8>, Failure> {
        let mut filled = 0;
        while filled < self.payload {
            self.ring.push_read_behind(&self.place.reader, READ, filled, READ as u64, LinkFlag::None)?;
            match self.read_and_write()? {
                0 => return Ok(None),
                bytes => filled += bytes,
            }
        }
        Ok(Some(self.ring.slot(READ)))
    }

    fn send(&mut self, byte: u8) -> Result<(), Failure> {
        let slot = FIRST_WRITE + self.writes;
        self.ring.fill_slot(slot, byte);
        self.ring.push_write(&self.place.writer, slot, slot as u64, LinkFlag::None)?;
        self.writes += 1;
        Ok(())
    }
}

impl RingPort {
    /// Waits for the read and for the writes on their way, and says how many bytes the read brought.
    fn read_and_write(&mut self) -> Result<usize, Failure> {
        self.ring.submit_and_wait(1 + self.writes)?;
        let mut bytes = None;
        while let Some(done) = self.ring.completion() {
            if done.tag == READ as u64 {
                bytes = Some(done.bytes("io_uring read")? as usize);
            } else if done.bytes("io_uring write")? as usize == self.payload {
                self.writes -= 1;
            } else {
                return Err(Failure::Corrupted(format!("a write was cut short: {done:?}")));
            }
        }
        bytes.ok_or_else(|| Failure::Corrupted("a hop's completions brought no byte".into()))
    }
}
