//! Senders and receivers as threads: hackbench -T.
//!
//! Timed: per lap the release of all senders, the writes and reads of all messages, the switches between tasks that
//! must wait, and the driver's own wakeup at the end. Not timed: creating and ending the threads.
//! Distortions: how often a task blocks is the scheduler's choice and varies from lap to lap; the fewer messages a lap
//! has, the more of its time is starting and gathering the tasks.

use std::sync::Arc;

use super::{
    DriverSide, MessagePattern, PARAMETERS, SOURCE, descriptors, exchanged, messages_per_lap, receive, send, tasks,
};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "messaging/thread",
    isolates: "a message from one of many threads to one of many: wakeups and switches as the scheduler batches them",
    unit: Unit::Message,
    tasks: Tasks::Several,
    parameters: PARAMETERS,
    baseline: "messaging/one_thread",
    requirements: &[],
    source: SOURCE,
    lap: messages_per_lap,
    resources: |parameters| Resources {
        descriptors: descriptors(parameters),
        threads: tasks(parameters),
        processes: 0,
    },
    expects: exchanged,
};

struct Thread;

register!(Thread);

impl Mechanism for Thread {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let plan = MessagePattern::of(parameters);
        let lead = DriverSide::new(plan)?;
        for group in 0..plan.groups {
            let (readers, writers) = plan.channels()?;
            // Of the senders alone: receivers end when the last of these is gone.
            let writers = Arc::new(writers);
            for (index, reader) in readers.into_iter().enumerate() {
                let (barrier, mut message) = (Arc::clone(&lead.barrier), plan.message());
                crew.spawn(plan.receiver(group, index), move |ready| {
                    ready.signal();
                    receive(&barrier, &reader, &mut message, plan.messages_for_one())
                })?;
                let (barrier, mut message) = (Arc::clone(&lead.barrier), plan.message());
                let writers = Arc::clone(&writers);
                crew.spawn(plan.sender(group, index), move |ready| {
                    ready.signal();
                    send(&barrier, &writers, &mut message, plan.loops)
                })?;
            }
        }
        Ok(Box::new(lead))
    }
}
