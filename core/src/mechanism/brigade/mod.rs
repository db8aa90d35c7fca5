//! Bucket brigades: a byte goes round a ring of tasks, from channel to channel.
//!
//! Task `i` of `n` reads channel `i` and writes channel `i + 1` (modulo `n`). The driver is task 0: it writes channel
//! 1, and the lap ends when it reads the byte from channel 0. So a lap is exactly `n` writes and `n` reads: `n` hops.
//!
//! The shape is that of the classic experiment of 500 threads or async tasks over pipes
//! (<https://github.com/jimblandy/context-switch>), whose driver stood outside the brigade and was woken across
//! threads.

use super::{Domain, Failure, Group, Parameter, Parameters, Resources};
use crate::sys::SysError;
use crate::sys::channel::{Ends, make_room, pipe, socket_pair};
use crate::units::Quantity;
use load::Load;

mod asynchronous;
mod blocking;
mod channel;
mod compio;
mod crossbeam_channel;
mod epoll;
mod event_loop;
mod flume;
mod load;
mod may;
mod mio;
mod one_thread;
mod poll;
mod process;
pub(super) mod rings;
mod select;
mod shards;
mod smol;
mod smol_channel;
mod splice;
mod std_mpsc;
mod thread;
mod tokio_current_thread;
mod tokio_mpsc;
mod tokio_multi_thread;
mod tokio_tasks;
mod uring;
mod uring_chain;
mod uring_per_thread;

/// The group `brigade`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "brigade",
    question: "What does it cost to pass a byte along a line of tasks?",
    measures: Quantity::Nanoseconds,
    queues: false,
};

const TASKS: Parameter = Parameter {
    name: "tasks",
    meaning: "tasks in the brigade, the driver included, and channels between them",
    domain: Domain::Number { default: 500, min: 2, max: 10_000_000 },
};

const TRANSPORT: Parameter = Parameter {
    name: "transport",
    meaning: "the channels: pipe(2), or socketpair(2) of UNIX stream sockets as in the classic experiment",
    domain: Domain::Word { words: &["pipe", "socketpair"] },
};

const WORKERS: Parameter = Parameter {
    name: "workers",
    meaning: "worker threads of the runtime; 0 is one for each CPU of the placement",
    domain: Domain::Number { default: 0, min: 0, max: 1024 },
};

/// What carries the byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Pipe,
    SocketPair,
}

impl Transport {
    fn of(parameters: &Parameters) -> Self {
        match parameters.word(TRANSPORT.name) {
            "socketpair" => Self::SocketPair,
            _ => Self::Pipe,
        }
    }

    fn open(self, nonblocking: bool) -> Result<Ends, SysError> {
        match self {
            Self::Pipe => pipe(nonblocking),
            Self::SocketPair => socket_pair(nonblocking),
        }
    }

    /// A channel besides the `reached` that there are.
    fn one_more(self, nonblocking: bool, reached: u64) -> Result<Ends, Failure> {
        self.open(nonblocking).map_err(|error| Failure::of_one_more("channels", reached, error))
    }

    /// A blocking channel besides the `reached` that there are, with room for all of `load`.
    fn room(self, load: &Load, reached: u64) -> Result<Ends, Failure> {
        let ends = self.one_more(false, reached)?;
        if self.needs_room(load) {
            make_room(&ends.writer, load.tokens as usize, load.payload)?;
        }
        Ok(ends)
    }
}

/// The channels of a ring, by the task that reads them.
fn channels(parameters: &Parameters, nonblocking: bool) -> Result<Vec<Ends>, Failure> {
    let transport = Transport::of(parameters);
    (0..parameters.number(TASKS.name)).map(|reached| transport.one_more(nonblocking, reached)).collect()
}

/// The channels of a ring that carries `load`, by the task that reads them.
fn channels_for(parameters: &Parameters, load: &Load, nonblocking: bool) -> Result<Vec<Ends>, Failure> {
    let channels = channels(parameters, nonblocking)?;
    if Transport::of(parameters).needs_room(load) {
        for channel in &channels {
            make_room(&channel.writer, load.tokens as usize, load.payload)?;
        }
    }
    Ok(channels)
}

/// The two ends that one task of a ring holds.
#[derive(Debug)]
struct RingEnds<R, W = R> {
    /// The end of its own channel.
    reader: R,
    /// The end of the next task's channel.
    writer: W,
}

/// The places of a ring, by task.
fn places<R, W>(readers: Vec<R>, mut writers: Vec<W>) -> Vec<RingEnds<R, W>> {
    // Task i writes channel i + 1.
    writers.rotate_left(1);
    readers.into_iter().zip(writers).map(|(reader, writer)| RingEnds { reader, writer }).collect()
}

/// The byte that goes round on lap number `lap`: another one each time, so that one left over would be noticed.
fn bucket(lap: u64) -> u8 {
    (lap % 251) as u8
}

/// Whether the byte that came round is the one that was sent.
fn verify(lap: u64, arrived: u8) -> Result<(), Failure> {
    if arrived == bucket(lap) {
        Ok(())
    } else {
        Err(Failure::Corrupted(format!("lap {lap} sent byte {} and {arrived} came round", bucket(lap))))
    }
}

fn hops_per_lap(parameters: &Parameters) -> u64 {
    parameters.number(TASKS.name)
}

/// One thread, and no descriptors but those of the process itself.
fn demand_without_descriptors(_: &Parameters) -> Resources {
    Resources { descriptors: 8, threads: 1, processes: 0 }
}

fn descriptors(parameters: &Parameters) -> u64 {
    2 * parameters.number(TASKS.name)
}

/// One thread and the channels.
fn resources_of_one_thread(parameters: &Parameters) -> Resources {
    Resources { descriptors: descriptors(parameters) + 8, threads: 1, processes: 0 }
}
