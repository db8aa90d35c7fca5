//! A tokio task per task of the brigade, all on one thread: async as most people meet it.
//!
//! Timed: per hop one epoll_wait by the runtime, the wakeup and the poll of a task, one read, one write. The driver
//! is the future that the runtime blocks on, on the same thread. Not timed: building the runtime, spawning the tasks.
//! Distortions: as in `brigade/mio`, one event is found per wait.
//!
//! The buffer is larger than the byte, as in any real program: tokio takes a short read as proof that the channel is
//! empty and spares the second read that would answer EAGAIN (docs.rs/tokio, `AsyncFd`, readiness after partial reads).

use super::{TASKS, TRANSPORT, demand_of_one_thread, hops_per_lap};
use crate::mechanism::{Bound, Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};

use super::tokio_tasks::{drive, members, one_byte_each_way, pass_on};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/tokio_current_thread",
    isolates: "async tasks on tokio's single-threaded runtime: what the runtime adds to its epoll loop",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "docs.rs/tokio, runtime, \"Current-thread runtime\"",
    lap: hops_per_lap,
    demand: demand_of_one_thread,
    // The scheduler also looks at the driver every 61 polls (runtime::Builder::event_interval).
    expects: |parameters, _| one_byte_each_way(parameters).call("epoll_wait", Bound::Between(1.0, 1.1)),
};

struct TokioCurrentThread;

register!(TokioCurrentThread);

impl Mechanism for TokioCurrentThread {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|error| Failure::library("tokio", error))?;
        let mut places = members(&runtime, parameters)?;
        let mut driver = places.remove(0);
        for place in places {
            runtime.spawn(pass_on(place));
        }
        let tasks = hops_per_lap(parameters);
        Ok(Box::new(move |ops: u64| runtime.block_on(drive(&mut driver, tasks, ops))))
    }
}
