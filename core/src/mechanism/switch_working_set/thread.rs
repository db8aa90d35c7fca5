//! A ring of threads, each with a working set: the switch within one address space.
//!
//! Timed: per handoff one write that wakes, one read that blocks, the switch, and the touching of the set of the
//! task that gets the turn. Not timed: creating the threads, allocating and first touching their sets.
//! Distortions: the sets are touched in order, line after line, which hardware prefetches; a program that follows
//! pointers loses more. Where the tasks have CPUs of their own they do not take each other's inner caches. The sets lie
//! in pages of the base size whatever the machine's setting (PR_SET_THP_DISABLE during set-up): a program whose memory
//! lies in huge pages loses fewer TLB entries to a switch. The kernel may still gather pages into a huge one while it
//! runs.

use super::{ACCESS, TASKS, TOUCH, WorkingSet, check_memory, descriptors, handoffs_per_lap, lead, places, switched};
use crate::mechanism::{
    Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit, Unsupported, register,
};
use crate::sys::heap::SmallPages;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "switch_working_set/thread",
    isolates: "a handoff between threads that each touch memory of their own: the switch, and the caches it costs",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[TASKS, TOUCH, ACCESS],
    baseline: "switch_working_set/touching",
    requirements: &[],
    source: "lat_ctx(8) of lmbench; Li, Ding and Shen, \"Quantifying the cost of context switch\", ExpCS 2007",
    lap: handoffs_per_lap,
    resources: |parameters| Resources {
        descriptors: descriptors(parameters),
        threads: parameters.number(TASKS.name),
        processes: 0,
    },
    expects: switched,
};

struct Thread;

register!(Thread);

impl Mechanism for Thread {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        check_memory(parameters)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        // Until every set is touched.
        let _small = SmallPages::hold().ok();
        let mut places = places(parameters)?;
        let driver = places.remove(0);
        for (index, place) in places.into_iter().enumerate() {
            let parameters = parameters.clone();
            crew.spawn(index + 1, move |ready| {
                let mut set = WorkingSet::new(&parameters);
                ready.signal();
                place.pass_token(&mut set)
            })?;
        }
        let operation = lead(driver, parameters);
        crew.await_ready()?;
        Ok(operation)
    }
}
