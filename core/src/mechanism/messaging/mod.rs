//! Messages in the shape of hackbench: groups of senders and receivers, where every sender sends to every receiver.
//!
//! Each receiver has one channel, into which all `fan` senders of its group write; no message leaves its group. An
//! operation is one message, sent and received. A lap is what hackbench and `perf bench sched messaging` time once: the
//! driver releases all senders together, each sends `loops` messages to each receiver, and the lap ends when the last
//! receiver has all of its own. So releasing and gathering 2 × `groups` × `fan` tasks is a part of every lap, and the
//! more messages a lap has the less of it is in each.
//!
//! What differs from hackbench (rt-tests) and `perf bench sched messaging` (Linux tools/perf/bench/sched-messaging.c):
//! tasks are created once and reused from lap to lap, and their end is outside the time; senders wait on one futex,
//! where hackbench's senders and receivers poll one pipe; receivers check what they receive; here one lap has fewer
//! messages by default (1 group and 20 loops in place of 10 and 100).

use std::os::fd::OwnedFd;
use std::sync::Arc;

use self::lap_barrier::{LapBarrier, LapGuard};
use super::{
    Batch, Bound, Domain, Expectation, Failure, Group, Operation, Parameter, Parameters, Placement, Resources,
};
use crate::sys::SysError;
use crate::sys::channel::{Ends, pipe, read_whole, socket_pair, write_whole};
use crate::units::Quantity;

mod lap_barrier;
mod one_thread;
mod process;
mod thread;

/// The group `messaging`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "messaging",
    question: "What does a message cost when many tasks send to many?",
    measures: Quantity::Nanoseconds,
    queues: false,
};

const GROUPS: Parameter = Parameter {
    name: "groups",
    meaning: "groups of senders and receivers; none sends to another's (10 in hackbench)",
    domain: Domain::Number { default: 1, min: 1, max: 10_000 },
};

const FAN: Parameter = Parameter {
    name: "fan",
    meaning: "senders in a group, and as many receivers",
    domain: Domain::Number { default: 20, min: 1, max: 1000 },
};

const LOOPS: Parameter = Parameter {
    name: "loops",
    meaning: "messages from each sender to each receiver of its group in a lap (100 in hackbench)",
    domain: Domain::Number { default: 20, min: 1, max: 1_000_000 },
};

const SIZE: Parameter = Parameter {
    name: "size",
    meaning: "bytes of a message",
    // A pipe takes so much whole or not at all (pipe(7), "PIPE_BUF"), so that senders cannot mix up their messages.
    domain: Domain::Number { default: 100, min: 1, max: 4096 },
};

const TRANSPORT: Parameter = Parameter {
    name: "transport",
    meaning: "the channels: socketpair(2) of UNIX stream sockets, as hackbench's default, or pipe(2)",
    domain: Domain::Word { words: &["socketpair", "pipe"] },
};

const PARAMETERS: &[Parameter] = &[GROUPS, FAN, LOOPS, SIZE, TRANSPORT];

const SOURCE: &str = "hackbench(8) of rt-tests; Linux tools/perf/bench/sched-messaging.c";

/// Who sends how much, as the parameters say.
#[derive(Debug, Clone, Copy)]
struct MessagePattern {
    groups: usize,
    fan: usize,
    loops: u64,
    size: usize,
    pipes: bool,
}

impl MessagePattern {
    fn of(parameters: &Parameters) -> Self {
        Self {
            groups: parameters.size(GROUPS.name),
            fan: parameters.size(FAN.name),
            loops: parameters.number(LOOPS.name),
            size: parameters.size(SIZE.name),
            pipes: parameters.word(TRANSPORT.name) == "pipe",
        }
    }

    fn receivers(&self) -> usize {
        self.groups * self.fan
    }

    /// What each receiver receives in a lap.
    fn messages_for_one(&self) -> u64 {
        self.fan as u64 * self.loops
    }

    fn messages(&self) -> u64 {
        self.receivers() as u64 * self.messages_for_one()
    }

    /// The channels of one group, by receiver.
    fn channels(&self) -> Result<(Vec<OwnedFd>, Vec<OwnedFd>), SysError> {
        let open = |_| if self.pipes { pipe(false) } else { socket_pair(false) };
        let channels = (0..self.fan).map(open).collect::<Result<Vec<Ends>, _>>()?;
        Ok(channels.into_iter().map(|ends| (ends.reader, ends.writer)).unzip())
    }

    fn message(&self) -> Vec<u8> {
        vec![0; self.size]
    }

    /// The number of a sender among all tasks of the crew. Senders have odd numbers and receivers even ones, so that
    /// where tasks alternate between two CPUs every message goes from the one to the other.
    fn sender(&self, group: usize, index: usize) -> usize {
        2 * (group * self.fan + index) + 1
    }

    fn receiver(&self, group: usize, index: usize) -> usize {
        self.sender(group, index) + 1
    }
}

/// What a message of a lap consists of.
fn token(lap: u32) -> u8 {
    (lap % 251) as u8
}

fn verify(lap: u32, message: &[u8]) -> Result<(), Failure> {
    // The ends: another message's bytes would show there.
    let ends = [message.first(), message.last()];
    if ends.iter().all(|byte| byte.is_some_and(|byte| *byte == token(lap))) {
        return Ok(());
    }
    Err(Failure::Corrupted(format!("lap {lap} sent bytes {} and {ends:?} arrived", token(lap))))
}

/// A sender's life. Allocates nothing: a forked task may live it.
fn send(barrier: &LapBarrier, writers: &[OwnedFd], message: &mut [u8], loops: u64) -> Result<(), Failure> {
    let _member = LapGuard(barrier);
    let mut lap = 0;
    while let Some(next) = barrier.await_lap(lap)? {
        lap = next;
        message.fill(token(lap));
        for _ in 0..loops {
            for writer in writers {
                write_whole(writer, message)?;
            }
        }
    }
    Ok(())
}

/// A receiver's life, until all its senders are gone. Allocates nothing, unless it fails.
fn receive(barrier: &LapBarrier, reader: &OwnedFd, message: &mut [u8], messages: u64) -> Result<(), Failure> {
    let _member = LapGuard(barrier);
    let (mut lap, mut left) = (1, messages);
    while read_whole(reader, message)? {
        verify(lap, message)?;
        left -= 1;
        if left == 0 {
            barrier.arrive(lap)?;
            (lap, left) = (lap + 1, messages);
        }
    }
    Ok(())
}

/// The driver's part. Made before the first task is, so that dropping it ends whatever tasks there are.
struct DriverSide {
    barrier: Arc<LapBarrier>,
    plan: MessagePattern,
    lap: u32,
}

impl DriverSide {
    fn new(plan: MessagePattern) -> Result<Self, Failure> {
        Ok(Self { barrier: Arc::new(LapBarrier::new()?), plan, lap: 0 })
    }
}

impl Operation for DriverSide {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let messages = self.plan.messages();
        Batch::timed(|| {
            for _ in 0..ops / messages {
                self.lap += 1;
                self.barrier.run_lap(self.lap, self.plan.receivers())?;
            }
            Ok(ops / messages * messages)
        })
    }
}

impl Drop for DriverSide {
    fn drop(&mut self) {
        self.barrier.close();
    }
}

fn messages_per_lap(parameters: &Parameters) -> u64 {
    MessagePattern::of(parameters).messages()
}

fn tasks(parameters: &Parameters) -> u64 {
    2 * MessagePattern::of(parameters).receivers() as u64 + 1
}

fn descriptors(parameters: &Parameters) -> u64 {
    2 * MessagePattern::of(parameters).receivers() as u64 + 8
}

fn resources_of_one_thread(parameters: &Parameters) -> Resources {
    Resources { descriptors: descriptors(parameters), threads: 1, processes: 0 }
}

fn read_and_write() -> Expectation {
    Expectation::nothing().call("read", Bound::Exactly(1.0)).call("write", Bound::Exactly(1.0))
}

/// What a message does when its sender and its receiver block: who waits how often is the scheduler's choice, which
/// lets senders fill a channel before its receiver runs, or wakes it for each message.
fn exchanged(parameters: &Parameters, placement: Placement) -> Expectation {
    let plan = MessagePattern::of(parameters);
    // Each sender waits for the lap and the driver for its end; the driver wakes the senders and the last receiver it.
    let laps = 1.0 / plan.messages() as f64;
    let calls = read_and_write()
        .call("futex:wait", Bound::AtMost((plan.receivers() as f64 + 1.0) * laps))
        .call("futex:wake", Bound::AtMost(2.0 * laps));
    let most = match placement {
        Placement::SameCpu => Bound::AtMost(2.0),
        // On several CPUs senders and receivers also meet at a channel's lock.
        _ => Bound::AtMost(4.0),
    };
    calls.voluntary(most).wakeups(most)
}
