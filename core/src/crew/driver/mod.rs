//! The driver: the task that sets an instance up, runs its batches and takes it down.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::forked_tasks::ChildPids;
use super::{CpuAssignment, Crew, Failure, lock, panic_text, set_policy};
use crate::sys::SysError;
use crate::sys::affinity::confine_current_thread;
use crate::sys::mark;
use crate::sys::process::name_current_thread;
use crate::sys::speed::probe_speed;
use crate::sys::usage;
use crate::terms::{Metric, ResourceUsage, Setting, SpeedProbe};
use crate::units::{Amount, Ops};

/// The stack of a driver thread, which may run a whole asynchronous runtime.
const STACK: usize = 2 * 1024 * 1024;

/// One run of operations, and what they came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// How many operations were done.
    pub ops: Ops,
    /// What they came to, in the unit of the group. Mostly nanoseconds from before the first operation to after the
    /// last one, read by the task that performed both; the sum of latencies in `wakeup` and `fairness`, CPU time in
    /// `server`, bytes in `footprint`.
    pub amount: Amount,
}

impl Batch {
    /// Times `work`, which returns how many operations it did.
    ///
    /// `Instant` is `CLOCK_MONOTONIC` through the vDSO: some 20 ns a reading, against batches of milliseconds. The
    /// two readings need no fence of their own: what lies between them makes system calls or waits for another
    /// core's store, and the vDSO orders its own counter read (arch/x86/include/asm/msr.h, `rdtsc_ordered`).
    ///
    /// # Errors
    /// Those of `work`.
    #[inline]
    pub fn timed(work: impl FnOnce() -> Result<u64, Failure>) -> Result<Self, Failure> {
        let start = Instant::now();
        let ops = work()?;
        Ok(Self::since(start, ops))
    }

    /// Ends a batch of `ops` that began at `start`; for tasks that cannot be a closure, such as futures.
    #[inline]
    pub fn since(start: Instant, ops: u64) -> Self {
        Self::lasting(start.elapsed(), ops)
    }

    /// A batch of `ops` whose last operation was timed by the task that performed it.
    pub fn lasting(elapsed: Duration, ops: u64) -> Self {
        // 584 years fit.
        Self { amount: Amount(elapsed.as_nanos() as u64), ops: Ops(ops) }
    }
}

/// A mechanism that is set up: it runs batches, and takes itself down when dropped.
///
/// It lives on the driver's thread and need not be `Send`. Dropping it must tell every task of its crew to end.
pub trait Operation {
    /// Performs `ops` operations, always a whole number of laps, and times them.
    ///
    /// # Errors
    /// What kept the operation from doing all of them.
    fn run(&mut self, ops: u64) -> Result<Batch, Failure>;

    /// Takes the metrics over the batches since the last call: none for most mechanisms, whose whole result is the time
    /// of a batch.
    ///
    /// # Errors
    /// What kept the operation from computing them.
    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        Ok(Vec::new())
    }

    /// Tells what is measured apart from what measures it, where both are not the same: what an instance has used of
    /// the machine is then what this says, and not all threads of this process and its forked tasks.
    fn meter(&self) -> Option<Arc<dyn UsageMeter>> {
        None
    }

    /// Metrics that need hardware counters, taken on the driver thread. The harness calls this last, and only on an
    /// instance whose times are not used because its tasks are being counted, so the operation may open counters and
    /// run what it needs.
    ///
    /// # Errors
    /// `Unsupported` where the machine does not count the events, or what else kept the operation from computing them.
    fn counted_metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        Ok(Vec::new())
    }
}

/// Says what a part of an instance has used of the machine. Called between batches, from another thread than the
/// operation's.
pub trait UsageMeter: std::fmt::Debug + Send + Sync {
    /// What it has used so far.
    ///
    /// # Errors
    /// When it is gone.
    fn usage(&self) -> Result<ResourceUsage, SysError>;
}

impl<F: FnMut(u64) -> Result<Batch, Failure>> Operation for F {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        self(ops)
    }
}

/// Where and under what name an instance runs.
#[derive(Debug, Clone)]
pub struct InstanceConfig {
    /// The benchmark's id, for the watchdog's message.
    pub id: String,
    /// On which CPUs its tasks run and how they are scheduled. The rest of it concerns the mechanism alone.
    pub setting: Setting,
    /// How long set-up, one batch, or teardown may take.
    pub timeout: Duration,
    /// Whether the driver marks the beginning and the end of each batch for a tracer ([`mark`]).
    pub marked: bool,
}

/// The main thread's handle to a driver.
#[derive(Debug)]
pub struct Driver {
    config: InstanceConfig,
    assignment: CpuAssignment,
    prefix: String,
    link: Arc<DriverLink>,
    children: ChildPids,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct DriverLink {
    state: Mutex<DriverState>,
    /// That of the operation, from the end of its set-up.
    meter: OnceLock<Arc<dyn UsageMeter>>,
    changed: Condvar,
}

#[derive(Debug, Default)]
enum DriverState {
    #[default]
    SettingUp,
    Idle,
    Requested(DriverRequest),
    Answered(Result<Batch, Failure>),
    Reported(Result<Vec<Metric>, Failure>),
    Probed(SpeedProbe),
    /// The driver is to end: it was asked to, or the main thread gave up waiting for it.
    Stopping,
    Ended(Result<(), Failure>),
}

/// A request of the main thread to a driver.
#[derive(Debug, Clone, Copy)]
enum DriverRequest {
    Batch(u64),
    Metrics,
    CountedMetrics,
    Probe,
}

impl Driver {
    /// Starts a driver in CPU mask 0 and waits until `set_up` has made the mechanism ready.
    ///
    /// `before_set_up` runs first, on the driver's thread, before any other task exists: counters opened there with
    /// `inherit` see the driver and all its descendants and nothing else.
    ///
    /// # Errors
    /// Those of `before_set_up` and `set_up`, and the configuration's timeout.
    pub fn start<P, S>(config: InstanceConfig, before_set_up: P, set_up: S) -> Result<Self, Failure>
    where
        P: FnOnce() -> Result<(), Failure> + Send + 'static,
        S: FnOnce(&mut Crew) -> Result<Box<dyn Operation>, Failure> + Send + 'static,
    {
        let link = Arc::<DriverLink>::default();
        let prefix = instance_prefix();
        let (timeout, assignment, marked) = (config.timeout, CpuAssignment::of(&config.setting), config.marked);
        let (policy, children) = (config.setting.policy, ChildPids::default());
        let crew = Crew::new(assignment.clone(), policy, prefix.clone(), timeout, Arc::clone(&children));
        let shared = Arc::clone(&link);
        let life = move || {
            name_current_thread(&crew.name(0));
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                confine_current_thread(&assignment.cpu_mask(0).cpus)?;
                set_policy(policy)?;
                before_set_up()?;
                serve(&shared, crew, marked, set_up)
            }));
            let outcome = outcome
                .unwrap_or_else(|panic| Err(Failure::Ended { task: "driver".into(), reason: panic_text(&*panic) }));
            shared.put(DriverState::Ended(outcome));
        };
        let thread =
            Builder::new().stack_size(STACK).spawn(life).map_err(|error| SysError::from_io("clone3", &error))?;
        let assignment = CpuAssignment::of(&config.setting);
        let mut driver = Self { config, assignment, prefix, link, children, thread: Some(thread) };
        match driver.await_change("set-up", |state| !matches!(state, DriverState::SettingUp))? {
            DriverState::Ended(outcome) => Err(driver.reap(outcome)),
            other => {
                driver.link.put(other);
                Ok(driver)
            }
        }
    }

    /// Runs a batch and waits for it.
    ///
    /// # Errors
    /// The operation's errors; [`Failure::Miscounted`] when the count differs from `ops`; the configuration's timeout.
    /// After an error the instance must not be used again.
    pub fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        self.link.put(DriverState::Requested(DriverRequest::Batch(ops)));
        let answered = |state: &DriverState| matches!(state, DriverState::Answered(_) | DriverState::Ended(_));
        match self.await_change("a batch", answered)? {
            DriverState::Answered(answer) => {
                self.link.put(DriverState::Idle);
                let batch = answer?;
                if batch.ops.0 == ops { Ok(batch) } else { Err(Failure::Miscounted { asked: ops, done: batch.ops.0 }) }
            }
            DriverState::Ended(outcome) => Err(self.reap(outcome)),
            _ => unreachable!("await_change returns only what it was asked for"),
        }
    }

    /// Takes the operation's metrics since the last call.
    ///
    /// # Errors
    /// The operation's errors, and the configuration's timeout.
    pub fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        self.request_metrics(DriverRequest::Metrics)
    }

    /// Takes the metrics that need hardware counters of the operation's own: see [`Operation::counted_metrics`].
    ///
    /// # Errors
    /// The operation's errors, and the configuration's timeout.
    pub fn counted_metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        self.request_metrics(DriverRequest::CountedMetrics)
    }

    fn request_metrics(&mut self, request: DriverRequest) -> Result<Vec<Metric>, Failure> {
        self.link.put(DriverState::Requested(request));
        match self
            .await_change("its metrics", |state| matches!(state, DriverState::Reported(_) | DriverState::Ended(_)))?
        {
            DriverState::Reported(metrics) => {
                self.link.put(DriverState::Idle);
                metrics
            }
            DriverState::Ended(outcome) => Err(self.reap(outcome)),
            _ => unreachable!("await_change returns only what it was asked for"),
        }
    }

    /// How fast the driver's CPU runs at the moment: see [`probe_speed`]. `None` where the driver may run on several
    /// CPUs, which need not be equally fast.
    ///
    /// # Errors
    /// The configuration's timeout.
    pub fn probe_speed(&mut self) -> Result<Option<SpeedProbe>, Failure> {
        if self.assignment.cpu_mask(0).cpus.len() > 1 {
            return Ok(None);
        }
        self.link.put(DriverState::Requested(DriverRequest::Probe));
        match self
            .await_change("its speed probe", |state| matches!(state, DriverState::Probed(_) | DriverState::Ended(_)))?
        {
            DriverState::Probed(probe) => {
                self.link.put(DriverState::Idle);
                Ok(Some(probe))
            }
            DriverState::Ended(outcome) => Err(self.reap(outcome)),
            _ => unreachable!("await_change returns only what it was asked for"),
        }
    }

    /// The prefix of the names of all tasks of this instance. No other instance on the machine has the same.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The forked tasks that are alive. getrusage(2) counts them only after they were waited for.
    pub fn processes(&self) -> Vec<Pid> {
        lock(&self.children).clone()
    }

    /// Use so far by what is measured: all threads of this process but the calling one and the forked tasks of this
    /// instance, unless the operation has a meter of its own.
    ///
    /// # Errors
    /// When a forked task is gone, or /proc is not mounted.
    pub fn usage(&self) -> Result<ResourceUsage, SysError> {
        if let Some(meter) = self.link.meter.get() {
            return meter.usage();
        }
        self.processes()
            .into_iter()
            .try_fold(usage::of_other_threads()?, |sum, child| Ok(sum.plus(usage::of_process(child)?)))
    }

    /// Takes the instance down and waits for every task to end.
    ///
    /// # Errors
    /// A task that failed, and the configuration's timeout.
    pub fn stop(mut self) -> Result<(), Failure> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Failure> {
        if self.thread.is_none() {
            return Ok(());
        }
        if !matches!(*lock(&self.link.state), DriverState::Ended(_)) {
            self.link.put(DriverState::Stopping);
        }
        match self.await_change("the end", |state| matches!(state, DriverState::Ended(_)))? {
            DriverState::Ended(outcome) => {
                self.join();
                outcome
            }
            _ => unreachable!("await_change returns only what it was asked for"),
        }
    }

    fn reap(&mut self, outcome: Result<(), Failure>) -> Failure {
        self.join();
        outcome.err().unwrap_or_else(|| Failure::Ended {
            task: "driver".into(),
            reason: "it stopped without being asked to".into(),
        })
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The driver's panic was caught, so a join cannot fail.
            let _ = thread.join();
        }
    }

    /// Waits until the state is one that is `wanted`, and takes it out.
    fn await_change(&mut self, what: &str, wanted: impl Fn(&DriverState) -> bool) -> Result<DriverState, Failure> {
        let deadline = Instant::now() + self.config.timeout;
        let mut state = lock(&self.link.state);
        loop {
            if wanted(&state) {
                return Ok(std::mem::replace(&mut *state, DriverState::Idle));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // The driver thread may be stuck in a call that nothing here can interrupt. It is detached, so that
                // dropping this handle does not wait for it as well; if it was only slow, it takes the instance down
                // when it comes back.
                *state = DriverState::Stopping;
                drop(self.thread.take());
                let what = format!("{}: {what}", self.config.id);
                return Err(Failure::TimedOut { what, after: self.config.timeout });
            }
            state = self.link.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A caller that wants the reason of a failure calls `stop`.
        let _ = self.end();
    }
}

impl DriverLink {
    fn put(&self, state: DriverState) {
        *lock(&self.state) = state;
        self.changed.notify_all();
    }

    /// Puts the driver's answer, unless the main thread has stopped waiting for it.
    fn reply(&self, answer: DriverState) {
        let mut state = lock(&self.state);
        if !matches!(*state, DriverState::Stopping) {
            *state = answer;
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<DriverRequest> {
        let mut state = lock(&self.state);
        loop {
            match *state {
                DriverState::Requested(request) => return Some(request),
                DriverState::Stopping => return None,
                _ => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

fn serve(
    link: &DriverLink,
    mut crew: Crew,
    marked: bool,
    set_up: impl FnOnce(&mut Crew) -> Result<Box<dyn Operation>, Failure>,
) -> Result<(), Failure> {
    let mut operation = match set_up(&mut crew).and_then(|operation| crew.await_ready().map(|()| operation)) {
        Ok(operation) => operation,
        Err(failure) => {
            // What set-up made so far is dropped, which tells its tasks to end. The failure to report is that of
            // set-up.
            let _ = crew.shut_down();
            return Err(failure);
        }
    };
    if let Some(meter) = operation.meter() {
        // The first of this link: a driver sets up once.
        let _ = link.meter.set(meter);
    }
    link.reply(DriverState::Idle);
    while let Some(request) = link.next() {
        // The failure of a task explains more than the broken channel that the driver saw.
        let explained = |failure| crew.failure().unwrap_or(failure);
        link.reply(match request {
            DriverRequest::Batch(ops) if marked => {
                DriverState::Answered(run_marked(&mut *operation, ops).map_err(explained))
            }
            DriverRequest::Batch(ops) => DriverState::Answered(operation.run(ops).map_err(explained)),
            DriverRequest::Probe => DriverState::Probed(probe_speed()),
            DriverRequest::Metrics => DriverState::Reported(operation.metrics().map_err(explained)),
            DriverRequest::CountedMetrics => DriverState::Reported(operation.counted_metrics().map_err(explained)),
        });
    }
    drop(operation);
    crew.shut_down()
}

/// Runs a batch between two marks. The driver's handshake with the main thread lies outside them.
fn run_marked(operation: &mut dyn Operation, ops: u64) -> Result<Batch, Failure> {
    mark::leave(mark::BATCH_BEGINS);
    let answer = operation.run(ops);
    mark::leave(mark::BATCH_ENDS);
    answer
}

/// Fifteen bytes hold a name (prctl(2)); a process id takes six hexadecimal digits at most, and an instance of this
/// process three more, which leaves the task's number for machines with a short pid.
fn instance_prefix() -> String {
    static INSTANCES: AtomicU32 = AtomicU32::new(0);
    let instance = INSTANCES.fetch_add(1, Ordering::Relaxed) % 0xfff;
    format!("s{:x}.{instance:x}.", std::process::id())
}

#[cfg(test)]
mod tests;
