//! A future in a box, polled once and dropped: the least that an async task can cost.
//!
//! Timed: one allocation, one virtual call, one release. No runtime takes part. Distortions: the allocator gives back
//! the block it has just been given; a real future is larger, and its first poll leads somewhere.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::{ALIVE, laps, tasks_per_lap};
use crate::mechanism::{
    Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "creation/boxed_future",
    isolates: "a future allocated, polled once and dropped, without a runtime",
    unit: Unit::Task,
    tasks: Tasks::OneThread,
    parameters: &[ALIVE],
    baseline: "creation/tokio_task",
    requirements: &[],
    source: "doc.rust-lang.org/std/future/trait.Future.html",
    lap: tasks_per_lap,
    resources: |_| Resources { descriptors: 0, threads: 1, processes: 0 },
    expects: |_, _| Expectation::nothing(),
};

struct BoxedFuture;

register!(BoxedFuture);

impl Mechanism for BoxedFuture {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let alive = parameters.size(ALIVE.name);
        let mut futures: Vec<Pin<Box<dyn Future<Output = usize>>>> = Vec::with_capacity(alive);
        Ok(Box::new(move |ops: u64| {
            laps(&mut None, ops, |_| {
                for task in 0..alive {
                    // Opaque to the compiler, which may otherwise leave the allocation out.
                    futures.push(black_box(Box::pin(async move { black_box(task) })));
                }
                let mut context = Context::from_waker(Waker::noop());
                let mut done = 0;
                for (task, mut future) in futures.drain(..).enumerate() {
                    if future.as_mut().poll(&mut context) == Poll::Ready(task) {
                        done += 1;
                    }
                }
                Ok(done)
            })
        }))
    }
}
