//! A message wakes a worker, in an open loop: the latency that a service adds to each request before it does anything.
//!
//! The driver sends each request at a time fixed before the batch (independent arrivals, [`Arrivals`]) by a futex that
//! the worker sleeps on; the worker takes whatever was sent, in order. Timed: from the time at which the request was
//! meant to be sent to the end of its service; the figure is the mean of that. Among the findings are the distributions
//! of this response time, of the wakeup (sent until taken) and of the service alone, and how well the driver kept its
//! schedule. Not timed: the gaps.
//! Distortions: the driver is a task of this machine too. Beside another CPU it looks on for the last 150 µs before a
//! request; on the worker's CPU it sleeps, with a slack of 1 ns, and its own lateness is in the response time and shown
//! as schedule slip. With `load = busy` its CPU has no neighbour where seats differ. `stall_ms` stops the worker once in
//! every thousand requests, to show that an open loop does not leave out those that had to wait:
//! `--set stall_ms=100 --set period_us=1000 --sample-size 10`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::LOAD;
use crate::mechanism::labour::{Labour, Pace};
use crate::mechanism::neighbour::{self, Neighbours, Where};
use crate::mechanism::open_loop::{self, Arrivals, Book, Ledger, Monotonic, requests_in_20_ms, send_all};
use crate::mechanism::{
    Batch, Bound, Crew, Demand, Descriptor, Domain, Expectation, Failure, Finding, Mechanism, Operation, Parameter,
    Parameters, Tasks, Unit, register,
};
use crate::sys::futex::{Scope, wait, wake};
use crate::sys::timer::{monotonic, set_slack, sleep_until};
use crate::units::{Nanos, Ops};

const PERIOD: Parameter = Parameter {
    name: "period_us",
    meaning: "time between two requests on average, in microseconds; they arrive independently of each other",
    domain: Domain::Number { default: 200, min: 20, max: 1_000_000 },
};

const SERVICE: Parameter = Parameter {
    name: "service_us",
    meaning: "work of the program per request, in microseconds on a CPU of one's own",
    domain: Domain::Number { default: 0, min: 0, max: 1_000_000 },
};

const STALL: Parameter = Parameter {
    name: "stall_ms",
    meaning: "how long the worker stands still once in every thousand requests, in milliseconds",
    domain: Domain::Number { default: 0, min: 0, max: 10_000 },
};

/// Requests from one stall to the next.
const STALL_EVERY: u32 = 1000;

/// How long before a request the driver stops sleeping, where there is a CPU for it beside the worker's: beyond what a
/// wakeup takes on a virtual machine, or that would be in the response times.
const AWAKE: Nanos = Nanos(150_000);

static DESCRIPTOR: Descriptor = Descriptor {
    id: "wakeup/request",
    isolates: "a message to a sleeping worker, from the time it was meant to be sent: what schbench asks, in an open loop",
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
    demand: |parameters| Demand { descriptors: 0, threads: 2 + neighbour::most(parameters), processes: 0 },
    expects: |parameters, _| {
        let others = if neighbour::wanted(parameters) { Bound::AtMost(0.1) } else { Bound::Exactly(0.0) };
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

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let post = Arc::<Post>::default();
        let book = Book::new();
        let worker = Worker {
            post: Arc::clone(&post),
            book: Arc::clone(&book),
            labour: Pace::measured().labour(Nanos(parameters.number(SERVICE.name) * 1000)),
            stall: Nanos(parameters.number(STALL.name) * 1_000_000),
        };
        // Before whatever can fail: dropped, it tells the worker to end.
        let post = Sender(post);
        crew.spawn(1, move |ready| {
            ready.signal();
            worker.serve()
        })?;
        let neighbours = Neighbours::spawn(parameters, crew, 2, Where::BesideTheOthers)?;
        // After the others, who would inherit it. The worker's waits have no timeout: a slack could only delay the driver.
        set_slack(Nanos(1))?;
        let period = Nanos(parameters.number(PERIOD.name) * 1000);
        let room = crew.seating().cpus().len() > 1;
        let clock = Monotonic { awake: if room { AWAKE } else { Nanos(0) } };
        let (arrivals, ledger) = (Arrivals::every(period), Ledger::new(period));
        Ok(Box::new(Driver { post, book, neighbours, clock, arrivals, ledger, next: 0 }))
    }
}

/// Counts of requests, which go round after 2³².
#[derive(Debug, Default)]
struct Post {
    sent: AtomicU32,
    done: AtomicU32,
    /// The worker wakes the driver when it has done this many.
    due: AtomicU32,
    over: AtomicU32,
}

struct Worker {
    post: Arc<Post>,
    book: Arc<Book>,
    labour: Labour,
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
                wait(&self.post.sent, next, Scope::Private, None)?;
                continue;
            }
            self.answer(next)?;
            next = next.wrapping_add(1);
        }
    }

    fn answer(&self, request: u32) -> Result<(), Failure> {
        self.book.take(request, monotonic());
        self.labour.perform();
        if self.stall.0 > 0 && request % STALL_EVERY == STALL_EVERY / 2 {
            sleep_until(Nanos(monotonic().0 + self.stall.0))?;
        }
        self.book.finish(request, monotonic());
        let done = request.wrapping_add(1);
        self.post.done.store(done, Ordering::Release);
        if done == self.post.due.load(Ordering::Relaxed) {
            wake(&self.post.done, 1, Scope::Private)?;
        }
        Ok(())
    }
}

/// The driver's hold on the post: dropping it ends the worker.
struct Sender(Arc<Post>);

impl Sender {
    fn send(&self, request: u32) -> Result<(), Failure> {
        self.0.sent.store(request.wrapping_add(1), Ordering::Release);
        wake(&self.0.sent, 1, Scope::Private)?;
        Ok(())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.over.store(1, Ordering::Relaxed);
        // The word must differ from what the worker waits on; it looks for the end before it serves anything.
        self.0.sent.fetch_add(1, Ordering::Release);
        // Waking a word nobody waits on is harmless, and there is nobody to tell of a failure.
        let _ = wake(&self.0.sent, 1, Scope::Private);
    }
}

struct Driver {
    post: Sender,
    book: Arc<Book>,
    neighbours: Neighbours,
    clock: Monotonic,
    arrivals: Arrivals,
    ledger: Ledger,
    next: u32,
}

impl Driver {
    /// Sends `count` requests and waits for the last to be done; returns the sum of their response times.
    fn request(&mut self, count: u64) -> Result<Nanos, Failure> {
        let (post, first) = (&self.post.0, self.next);
        let due = first.wrapping_add(count as u32);
        // Ordered before the worker's look at it by the first sending.
        post.due.store(due, Ordering::Relaxed);
        let arrivals = self.arrivals.next(count);
        // Not before they are drawn: that takes as long as several gaps.
        let start = monotonic();
        send_all(&self.clock, &self.book, first, (start, &arrivals), |request| self.post.send(request))?;
        loop {
            let done = post.done.load(Ordering::Acquire);
            if done == due {
                break;
            }
            wait(&post.done, done, Scope::Private, None)?;
        }
        self.next = due;
        Ok(self.ledger.enter(&self.book, first, count))
    }
}

impl Operation for Driver {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        // Out of the way of the borrow, and back.
        let neighbours = std::mem::take(&mut self.neighbours);
        let batch = neighbours.beside(|| {
            let (mut left, mut sum) = (ops, 0);
            while left > 0 {
                let count = left.min(open_loop::MOST);
                sum += self.request(count)?.0;
                left -= count;
            }
            Ok(Batch { ops: Ops(ops), elapsed: Nanos(sum) })
        });
        self.neighbours = neighbours;
        batch
    }

    fn findings(&mut self) -> Result<Vec<Finding>, Failure> {
        Ok(self.ledger.findings("wakeup"))
    }
}
