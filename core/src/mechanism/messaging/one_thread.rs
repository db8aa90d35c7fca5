//! One thread sends every message and receives it at once: the copying in and out of the kernel, without a wakeup.
//! The baseline of the group.
//!
//! Timed: a write and a read per message, to the channels of all receivers in turn. Not timed: opening the channels.
//! Distortions: each message is read by the thread, and so the CPU, that has just written it, from a channel that holds
//! nothing else.

use super::{
    MessagePattern, PARAMETERS, SOURCE, messages_per_lap, read_and_write, resources_of_one_thread, token, verify,
};
use crate::mechanism::{Batch, Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};
use crate::sys::channel::{read_whole, write_whole};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "messaging/one_thread",
    isolates: "the input and output of a message alone: one thread sends and receives them all",
    unit: Unit::Message,
    tasks: Tasks::OneThread,
    parameters: PARAMETERS,
    baseline: "messaging/one_thread",
    requirements: &[],
    source: SOURCE,
    lap: messages_per_lap,
    resources: resources_of_one_thread,
    expects: |_, _| read_and_write(),
};

struct OneThread;

register!(OneThread);

impl Mechanism for OneThread {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let plan = MessagePattern::of(parameters);
        let groups = (0..plan.groups).map(|_| plan.channels()).collect::<Result<Vec<_>, _>>()?;
        let (mut message, mut lap) = (plan.message(), 0_u32);
        Ok(Box::new(move |ops: u64| {
            Batch::timed(|| {
                let laps = ops / plan.messages();
                for _ in 0..laps {
                    lap = lap.wrapping_add(1);
                    message.fill(token(lap));
                    for _ in 0..plan.messages_for_one() {
                        for (reader, writer) in groups.iter().flat_map(|(readers, writers)| readers.iter().zip(writers))
                        {
                            write_whole(writer, &message)?;
                            if !read_whole(reader, &mut message)? {
                                return Err(Failure::Corrupted("a channel lost its message".into()));
                            }
                            verify(lap, &message)?;
                        }
                    }
                }
                Ok(laps * plan.messages())
            })
        }))
    }
}
