//! A process per task, forked, blocking in read(2): every switch is one of address spaces as well.
//!
//! Timed: per hop one write that wakes the next task, one read that blocks, and the switch to another address space.
//! Not timed: forking the processes, and closing in each of them the ends of all the other channels, without which
//! no process would ever read an end of file.
//! Distortions: as in `brigade/thread`, and: the processes are copies of this one and share its pages, so that their
//! code and read-only data are in the same physical lines; unrelated programs would evict each other's too. The
//! processor tells address spaces apart by a tag (PCID, ASID) as long as few are in use, and flushes its TLB beyond
//! that (arch/x86/mm/tlb.c keeps 6 a CPU).

use super::blocking::{BytePort, lead, pass_on};
use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, WORK, hops_of_all_tokens, read_and_write};
use super::thread::blocked_tasks;
use super::{TASKS, TRANSPORT, descriptors};
use crate::mechanism::{
    Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit, Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/process",
    isolates: "a blocking process per task: what changing the address space adds to the switch between threads",
    unit: Unit::Hop,
    tasks: Tasks::Several,
    parameters: &[TASKS, TRANSPORT, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "fork(2), pipe(7); Li, Ding and Shen, Quantifying the Cost of Context Switch, 2007",
    lap: hops_of_all_tokens,
    resources: |parameters| Resources {
        descriptors: descriptors(parameters) + 16,
        threads: 1,
        processes: parameters.number(TASKS.name),
    },
    expects: |parameters, placement| blocked_tasks(read_and_write(parameters), parameters, placement),
};

struct Process;

register!(Process);

impl Mechanism for Process {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        Load::of(parameters).map(drop)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let load = Load::of(parameters)?;
        let mut ports = BytePort::open(parameters, &load)?;
        let driver = ports.remove(0);
        // Each port is dropped here as soon as its process has it; the next ones then copy fewer descriptors.
        for (index, mut port) in ports.into_iter().enumerate() {
            let (kept, mut task_load) = (port.descriptors(), load.task_load());
            crew.fork(index + 1, &kept, |ready| {
                ready.signal();
                pass_on(&mut port, &mut task_load).is_ok()
            })?;
        }
        Ok(lead(driver, load))
    }
}
