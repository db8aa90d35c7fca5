//! A ring of processes, each with a working set: every switch changes the address space as well. The shape of lmbench's
//! lat_ctx.
//!
//! Timed: per handoff one write that wakes, one read that blocks, the switch to another address space, and the touching
//! of the set of the task that gets the turn. Not timed: forking the processes, giving each pages of its own.
//! Distortions: as of `switch_working_set/thread`, and: the processes are copies of this one, so that their code and
//! read-only data are in the same physical lines; unrelated programs would evict each other's too.

use super::{ACCESS, TASKS, TOUCH, WorkingSet, check_memory, descriptors, handoffs_per_lap, lead, places, switched};
use crate::mechanism::{
    Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit, Unsupported, register,
};
use crate::sys::heap::SmallPages;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "switch_working_set/process",
    isolates: "a handoff between processes that each touch memory of their own: the address space changes with the \
               task",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[TASKS, TOUCH, ACCESS],
    baseline: "switch_working_set/touching",
    requirements: &[],
    source: "lat_ctx(8) of lmbench; Li, Ding and Shen, \"Quantifying the cost of context switch\", ExpCS 2007",
    lap: handoffs_per_lap,
    resources: |parameters| Resources {
        descriptors: descriptors(parameters) + 8,
        threads: 1,
        processes: parameters.number(TASKS.name),
    },
    expects: switched,
};

struct Process;

register!(Process);

impl Mechanism for Process {
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
        // Each place is dropped here as soon as its process has it; the next ones then copy fewer descriptors. So is
        // its set, which a forked task could not allocate.
        for (index, place) in places.into_iter().enumerate() {
            let mut set = WorkingSet::new(parameters);
            crew.fork(index + 1, &place.descriptors(), |ready| {
                set.make_own();
                ready.signal();
                place.pass_token(&mut set).is_ok()
            })?;
        }
        let operation = lead(driver, parameters);
        crew.await_ready()?;
        Ok(operation)
    }
}
