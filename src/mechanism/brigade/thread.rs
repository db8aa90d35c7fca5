//! A thread per task, blocking in read(2): how programs were written before event loops.
//!
//! Timed: per hop one write that wakes the next task, one read that blocks, and the switch between them. The driver
//! is one of the threads; nothing outside the brigade is woken. Not timed: creating and ending the threads.
//! Distortions: where the tasks may run on several CPUs, the scheduler decides per wakeup whether the next task runs
//! here or elsewhere, and a wakeup elsewhere pays for an interrupt and for leaving idle.

use super::{Place, TASKS, TRANSPORT, bucket, channels, descriptors, hops_per_lap, places, verify};
use crate::mechanism::{
    Batch, Bound, Crew, Demand, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Placement, Tasks,
    Unit, register,
};
use crate::sys::channel::{Received, read_byte, write_byte};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/thread",
    isolates: "a blocking thread per task: the wakeup and the context switch that each hop needs, on top of its input and output",
    unit: Unit::Hop,
    tasks: Tasks::Several,
    parameters: &[TASKS, TRANSPORT],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "pipe(7), sched(7); the experiment of github.com/jimblandy/context-switch",
    lap: hops_per_lap,
    demand: |parameters| Demand {
        descriptors: descriptors(parameters) + 8,
        threads: parameters.number(TASKS.name),
        processes: 0,
    },
    expects: |parameters, placement| {
        let calls = Expectation::nothing().call("read", Bound::Exactly(1.0)).call("write", Bound::Exactly(1.0));
        // On one CPU the woken task runs when its waker blocks. With two tasks a wakeup that preempts lets the
        // answer arrive before the waker reads, which then need not block.
        match placement {
            Placement::SameCpu if parameters.number(TASKS.name) > 2 => {
                calls.voluntary(Bound::Exactly(1.0)).wakeups(Bound::Exactly(1.0))
            }
            // On several CPUs reader and writer also meet at the pipe's mutex, and either may sleep there.
            _ => calls.voluntary(Bound::AtMost(3.0)).wakeups(Bound::AtMost(3.0)),
        }
    },
};

struct Thread;

register!(Thread);

impl Mechanism for Thread {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let hops = hops_per_lap(parameters);
        let (readers, writers) = channels(parameters, false)?.into_iter().map(|c| (c.reader, c.writer)).unzip();
        let mut places = places(readers, writers);
        let driver = places.remove(0);
        for (index, place) in places.into_iter().enumerate() {
            crew.spawn(index + 1, move |ready| {
                ready.signal();
                pass_on(&place)
            })?;
        }
        Ok(Box::new(move |ops: u64| {
            Batch::timed(|| {
                let laps = ops / hops;
                for lap in 0..laps {
                    write_byte(&driver.writer, bucket(lap))?;
                    match read_byte(&driver.reader)? {
                        Received::Byte(byte) => verify(lap, byte)?,
                        _ => return Err(Failure::Corrupted("the brigade broke off".into())),
                    }
                }
                Ok(laps * hops)
            })
        }))
    }
}

/// Passes every byte on until the task before has closed its end.
fn pass_on(place: &Place<std::os::fd::OwnedFd>) -> Result<(), Failure> {
    while let Received::Byte(byte) = read_byte(&place.reader)? {
        write_byte(&place.writer, byte)?;
    }
    Ok(())
}
