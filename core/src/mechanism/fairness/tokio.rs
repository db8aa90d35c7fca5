//! Async tasks on one thread of tokio's: fair among tasks that come back to the runtime, and among no others.
//!
//! Timed: as for `event_loop`. The I/O client has a task, and every job is spawned as one of its own. With `yielding =
//! no` a job keeps the thread until it is done; with `yes` it gives way to the other tasks after every 100 µs of work
//! (`tokio::task::yield_now`). Not timed: building the runtime.
//! Distortions: the runtime looks for new input between the tasks that yield, so a request waits for the slices of all
//! jobs that are under way. Its reads find nothing now and then: it reads on until it is told so.

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Builder;
use tokio::task::yield_now;

use super::{
    ClientPipes, MESSAGE, PERIOD, QueueLayout, SHARE, Service, WORK, lap, messages, number, resources, set_up,
};
use crate::crew::CpuWork;
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Failure, Mechanism, Operation, Parameter, Parameters, Tasks, Unit, register,
};

const YIELDING: Parameter = Parameter {
    name: "yielding",
    meaning: "whether a job yields to other tasks after every 100 µs of its work",
    domain: Domain::Word { words: &["no", YES] },
};
const YES: &str = "yes";

/// Work between two yields, in microseconds.
const SLICE_US: u64 = 100;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "fairness/tokio",
    isolates: "I/O on tokio beside tasks that compute: how long the runtime is kept from it, with and without yielding",
    unit: Unit::Request,
    tasks: Tasks::Simultaneous,
    parameters: &[PERIOD, SHARE, WORK, YIELDING],
    baseline: "fairness/thread_per_task",
    requirements: &[],
    source: "docs.rs/tokio, task::yield_now; task::coop, \"Cooperative scheduling\"",
    lap,
    resources: |_| resources(1),
    // It looks for input after every yield, and every so many polls.
    expects: |parameters, _| messages(parameters, 0.0, 2.0).call("epoll_wait", Bound::Depends),
};

struct Tokio;

register!(Tokio);

impl Mechanism for Tokio {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let slices = match parameters.word(YIELDING.name) {
            YES => parameters.number(WORK.name).div_ceil(SLICE_US),
            _ => 1,
        };
        set_up(parameters, crew, QueueLayout::OnePerClient, |crew, clients| {
            let slice = clients.service.work.part(slices);
            crew.spawn(number(crew.assignment(), 0), move |ready| {
                let runtime = Builder::new_current_thread().enable_io().build().map_err(failed)?;
                ready.signal();
                runtime.block_on(serve(clients, slice, slices))
            })
        })
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::library("tokio", error)
}

async fn serve(clients: ClientPipes, slice: CpuWork, slices: u64) -> Result<(), Failure> {
    let ClientPipes { io, jobs, service } = clients;
    let mut jobs = Receiver::from_owned_fd(jobs).map_err(failed)?;
    let io = tokio::spawn(serve_io(Receiver::from_owned_fd(io).map_err(failed)?, service.clone()));
    while receive(&mut jobs).await?.is_some() {
        tokio::spawn(compute(service.clone(), slice, slices));
    }
    io.await.map_err(failed)?
}

async fn serve_io(mut io: Receiver, service: Service) -> Result<(), Failure> {
    while let Some(request) = receive(&mut io).await? {
        service.serve_io(request)?;
    }
    Ok(())
}

/// An answer that cannot be given is missed by the generator, whose watchdog says so.
async fn compute(service: Service, slice: CpuWork, slices: u64) -> Result<(), Failure> {
    slice.perform();
    for _ in 1..slices {
        yield_now().await;
        slice.perform();
    }
    service.answer()
}

async fn receive(from: &mut Receiver) -> Result<Option<u32>, Failure> {
    let mut message = [0; MESSAGE];
    match from.read(&mut message).await.map_err(failed)? {
        0 => Ok(None),
        MESSAGE => Ok(Some(u32::from_ne_bytes(message))),
        bytes => Err(Failure::Corrupted(format!("a message of {bytes} bytes"))),
    }
}
