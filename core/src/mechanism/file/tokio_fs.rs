//! tokio's file API: `File::seek` and `File::read_exact`, each of which is handed to the runtime's blocking pool.
//!
//! Timed: two jobs for the blocking pool a read, their wakeups, the disk, and a copy out of the buffer that tokio reads
//! into. The time in which a future is polled without getting its answer counts as submission. The poll that brings the
//! answer does not, although the copy of the block is made in it: the event loop is kept from others for somewhat
//! longer than submission says. Not timed: making the file, building the runtime, starting its threads, dropping pages.
//! Distortions: as for the group. A wave's futures are polled together, all of those left at each wakeup. There is no
//! way to read at an offset in one job. tokio's experimental files on io_uring (`tokio_unstable`) are not used.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::runtime::{Builder, Runtime};

use super::inline::prepared;
use super::reading::{FileReading, ReadMethod, Wave};
use super::source::{self, BlockSource};
use super::{BLOCK, CACHE, DEPTH, IO, ON_DISK, SIZE, a_wave, is_direct};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit,
    Unsupported, register,
};
use crate::sys::affinity::confine_current_thread;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "file/tokio_fs",
    isolates: "a read through tokio's file API: a seek and a read, each a job for a pool of threads, and a copy",
    unit: Unit::Read,
    tasks: Tasks::Several,
    parameters: &[CACHE, IO, BLOCK, DEPTH, SIZE],
    baseline: "file/inline",
    requirements: &[ON_DISK, "io=buffered"],
    source: "docs.rs/tokio, fs",
    lap: a_wave,
    resources: |parameters| {
        let depth = parameters.number(DEPTH.name);
        Resources { descriptors: 16 + depth, threads: 1 + depth, processes: 0 }
    },
    expects: |parameters, _| {
        prepared(parameters, Expectation::nothing())
            .call("lseek", Bound::Exactly(1.0))
            .call("read", Bound::Exactly(1.0))
            .call("futex:wait", Bound::AtMost(8.0))
            .call("futex:wake", Bound::AtMost(8.0))
            .voluntary(Bound::AtMost(10.0))
            .wakeups(Bound::AtMost(10.0))
    },
};

struct TokioFs;

register!(TokioFs);

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::library("tokio", error)
}

impl Mechanism for TokioFs {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        source::probe()
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        source::probe()?;
        if !is_direct(parameters) {
            return Ok(());
        }
        let observed = "tokio reads into a buffer of its own, which is not aligned: EINVAL";
        Err(Unsupported::new("a buffer aligned to blocks, for O_DIRECT", observed, "io=buffered"))
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        self.supports(parameters)?;
        let depth = parameters.size(DEPTH.name);
        let source = BlockSource::open(parameters, depth)?;
        let runtime = runtime(depth, crew)?;
        let reader = |_| {
            let file = File::from_std(source.open_again()?.into());
            Ok(AsyncReader { file, block: vec![0; source.block()].into_boxed_slice() })
        };
        let readers = (0..depth).map(reader).collect::<Result<Vec<_>, Failure>>()?;
        Ok(FileReading::operation(source, depth, RuntimeReader { readers, runtime }))
    }
}

/// A runtime with a blocking thread for each read of a wave: thread k in CPU mask k, every one started before the first
/// read.
fn runtime(depth: usize, crew: &Crew) -> Result<Runtime, Failure> {
    let assignment = crew.assignment().clone();
    let names: Vec<String> = (1..=depth).map(|thread| crew.name(thread)).collect();
    let (named, assigned) = (AtomicUsize::new(0), AtomicUsize::new(1));
    let misplaced = Arc::new(Mutex::new(None));
    let misplaced_by_thread = Arc::clone(&misplaced);
    let runtime = Builder::new_current_thread()
        .max_blocking_threads(depth)
        // Longer than any batch: none may end and be started again.
        .thread_keep_alive(Duration::from_secs(3600))
        .thread_name_fn(move || names[named.fetch_add(1, Ordering::Relaxed) % names.len()].clone())
        .on_thread_start(move || {
            let cpu_mask = assignment.cpu_mask(assigned.fetch_add(1, Ordering::Relaxed));
            if let Err(error) = confine_current_thread(&cpu_mask.cpus) {
                *misplaced_by_thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        })
        .build()
        .map_err(failed)?;
    // Jobs that end together keep as many threads busy. Where tokio cannot create one of them it leaves the job to the
    // others (tokio/src/runtime/blocking/pool.rs, `spawn_task`), which would wait for it for ever.
    let gathering = Arc::new(ThreadBarrier::default());
    let timeout = crew.timeout() / 4;
    let job = |_| {
        let gathering = Arc::clone(&gathering);
        runtime.spawn_blocking(move || gathering.await_all(depth, timeout))
    };
    let jobs: Vec<_> = (0..depth).map(job).collect();
    for job in jobs {
        if !runtime.block_on(job).map_err(failed)? {
            return Err(Failure::library("tokio", format!("{depth} threads for its files could not be had")));
        }
    }
    match misplaced.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) => Err(error.into()),
        None => Ok(runtime),
    }
}

/// Threads that wait for one another.
#[derive(Default)]
struct ThreadBarrier {
    here: Mutex<usize>,
    changed: Condvar,
}

impl ThreadBarrier {
    /// Whether `all` came in time.
    fn await_all(&self, all: usize, timeout: Duration) -> bool {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        *here += 1;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(here, timeout, |here| *here < all);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// A file with a position of its own, and what was read from it.
struct AsyncReader {
    file: File,
    block: Box<[u8]>,
}

impl AsyncReader {
    async fn read(&mut self, offset: u64) -> std::io::Result<()> {
        self.file.seek(std::io::SeekFrom::Start(offset)).await?;
        self.file.read_exact(&mut self.block).await.map(drop)
    }
}

struct RuntimeReader {
    // Before the runtime, whose end waits for their jobs.
    readers: Vec<AsyncReader>,
    runtime: Runtime,
}

impl ReadMethod for RuntimeReader {
    fn read(&mut self, offsets: &[u64], begun: Instant, taken: &mut Vec<Duration>) -> Result<Wave, Failure> {
        let reads = self.readers.iter_mut().zip(offsets).map(|(reader, &offset)| Box::pin(reader.read(offset)));
        let submission = self.runtime.block_on(all(reads.collect(), begun, taken)).map_err(failed)?;
        Ok(Wave::kept(begun, submission))
    }

    fn first_word(&self, number: usize) -> u64 {
        self.readers[number].block.first_chunk().map_or(0, |word| u64::from_ne_bytes(*word))
    }
}

/// Awaits all of them, which began at `begun`, and says how long polls took that brought no answer. `taken` gets for
/// each how long it took besides until its answer was there.
async fn all<F: Future<Output = std::io::Result<()>>>(
    mut reads: Vec<Pin<Box<F>>>,
    begun: Instant,
    taken: &mut Vec<Duration>,
) -> std::io::Result<Duration> {
    let mut submission = Duration::ZERO;
    std::future::poll_fn(|context| {
        let mut outcome = Ok(());
        reads.retain_mut(|read| {
            let polled = Instant::now();
            match read.as_mut().poll(context) {
                Poll::Pending => {
                    submission += polled.elapsed();
                    true
                }
                Poll::Ready(answer) => {
                    taken.push(begun.elapsed().saturating_sub(submission));
                    if let Err(error) = answer {
                        outcome = Err(error);
                    }
                    false
                }
            }
        });
        match outcome {
            Err(error) => Poll::Ready(Err(error)),
            Ok(()) if reads.is_empty() => Poll::Ready(Ok(())),
            Ok(()) => Poll::Pending,
        }
    })
    .await?;
    Ok(submission)
}
