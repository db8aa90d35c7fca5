//! The driver: the task that sets an instance up, runs its batches and takes it down.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::processes::Children;
use super::{Crew, Failure, Finding, Policy, Seating, lock, panic_text};
use crate::sys::SysError;
use crate::sys::affinity::confine_current_thread;
use crate::sys::mark;
use crate::sys::pace::{Pace, pace};
use crate::sys::process::name_current_thread;
use crate::sys::usage::Usage;
use crate::units::{Nanos, Ops};

/// Drivers run loops of their own and whole runtimes.
const STACK: usize = 2 * 1024 * 1024;

/// One timed run of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// How many operations were done.
    pub ops: Ops,
    /// From before the first to after the last, by the task that did both.
    pub elapsed: Nanos,
}

impl Batch {
    /// Times `work`, which says how many operations it did.
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
        Self { elapsed: Nanos(elapsed.as_nanos() as u64), ops: Ops(ops) }
    }
}

/// A mechanism that is set up: it runs batches, and takes itself down when dropped.
///
/// It lives on the driver's thread and need not be `Send`. Dropping it must tell every task of its crew to end.
pub trait Operation {
    /// Performs `ops` operations, always a whole number of laps, and times them.
    ///
    /// # Errors
    /// Whatever kept it from doing all of them.
    fn run(&mut self, ops: u64) -> Result<Batch, Failure>;

    /// Takes what was found out over the batches since this was last called: nothing for most mechanisms, whose whole
    /// result is the time of a batch.
    ///
    /// # Errors
    /// Whatever kept it from telling.
    fn findings(&mut self) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }

    /// What only hardware counters can tell, on the driver's thread. Asked last, and only of an instance whose times count
    /// for nothing, because its tasks are being counted: it may open counters and run what it likes.
    ///
    /// # Errors
    /// `Unsupported` where the machine does not count it, or whatever else kept it from telling.
    fn counted_findings(&mut self) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }
}

impl<F: FnMut(u64) -> Result<Batch, Failure>> Operation for F {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        self(ops)
    }
}

/// Where and under what name an instance runs.
#[derive(Debug, Clone)]
pub struct Roster {
    /// What the watchdog calls it: the benchmark's id.
    pub id: String,
    /// Where the tasks sit.
    pub seating: Seating,
    /// How they are scheduled.
    pub policy: Policy,
    /// How long anything may take.
    pub patience: Duration,
    /// Whether the driver marks the beginning and the end of each batch for a tracer ([`mark`]).
    pub marked: bool,
}

/// The main thread's hold on a driver.
#[derive(Debug)]
pub struct Driver {
    roster: Roster,
    prefix: String,
    link: Arc<Link>,
    children: Children,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Link {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    SettingUp,
    Idle,
    Asked(Request),
    Answered(Result<Batch, Failure>),
    Told(Result<Vec<Finding>, Failure>),
    Paced(Pace),
    /// To end: it was told to, or given up on.
    Stopping,
    Ended(Result<(), Failure>),
}

/// What the main thread asks of a driver.
#[derive(Debug, Clone, Copy)]
enum Request {
    Batch(u64),
    Findings,
    CountedFindings,
    Pace,
}

impl Driver {
    /// Starts a driver in seat 0 and waits until `set_up` has made the mechanism ready.
    ///
    /// `prelude` runs first, on the driver's thread, before any other task exists: counters opened there with
    /// `inherit` see the driver and all its descendants and nothing else.
    ///
    /// # Errors
    /// Those of `prelude` and `set_up`, and the roster's patience.
    pub fn start<P, S>(roster: Roster, prelude: P, set_up: S) -> Result<Self, Failure>
    where
        P: FnOnce() -> Result<(), Failure> + Send + 'static,
        S: FnOnce(&mut Crew) -> Result<Box<dyn Operation>, Failure> + Send + 'static,
    {
        let link = Arc::<Link>::default();
        let prefix = instance_prefix();
        let (patience, seating, marked) = (roster.patience, roster.seating.clone(), roster.marked);
        let (policy, children) = (roster.policy, Children::default());
        let crew = Crew::new(seating.clone(), policy, prefix.clone(), patience, Arc::clone(&children));
        let shared = Arc::clone(&link);
        let life = move || {
            name_current_thread(&crew.name(0));
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                confine_current_thread(&seating.seat(0).cpus)?;
                policy.adopt()?;
                prelude()?;
                serve(&shared, crew, marked, set_up)
            }));
            let outcome = outcome
                .unwrap_or_else(|panic| Err(Failure::Ended { task: "driver".into(), reason: panic_text(&*panic) }));
            shared.put(State::Ended(outcome));
        };
        let thread =
            Builder::new().stack_size(STACK).spawn(life).map_err(|error| SysError::from_io("clone3", &error))?;
        let mut driver = Self { roster, prefix, link, children, thread: Some(thread) };
        match driver.await_change("set-up", |state| !matches!(state, State::SettingUp))? {
            State::Ended(outcome) => Err(driver.reap(outcome)),
            other => {
                driver.link.put(other);
                Ok(driver)
            }
        }
    }

    /// Runs a batch and waits for it.
    ///
    /// # Errors
    /// The operation's, a count that differs from `ops`, and the roster's patience. After an error the instance is
    /// not to be used again.
    pub fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        self.link.put(State::Asked(Request::Batch(ops)));
        let answered = |state: &State| matches!(state, State::Answered(_) | State::Ended(_));
        match self.await_change("a batch", answered)? {
            State::Answered(answer) => {
                self.link.put(State::Idle);
                let batch = answer?;
                if batch.ops.0 == ops { Ok(batch) } else { Err(Failure::Miscounted { asked: ops, done: batch.ops.0 }) }
            }
            State::Ended(outcome) => Err(self.reap(outcome)),
            _ => unreachable!("await_change returns only what it was asked for"),
        }
    }

    /// Takes what the operation found out since this was last called.
    ///
    /// # Errors
    /// The operation's, and the roster's patience.
    pub fn findings(&mut self) -> Result<Vec<Finding>, Failure> {
        self.told(Request::Findings)
    }

    /// What the operation can tell by hardware counters of its own: see [`Operation::counted_findings`].
    ///
    /// # Errors
    /// The operation's, and the roster's patience.
    pub fn counted_findings(&mut self) -> Result<Vec<Finding>, Failure> {
        self.told(Request::CountedFindings)
    }

    fn told(&mut self, request: Request) -> Result<Vec<Finding>, Failure> {
        self.link.put(State::Asked(request));
        match self.await_change("its findings", |state| matches!(state, State::Told(_) | State::Ended(_)))? {
            State::Told(findings) => {
                self.link.put(State::Idle);
                findings
            }
            State::Ended(outcome) => Err(self.reap(outcome)),
            _ => unreachable!("await_change returns only what it was asked for"),
        }
    }

    /// How fast the driver's CPU runs at the moment: see [`pace`]. `None` where the driver may run on several CPUs,
    /// which need not be equally fast.
    ///
    /// # Errors
    /// The roster's patience.
    pub fn pace(&mut self) -> Result<Option<Pace>, Failure> {
        if self.roster.seating.seat(0).cpus.len() > 1 {
            return Ok(None);
        }
        self.link.put(State::Asked(Request::Pace));
        match self.await_change("a reading of its pace", |state| matches!(state, State::Paced(_) | State::Ended(_)))? {
            State::Paced(pace) => {
                self.link.put(State::Idle);
                Ok(Some(pace))
            }
            State::Ended(outcome) => Err(self.reap(outcome)),
            _ => unreachable!("await_change returns only what it was asked for"),
        }
    }

    /// What the names of all tasks of this instance begin with; no other instance on the machine shares it.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The forked tasks that are alive. They are in no getrusage(2) before they were waited for.
    pub fn processes(&self) -> Vec<Pid> {
        lock(&self.children).clone()
    }

    /// Use so far by all threads of this process but the calling one, and by the forked tasks of this instance.
    ///
    /// # Errors
    /// When a forked task is gone, or /proc is not mounted.
    pub fn usage(&self) -> Result<Usage, SysError> {
        self.processes()
            .into_iter()
            .try_fold(Usage::of_other_threads()?, |sum, child| Ok(sum.plus(Usage::of_process(child)?)))
    }

    /// Takes the instance down and waits for every task to end.
    ///
    /// # Errors
    /// A task that failed, and the roster's patience.
    pub fn stop(mut self) -> Result<(), Failure> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Failure> {
        if self.thread.is_none() {
            return Ok(());
        }
        if !matches!(*lock(&self.link.state), State::Ended(_)) {
            self.link.put(State::Stopping);
        }
        match self.await_change("the end", |state| matches!(state, State::Ended(_)))? {
            State::Ended(outcome) => {
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
            reason: "it stopped without being told to".into(),
        })
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The driver's panic was caught, so a join cannot fail.
            let _ = thread.join();
        }
    }

    /// Waits until the state is one that is `wanted`, and takes it out.
    fn await_change(&mut self, what: &str, wanted: impl Fn(&State) -> bool) -> Result<State, Failure> {
        let deadline = Instant::now() + self.roster.patience;
        let mut state = lock(&self.link.state);
        loop {
            if wanted(&state) {
                return Ok(std::mem::replace(&mut *state, State::Idle));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // The thread may be stuck in a call that nothing here can interrupt: let it go, so that dropping this
                // does not wait for it as well. If it was only slow it takes everything down when it comes back.
                *state = State::Stopping;
                drop(self.thread.take());
                let what = format!("{}: {what}", self.roster.id);
                return Err(Failure::TimedOut { what, after: self.roster.patience });
            }
            state = self.link.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Whoever wants the reason calls `stop`.
        let _ = self.end();
    }
}

impl Link {
    fn put(&self, state: State) {
        *lock(&self.state) = state;
        self.changed.notify_all();
    }

    /// What the driver has to say; not when nobody waits for it any more.
    fn tell(&self, news: State) {
        let mut state = lock(&self.state);
        if !matches!(*state, State::Stopping) {
            *state = news;
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<Request> {
        let mut state = lock(&self.state);
        loop {
            match *state {
                State::Asked(request) => return Some(request),
                State::Stopping => return None,
                _ => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

fn serve(
    link: &Link,
    mut crew: Crew,
    marked: bool,
    set_up: impl FnOnce(&mut Crew) -> Result<Box<dyn Operation>, Failure>,
) -> Result<(), Failure> {
    let mut operation = match set_up(&mut crew).and_then(|operation| crew.await_ready().map(|()| operation)) {
        Ok(operation) => operation,
        Err(failure) => {
            // What set-up made so far is dropped, which tells its tasks to end; its own failure is the news.
            let _ = crew.dismiss();
            return Err(failure);
        }
    };
    link.tell(State::Idle);
    while let Some(request) = link.next() {
        // A task's failure explains the driver's better than the broken channel that the driver saw.
        let explained = |failure| crew.failure().unwrap_or(failure);
        link.tell(match request {
            Request::Batch(ops) if marked => State::Answered(run_marked(&mut *operation, ops).map_err(explained)),
            Request::Batch(ops) => State::Answered(operation.run(ops).map_err(explained)),
            Request::Pace => State::Paced(pace()),
            Request::Findings => State::Told(operation.findings().map_err(explained)),
            Request::CountedFindings => State::Told(operation.counted_findings().map_err(explained)),
        });
    }
    drop(operation);
    crew.dismiss()
}

/// What the driver does for its own handshake with the main thread then lies outside the marks.
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
