//! A load in batches, for groups whose operation is a request: the workers of an engine of `core/src/load/`, with their
//! connections kept open from one batch to the next.
//!
//! An engine that serves all connections in one thread does so on the driver's; one with a thread for each connection
//! has them spawned by the crew, in the driver's CPU mask, and they sleep between batches.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Crew, Failure};
use crate::load::{IdleConnections, LoadError, LoadFigures, LoadPlan, LoadRun, LoadWorker};
use crate::sys::timer::monotonic;
use crate::units::Nanos;

/// What came of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LoadBatch {
    /// Requests that were answered: all of them, since a failed one is an error.
    pub(super) answered: u64,
    /// CPU time of the threads that sent and received.
    pub(super) cpu: Nanos,
}

/// A client that is connected.
pub(super) struct BatchedLoad {
    run: Arc<LoadRun>,
    /// The only worker, which runs on the driver's thread; none where each has a thread.
    own: Option<Box<dyn LoadWorker>>,
    turns: TurnOwner,
    _idle: IdleConnections,
    elapsed: Nanos,
}

/// What was seen of several batches.
#[derive(Debug)]
pub(super) struct BatchFigures {
    /// What the run has counted and timed.
    pub(super) load: LoadFigures,
    /// For how long batches lasted, in all.
    pub(super) elapsed: Nanos,
}

impl BatchedLoad {
    /// Opens the connections of `plan`, of which those that carry nothing first.
    ///
    /// # Errors
    /// A plan that cannot be carried out, an engine that cannot run here, the first connection that was not opened.
    pub(super) fn start(plan: LoadPlan, crew: &mut Crew) -> Result<Self, Failure> {
        let plan = plan.checked().map_err(|error| told(error.into()))?;
        plan.engine.supports()?;
        let idle = IdleConnections::open(&plan).map_err(told)?;
        let mut workers = plan.engine.workers(&plan);
        let hands = if workers.len() > 1 { workers.len() } else { 0 };
        let turns = TurnOwner { turns: Arc::default(), hands };
        // Before what can fail: dropped, it ends the threads.
        let run = Arc::new(LoadRun::new(&plan));
        let mut load = Self { run, own: None, turns, _idle: idle, elapsed: Nanos(0) };
        if hands == 0 {
            let mut own = workers.pop().ok_or_else(|| Failure::library("load", "an engine without workers"))?;
            own.connect().map_err(told)?;
            load.own = Some(own);
            return Ok(load);
        }
        let masks = crew.assignment().masks();
        for (index, mut worker) in workers.into_iter().enumerate() {
            let (run, turns) = (Arc::clone(&load.run), Arc::clone(&load.turns.turns));
            // Tasks take masks in turn, and number 0 has the driver's.
            crew.spawn((index + 1) * masks, move |ready| {
                worker.connect().map_err(told)?;
                ready.signal();
                let mut turn = 0;
                while turns.await_turn(&mut turn) {
                    let worked = run.work(&mut *worker).map_err(told);
                    turns.done(worked.is_err());
                    worked?;
                }
                Ok(())
            })?;
        }
        crew.await_ready()?;
        Ok(load)
    }

    /// Sends so many requests and waits for all answers.
    ///
    /// # Errors
    /// When one of them is not answered as it should be, or an engine fails.
    pub(super) fn run(&mut self, requests: u64) -> Result<LoadBatch, Failure> {
        self.run.again(requests);
        let (before, cpu) = (self.run.progress(), self.run.client_cpu());
        let start = monotonic();
        self.run.begin(start);
        match &mut self.own {
            Some(worker) => self.run.work(&mut **worker).map_err(told)?,
            None => self.turns.take_turn()?,
        }
        self.elapsed.0 += monotonic().0 - start.0;
        let after = self.run.progress();
        if after.failed > before.failed {
            let reasons = self.run.failures().join("; ");
            return Err(Failure::Corrupted(format!("{} requests failed: {reasons}", after.failed - before.failed)));
        }
        let answered = after.answered - before.answered;
        if answered != requests {
            return Err(Failure::Corrupted(format!("{answered} of {requests} requests were answered")));
        }
        Ok(LoadBatch { answered, cpu: Nanos(self.run.client_cpu().0 - cpu.0) })
    }

    /// What was seen since this was last called.
    pub(super) fn take_figures(&mut self) -> BatchFigures {
        BatchFigures { load: self.run.take_figures(), elapsed: std::mem::take(&mut self.elapsed) }
    }
}

fn told(error: LoadError) -> Failure {
    match error {
        LoadError::Sys(error) => error.into(),
        LoadError::Affinity(error) => error.into(),
        LoadError::Unsupported(reason) => reason.into(),
        other => Failure::library("load", other),
    }
}

/// Where threads wait for the next batch, and the driver for their end of it.
#[derive(Debug, Default)]
struct BatchTurns {
    state: Mutex<TurnState>,
    next: Condvar,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct TurnState {
    turn: u64,
    at_work: usize,
    failed: bool,
    over: bool,
}

impl BatchTurns {
    fn lock(&self) -> MutexGuard<'_, TurnState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn behind `seen`; false when there is none.
    fn await_turn(&self, seen: &mut u64) -> bool {
        let mut state = self.lock();
        while state.turn == *seen && !state.over {
            state = self.next.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        *seen = state.turn;
        !state.over
    }

    fn done(&self, failed: bool) {
        let mut state = self.lock();
        state.failed |= failed;
        state.at_work -= 1;
        let last = state.at_work == 0 || failed;
        drop(state);
        if last {
            self.ended.notify_all();
        }
    }
}

/// The driver's side. Dropping it ends the threads.
#[derive(Debug)]
struct TurnOwner {
    turns: Arc<BatchTurns>,
    hands: usize,
}

impl TurnOwner {
    /// Lets all threads work, and returns when they are done.
    fn take_turn(&self) -> Result<(), Failure> {
        let mut state = self.turns.lock();
        state.turn += 1;
        state.at_work = self.hands;
        self.turns.next.notify_all();
        while state.at_work > 0 && !state.failed {
            state = self.turns.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.failed { Err(Failure::library("load", "a client thread failed")) } else { Ok(()) }
    }
}

impl Drop for TurnOwner {
    fn drop(&mut self) {
        self.turns.lock().over = true;
        self.turns.next.notify_all();
    }
}
