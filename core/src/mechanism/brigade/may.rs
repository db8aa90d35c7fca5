//! A stackful coroutine per task of the brigade, on may's scheduler: code that looks like blocking threads, switched in
//! user space.
//!
//! Timed: per hop the read that finds nothing, the switch to the worker's loop, its epoll_wait, the switch to the next
//! coroutine, its read and its write. The driver is a coroutine as well and takes both timestamps itself. Not timed:
//! starting the scheduler, spawning the coroutines, waking the thread that waits for the batch.
//! Distortions: may has one scheduler for the whole process, whose workers and timer thread are created once and never
//! end. Each instance moves the workers to its placement, reads their masks back and names them; between instances they
//! are called `may`. Counters that belong to one instance cannot reach them, so there are no counted samples. How many
//! workers there are is settled by the first instance of a process.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};

use may::coroutine::JoinHandle;
use may::io::CoIo;

use super::blocking::{Port, drive, pass_on};
use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, TaskLoad, WORK, hops_of_all_tokens, one_token};
use super::{RingEnds, TASKS, TRANSPORT, channels_for, descriptors, places};
use crate::mechanism::scheduler::{self, SchedulerGuard, WORKERS, await_ends};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit,
    Unsupported, register,
};
use crate::sys::coroutine;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/may",
    isolates: "stackful coroutines over an epoll loop: switching stacks in user space instead of polling futures",
    unit: Unit::Hop,
    tasks: Tasks::Several,
    parameters: &[TASKS, TRANSPORT, WORKERS, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH],
    baseline: "brigade/tokio_current_thread",
    requirements: &[],
    source: "docs.rs/may",
    lap: hops_of_all_tokens,
    resources: |parameters| Resources {
        descriptors: descriptors(parameters) + 16,
        threads: 2 + parameters.number(WORKERS.name),
        processes: 0,
    },
    expects: |parameters, _| {
        // A batch is a coroutine itself, which the driver waits for.
        let once = Expectation::nothing().per_batch(Expectation::OTHER_CALLS, 4.0).per_batch("write", 1.0);
        let write = once.call("write", Bound::Exactly(1.0));
        if parameters.number(WORKERS.name) == 1 && one_token(parameters) {
            // may waits for edges and reads before it waits: the first read finds nothing.
            write.call("read", Bound::Exactly(2.0)).call("epoll_wait", Bound::Between(1.0, 1.1))
        } else {
            // Tokens that wait already are read at once. Workers steal coroutines and wake each other by an eventfd.
            write
                .call("read", Bound::AtMost(4.0))
                .call("epoll_wait", Bound::Depends)
                .others(Bound::AtMost(2.0))
                .voluntary(Bound::Depends)
                .wakeups(Bound::Depends)
        }
    },
};

struct May;

register!(May);

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::library("may", error)
}

impl Mechanism for May {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn tasks(&self, parameters: &Parameters) -> Tasks {
        scheduler::tasks(parameters)
    }

    fn inherits_counters(&self) -> bool {
        false
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        Load::of(parameters).map(drop)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let load = Load::of(parameters)?;
        let hold = SchedulerGuard::acquire(parameters.size(WORKERS.name), crew)?;
        let mut ports = ports(parameters, &load)?;
        let driver = Some((ports.remove(0), load.task_load()));
        let mut brigade = Brigade { driver, coroutines: Vec::new(), load, _hold: hold };
        for mut port in ports {
            let mut task_load = load.task_load();
            brigade.coroutines.push(coroutine::run(move || pass_on(&mut port, &mut task_load)));
        }
        Ok(Box::new(brigade))
    }
}

struct Brigade {
    driver: Option<(MayPort, TaskLoad)>,
    coroutines: Vec<JoinHandle<Result<(), Failure>>>,
    load: Load,
    _hold: SchedulerGuard,
}

impl Operation for Brigade {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let (mut port, mut task_load) = self.driver.take().ok_or_else(|| failed("the driver's coroutine is lost"))?;
        let load = self.load;
        let leading = coroutine::run(move || {
            let batch = Batch::timed(|| drive(&mut port, &mut task_load, &load, ops));
            (batch, port, task_load)
        });
        let (batch, port, task_load) = leading.join().map_err(|_| failed("the driver's coroutine panicked"))?;
        self.driver = Some((port, task_load));
        batch
    }
}

impl Drop for Brigade {
    fn drop(&mut self) {
        // Every coroutine ends when the one before has.
        drop(self.driver.take());
        await_ends(&self.coroutines);
    }
}

struct MayPort {
    place: RingEnds<CoIo<File>>,
    token: Box<[u8]>,
}

fn ports(parameters: &Parameters, load: &Load) -> Result<Vec<MayPort>, Failure> {
    let mut readers = Vec::new();
    let mut writers = Vec::new();
    for channel in channels_for(parameters, load, true)? {
        readers.push(CoIo::new(File::from(channel.reader)).map_err(failed)?);
        writers.push(CoIo::new(File::from(channel.writer)).map_err(failed)?);
    }
    let port = |place| MayPort { place, token: vec![0; load.payload].into_boxed_slice() };
    Ok(places(readers, writers).into_iter().map(port).collect())
}

impl Port for MayPort {
    fn receive(&mut self) -> Result<Option<u8>, Failure> {
        match self.place.reader.read_exact(&mut self.token) {
            Ok(()) => Ok(Some(self.token[0])),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn send(&mut self, byte: u8) -> Result<(), Failure> {
        if self.token[0] != byte {
            self.token.fill(byte);
        }
        self.place.writer.write_all(&self.token).map_err(failed)
    }
}
