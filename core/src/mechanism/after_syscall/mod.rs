//! After a system call: how slowly user code runs once the kernel has given the CPU back, and until when.
//!
//! A task executes a stream of instructions in equal blocks and times each block. Since a block always holds the same
//! instructions, time per block is instructions per cycle turned over: the curve is that of L. Soares and M. Stumm,
//! *FlexSC: Flexible System Call Scheduling with Exception-Less System Calls* (OSDI 2010, figure 1), without a PMU.
//!
//! **Trials.** An operation is two trials: a pass over the working set that settles it, or over the part of it that
//! will be timed, the call, and the timed blocks, from the one with which settling began; and the same without the
//! call. Which of the two comes first is drawn each time. The second one is the call's own control: it is measured by
//! the same instance at the same addresses within the same microseconds. The call itself is outside every block. A
//! block of data is 64 loads long because a counter may advance in steps of tens of ticks.
//!
//! **Streams.** The kernel evicts three things, and `stream` chooses which of them the blocks need: `data`, a chase of
//! pointers through the working set, one cache line after another in random order; `code`, straight code as long as the
//! working set, a page a block; `branches`, 512 branches a block that go by a fixed random pattern, one for every eight
//! bytes of the working set, which a predictor can learn if it is large enough.
//!
//! **What is found out**: the median over the trials of each block's time, after the call and without it (two curves),
//! and the sum of the distances between them: the time that the call costs after it has returned. A sample's time is
//! that of all blocks of the trials with the call. Both are without the cost of reading the counter. Where the CPU
//! counts cycles and lets user code read them, the curves of instructions per cycle as well, from trials of their own.
//!
//! **Distortions that all share.** What the trials themselves touch, besides the working set: four bytes a block, which
//! the settling pass has brought in, and a page or two of code. A working set that fills a cache to the last line
//! therefore misses a little without any call. Trials are at most 640 blocks long and begin at the same block; of a
//! larger working set each settles and times the next 2.5 MiB, which is what it then has at hand, and what the kernel
//! evicted beyond that part is not seen. An interrupt lengthens single blocks, which a median over thousands of trials
//! does not show.

use super::{Group, Parameters, Resources};
use crate::units::Quantity;

mod counted;
mod epoll_wait;
mod getppid;
mod handoff;
mod nothing;
mod pipe_write;
mod recovery;
mod stream;
mod trials;
mod uring_submit;

/// The group `after_syscall`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "after_syscall",
    question: "How much slower does user code run after a call has returned, and for how long?",
    measures: Quantity::Nanoseconds,
    queues: false,
};

fn one_at_a_time(_: &Parameters) -> u64 {
    1
}

fn resources(_: &Parameters) -> Resources {
    Resources { descriptors: 4, threads: 1, processes: 0 }
}
