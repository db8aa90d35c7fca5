//! Two tasks on one CPU give it to each other by sched_yield(2), without ever sleeping: the switch alone.
//!
//! An operation is a turn passed in shared memory and found by the other task: a yield after which the same task runs
//! again passes nothing, is no operation, and shows in the audit as a call more. Timed: one store, one yield or more,
//! and the switch, without a wakeup. Not timed: waking the partner, which sleeps between batches.
//! Distortions: what a yield does is the scheduler's choice (sched_yield(2), "Notes"): EEVDF moves the caller's
//! deadline one slice back, which lets the other run only while it is eligible. With `--policy fifo` (where permitted)
//! it is certain: the caller goes behind the others of its priority, and a yield is a switch every time.

use super::{handoffs_per_lap, resources, slept_between_batches, spawn_polling_partner};
use crate::mechanism::{Bound, Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/sched_yield",
    isolates: "a switch between two runnable tasks of one CPU: no sleep, no wakeup",
    unit: Unit::Handoff,
    tasks: Tasks::TakingTurns,
    parameters: &[],
    baseline: "handoff/futex",
    requirements: &[],
    source: "sched_yield(2); Linux kernel/sched/fair.c, yield_task_fair",
    lap: handoffs_per_lap,
    resources,
    expects: |_, _| {
        // Who yields stays runnable, so the kernel books its switch as involuntary.
        slept_between_batches()
            .call("sched_yield", Bound::Between(0.95, 2.5))
            .voluntary(Bound::AtMost(0.01))
            .switches(Bound::Between(0.98, 1.1))
            .wakeups(Bound::AtMost(0.01))
    },
};

struct SchedYield;

register!(SchedYield);

impl Mechanism for SchedYield {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        // The standard library's is sched_yield(2) and nothing else.
        spawn_polling_partner(crew, std::thread::yield_now)
    }
}
