//! One thread and an io_uring: a whole lap is queued at once, write, read, write, read, and submitted by as few
//! io_uring_enter as the ring allows: one up to 16,384 tasks.
//!
//! Timed: queueing the lap, submitting it, waiting for the last completion, reading all of them. Not timed: opening
//! the channels and creating the ring.
//! Distortions: before Linux 6.4 pipes are served by kernel workers, as in `brigade/uring`; the program sees the byte only at the end, so nothing could be computed from it on the way.
//!
//! With `link=linked` the kernel starts each request when the one before has succeeded. With `link=unlinked` it is only
//! told them in order, and keeps to it because each can be done at once: a write to a channel with room, then a read from
//! one that holds a byte. Nothing promises that. So every channel has a slot of its own and every lap another byte: a write
//! that overtook the read before it would send the byte of the last lap, and completions must come in the order of the
//! queue.

use super::rings::{FILES, Files, SQPOLL, TASKRUN, adapted, probe, setup, supports, supports_order_without_links};
use super::{TASKS, TRANSPORT, bucket, channels, demand_of_one_thread, hops_per_lap, verify};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Tasks,
    Unit, Unsupported, register,
};
use crate::sys::channel::Ends;
use crate::sys::uring::{Link, MOST_ENTRIES, Ring};

const LINK: Parameter = Parameter {
    name: "link",
    meaning: "whether each request waits for the one before (IOSQE_IO_LINK), or merely comes after it in the queue",
    domain: Domain::Word { words: &["linked", "unlinked"] },
};

/// Each hop takes two entries of the submission queue.
const HOPS_PER_SUBMISSION: usize = MOST_ENTRIES as usize / 2;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/uring_chain",
    isolates: "a whole lap as one submission, its requests linked or not: what a hop costs when the system call is amortised away",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT, LINK, TASKRUN, SQPOLL, FILES],
    baseline: "brigade/one_thread",
    requirements: &["io_uring with IOSQE_IO_LINK (Linux 5.6); taskrun=defer: 6.1"],
    source: "io_uring_enter(2), IOSQE_IO_LINK",
    lap: hops_per_lap,
    demand: demand_of_one_thread,
    expects: |parameters, _| {
        let tasks = parameters.size(TASKS.name);
        let submissions = tasks.div_ceil(HOPS_PER_SUBMISSION);
        let calls = Expectation::nothing().call("io_uring_enter", Bound::Exactly(submissions as f64 / tasks as f64));
        adapted(parameters, calls)
    },
};

struct UringChain;

register!(UringChain);

impl Mechanism for UringChain {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        probe()
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        supports(setup(parameters))?;
        if parameters.word(LINK.name) == "linked" { Ok(()) } else { supports_order_without_links(parameters) }
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let channels = channels(parameters, false)?;
        let entries = (2 * channels.len()).next_power_of_two().min(MOST_ENTRIES as usize);
        // Slot k is what write k sends; read k fills slot k + 1.
        let mut ring = Ring::new(entries as u32, channels.len() + 1, entries, setup(parameters))?;
        (0..=channels.len()).for_each(|slot| ring.set_slot(slot, NO_BUCKET));
        let (readers, writers) = (channels.iter().map(|ends| &ends.reader), channels.iter().map(|ends| &ends.writer));
        let files = Files::of(parameters, &mut ring, readers, writers)?;
        let link = if parameters.word(LINK.name) == "linked" { Link::Next } else { Link::None };
        let mut brigade = Brigade { ring, files, link, channels };
        Ok(Box::new(move |ops: u64| Batch::timed(|| brigade.hops(ops))))
    }
}

/// A byte that no lap sends.
const NO_BUCKET: u8 = u8::MAX;

struct Brigade {
    ring: Ring,
    files: Files,
    /// What stands between two requests of a lap.
    link: Link,
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
            verify(lap, self.ring.slot(self.channels.len()))?;
            lap += 1;
        }
        Ok(hops)
    }

    /// Runs the channels from `first` on, as many as one submission holds, and says how many.
    fn chain(&mut self, first: usize) -> Result<u64, Failure> {
        let last = (first + HOPS_PER_SUBMISSION).min(self.channels.len());
        for (index, channel) in self.channels[first..last].iter().enumerate() {
            let (number, tag) = (first + index, 2 * index as u64);
            let end = if number + 1 == last { Link::None } else { self.link };
            let writer = self.files.target(&channel.writer, self.channels.len() + number);
            self.ring.push_write(writer, number, tag, self.link)?;
            let reader = self.files.target(&channel.reader, number);
            self.ring.push_read(reader, number + 1, tag + 1, end)?;
        }
        let requests = 2 * (last - first);
        self.ring.submit_and_wait(requests)?;
        for tag in 0..requests as u64 {
            let Some(done) = self.ring.completion() else {
                return Err(Failure::Corrupted("the lap's completions are not all there".into()));
            };
            if done.bytes("an io_uring request")? != 1 || done.tag != tag {
                return Err(Failure::Corrupted(format!("request {tag} of a lap: {done:?}")));
            }
        }
        Ok((last - first) as u64)
    }
}
