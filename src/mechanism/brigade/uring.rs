//! One thread and an io_uring: every channel has a read in flight, and per hop one write and one new read are
//! submitted, in the io_uring_enter that also waits for what they bring.
//!
//! Timed: per hop one io_uring_enter with two submissions and two completions. Not timed: opening the channels,
//! creating the ring, arming the first reads.
//! Distortions: a read on an empty channel is parked as a poll request and finished by task work when the write
//! arrives, all in the same thread; a kernel worker is never needed.

use std::os::fd::OwnedFd;

use super::{Place, TASKS, TRANSPORT, bucket, channels, demand_of_one_thread, hops_per_lap, places, verify};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported,
    register,
};
use crate::sys::uring::{Link, Ring};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/uring",
    isolates: "one io_uring_enter a hop, a write and a read submitted in it: completion instead of readiness, in one thread",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT],
    baseline: "brigade/one_thread",
    requirements: &["io_uring with IORING_OP_READ (Linux 5.6)"],
    source: "io_uring(7), io_uring_enter(2)",
    lap: hops_per_lap,
    demand: demand_of_one_thread,
    expects: |_, _| Expectation::nothing().call("io_uring_enter", Bound::Exactly(1.0)),
};

/// Whether this machine gives out rings.
pub(super) fn probe() -> Result<(), Unsupported> {
    Ring::new(8, 0, 0).map(drop).map_err(|error| {
        Unsupported::new(
            "io_uring (Linux 5.6)",
            error.to_string(),
            "a newer kernel, `sysctl kernel.io_uring_disabled=0`, or a container profile that allows io_uring_setup",
        )
    })
}

struct Uring;

register!(Uring);

impl Mechanism for Uring {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        probe()
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        // Blocking descriptors: on nonblocking ones a read answers EAGAIN instead of waiting in the ring.
        let (readers, writers) = channels(parameters, false)?.into_iter().map(|c| (c.reader, c.writer)).unzip();
        let places: Vec<Place<OwnedFd>> = places(readers, writers);
        // Slots: one per channel for what arrives, one for what is written.
        let mut brigade = Brigade { ring: Ring::new(64, places.len() + 1, places.len() + 1)?, places };
        for task in 0..brigade.places.len() {
            brigade.arm(task)?;
            if task % 64 == 63 {
                brigade.ring.submit_and_wait(0)?;
            }
        }
        brigade.ring.submit_and_wait(0)?;
        Ok(Box::new(move |ops: u64| Batch::timed(|| brigade.hops(ops))))
    }
}

struct Brigade {
    // Before the descriptors: dropping the ring cancels the reads that wait on them.
    ring: Ring,
    places: Vec<Place<OwnedFd>>,
}

impl Brigade {
    /// Puts the read of task `task`'s channel in the queue. Its tag is the task.
    fn arm(&mut self, task: usize) -> Result<(), Failure> {
        Ok(self.ring.push_read(&self.places[task].reader, task, task as u64, Link::None)?)
    }

    /// Puts the write of `byte` by `task` in the queue. Its tag is the first that no read has.
    fn write(&mut self, task: usize, byte: u8) -> Result<(), Failure> {
        let slot = self.places.len();
        self.ring.set_slot(slot, byte);
        Ok(self.ring.push_write(&self.places[task].writer, slot, slot as u64, Link::None)?)
    }

    fn hops(&mut self, ops: u64) -> Result<u64, Failure> {
        let mut hops = 0;
        let mut lap = 0;
        while hops < ops {
            self.write(0, bucket(lap))?;
            let arrived = loop {
                let (task, byte) = self.await_hop()?;
                hops += 1;
                self.arm(task)?;
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

    /// Submits what is queued and waits for its write and for the read that this finishes.
    fn await_hop(&mut self) -> Result<(usize, u8), Failure> {
        self.ring.submit_and_wait(2)?;
        let mut arrived = None;
        while let Some(done) = self.ring.completion() {
            let writing = done.tag == self.places.len() as u64;
            if done.bytes(if writing { "io_uring write" } else { "io_uring read" })? != 1 {
                return Err(Failure::Corrupted("a channel of the brigade closed".into()));
            }
            if !writing {
                arrived = Some(done.tag as usize);
            }
        }
        match arrived {
            Some(task) => Ok((task, self.ring.slot(task))),
            None => Err(Failure::Corrupted("a hop's completions brought no byte".into())),
        }
    }
}
