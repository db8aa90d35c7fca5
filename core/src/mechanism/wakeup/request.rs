//! A message wakes a worker, in an open loop: the latency that a service adds to each request before it does anything.
//!
//! The driver sends each request at a time fixed before the batch (independent arrivals, [`Arrivals`]) by a futex that
//! the worker sleeps on; the worker takes whatever was sent, in order. Timed: from the time at which the request was
//! meant to be sent to the end of its service; the figure is the mean of that. Among the metrics are the distributions
//! of this response time, of the wakeup (sent until taken) and of the service alone, and how well the driver kept its
//! schedule. Not timed: the gaps.
//! Distortions: the driver is a task of this machine too. Beside another CPU it looks on for the last 150 µs before a
//! request; on the worker's CPU it sleeps, with a slack of 1 ns, and its own lateness is in the response time and shown
//! as schedule slip. With `load = busy` its CPU is not loaded where CPU masks differ. `stall_ms` stops the worker
//! once in every thousand requests, to show that an open loop does not leave out those that had to wait:
//! `--set stall_ms=100 --set period_us=1000 --sample-size 10`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::LOAD;
use crate::crew::{Calibration, CpuWork};
use crate::mechanism::background_load::{self, BackgroundLoad, LoadedCpus};
use crate::mechanism::open_loop::{self, Arrivals, Monotonic, RequestLog, RequestTotals, requests_in_20_ms, send_all};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Metric, MetricKey, Operation, Parameter,
    Parameters, Resources, Tasks, Unit, register,
};
use crate::sys::futex::{FutexScope, wait, wake};
use crate::sys::timer::{monotonic, set_slack, sleep_until};
use crate::units::{Amount, Nanos, Ops};

const PERIOD: Parameter = Parameter {
    name: "period_us",
    meaning: "time between two requests on average, in microseconds; they arrive independently of each other",
    domain: Domain::Number { default: 200, min: 20, max: 1_000_000 },
};

const SERVICE: Parameter = Parameter {
    name: "service_us",
    meaning: "work of the program per request, in microseconds on an otherwise idle CPU",
    domain: Domain::Number { default: 0, min: 0, max: 1_000_000 },
};

const STALL: Parameter = Parameter {
    name: "stall_ms",
    meaning: "how long the worker stalls once in every thousand requests, in milliseconds",
    domain: Domain::Number { default: 0, min: 0, max: 10_000 },
};

/// Requests from one stall to the next.
const STALL_EVERY: u32 = 1000;

/// How long before a request the driver stops sleeping, where there is a CPU for it beside the worker's: beyond what a
/// wakeup takes on a virtual machine, or that would be in the response times.
const AWAKE: Nanos = Nanos(150_000);

static DESCRIPTOR: Descriptor = Descriptor {
    id: "wakeup/request",
    isolates: "a message to a sleeping worker, from its intended send time on: schbench's question, in an open loop",
    unit: Unit::Request,
    tasks: Tasks::Several,
    parameters: &[PERIOD, SERVICE, STALL, LOAD],
    baseline: "wakeup/request",
    requirements: &[],
    source: "C. Mason, schbench; G. Tene, wrk2, \"Coordinated Omission\"; futex(2)",
    lap: |parameters| match parameters.number(STALL.name) {
        0 => requests_in_20_ms(parameters.number(PERIOD.name)),
        _ => STALL_EVERY.into(),
    },
    resources: |_| Resources { descriptors: 0, threads: 2, processes: 0 },
    expects: |parameters, _| {
        let others = if background_load::wanted(parameters) { Bound::AtMost(0.1) } else { Bound::Exactly(0.0) };
        // The worker's stall is a sleep too, one in a thousand.
        Expectation::nothing()
            .call("futex:wake", Bound::Between(1.0, 1.1))
            // The worker that finds several requests sleeps once for all of them; one that is woken in vain, again.
            .call("futex:wait", Bound::AtMost(1.1))
            .call("clock_nanosleep", Bound::AtMost(1.0))
            .others(others)
            .voluntary(Bound::AtMost(2.0))
            .wakeups(Bound::AtMost(2.0))
    },
};

struct Request;

register!(Request);

impl Mechanism for Request {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn threads_per_cpu(&self, parameters: &Parameters) -> u64 {
        background_load::for_each_cpu(parameters)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let post = Arc::<RequestCounters>::default();
        let log = RequestLog::new();
        let worker = Worker {
            post: Arc::clone(&post),
            log: Arc::clone(&log),
            work: Calibration::measured().work(Nanos(parameters.number(SERVICE.name) * 1000)),
            stall: Nanos(parameters.number(STALL.name) * 1_000_000),
        };
        // Before whatever can fail: dropped, it tells the worker to end.
        let post = RequestSender(post);
        crew.spawn(1, move |ready| {
            ready.signal();
            worker.serve()
        })?;
        let background = BackgroundLoad::spawn(parameters, crew, 2, LoadedCpus::BesideTheOthers)?;
        // After the others, who would inherit it. The worker's waits have no timeout: a slack could only delay the
        // driver.
        set_slack(Nanos(1))?;
        let period = Nanos(parameters.number(PERIOD.name) * 1000);
        let room = crew.assignment().cpus().len() > 1;
        let clock = Monotonic { awake: if room { AWAKE } else { Nanos(0) } };
        let (arrivals, totals) = (Arrivals::every(period), RequestTotals::new(period));
        Ok(Box::new(Requester { post, log, background, clock, arrivals, totals, next: 0 }))
    }
}

/// Counts of requests, which go round after 2³².
#[derive(Debug, Default)]
struct RequestCounters {
    sent: AtomicU32,
    done: AtomicU32,
    /// The worker wakes the driver when it has done this many.
    due: AtomicU32,
    over: AtomicU32,
}

struct Worker {
    post: Arc<RequestCounters>,
    log: Arc<RequestLog>,
    work: CpuWork,
    stall: Nanos,
}

impl Worker {
    fn serve(&self) -> Result<(), Failure> {
        let mut next: u32 = 0;
        loop {
            // Acquire pairs with the driver's Release: what it has noted of these requests is seen.
            let sent = self.post.sent.load(Ordering::Acquire);
            if self.post.over.load(Ordering::Relaxed) != 0 {
                return Ok(());
            }
            if sent == next {
                wait(&self.post.sent, next, FutexScope::Private, None)?;
                continue;
            }
            self.answer(next)?;
            next = next.wrapping_add(1);
        }
    }

    fn answer(&self, request: u32) -> Result<(), Failure> {
        self.log.begin(request, monotonic());
        self.work.perform();
        if self.stall.0 > 0 && request % STALL_EVERY == STALL_EVERY / 2 {
            sleep_until(Nanos(monotonic().0 + self.stall.0))?;
        }
        self.log.finish(request, monotonic());
        let done = request.wrapping_add(1);
        self.post.done.store(done, Ordering::Release);
        if done == self.post.due.load(Ordering::Relaxed) {
            wake(&self.post.done, 1, FutexScope::Private)?;
        }
        Ok(())
    }
}

/// The driver's hold on the post: dropping it ends the worker.
struct RequestSender(Arc<RequestCounters>);

impl RequestSender {
    fn send(&self, request: u32) -> Result<(), Failure> {
        self.0.sent.store(request.wrapping_add(1), Ordering::Release);
        wake(&self.0.sent, 1, FutexScope::Private)?;
        Ok(())
    }
}

impl Drop for RequestSender {
    fn drop(&mut self) {
        self.0.over.store(1, Ordering::Relaxed);
        // The word must differ from what the worker waits on; it looks for the end before it serves anything.
        self.0.sent.fetch_add(1, Ordering::Release);
        // A wake without a waiter is harmless, and a drop cannot report a failure.
        let _ = wake(&self.0.sent, 1, FutexScope::Private);
    }
}

struct Requester {
    post: RequestSender,
    log: Arc<RequestLog>,
    background: BackgroundLoad,
    clock: Monotonic,
    arrivals: Arrivals,
    totals: RequestTotals,
    next: u32,
}

impl Requester {
    /// Sends `count` requests and waits for the last to be done; returns the sum of their response times.
    fn request(&mut self, count: u64) -> Result<Nanos, Failure> {
        let (post, first) = (&self.post.0, self.next);
        let due = first.wrapping_add(count as u32);
        // Ordered before the worker's look at it by the first sending.
        post.due.store(due, Ordering::Relaxed);
        let arrivals = self.arrivals.next(count);
        // Not before they are drawn: that takes as long as several gaps.
        let start = monotonic();
        send_all(&self.clock, &self.log, first, (start, &arrivals), |request| self.post.send(request))?;
        loop {
            let done = post.done.load(Ordering::Acquire);
            if done == due {
                break;
            }
            wait(&post.done, done, FutexScope::Private, None)?;
        }
        self.next = due;
        Ok(self.totals.enter(&self.log, first, count))
    }
}

impl Operation for Requester {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        // Out of the way of the borrow, and back.
        let background = std::mem::take(&mut self.background);
        let batch = background.beside(|| {
            let (mut left, mut sum) = (ops, 0);
            while left > 0 {
                let count = left.min(open_loop::MOST);
                sum += self.request(count)?.0;
                left -= count;
            }
            Ok(Batch { ops: Ops(ops), amount: Amount(sum) })
        });
        self.background = background;
        batch
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        Ok(self.totals.metrics(MetricKey::Wakeup))
    }
}
