//! Two tasks spin on a cache line each: the floor, below every kernel.
//!
//! Timed: the way of one cache line from core to core. Not timed: waking the partner, which sleeps between batches.
//! Distortions: both CPUs are busy all the time, which is the price; a hypervisor that takes one of them away stops
//! both. `spin_loop` is PAUSE on x86, which yields the core's shared resources to the other hardware thread and costs
//! up to 140 cycles (Intel optimization manual, "Pause latency in Skylake"), so it is part of what is measured, as it
//! is of every real spin lock.

use super::{handoffs_per_lap, resources, slept_between_batches, spawn_polling_partner};
use crate::mechanism::{
    Bound, Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/spin",
    isolates: "a cache line moved from core to core, without the kernel: the lower bound of any handoff between CPUs",
    unit: Unit::Handoff,
    tasks: Tasks::Simultaneous,
    parameters: &[],
    baseline: "handoff/futex",
    requirements: &["two CPUs that this process may use"],
    source: "Intel 64 and IA-32 Architectures Optimization Reference Manual, PAUSE; Arm ARM, ISB and YIELD",
    lap: handoffs_per_lap,
    resources,
    expects: |_, _| slept_between_batches().voluntary(Bound::AtMost(0.01)).wakeups(Bound::AtMost(0.01)),
};

struct Spin;

register!(Spin);

impl Mechanism for Spin {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let cpus = crew.assignment().cpus().len();
        if cpus < 2 {
            let observed = format!("{cpus} CPU");
            return Err(
                Unsupported::new("two CPUs", observed, "allow this process a second CPU (taskset, cpuset)").into()
            );
        }
        spawn_polling_partner(crew, std::hint::spin_loop)
    }
}
