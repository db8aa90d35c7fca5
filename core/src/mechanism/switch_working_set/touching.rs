//! One task touches as much as the tasks of a ring do, and makes their pipe calls, without a switch: what is subtracted
//! from a handoff to leave the switch. The baseline of the group.
//!
//! Timed: per handoff that is not made one write and one read of a pipe, the pipes in turn, and the touching of a set.
//! Not timed: opening the pipes, allocating the sets.
//! Distortions: as of `switch_working_set/thread`, and: which memory is touched decides what is subtracted, see the
//! group: with `sets=one` the caches are as hot as they get, with `sets=every` they are as cold as one task's are that
//! uses all of it.

use super::{
    ACCESS, TASKS, TOUCH, WorkingSet, check_memory, handoffs_per_lap, pipes, read_and_write, resources_of_one_thread,
    token, verify,
};
use crate::mechanism::{
    Batch, Crew, Descriptor, Domain, Failure, Mechanism, Operation, Parameter, Parameters, Tasks, Unit, Unsupported,
    register,
};
use crate::sys::channel::{read_byte, write_byte};
use crate::sys::heap::SmallPages;

const SETS: Parameter = Parameter {
    name: "sets",
    meaning: "what the one task touches: always one set, as lmbench's lat_ctx does, or every task's in turn",
    domain: Domain::Word { words: &["one", "every"] },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "switch_working_set/touching",
    isolates: "the memory accesses and pipe calls of a handoff by a single task, which keeps its caches",
    unit: Unit::Handoff,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TOUCH, ACCESS, SETS],
    baseline: "switch_working_set/touching",
    requirements: &[],
    source: "lat_ctx(8) of lmbench; Li, Ding and Shen, \"Quantifying the cost of context switch\", ExpCS 2007",
    lap: handoffs_per_lap,
    resources: resources_of_one_thread,
    expects: |_, _| read_and_write(),
};

struct Touching;

register!(Touching);

impl Mechanism for Touching {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        check_memory(parameters)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        // Until every set is touched.
        let _small = SmallPages::hold().ok();
        let pipes = pipes(parameters)?;
        let sets = if parameters.word(SETS.name) == "every" { pipes.len() } else { 1 };
        let mut sets: Vec<_> = (0..sets).map(|_| WorkingSet::new(parameters)).collect();
        let tasks = pipes.len() as u64;
        Ok(Box::new(move |ops: u64| {
            Batch::timed(|| {
                let laps = ops / tasks;
                for lap in 0..laps {
                    for (task, pipe) in pipes.iter().enumerate() {
                        write_byte(&pipe.writer, token(lap))?;
                        verify(lap, read_byte(&pipe.reader)?)?;
                        let last = sets.len() - 1;
                        sets[task.min(last)].touch();
                    }
                }
                Ok(laps * tasks)
            })
        }))
    }
}
