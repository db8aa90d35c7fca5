//! One thread makes all the writes and all the reads of a lap, in order: what a brigade's input and output cost
//! when nobody has to be woken. The baseline of the group.
//!
//! Timed: `n` writes and `n` reads a lap. Not timed: opening the channels.
//! Distortions: each byte is read by the thread, and so the CPU, that has just written it; its cache lines are hot.

use super::{TASKS, TRANSPORT, bucket, channels, demand_of_one_thread, hops_per_lap, verify};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};
use crate::sys::channel::{Received, read_byte, write_byte};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/one_thread",
    isolates: "the input and output of a hop alone: one thread writes and reads every channel itself, nobody is woken",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "pipe(7), read(2), write(2)",
    lap: hops_per_lap,
    demand: demand_of_one_thread,
    expects: |_, _| Expectation::nothing().call("read", Bound::Exactly(1.0)).call("write", Bound::Exactly(1.0)),
};

struct OneThread;

register!(OneThread);

impl Mechanism for OneThread {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let ring = channels(parameters, false)?;
        Ok(Box::new(move |ops: u64| {
            Batch::timed(|| {
                let mut hops = 0;
                let mut lap = 0;
                while hops < ops {
                    let mut byte = bucket(lap);
                    for channel in &ring {
                        write_byte(&channel.writer, byte)?;
                        let Received::Byte(arrived) = read_byte(&channel.reader)? else {
                            return Err(Failure::Corrupted("a channel lost its byte".into()));
                        };
                        byte = arrived;
                        hops += 1;
                    }
                    verify(lap, byte)?;
                    lap += 1;
                }
                Ok(hops)
            })
        }))
    }
}
