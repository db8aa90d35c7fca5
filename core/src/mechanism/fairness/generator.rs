//! The driver of the group: both clients in one task.

use std::cell::RefCell;
use std::iter::Peekable;
use std::os::fd::OwnedFd;
use std::slice::Iter;

use nix::errno::Errno;

use super::{JOB, Service, send};
use crate::mechanism::open_loop::{Arrivals, MOST, Monotonic, RequestTotals, SendClock, send_all};
use crate::mechanism::{Batch, Failure, Metric, MetricKey, Operation};
use crate::sys::SysError;
use crate::sys::timer::monotonic;
use crate::units::{Amount, Nanos, Ops};

/// The clients' ends of their pipes.
pub(super) struct Writers {
    pub(super) io: OwnedFd,
    pub(super) jobs: OwnedFd,
}

/// When what is sent.
pub(super) struct SendSchedule {
    pub(super) arrivals: Arrivals,
    pub(super) period: Nanos,
    pub(super) jobs_per_request: f64,
}

pub(super) struct Generator {
    writers: Writers,
    service: Service,
    clock: Monotonic,
    plan: SendSchedule,
    totals: RequestTotals,
    next: u32,
    /// The part of a job that the batches so far have not sent.
    owed: f64,
}

/// The clock of the I/O client, who sends jobs while it waits: what is sent next is whatever comes first.
struct JobClock<'a> {
    clock: Monotonic,
    start: Nanos,
    to: &'a OwnedFd,
    left: RefCell<Peekable<Iter<'a, Nanos>>>,
}

impl JobClock<'_> {
    fn send_until(&self, moment: Nanos) -> Result<(), Failure> {
        let mut left = self.left.borrow_mut();
        while let Some(job) = left.next_if(|job| self.start.0 + job.0 <= moment.0) {
            self.clock.wait_until(Nanos(self.start.0 + job.0))?;
            send(self.to, JOB)?;
        }
        Ok(())
    }
}

impl SendClock for JobClock<'_> {
    fn now(&self) -> Nanos {
        self.clock.now()
    }

    fn wait_until(&self, moment: Nanos) -> Result<(), Failure> {
        self.send_until(moment)?;
        self.clock.wait_until(moment)
    }
}

impl Generator {
    pub(super) fn new(writers: Writers, service: Service, clock: Monotonic, plan: SendSchedule) -> Self {
        let totals = RequestTotals::new(plan.period);
        Self { writers, service, clock, plan, totals, next: 0, owed: 0.0 }
    }

    /// Sends `count` requests and their jobs, and waits for all answers; returns the sum of the requests' response
    /// times.
    fn request(&mut self, count: u64) -> Result<Nanos, Failure> {
        let first = self.next;
        self.next = first.wrapping_add(count as u32);
        let jobs = self.jobs_due(count);
        // Evenly, in the middle of its part of the batch each.
        let spacing = count as f64 * self.plan.period.0 as f64 / jobs.max(1) as f64;
        let jobs_at: Vec<Nanos> = (0..jobs).map(|job| Nanos(((job as f64 + 0.5) * spacing) as u64)).collect();
        let arrivals = self.plan.arrivals.next(count);
        // Not before they are drawn: that takes as long as several gaps.
        let start = monotonic();
        let left = jobs_at.iter().peekable().into();
        let clock = JobClock { clock: self.clock, start, to: &self.writers.jobs, left };
        let log = &self.service.log;
        send_all(&clock, log, first, (start, &arrivals), |request| send(&self.writers.io, request % MOST as u32))?;
        clock.send_until(Nanos(u64::MAX))?;
        self.await_answers(count + jobs)?;
        Ok(self.totals.enter(log, first, count))
    }

    /// Whole jobs, so that over the batches their share is as asked.
    fn jobs_due(&mut self, requests: u64) -> u64 {
        let due = self.owed + requests as f64 * self.plan.jobs_per_request;
        self.owed = due.fract();
        due as u64
    }

    fn await_answers(&self, mut missing: u64) -> Result<(), Failure> {
        while missing > 0 {
            match self.service.answers.read() {
                Ok(answers) if answers <= missing => missing -= answers,
                Ok(answers) => return Err(Failure::Miscounted { asked: missing, done: answers }),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(SysError::new("read eventfd", errno).into()),
            }
        }
        Ok(())
    }
}

impl Operation for Generator {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let (mut left, mut sum) = (ops, 0);
        while left > 0 {
            let count = left.min(MOST);
            sum += self.request(count)?.0;
            left -= count;
        }
        Ok(Batch { ops: Ops(ops), amount: Amount(sum) })
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        Ok(self.totals.metrics(MetricKey::WaitForService))
    }
}
