//! One thread and an io_uring: every channel has a read in flight, and per hop one write and one new read are
//! submitted, in the io_uring_enter that also waits for what they bring.
//!
//! Timed: per hop one io_uring_enter with two submissions and two completions; with `read=multishot` one submission, since
//! the read stays armed and takes its buffer from a ring of provided ones. Not timed: opening the channels, creating the
//! ring, arming the first reads.
//! Distortions: a read on an empty channel is parked as a poll request and finished by task work when the write
//! arrives, all in the same thread. Before Linux 6.4 that needs `transport=socketpair`: of pipes the ring cannot ask whether
//! they would block, and hands each request to a kernel worker that does. With `sqpoll=on` a kernel thread of this process
//! does the work: its CPU time is in the usage, its wakeups and switches are in the time.

use std::os::fd::OwnedFd;

use super::rings::{FILES, Files, SQPOLL, TASKRUN, adapted, probe, setup, supports, supports_multishot};
use super::{Place, TASKS, TRANSPORT, bucket, channels, demand_of_one_thread, hops_per_lap, places, verify};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Tasks,
    Unit, Unsupported, register,
};
use crate::sys::uring::{Completion, Link, Ring};

const READ: Parameter = Parameter {
    name: "read",
    meaning: "a read submitted for every byte, or one that stays armed and takes provided buffers",
    domain: Domain::Word { words: &["single", "multishot"] },
};

/// One holds the byte that is on its way; the others are spares, in a ring whose size is a power of two.
const PROVIDED: u16 = 8;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/uring",
    isolates: "one io_uring_enter a hop, a write and a read submitted in it: completion instead of readiness, in one thread",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT, TASKRUN, SQPOLL, FILES, READ],
    baseline: "brigade/one_thread",
    requirements: &["io_uring with IORING_OP_READ (Linux 5.6); taskrun=defer: 6.1; read=multishot: 6.7"],
    source: "io_uring(7), io_uring_enter(2), io_uring_setup(2), io_uring_prep_read_multishot(3)",
    lap: hops_per_lap,
    demand: demand_of_one_thread,
    expects: |parameters, _| adapted(parameters, Expectation::nothing().call("io_uring_enter", Bound::Exactly(1.0))),
};

struct Uring;

register!(Uring);

impl Mechanism for Uring {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        probe()
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        supports(setup(parameters))?;
        if multishot(parameters) { supports_multishot() } else { Ok(()) }
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        // Blocking descriptors: on nonblocking ones a read answers EAGAIN instead of waiting in the ring.
        let (readers, writers) = channels(parameters, false)?.into_iter().map(|c| (c.reader, c.writer)).unzip();
        let places: Vec<Place<OwnedFd>> = places(readers, writers);
        // Slots: one per channel for what arrives, one for what is written.
        let mut ring = Ring::new(64, places.len() + 1, places.len() + 1, setup(parameters))?;
        let (readers, writers) = (places.iter().map(|place| &place.reader), places.iter().map(|place| &place.writer));
        let files = Files::of(parameters, &mut ring, readers, writers)?;
        let multishot = multishot(parameters);
        if multishot {
            ring.provide_buffers(PROVIDED)?;
        }
        let mut brigade = Brigade { ring, files, multishot, places };
        for task in 0..brigade.places.len() {
            brigade.arm(task)?;
        }
        brigade.ring.submit_and_wait(0)?;
        Ok(Box::new(move |ops: u64| Batch::timed(|| brigade.hops(ops))))
    }
}

fn multishot(parameters: &Parameters) -> bool {
    parameters.word(READ.name) == "multishot"
}

struct Brigade {
    // Before the descriptors: dropping the ring cancels the reads that wait on them.
    ring: Ring,
    files: Files,
    multishot: bool,
    places: Vec<Place<OwnedFd>>,
}

impl Brigade {
    /// Puts the read of task `task`'s channel in the queue. Its tag is the task.
    #[inline]
    fn arm(&mut self, task: usize) -> Result<(), Failure> {
        let from = self.files.target(&self.places[task].reader, task);
        if self.multishot {
            Ok(self.ring.push_multishot_read(from, task as u64)?)
        } else {
            Ok(self.ring.push_read(from, task, task as u64, Link::None)?)
        }
    }

    /// Puts the write of `byte` by `task` in the queue. Its tag is the first that no read has.
    #[inline]
    fn write(&mut self, task: usize, byte: u8) -> Result<(), Failure> {
        let slot = self.places.len();
        self.ring.set_slot(slot, byte);
        let to = self.files.target(&self.places[task].writer, self.places.len() + task);
        Ok(self.ring.push_write(to, slot, slot as u64, Link::None)?)
    }

    fn hops(&mut self, ops: u64) -> Result<u64, Failure> {
        let mut hops = 0;
        let mut lap = 0;
        while hops < ops {
            self.write(0, bucket(lap))?;
            let arrived = loop {
                let (task, byte) = self.await_hop()?;
                hops += 1;
                if task == 0 {
                    break byte;
                }
                self.write(task, byte)?;
            };
            verify(lap, arrived)?;
            lap += 1;
        }
        Ok(hops)
    }

    /// Submits what is queued and waits for its write and for the read that this finishes, which is queued again.
    fn await_hop(&mut self) -> Result<(usize, u8), Failure> {
        self.ring.submit_and_wait(2)?;
        let mut arrived = None;
        while let Some(done) = self.ring.completion() {
            let writing = done.tag == self.places.len() as u64;
            if done.bytes(if writing { "io_uring write" } else { "io_uring read" })? != 1 {
                return Err(Failure::Corrupted("a channel of the brigade closed".into()));
            }
            if !writing {
                arrived = Some(self.take(done)?);
            }
        }
        arrived.ok_or_else(|| Failure::Corrupted("a hop's completions brought no byte".into()))
    }

    /// The task whose read is done, and the byte that it brought.
    #[inline]
    fn take(&mut self, done: Completion) -> Result<(usize, u8), Failure> {
        let task = done.tag as usize;
        let byte = match done.buffer {
            Some(buffer) => self.ring.take_provided(buffer).unwrap_or_default(),
            None => self.ring.slot(task),
        };
        // A multishot read stays armed, except where the kernel says that it does not.
        if !done.more {
            self.arm(task)?;
        }
        Ok((task, byte))
    }
}
