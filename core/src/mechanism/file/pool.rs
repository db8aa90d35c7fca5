//! pread(2) by a pool of threads, as libuv and most event loops do it: the task that needs the block does not wait in a
//! call.
//!
//! Timed: locking the queue, waking a worker, the worker's call and the disk, waking the driver. Not timed: making the
//! file, starting the workers, dropping pages.
//! Distortions: as for the group. The queue is one lock and two condition variables; a queue without a lock would save
//! some of the futex calls.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::inline::by_pread;
use super::reading::{FileReading, ReadMethod, Wave};
use super::source::{self, BlockSource};
use super::{BLOCK, CACHE, DEPTH, IO, ON_DISK, SIZE, a_wave};
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Resources,
    Tasks, Unit, Unsupported, register,
};
use crate::sys::SysError;
use crate::sys::blocks::Blocks;

const WORKERS: Parameter = Parameter {
    name: "workers",
    meaning: "threads of the pool; 0 is one for each CPU of the placement",
    domain: Domain::Number { default: 4, min: 0, max: 1024 },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "file/pool",
    isolates: "a blocking read handed to a pool of threads: two wakeups instead of a blocked caller",
    unit: Unit::Read,
    tasks: Tasks::Several,
    parameters: &[CACHE, IO, BLOCK, DEPTH, SIZE, WORKERS],
    baseline: "file/inline",
    requirements: &[ON_DISK],
    source: "pread(2); docs.libuv.org, \"Thread pool work scheduling\"",
    lap: a_wave,
    resources: |parameters| Resources { descriptors: 8, threads: 1 + parameters.number(WORKERS.name), processes: 0 },
    expects: |parameters, _| {
        by_pread(parameters, Expectation::nothing())
            .call("futex:wait", Bound::AtMost(6.0))
            .call("futex:wake", Bound::AtMost(6.0))
            .voluntary(Bound::AtMost(8.0))
            .wakeups(Bound::AtMost(8.0))
    },
};

/// The number follows the placement where it is 0.
fn workers_per_cpu(parameters: &Parameters) -> u64 {
    u64::from(parameters.number(WORKERS.name) == 0)
}

struct Pool;

register!(Pool);

impl Mechanism for Pool {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn threads_per_cpu(&self, parameters: &Parameters) -> u64 {
        workers_per_cpu(parameters)
    }

    fn probe(&self) -> Result<(), Unsupported> {
        source::probe()
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let depth = parameters.size(DEPTH.name);
        let source = BlockSource::open(parameters, depth)?;
        let desk = Arc::new(JobQueue {
            file: source.descriptor(),
            blocks: Blocks::new(source.block(), depth),
            queue: Mutex::new(QueueState { waiting: VecDeque::with_capacity(depth), ..QueueState::default() }),
            jobs: Condvar::new(),
            done: Condvar::new(),
        });
        // Its drop ends the workers, also when the next one cannot be spawned.
        let method = Dispatcher(Arc::clone(&desk));
        let workers = match parameters.size(WORKERS.name) {
            0 => crew.assignment().cpus().len(),
            workers => workers,
        };
        for worker in 1..=workers {
            let desk = Arc::clone(&desk);
            crew.spawn(worker, move |ready| {
                ready.signal();
                desk.serve();
                Ok(())
            })?;
        }
        Ok(FileReading::operation(source, depth, method))
    }
}

/// What the driver and the workers share.
struct JobQueue {
    file: Arc<OwnedFd>,
    blocks: Blocks,
    queue: Mutex<QueueState>,
    /// There is a read to do, or the end has come.
    jobs: Condvar,
    /// The last read of a wave is done.
    done: Condvar,
}

#[derive(Default)]
struct QueueState {
    /// Buffer and offset.
    waiting: VecDeque<(usize, u64)>,
    /// Reads of this wave that are not done.
    left: usize,
    failure: Option<SysError>,
    over: bool,
}

impl JobQueue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's life.
    fn serve(&self) {
        let mut queue = self.lock();
        loop {
            if let Some((number, offset)) = queue.waiting.pop_front() {
                drop(queue);
                let read = self.blocks.read(&self.file, number, offset);
                queue = self.lock();
                queue.left -= 1;
                queue.failure = queue.failure.take().or(read.err());
                if queue.left == 0 {
                    self.done.notify_one();
                }
            } else if queue.over {
                return;
            } else {
                queue = self.jobs.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn submit(&self, offsets: &[u64]) {
        let mut queue = self.lock();
        queue.left = offsets.len();
        queue.waiting.extend(offsets.iter().copied().enumerate());
        drop(queue);
        offsets.iter().for_each(|_| self.jobs.notify_one());
    }

    fn await_all(&self) -> Result<(), Failure> {
        let mut queue = self.lock();
        while queue.left > 0 {
            queue = self.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.failure.take().map_or(Ok(()), |error| Err(error.into()))
    }
}

/// The driver's hold: dropping it ends the workers.
struct Dispatcher(Arc<JobQueue>);

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.jobs.notify_all();
    }
}

impl ReadMethod for Dispatcher {
    #[inline]
    fn read(&mut self, offsets: &[u64], begun: Instant, _: &mut Vec<Duration>) -> Result<Wave, Failure> {
        let submit = |desk: &mut Arc<JobQueue>| {
            desk.submit(offsets);
            Ok(())
        };
        Wave::in_two_steps(begun, &mut self.0, submit, |desk| desk.await_all())
    }

    fn first_word(&self, number: usize) -> u64 {
        self.0.blocks.first_word(number)
    }
}
