//! A tokio task per task of the brigade, all on one thread: async as most people meet it.
//!
//! Timed: per hop one epoll_wait by the runtime, the wakeup and the poll of a task, one read, one write. The driver
//! is the future that the runtime blocks on, on the same thread. Not timed: building the runtime, spawning the tasks.
//! Distortions: as in `brigade/mio`, one event is found per wait.
//!
//! The buffer is larger than the tokens, as in any real program: tokio takes a short read as proof that the channel is
//! empty and spares the second read that would answer EAGAIN (docs.rs/tokio, `AsyncFd`, readiness after partial reads).

use super::asynchronous::{LeadTask, pass_on};
use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, WORK, hops_of_all_tokens, one_token};
use super::tokio_tasks::{call_names, ports};
use super::{TASKS, TRANSPORT, resources_of_one_thread};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/tokio_current_thread",
    isolates: "async tasks on tokio's single-threaded runtime: what the runtime adds to its epoll loop",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "docs.rs/tokio, runtime, \"Current-thread runtime\"",
    lap: hops_of_all_tokens,
    resources: resources_of_one_thread,
    expects: |parameters, _| {
        let (receive, send) = call_names(parameters);
        let write = Expectation::nothing().call(send, Bound::Exactly(1.0));
        if one_token(parameters) {
            // The scheduler also looks at the driver every 61 polls (runtime::Builder::event_interval).
            write.call("epoll_wait", Bound::Between(1.0, 1.1)).call(receive, Bound::Exactly(1.0))
        } else {
            // Tokens that meet share a wait, and a read.
            write.call("epoll_wait", Bound::AtMost(1.1)).call(receive, Bound::AtMost(1.0))
        }
    },
};

struct TokioCurrentThread;

register!(TokioCurrentThread);

impl Mechanism for TokioCurrentThread {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        Load::of(parameters).map(drop)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|error| Failure::library("tokio", error))?;
        let load = Load::of(parameters)?;
        let mut ports = ports(&runtime, parameters, &load)?;
        let mut driver = LeadTask::new(ports.remove(0), load);
        for port in ports {
            runtime.spawn(pass_on(port, load.task_load()));
        }
        Ok(Box::new(move |ops: u64| runtime.block_on(driver.drive(ops))))
    }
}
