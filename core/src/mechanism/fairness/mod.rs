//! Fairness: how long an I/O request waits beside CPU-bound work, on each of the models that programs are built on.
//!
//! A generator, the driver, plays two clients in an open loop. One sends I/O requests, a message that the program
//! answers at once; the other sends jobs of `work_us` of computation, evenly, as often as makes `cpu_share` percent of
//! one CPU's time. Each client has a pipe to the program, which answers both by an eventfd; what happens in between is
//! the model. The operation is the I/O request, and its figure the mean response time: from the time at which the
//! request was meant to be sent until its answer is handed to the kernel. A batch ends when all jobs are done too.
//!
//! The generator has a CPU of its own wherever tasks are pinned, so there is no `same-cpu`: its delays would be counted
//! as the program's. A figure whose generator was the bottleneck all the same says so among its metrics, and is void.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::open_loop::{Arrivals, Monotonic, RequestLog, requests_in_20_ms};
use super::{
    Bound, CpuAssignment, Crew, Domain, Expectation, Failure, Group, Operation, Parameter, Parameters, Resources,
};
use crate::crew::{Calibration, CpuWork};
use crate::sys::SysError;
use crate::sys::channel::{Ends, pipe, read_whole, write_whole};
use crate::sys::timer::{monotonic, set_slack};
use crate::units::{Nanos, Quantity};

mod event_loop;
mod event_loop_spawn_blocking;
mod generator;
mod poller;
mod thread_per_task;
mod thread_pool;
mod tokio;

use generator::{Generator, SendSchedule, Writers};

/// The group `fairness`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "fairness",
    question: "How long does an I/O request wait beside CPU-bound work?",
    measures: Quantity::Nanoseconds,
    queues: true,
};

const PERIOD: Parameter = Parameter {
    name: "period_us",
    meaning: "time between two I/O requests on average, in microseconds; they arrive independently of each other",
    domain: Domain::Number { default: 500, min: 20, max: 1_000_000 },
};

const SHARE: Parameter = Parameter {
    name: "cpu_share",
    meaning: "CPU-bound work asked for, in percent of one CPU's time",
    domain: Domain::Number { default: 50, min: 0, max: 400 },
};

const WORK: Parameter = Parameter {
    name: "work_us",
    meaning: "length of one CPU-bound job, in microseconds on an otherwise idle CPU",
    domain: Domain::Number { default: 1000, min: 10, max: 10_000_000 },
};

const WORKERS: Parameter = Parameter {
    name: "workers",
    meaning: "threads of the pool; 0 is two for each CPU that the program may use",
    domain: Domain::Number { default: 0, min: 0, max: 1024 },
};

/// How long before a request the generator stops sleeping: more than waking an idle CPU of a virtual machine takes.
const AWAKE: Nanos = Nanos(150_000);

/// Whether the clients share a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QueueLayout {
    One,
    OnePerClient,
}

/// What a model is handed: where its requests come from (the same pipe twice where there is one), and how they are
/// served.
struct ClientPipes {
    io: OwnedFd,
    jobs: OwnedFd,
    service: Service,
}

/// How requests are served, wherever that happens.
#[derive(Clone)]
struct Service {
    log: Arc<RequestLog>,
    work: CpuWork,
    answers: Arc<EventFd>,
}

impl Service {
    /// An I/O request: nothing to do but to answer it.
    fn serve_io(&self, request: u32) -> Result<(), Failure> {
        self.log.begin(request, monotonic());
        self.log.finish(request, monotonic());
        self.answer()
    }

    /// A job, from its beginning to its answer.
    fn serve_job(&self) -> Result<(), Failure> {
        self.work.perform();
        self.answer()
    }

    fn answer(&self) -> Result<(), Failure> {
        loop {
            match self.answers.write(1) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(SysError::new("write eventfd", errno).into()),
            }
        }
    }
}

const MESSAGE: usize = size_of::<u32>();

/// The message that asks for a job; all others are numbers of I/O requests, modulo the places of the book.
const JOB: u32 = u32::MAX;

/// The next message of a pipe that is read by blocking; nothing when the client is gone. Several threads may read one
/// pipe: all its writes and reads are of this size, so none gets a part of a message.
fn receive(from: &OwnedFd) -> Result<Option<u32>, Failure> {
    let mut message = [0; MESSAGE];
    Ok(read_whole(from, &mut message)?.then(|| u32::from_ne_bytes(message)))
}

fn send(to: &OwnedFd, message: u32) -> Result<(), Failure> {
    Ok(write_whole(to, &message.to_ne_bytes())?)
}

/// Makes the clients' pipes, lets `model` put its tasks behind them, and returns the generator. Dropping that closes
/// the pipes, by which every task of a model must end.
fn set_up(
    parameters: &Parameters,
    crew: &mut Crew,
    queues: QueueLayout,
    model: impl FnOnce(&mut Crew, ClientPipes) -> Result<(), Failure>,
) -> Result<Box<dyn Operation>, Failure> {
    let io = pipe(false)?;
    let jobs = match queues {
        QueueLayout::OnePerClient => pipe(false)?,
        QueueLayout::One => Ends { reader: copy(&io.reader)?, writer: copy(&io.writer)? },
    };
    let work = Nanos(parameters.number(WORK.name) * 1000);
    let answers = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(|errno| SysError::new("eventfd2", errno))?;
    let service =
        Service { log: RequestLog::new(), work: Calibration::measured().work(work), answers: Arc::new(answers) };
    let period = Nanos(parameters.number(PERIOD.name) * 1000);
    let plan =
        SendSchedule { arrivals: Arrivals::every(period), period, jobs_per_request: jobs_per_request(parameters) };
    // On the only CPU it would take its time from what it measures.
    let awake = if crew.assignment().cpus().len() > 1 { AWAKE } else { Nanos(0) };
    let writers = Writers { io: io.writer, jobs: jobs.writer };
    let generator = Generator::new(writers, service.clone(), Monotonic { awake }, plan);
    model(crew, ClientPipes { io: io.reader, jobs: jobs.reader, service })?;
    // After the model's tasks, who would inherit it.
    set_slack(Nanos(1))?;
    Ok(Box::new(generator))
}

fn copy(end: &OwnedFd) -> Result<OwnedFd, SysError> {
    end.try_clone().map_err(|error| SysError::from_io("fcntl F_DUPFD_CLOEXEC", &error))
}

/// Jobs for each I/O request, so that they take the share that is asked for.
fn jobs_per_request(parameters: &Parameters) -> f64 {
    let of = |parameter: &Parameter| parameters.number(parameter.name) as f64;
    of(&SHARE) / 100.0 * of(&PERIOD) / of(&WORK)
}

/// The CPUs that a model's tasks may use: all but the generator's, where CPU masks differ.
fn cpus(assignment: &CpuAssignment) -> usize {
    let cpus = assignment.cpus().len();
    if assignment.masks() > 1 { (cpus - 1).max(1) } else { cpus }
}

/// The crew's number of a model's task number `task`, from 0: never one with the generator's CPU mask, where CPU
/// masks differ.
fn number(assignment: &CpuAssignment, task: usize) -> usize {
    match assignment.masks() {
        1 => 1 + task,
        masks => 1 + task + task / (masks - 1),
    }
}

fn workers(parameters: &Parameters, crew: &Crew) -> usize {
    match parameters.size(WORKERS.name) {
        0 => 2 * cpus(crew.assignment()),
        workers => workers,
    }
}

/// The number follows the placement where it is 0.
fn workers_per_cpu(parameters: &Parameters) -> u64 {
    if parameters.number(WORKERS.name) == 0 { 2 } else { 0 }
}

fn lap(parameters: &Parameters) -> u64 {
    requests_in_20_ms(parameters.number(PERIOD.name))
}

/// Two pipes, an eventfd, and what an event loop needs.
fn resources(threads: u64) -> Resources {
    Resources { descriptors: 16, threads: 1 + threads, processes: 0 }
}

/// Per I/O request and its share of a job: the generator sleeps at the most, and writes; the program reads and answers,
/// and does so once more for every further pipe on the job's way. The generator also reads the answers, as often as it
/// finds some at the end of a batch. `in_vain` is how many reads find nothing, for each that does.
fn messages(parameters: &Parameters, further: f64, in_vain: f64) -> Expectation {
    let jobs = jobs_per_request(parameters);
    let (reads, writes) = (1.0 + jobs * (1.0 + further), 2.0 * (1.0 + jobs) + jobs * further);
    Expectation::nothing()
        .call("write", Bound::Between(0.98 * writes, 1.02 * writes))
        .call("read", Bound::Between(0.98 * reads, (2.0 + in_vain) * reads))
        .call("clock_nanosleep", Bound::AtMost(1.0 + jobs))
        // The log of a longer batch, and queues that grow with it, make the allocator extend the heap of the thread
        // that holds them (mprotect in malloc's arenas, malloc(3)): some calls in a batch, none for each request.
        .others(Bound::AtMost(0.02))
        .per_batch(Expectation::OTHER_CALLS, 16.0)
        .voluntary(Bound::AtMost(4.0 * (1.0 + jobs)))
        .wakeups(Bound::AtMost(4.0 * (1.0 + jobs)))
}

/// A loop that serves what it finds ready, and sleeps when that is nothing.
fn at_most_one_wait_each(parameters: &Parameters) -> Bound {
    Bound::AtMost(1.0 + jobs_per_request(parameters))
}
