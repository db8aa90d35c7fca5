//! One thread and an io_uring: every channel has a read in flight, and per hop one write and one new read are
//! submitted, in the io_uring_enter that also waits for what they bring.
//!
//! A token is written from where it was read to, and lies there until its write is done; the next read of its channel
//! gets another slot. Several `bytes_in_flight` share a submission.
//!
//! Timed: per hop one io_uring_enter with two submissions and two completions; with `read=multishot` one submission,
//! since the read stays armed and takes its buffer from a ring of provided ones. Not timed: opening the channels,
//! creating the ring, arming the first reads.
//! Distortions: a read on an empty channel is parked as a poll request and finished by task work when the write
//! arrives, all in the same thread. Before Linux 6.4 that needs `transport=socketpair`: of pipes the ring cannot ask
//! whether they would block, and hands each request to a kernel worker that does. With `sqpoll=on` a kernel thread of
//! this process does the work: its CPU time is in the usage, its wakeups and switches are in the time. That thread
//! outlives its ring by a moment, since the kernel ends it after the ring's descriptor is closed.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, TaskLoad, WORK, hops_of_all_tokens, one_token};
use super::rings::{FILES, RingFiles, SQPOLL, TASKRUN, adapted, probe, setup, supports, supports_multishot};
use super::{RingEnds, TASKS, TRANSPORT, bucket, channels_for, places, resources_of_one_thread, verify};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Tasks,
    Unit, Unsupported, register,
};
use crate::sys::uring::{Completion, LinkFlag, Ring, Slots};

const READ: Parameter = Parameter {
    name: "read",
    meaning: "a read submitted for every token, or one that stays armed and takes provided buffers",
    domain: Domain::Word { words: &["single", "multishot"] },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/uring",
    isolates: "one io_uring_enter a hop that submits a write and a read: completion instead of readiness, in one \
               thread",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT, TASKRUN, SQPOLL, FILES, READ, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH],
    baseline: "brigade/one_thread",
    requirements: &["io_uring with IORING_OP_READ (Linux 5.6); taskrun=defer: 6.1; read=multishot: 6.7"],
    source: "io_uring(7), io_uring_enter(2), io_uring_setup(2), io_uring_prep_read_multishot(3)",
    lap: hops_of_all_tokens,
    resources: resources_of_one_thread,
    expects: |parameters, _| {
        let enters = if one_token(parameters) { Bound::Exactly(1.0) } else { Bound::AtMost(1.0) };
        adapted(parameters, Expectation::nothing().call("io_uring_enter", enters))
    },
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

    fn is_busy_between_batches(&self, parameters: &Parameters) -> bool {
        setup(parameters).sqpoll
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        supports(setup(parameters))?;
        Load::of(parameters)?;
        if multishot(parameters) { supports_multishot() } else { Ok(()) }
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let load = Load::of(parameters)?;
        // Blocking descriptors: on nonblocking ones a read answers EAGAIN instead of waiting in the ring.
        let (readers, writers) =
            channels_for(parameters, &load, false)?.into_iter().map(|c| (c.reader, c.writer)).unzip();
        let places: Vec<RingEnds<OwnedFd>> = places(readers, writers);
        let (tasks, tokens) = (places.len(), load.tokens as usize);
        let writes = WRITES_OF_A_TOKEN * tokens;
        let slots = Slots { count: tasks + writes, bytes: load.payload };
        // Each token on its way is a write and a read. Tags: one per task for its read, then those of writes.
        let entries = (2 * tokens).next_power_of_two().max(64) as u32;
        let mut ring = Ring::new(entries, slots, tasks + writes, setup(parameters))?;
        let (readers, writers) = (places.iter().map(|place| &place.reader), places.iter().map(|place| &place.writer));
        let files = RingFiles::of(parameters, &mut ring, readers, writers)?;
        let multishot = multishot(parameters);
        if multishot {
            // One for each write, and a spare; a ring of them has a power of two.
            ring.provide_buffers((writes as u16 + 1).next_power_of_two().max(8))?;
        }
        let mut brigade = Brigade {
            ring,
            files,
            multishot,
            chores: places.iter().map(|_| load.task_load()).collect(),
            places,
            load,
            filling: (0..tasks).collect(),
            spare: (tasks..tasks + writes).collect(),
            writing: vec![None; writes],
            idle: (0..writes).collect(),
            arrived: VecDeque::with_capacity(tasks),
        };
        for task in 0..tasks {
            brigade.arm(task)?;
        }
        brigade.ring.submit_and_wait(0)?;
        Ok(Box::new(move |ops: u64| Batch::timed(|| brigade.hops(ops))))
    }
}

fn multishot(parameters: &Parameters) -> bool {
    parameters.word(READ.name) == "multishot"
}

/// A kernel worker may tell of a write after the read that it brought about, when the token goes on already.
const WRITES_OF_A_TOKEN: usize = 2;

/// Where a token lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Slot(usize),
    Provided(u16),
}

struct Brigade {
    // Before the descriptors: dropping the ring cancels the reads that wait on them.
    ring: Ring,
    files: RingFiles,
    multishot: bool,
    chores: Vec<TaskLoad>,
    places: Vec<RingEnds<OwnedFd>>,
    load: Load,
    /// The slot that the read of each task's channel fills.
    filling: Vec<usize>,
    /// Slots that no request uses.
    spare: Vec<usize>,
    /// What each write in flight sends, by the number that its tag has behind the tasks.
    writing: Vec<Option<Token>>,
    /// The numbers of no write.
    idle: Vec<usize>,
    /// Reads that are done.
    arrived: VecDeque<Completion>,
}

impl Brigade {
    /// Puts the read of task `task`'s channel in the queue. Its tag is the task.
    #[inline]
    fn arm(&mut self, task: usize) -> Result<(), Failure> {
        let from = self.files.target(&self.places[task].reader, task);
        if self.multishot {
            Ok(self.ring.push_multishot_read(from, task as u64)?)
        } else {
            Ok(self.ring.push_read(from, self.filling[task], task as u64, LinkFlag::None)?)
        }
    }

    /// Puts the write of `token` by `task` in the queue.
    #[inline]
    fn write(&mut self, task: usize, token: Token) -> Result<(), Failure> {
        while self.idle.is_empty() {
            self.collect(1)?;
        }
        let number = self.idle.pop().expect("one is there");
        self.writing[number] = Some(token);
        let tag = (self.places.len() + number) as u64;
        let to = self.files.target(&self.places[task].writer, self.places.len() + task);
        match token {
            Token::Slot(slot) => Ok(self.ring.push_write(to, slot, tag, LinkFlag::None)?),
            Token::Provided(buffer) => Ok(self.ring.push_write_provided(to, buffer, tag)?),
        }
    }

    fn hops(&mut self, ops: u64) -> Result<u64, Failure> {
        let rounds = ops / self.load.tasks;
        let (mut hops, mut sent, mut received) = (0, 0, 0);
        while received < rounds {
            while sent < rounds.min(received + self.load.tokens) {
                let slot = self.spare_slot()?;
                self.ring.fill_slot(slot, bucket(sent));
                self.write(0, Token::Slot(slot))?;
                sent += 1;
            }
            // Every write is done at once, since all tokens fit into any channel, and then at least one read is.
            self.collect(self.writing.len() - self.idle.len() + 1)?;
            while let Some(done) = self.arrived.pop_front() {
                let task = done.tag as usize;
                let (token, byte) = self.read_token(done)?;
                hops += 1;
                self.chores[task].perform();
                if task == 0 {
                    verify(received, byte)?;
                    received += 1;
                    self.give_back(token);
                } else {
                    self.write(task, token)?;
                }
            }
        }
        Ok(hops)
    }

    /// Submits what is queued and waits for so many completions. Keeps the reads; what a write has sent is free.
    #[inline]
    fn collect(&mut self, completions: usize) -> Result<(), Failure> {
        self.ring.submit_and_wait(completions)?;
        while let Some(done) = self.ring.completion() {
            let Some(number) = (done.tag as usize).checked_sub(self.places.len()) else {
                self.check(done, "io_uring read")?;
                self.arrived.push_back(done);
                continue;
            };
            self.check(done, "io_uring write")?;
            self.idle.push(number);
            if let Some(token) = self.writing[number].take() {
                self.give_back(token);
            }
        }
        Ok(())
    }

    /// Where the token of a read lies, and which byte it has. The channel is read again.
    #[inline]
    fn read_token(&mut self, done: Completion) -> Result<(Token, u8), Failure> {
        let task = done.tag as usize;
        let (token, byte) = match done.buffer {
            Some(buffer) => (Token::Provided(buffer), self.ring.provided(buffer).unwrap_or_default()),
            None => {
                let next = self.spare_slot()?;
                let slot = std::mem::replace(&mut self.filling[task], next);
                (Token::Slot(slot), self.ring.slot(slot))
            }
        };
        // A multishot read stays armed, except where the kernel says that it does not.
        if !done.more {
            self.arm(task)?;
        }
        Ok((token, byte))
    }

    /// All reads and writes are of whole tokens: each is sent in one piece before the reader looks.
    #[inline]
    fn check(&self, done: Completion, call: &str) -> Result<(), Failure> {
        match done.bytes(call)? as usize {
            bytes if bytes == self.load.payload => Ok(()),
            bytes => Err(Failure::Corrupted(format!("{call} of {bytes} bytes, not {}", self.load.payload))),
        }
    }

    fn spare_slot(&mut self) -> Result<usize, Failure> {
        while self.spare.is_empty() {
            self.collect(1)?;
        }
        Ok(self.spare.pop().expect("one is there"))
    }

    #[inline]
    fn give_back(&mut self, token: Token) {
        match token {
            Token::Slot(slot) => self.spare.push(slot),
            Token::Provided(buffer) => self.ring.give_back(buffer),
        }
    }
}
