//! One thread and an io_uring: a whole lap is queued at once, write, read, write, read, and submitted by as few
//! io_uring_enter as the ring allows: one up to 16,384 tasks.
//!
//! Timed: queueing the lap, submitting it, waiting for the last completion, reading all of them. Not timed: opening
//! the channels and creating the ring.
//! Distortions: before Linux 6.4 pipes are served by kernel workers, as in `brigade/uring`, whose note on the thread of
//! `sqpoll=on` holds here too. The program sees a token only at the end of its lap, so nothing could be computed from
//! it on the way: there is neither `work` nor `touch`. Several tokens stand in one channel together: all are written,
//! then all are read, as in `brigade/one_thread`.
//!
//! With `link=linked` the kernel starts each request when the one before has succeeded. With `link=unlinked` it is only
//! told them in order, and keeps to it because each can be done at once: a write to a channel with room, then a read
//! from one that holds a byte. Nothing promises that. So every channel has a slot of its own and every lap another
//! byte: a write that overtook the read before it would send the byte of the last lap, and completions must come in the
//! order of the queue.

use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, hops_of_all_tokens};
use super::rings::{FILES, RingFiles, SQPOLL, TASKRUN, adapted, probe, setup, supports, supports_order_without_links};
use super::{TASKS, TRANSPORT, bucket, channels_for, resources_of_one_thread, verify};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Tasks,
    Unit, Unsupported, register,
};
use crate::sys::channel::Ends;
use crate::sys::uring::{LinkFlag, MOST_ENTRIES, Ring, Slots};

const LINK: Parameter = Parameter {
    name: "link",
    meaning: "whether each request waits for the one before (IOSQE_IO_LINK), or merely comes after it in the queue",
    domain: Domain::Word { words: &["linked", "unlinked"] },
};

/// How many channels one submission holds: each takes two entries of the queue for every token.
fn channels_of_a_submission(tokens: usize) -> usize {
    MOST_ENTRIES as usize / (2 * tokens)
}

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/uring_chain",
    isolates: "a whole lap in one submission, its requests linked or not: a hop when one system call serves hundreds",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT, LINK, TASKRUN, SQPOLL, FILES, BYTES_IN_FLIGHT, PAYLOAD],
    baseline: "brigade/one_thread",
    requirements: &["io_uring with IOSQE_IO_LINK (Linux 5.6); taskrun=defer: 6.1"],
    source: "io_uring_enter(2), IOSQE_IO_LINK",
    lap: hops_of_all_tokens,
    resources: resources_of_one_thread,
    expects: |parameters, _| {
        let tokens = parameters.size(BYTES_IN_FLIGHT.name);
        let submissions = parameters.size(TASKS.name).div_ceil(channels_of_a_submission(tokens));
        let per_hop = submissions as f64 / hops_of_all_tokens(parameters) as f64;
        let calls = Expectation::nothing().call("io_uring_enter", Bound::Exactly(per_hop));
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

    fn is_busy_between_batches(&self, parameters: &Parameters) -> bool {
        setup(parameters).sqpoll
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        supports(setup(parameters))?;
        Load::without_work(parameters)?;
        if parameters.word(LINK.name) == "linked" { Ok(()) } else { supports_order_without_links(parameters) }
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let load = Load::without_work(parameters)?;
        let tokens = load.tokens as usize;
        let channels = channels_for(parameters, &load, false)?;
        let entries = (2 * tokens * channels.len()).next_power_of_two().min(MOST_ENTRIES as usize);
        // A row of slots for each channel: what is written from row k is read into row k + 1.
        let slots = Slots { count: tokens * (channels.len() + 1), bytes: load.payload };
        let mut ring = Ring::new(entries as u32, slots, entries, setup(parameters))?;
        (0..slots.count).for_each(|slot| ring.fill_slot(slot, NO_BUCKET));
        let (readers, writers) = (channels.iter().map(|ends| &ends.reader), channels.iter().map(|ends| &ends.writer));
        let files = RingFiles::of(parameters, &mut ring, readers, writers)?;
        let link = if parameters.word(LINK.name) == "linked" { LinkFlag::Next } else { LinkFlag::None };
        let mut brigade = Brigade { ring, files, link, channels, tokens, payload: load.payload };
        Ok(Box::new(move |ops: u64| Batch::timed(|| brigade.hops(ops))))
    }
}

/// A byte that no lap sends.
const NO_BUCKET: u8 = u8::MAX;

struct Brigade {
    ring: Ring,
    files: RingFiles,
    /// What stands between two requests of a lap.
    link: LinkFlag,
    channels: Vec<Ends>,
    tokens: usize,
    payload: usize,
}

impl Brigade {
    fn hops(&mut self, ops: u64) -> Result<u64, Failure> {
        let mut hops = 0;
        let mut sent = 0;
        while hops < ops {
            for (token, number) in (0..self.tokens).zip(sent..) {
                self.ring.fill_slot(token, bucket(number));
            }
            for first in (0..self.channels.len()).step_by(channels_of_a_submission(self.tokens)) {
                hops += self.chain(first)?;
            }
            let last_row = self.tokens * self.channels.len();
            for (token, number) in (0..self.tokens).zip(sent..) {
                verify(number, self.ring.slot(last_row + token))?;
            }
            sent += self.tokens as u64;
        }
        Ok(hops)
    }

    /// Runs the channels from `first` on, as many as one submission holds, and says how many hops that were.
    fn chain(&mut self, first: usize) -> Result<u64, Failure> {
        let last = (first + channels_of_a_submission(self.tokens)).min(self.channels.len());
        let requests = 2 * self.tokens * (last - first);
        let mut tag = 0;
        for (channel, number) in self.channels[first..last].iter().zip(first..) {
            let row = self.tokens * number;
            let writer = self.files.target(&channel.writer, self.channels.len() + number);
            for slot in row..row + self.tokens {
                self.ring.push_write(writer, slot, tag, self.link)?;
                tag += 1;
            }
            let reader = self.files.target(&channel.reader, number);
            for slot in row + self.tokens..row + 2 * self.tokens {
                let is_last = tag + 1 == requests as u64;
                self.ring.push_read(reader, slot, tag, if is_last { LinkFlag::None } else { self.link })?;
                tag += 1;
            }
        }
        self.ring.submit_and_wait(requests)?;
        for tag in 0..requests as u64 {
            let Some(done) = self.ring.completion() else {
                return Err(Failure::Corrupted("the lap's completions are not all there".into()));
            };
            if done.bytes("an io_uring request")? as usize != self.payload || done.tag != tag {
                return Err(Failure::Corrupted(format!("request {tag} of a lap: {done:?}")));
            }
        }
        Ok((self.tokens * (last - first)) as u64)
    }
}
