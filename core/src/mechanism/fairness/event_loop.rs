//! A single-threaded event loop that computes where it stands: what a program gets that does CPU-bound work in its
//! loop.
//!
//! Timed: from the time at which an I/O request was meant to be sent until its answer is handed to the kernel, so the
//! rest of a job that is under way, and whatever else waits before it. Not timed: the jobs' own latency.
//! Distortions: one message of each pipe is served per turn of the loop, so no more than one job stands between a
//! request and its answer as long as the loop keeps up.

use super::poller::Poller;
use super::{PERIOD, QueueLayout, SHARE, WORK, at_most_one_wait_each, lap, messages, number, resources, set_up};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "fairness/event_loop",
    isolates: "I/O on an event loop that computes inline: a request that arrives during a job waits for its end",
    unit: Unit::Request,
    tasks: Tasks::Simultaneous,
    parameters: &[PERIOD, SHARE, WORK],
    baseline: "fairness/thread_per_task",
    requirements: &[],
    source: "epoll(7); Pai, Druschel and Zwaenepoel, \"Flash\", USENIX ATC 1999",
    lap,
    resources: |_| resources(1),
    expects: |parameters, _| messages(parameters, 0.0, 0.0).call("epoll_wait", at_most_one_wait_each(parameters)),
};

struct EventLoop;

register!(EventLoop);

impl Mechanism for EventLoop {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up(parameters, crew, QueueLayout::OnePerClient, |crew, clients| {
            let poller = Poller::new(clients)?;
            crew.spawn(number(crew.assignment(), 0), move |ready| {
                ready.signal();
                poller.serve(|service, _| service.serve_job())
            })
        })
    }
}
