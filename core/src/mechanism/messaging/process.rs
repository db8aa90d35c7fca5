//! Senders and receivers as processes: what hackbench does by default.
//!
//! Timed: as for `messaging/thread`, and wherever a switch is between two processes, that of the address space. Not
//! timed: forking the processes, closing in each of them the channels that are not its own.
//! Distortions: as there, and: the processes are copies of this one and share its code and read-only pages.

use std::os::fd::{AsRawFd, RawFd};

use super::{DriverSide, MessagePattern, PARAMETERS, SOURCE, exchanged, messages_per_lap, receive, send, tasks};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "messaging/process",
    isolates: "a message from one of many processes to one of many: what changing the address space adds to threads",
    unit: Unit::Message,
    tasks: Tasks::Several,
    parameters: PARAMETERS,
    baseline: "messaging/one_thread",
    requirements: &[],
    source: SOURCE,
    lap: messages_per_lap,
    resources: |parameters| Resources {
        descriptors: 2 * MessagePattern::of(parameters).fan as u64 + 16,
        threads: 1,
        processes: tasks(parameters),
    },
    expects: exchanged,
};

struct Process;

register!(Process);

impl Mechanism for Process {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let plan = MessagePattern::of(parameters);
        let lead = DriverSide::new(plan)?;
        let barrier = &lead.barrier;
        let mut message = plan.message();
        for group in 0..plan.groups {
            // Dropped here at the end of each turn: receivers end when the last sender of their group is gone.
            let (readers, writers) = plan.channels()?;
            let kept: Vec<RawFd> = writers.iter().map(AsRawFd::as_raw_fd).collect();
            for (index, reader) in readers.iter().enumerate() {
                crew.fork(plan.receiver(group, index), &[reader.as_raw_fd()], |ready| {
                    ready.signal();
                    receive(barrier, reader, &mut message, plan.messages_for_one()).is_ok()
                })?;
                crew.fork(plan.sender(group, index), &kept, |ready| {
                    ready.signal();
                    send(barrier, &writers, &mut message, plan.loops).is_ok()
                })?;
            }
        }
        Ok(Box::new(lead))
    }
}
