//! A thread per task, blocking in read(2): how programs were written before event loops.
//!
//! Timed: per hop one write that wakes the next task, one read that blocks, and the switch between them. The driver
//! is one of the threads; nothing outside the brigade is woken. Not timed: creating and ending the threads.
//! Distortions: where the tasks may run on several CPUs, the scheduler decides per wakeup whether the next task runs
//! here or elsewhere, and a wakeup elsewhere pays for an interrupt and for leaving idle. A brigade that one descriptor
//! table does not hold is spread over several (`shards`), which changes nothing of a hop but how far apart in memory
//! its descriptors lie.

use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, WORK, hops_of_all_tokens, one_token, read_and_write};
use super::shards::{self, SHARDS};
use super::{TASKS, TRANSPORT, descriptors};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Placement, Tasks, Unit,
    Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/thread",
    isolates: "a blocking thread per task: the wakeup and the context switch of each hop, on top of its input and \
               output",
    unit: Unit::Hop,
    tasks: Tasks::Several,
    parameters: &[TASKS, TRANSPORT, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH, SHARDS],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "pipe(7), sched(7), unshare(2); the experiment of github.com/jimblandy/context-switch",
    lap: hops_of_all_tokens,
    resources: shards::resources,
    expects: |parameters, placement| {
        let calls = read_and_write(parameters);
        let calls = calls.set_up("unshare", Bound::Exactly(shards::tables(parameters) as f64));
        blocked_tasks(calls, parameters, placement)
    },
};

/// Who blocks and is woken, when every task of a brigade is the kernel's and blocks in a channel.
pub(super) fn blocked_tasks(calls: Expectation, parameters: &Parameters, placement: Placement) -> Expectation {
    match placement {
        // On one CPU the woken task runs when its waker blocks: one switch. Where a wakeup preempts (CFS, before Linux
        // 6.6, mostly does) the waker runs once more, to block, unless the byte has come round by then.
        Placement::SameCpu if parameters.number(TASKS.name) > 2 && one_token(parameters) => {
            let mostly = Bound::Between(0.5, 1.0);
            calls.voluntary(mostly).wakeups(mostly).switches(Bound::Between(1.0, 2.0))
        }
        // A task that finds the next token waiting does not block for it.
        Placement::SameCpu => calls.voluntary(Bound::AtMost(1.0)).wakeups(Bound::AtMost(1.0)),
        // On several CPUs reader and writer also meet at the channel's lock, and either may sleep there.
        _ => calls.voluntary(Bound::AtMost(3.0)).wakeups(Bound::AtMost(3.0)),
    }
}

struct Thread;

register!(Thread);

impl Mechanism for Thread {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        Load::of(parameters).map(drop)
    }

    fn files(&self, parameters: &Parameters) -> u64 {
        descriptors(parameters)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        shards::set_up_sized(parameters, Load::of(parameters)?, crew)
    }
}
