//! One load run: what its threads share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::client_connection::RequestFailure;
use super::engine::LoadWorker;
use super::feed::{Due, RequestFeed};
use super::ledger::{LoadInterval, RequestEnd, RequestLedger};
use super::load_plan::{LoadDriver, LoadPlan, LoadPlanError};
use super::outcome::{ClientUsage, LoadEnd, LoadFigures, LoadOutcome};
use super::precision::half_width;
use super::validity;
use crate::sys::SysError;
use crate::sys::affinity::{AffinityError, allowed_cpus};
use crate::sys::net_counters::NetCounters;
use crate::sys::timer::{monotonic, set_slack};
use crate::terms::Unsupported;
use crate::units::Nanos;

/// What keeps a load run from beginning, or from ending as it should.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The plan cannot be carried out.
    #[error(transparent)]
    Plan(#[from] LoadPlanError),
    /// The engine cannot run here.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// A connection could not be opened before the run.
    #[error("{address}: {told}{}", reached(*.opened))]
    Connect {
        /// The server's address.
        address: std::net::SocketAddr,
        /// The call, and what the kernel said.
        told: String,
        /// How many connections of the same thread were open by then.
        opened: usize,
    },
    /// A system call failed.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// A thread is not on its CPU.
    #[error(transparent)]
    Affinity(#[from] AffinityError),
    /// A thread could not be created, or ended before its time.
    #[error("a client thread: {0}")]
    Thread(String),
}

fn reached(opened: usize) -> String {
    if opened == 0 { String::new() } else { format!(" (after {opened} connections)") }
}

/// How a run stands.
#[derive(Debug, Clone, Copy)]
pub struct LoadProgress {
    /// Time since the start, the warm-up included.
    pub elapsed: Duration,
    /// Answers so far.
    pub answered: u64,
    /// Failures so far, and requests that the server turned away.
    pub failed: u64,
    /// The 99th percentile of the response time so far, in nanoseconds; 0 without answers.
    pub p99: u64,
}

/// Looks on while a run goes on, in the thread that called [`run_load`](super::run_load).
pub trait LoadObserver {
    /// Some ten times a second. Returning false ends the run early.
    fn progress(&mut self, progress: &LoadProgress) -> bool;

    /// How long the stretches of time are that [`interval`](Self::interval) is told about, if any.
    fn interval_length(&self) -> Option<Duration> {
        None
    }

    /// A stretch of time is over.
    fn interval(&mut self, _interval: LoadInterval) {}
}

/// Looks away.
impl LoadObserver for () {
    fn progress(&mut self, _: &LoadProgress) -> bool {
        true
    }
}

/// A run without an answer for so long, in which only failures came, is given up.
const HOPELESS: u64 = 1_000_000_000;

/// The least number of failures for that.
const LEAST_FAILURES: u64 = 10;

/// How long answers are waited for after a run was ended early.
const PATIENCE: u64 = 1_000_000_000;

/// What the threads of one run share. A worker may serve several runs, one after the other.
#[derive(Debug)]
pub struct LoadRun {
    plan: Arc<LoadPlan>,
    feed: RequestFeed,
    ledger: Mutex<RequestLedger>,
    usage: Mutex<ClientUsage>,
    threads: AtomicUsize,
    /// How often it was begun again.
    turns: AtomicU64,
    stage: Mutex<RunStage>,
    changed: Condvar,
    ended: Mutex<Option<LoadEnd>>,
    network: Option<NetCounters>,
    is_open: bool,
}

/// Whether workers may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunStage {
    Waiting,
    Begun,
    Abandoned,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is valid after each statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LoadRun {
    /// A run that has not begun.
    pub fn new(plan: &Arc<LoadPlan>) -> Self {
        let is_open = matches!(plan.driver, LoadDriver::Open(_));
        Self {
            feed: RequestFeed::new(plan),
            ledger: Mutex::new(RequestLedger::new(is_open, plan.driver.mean_gap().unwrap_or_default())),
            plan: Arc::clone(plan),
            usage: Mutex::default(),
            threads: AtomicUsize::new(0),
            turns: AtomicU64::new(0),
            stage: Mutex::new(RunStage::Waiting),
            changed: Condvar::new(),
            ended: Mutex::new(None),
            network: NetCounters::read().ok(),
            is_open,
        }
    }

    /// What the run is asked to do.
    pub fn plan(&self) -> &Arc<LoadPlan> {
        &self.plan
    }

    pub(super) fn feed(&self) -> &RequestFeed {
        &self.feed
    }

    /// Lets the workers send, the first request from `start` on.
    pub fn begin(&self, start: Nanos) {
        self.begin_with(start, false);
    }

    pub(super) fn begin_with(&self, start: Nanos, intervals: bool) {
        self.feed.begin(start);
        let from = Nanos(start.0 + self.plan.warm_up.as_nanos() as u64);
        lock(&self.ledger).begin(from, self.feed.end(), intervals);
        *lock(&self.stage) = RunStage::Begun;
        self.changed.notify_all();
    }

    /// Tells workers that wait for the beginning to return at once.
    pub(super) fn abandon(&self) {
        *lock(&self.stage) = RunStage::Abandoned;
        self.changed.notify_all();
    }

    /// Carries out one worker's part, in the calling thread: waits for [`LoadRun::begin`], then sends and receives
    /// until nothing is left to do. The worker is connected before.
    ///
    /// # Errors
    /// What ended the engine; requests that fail are results.
    pub fn work(self: &Arc<Self>, worker: &mut dyn LoadWorker) -> Result<(), LoadError> {
        let mut stage = lock(&self.stage);
        while *stage == RunStage::Waiting {
            stage = self.changed.wait(stage).unwrap_or_else(PoisonError::into_inner);
        }
        if *stage == RunStage::Abandoned {
            return Ok(());
        }
        drop(stage);
        if self.is_open {
            // Else a sleep may end 50 µs late, so that the kernel can wake several threads at once (prctl(2)).
            set_slack(Nanos(1))?;
        }
        self.threads.fetch_add(1, Ordering::Relaxed);
        let before = thread_cpu()?;
        let mut usage = ClientUsage::default();
        let outcome = worker.run(self, &mut usage);
        usage.cpu = Nanos(thread_cpu()?.0.saturating_sub(before.0));
        lock(&self.usage).add(&usage);
        if outcome.is_err() {
            self.feed.close(monotonic());
        }
        outcome
    }

    /// Ends the run early: nothing new is due, and what is outstanding is waited for a moment longer.
    pub fn end(&self, why: LoadEnd) {
        lock(&self.ended).get_or_insert(why);
        self.feed.close(monotonic());
    }

    /// How often an engine looks for requests that have waited too long, in nanoseconds.
    pub(super) fn tick(&self) -> u64 {
        (self.plan.timeout.as_nanos() as u64 / 10).clamp(1_000_000, 100_000_000)
    }

    /// Whether outstanding requests are to be left.
    #[inline]
    pub(super) fn must_stop(&self, now: Nanos) -> bool {
        self.feed.is_closed() && now.0 > self.feed.end().0.saturating_add(PATIENCE)
    }

    /// Takes back a request that was taken and, at the end of the run, not sent.
    pub(super) fn give_back(&self, due: Due, now: Nanos) {
        if self.is_open && due.at < self.feed.end() {
            lock(&self.ledger).enter_unsent(due, now);
        }
    }

    pub(super) fn tell(&self, failure: &RequestFailure) {
        lock(&self.ledger).told.entry(failure.kind).or_insert_with(|| failure.told.clone());
    }

    pub(super) fn enter(&self, ends: &[RequestEnd], now: Nanos) {
        let mut ledger = lock(&self.ledger);
        ends.iter().for_each(|end| ledger.enter(end));
        let many = ledger.failures_in_a_row >= LEAST_FAILURES.max(self.plan.connections as u64);
        let since = ledger.last_answer.max(self.feed.start());
        if many && now.0.saturating_sub(since.0) >= HOPELESS && !self.feed.is_closed() {
            let told = ledger.told.values().cloned().collect::<Vec<_>>().join("; ");
            let after = Duration::from_nanos(since.0.saturating_sub(self.feed.start().0));
            let failures = ledger.failures_in_a_row;
            drop(ledger);
            let when = match after.as_millis() {
                0 => "answered nothing".into(),
                _ => format!("answered nothing after the first {:.1} s", after.as_secs_f64()),
            };
            self.end(LoadEnd::GaveUp(format!(
                "{} {when}, and {failures} requests in a row failed: {told}",
                self.plan.address
            )));
        }
    }

    /// Makes the run ready to begin again with so many requests, by the same workers. What came of those before stays;
    /// an open loop has other arrivals each time.
    pub fn again(&self, requests: u64) {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) + 1;
        self.feed.again(requests, self.plan.seed.wrapping_add(turn));
    }

    /// Takes what was counted and timed since the last call, for those who run it again and again.
    pub fn take_figures(&self) -> LoadFigures {
        let mut ledger = lock(&self.ledger);
        LoadFigures {
            counts: std::mem::take(&mut ledger.counts),
            response: std::mem::take(&mut ledger.response),
            service: std::mem::take(&mut ledger.service),
            lateness: std::mem::take(&mut ledger.lateness),
            outstanding: Nanos(u64::try_from(std::mem::take(&mut ledger.outstanding)).unwrap_or(u64::MAX)),
            client: std::mem::take(&mut *lock(&self.usage)),
        }
    }

    /// The first message of each kind of failure so far.
    pub fn failures(&self) -> Vec<String> {
        lock(&self.ledger).told.iter().map(|(kind, told)| format!("{}: {told}", kind.name())).collect()
    }

    /// CPU time that the workers have used so far.
    pub fn client_cpu(&self) -> Nanos {
        lock(&self.usage).cpu
    }

    /// How the run stands at this moment.
    pub fn progress(&self) -> LoadProgress {
        let ledger = lock(&self.ledger);
        LoadProgress {
            elapsed: Duration::from_nanos(monotonic().0.saturating_sub(self.feed.start().0)),
            answered: ledger.counts.answered,
            failed: ledger.counts.failures() + ledger.counts.shed,
            p99: ledger.response.quantile(0.99),
        }
    }

    pub(super) fn is_precise(&self) -> bool {
        let Some(asked) = self.plan.precision else { return false };
        let ledger = lock(&self.ledger);
        ledger.blocks.p99(&ledger.response).is_some_and(|interval| half_width(&interval) <= asked)
    }

    /// What came of the run. To be called when every worker is done.
    pub fn outcome(&self) -> LoadOutcome {
        let (now, told) = (monotonic(), self.failures());
        let mut ledger = lock(&self.ledger);
        let left = self.feed.leftover();
        left.iter().for_each(|due| ledger.enter_unsent(*due, now));
        let exhausted = self.is_open && left.is_empty();
        let (start, end) = (self.feed.start(), self.feed.end());
        let from = Nanos(start.0 + self.plan.warm_up.as_nanos() as u64);
        let lasted = Nanos(ledger.last_end.0.saturating_sub(from.0));
        let finite = self.plan.requests.is_some() || self.plan.driver.is_a_list();
        let all_sent = finite && (exhausted || !self.is_open) && now < end;
        // Without a last moment that was fixed beforehand, sending ended with the last request.
        let whole = end.0.saturating_sub(from.0);
        let sending = match lasted.0 {
            _ if all_sent => lasted,
            // Nothing has ended: it was sent all the time.
            0 => Nanos(whole),
            until => Nanos(whole.min(until)),
        };
        if all_sent {
            ledger.counts.answered_in_time = ledger.counts.answered;
        }
        let ended = lock(&self.ended).clone();
        let mut client = *lock(&self.usage);
        let threads = self.threads.load(Ordering::Relaxed).min(self.cpus());
        client.available = Nanos((now.0.saturating_sub(start.0)) * threads as u64);
        let network = self.network.and_then(|before| Some(NetCounters::read().ok()?.since(&before)));
        let mut outcome = LoadOutcome {
            engine: self.plan.engine.name().into(),
            connections: self.plan.connections,
            idle_connections: self.plan.idle_connections,
            asked_rate: self.plan.driver.mean_gap().map(|_| rate(ledger.counts.intended, sending)),
            sending,
            lasted,
            counts: ledger.counts.clone(),
            response: ledger.response.clone(),
            service: ledger.service.clone(),
            lateness: ledger.lateness.clone(),
            p99: ledger.blocks.p99(&ledger.response),
            in_flight: ledger.outstanding as f64 / lasted.0.max(1) as f64,
            client,
            network,
            ended: ended.unwrap_or(if all_sent { LoadEnd::Requests } else { LoadEnd::Duration }),
            told,
            void: Vec::new(),
            backlog: None,
        };
        outcome.void = validity::void_reasons(&outcome);
        outcome.backlog = validity::backlog(&outcome);
        outcome
    }

    /// What happened since the last cut, where intervals are kept.
    pub(super) fn cut(&self, now: Nanos) -> Option<LoadInterval> {
        lock(&self.ledger).cut(self.feed.start(), now)
    }

    fn cpus(&self) -> usize {
        let chosen = self.plan.cpus.len();
        if chosen > 0 { chosen } else { allowed_cpus().map_or(1, |cpus| cpus.len()) }
    }
}

fn rate(count: u64, time: Nanos) -> f64 {
    count as f64 / validity::seconds(Nanos(time.0.max(1)))
}

fn thread_cpu() -> Result<Nanos, SysError> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map_err(|errno| SysError::new("clock_gettime CLOCK_THREAD_CPUTIME_ID", errno))?;
    Ok(Nanos(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64))
}
