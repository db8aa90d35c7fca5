//! One thread and an io_uring: a whole lap is queued as one chain of linked requests, write, read, write, read, and
//! submitted by as few io_uring_enter as the ring allows: one up to 16,384 tasks.
//!
//! Timed: building the chain, submitting it, waiting for the last completion, reading all of them. Not timed: opening
//! the channels and creating the ring.
//! Distortions: the kernel runs the chain request by request; the program sees the byte only at the end, so nothing
//! could be computed from it on the way.

use super::{TASKS, TRANSPORT, bucket, channels, demand_of_one_thread, hops_per_lap, uring, verify};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported,
    register,
};
use crate::sys::channel::Ends;
use crate::sys::uring::{Link, MOST_ENTRIES, Ring};

/// Each hop takes two entries of the submission queue.
const HOPS_PER_SUBMISSION: usize = MOST_ENTRIES as usize / 2;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/uring_chain",
    isolates: "a whole lap as one linked submission: what a hop costs when the system call is amortised away",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT],
    baseline: "brigade/one_thread",
    requirements: &["io_uring with IOSQE_IO_LINK (Linux 5.6)"],
    source: "io_uring_enter(2), IOSQE_IO_LINK",
    lap: hops_per_lap,
    demand: demand_of_one_thread,
    expects: |parameters, _| {
        let tasks = parameters.size(TASKS.name);
        let submissions = tasks.div_ceil(HOPS_PER_SUBMISSION);
        Expectation::nothing().call("io_uring_enter", Bound::Exactly(submissions as f64 / tasks as f64))
    },
};

struct UringChain;

register!(UringChain);

impl Mechanism for UringChain {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        uring::probe()
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let channels = channels(parameters, false)?;
        let entries = (2 * channels.len()).next_power_of_two().min(MOST_ENTRIES as usize);
        // One slot: each write sends on what the read before it has brought.
        let ring = Ring::new(entries as u32, 1, entries)?;
        let mut brigade = Brigade { ring, channels };
        Ok(Box::new(move |ops: u64| Batch::timed(|| brigade.hops(ops))))
    }
}

struct Brigade {
    ring: Ring,
    channels: Vec<Ends>,
}

impl Brigade {
    fn hops(&mut self, ops: u64) -> Result<u64, Failure> {
        let mut hops = 0;
        let mut lap = 0;
        while hops < ops {
            self.ring.set_slot(0, bucket(lap));
            for first in (0..self.channels.len()).step_by(HOPS_PER_SUBMISSION) {
                hops += self.chain(first)?;
            }
            verify(lap, self.ring.slot(0))?;
            lap += 1;
        }
        Ok(hops)
    }

    /// Runs the channels from `first` on, as many as one submission holds, and says how many.
    fn chain(&mut self, first: usize) -> Result<u64, Failure> {
        let last = (first + HOPS_PER_SUBMISSION).min(self.channels.len());
        for (index, channel) in self.channels[first..last].iter().enumerate() {
            let tag = 2 * index as u64;
            let end = if first + index + 1 == last { Link::None } else { Link::Next };
            self.ring.push_write(&channel.writer, 0, tag, Link::Next)?;
            self.ring.push_read(&channel.reader, 0, tag + 1, end)?;
        }
        let requests = 2 * (last - first);
        self.ring.submit_and_wait(requests)?;
        for _ in 0..requests {
            let done = self.ring.completion();
            if done.map(|done| done.bytes("a linked io_uring request")).transpose()? != Some(1) {
                return Err(Failure::Corrupted("the chain broke".into()));
            }
        }
        Ok((last - first) as u64)
    }
}
