//! Which connection sends which request when, for engines that serve many connections in one thread. It makes no call:
//! an engine asks what to do, does it, and tells what came of it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::client_connection::RequestFailure;
use super::exchange::{AnswerKind, Answered};
use super::feed::Due;
use super::ledger::{Fate, LoadFailure, RequestEnd};
use super::load_run::LoadRun;
use crate::stats::Prng;
use crate::units::Nanos;

/// What an engine is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DispatchStep {
    /// Send the request `number` on this connection, now.
    Send { connection: usize, number: u64 },
    /// Wait for events, at most until this moment.
    Wait {
        /// When there is something to do in any case.
        until: Nanos,
        /// Whether that is a request's time, for which a wait may end early.
        due: bool,
    },
    /// All is done.
    Finished,
}

/// A request on a connection.
#[derive(Debug, Clone, Copy)]
struct Flight {
    due: Nanos,
    free: Nanos,
    sent: Nanos,
}

/// The requests of one worker's connections.
#[derive(Debug)]
pub(super) struct RequestDispatcher {
    ends: EndBuffer,
    flights: Vec<Option<Flight>>,
    free_since: Vec<Nanos>,
    /// Connections that may send, the one that has been free for the longest first.
    idle: VecDeque<usize>,
    /// Connections that may send again from a moment on.
    resting: VecDeque<(Nanos, usize)>,
    busy: usize,
    /// How many may be busy at once.
    most_busy: usize,
    next: Option<Due>,
    exhausted: bool,
    next_look: Nanos,
}

impl RequestDispatcher {
    /// For so many connections, of which at most `most_busy` send at once; `worker` makes their order its own.
    pub(super) fn new(run: &Arc<LoadRun>, worker: usize, connections: usize, most_busy: usize, now: Nanos) -> Self {
        let mut order: Vec<usize> = (0..connections).collect();
        let mut prng = Prng::seeded(run.plan().seed ^ (worker as u64 + 1));
        for index in (1..connections).rev() {
            order.swap(index, prng.index(index + 1));
        }
        Self {
            ends: EndBuffer::new(run, now),
            flights: vec![None; connections],
            free_since: vec![Nanos(0); connections],
            idle: order.into(),
            resting: VecDeque::new(),
            busy: 0,
            most_busy,
            next: None,
            exhausted: false,
            next_look: Nanos(now.0 + run.tick()),
        }
    }

    /// What to do at `now`. A request that is to be sent counts as sent at `now`.
    #[inline]
    pub(super) fn step(&mut self, now: Nanos) -> DispatchStep {
        while let Some(&(until, connection)) = self.resting.front() {
            if until > now && !self.ends.run.must_stop(now) {
                break;
            }
            self.resting.pop_front();
            self.free(connection, until);
        }
        if self.next.is_none() && !self.exhausted && self.busy < self.most_busy && !self.idle.is_empty() {
            self.next = self.ends.run.feed().take(now);
            self.exhausted = self.next.is_none();
        }
        if let Some(due) = self.next {
            if !self.ends.run.feed().stands(due.at, now) {
                self.next = None;
                self.exhausted = true;
                self.ends.run.give_back(due, now);
            } else if due.at <= now
                && let Some(connection) = self.idle.pop_front()
            {
                self.next = None;
                self.busy += 1;
                let free = self.free_since[connection];
                self.flights[connection] = Some(Flight { due: due.at, free, sent: now });
                return DispatchStep::Send { connection, number: due.number };
            }
        }
        if self.exhausted && self.busy == 0 {
            return DispatchStep::Finished;
        }
        self.wait(now)
    }

    #[inline]
    fn wait(&self, now: Nanos) -> DispatchStep {
        let look = Nanos(now.0 + self.ends.run.tick());
        let rested = self.resting.front().map_or(look, |(until, _)| *until);
        match self.next {
            Some(due) if due.at <= look.min(rested) => DispatchStep::Wait { until: due.at, due: true },
            _ => DispatchStep::Wait { until: look.min(rested), due: false },
        }
    }

    /// The request of this connection was not sent before now, after the engine was told to send it.
    pub(super) fn note_sent(&mut self, connection: usize, now: Nanos) {
        if let Some(flight) = &mut self.flights[connection] {
            flight.sent = now;
        }
    }

    /// Whether a request is outstanding on this connection.
    #[inline]
    pub(super) fn is_busy(&self, connection: usize) -> bool {
        self.flights[connection].is_some()
    }

    /// Its request was answered.
    #[inline]
    pub(super) fn answered(&mut self, connection: usize, answered: Answered, now: Nanos) {
        let fate = self.ends.fate(answered);
        self.end(connection, fate, now);
        self.free(connection, now);
    }

    /// Its request failed; it may send again after `rest` nanoseconds.
    pub(super) fn failed(&mut self, connection: usize, failure: &RequestFailure, rest: u64, now: Nanos) {
        self.ends.tell(failure);
        self.end(connection, Fate::Failed(failure.kind), now);
        if rest == 0 {
            self.free(connection, now);
        } else {
            self.resting.push_back((Nanos(now.0 + rest), connection));
        }
    }

    #[inline]
    fn end(&mut self, connection: usize, fate: Fate, now: Nanos) {
        if let Some(Flight { due, free, sent }) = self.flights[connection].take() {
            self.busy -= 1;
            self.ends.push(RequestEnd { due, free, sent, done: now, fate });
        }
    }

    #[inline]
    fn free(&mut self, connection: usize, now: Nanos) {
        self.free_since[connection] = now;
        self.idle.push_back(connection);
    }

    /// To be called after each wait: the connections whose requests have waited too long, with why. Each is to be
    /// reported as failed.
    pub(super) fn overdue(&mut self, now: Nanos) -> Vec<(usize, RequestFailure)> {
        if now < self.next_look {
            return Vec::new();
        }
        self.next_look = Nanos(now.0 + self.ends.run.tick());
        self.ends.flush(now);
        let run = &self.ends.run;
        let (timeout, stop) = (run.plan().timeout.as_nanos() as u64, run.must_stop(now));
        let overdue = |(connection, flight): (usize, &Option<Flight>)| {
            let waited = now.0.saturating_sub(flight.as_ref()?.sent.0);
            match waited >= timeout {
                true => Some((connection, RequestFailure::timed_out(run.plan()))),
                false => stop.then(|| (connection, RequestFailure::unanswered())),
            }
        };
        self.flights.iter().enumerate().filter_map(overdue).collect()
    }

    /// Hands in what was noted.
    pub(super) fn finish(mut self, now: Nanos) {
        self.ends.flush(now);
    }
}

/// Ended requests of one thread, handed to the run many at a time.
#[derive(Debug)]
pub(super) struct EndBuffer {
    pub(super) run: Arc<LoadRun>,
    ends: Vec<RequestEnd>,
    flushed: Nanos,
}

/// How many are kept.
const KEPT: usize = 256;

/// For how long they are kept, so that progress is not behind, in nanoseconds.
const KEPT_FOR: u64 = 20_000_000;

impl EndBuffer {
    pub(super) fn new(run: &Arc<LoadRun>, now: Nanos) -> Self {
        Self { run: Arc::clone(run), ends: Vec::with_capacity(KEPT), flushed: now }
    }

    #[inline]
    pub(super) fn push(&mut self, end: RequestEnd) {
        self.ends.push(end);
        if self.ends.len() == KEPT || end.done.0.saturating_sub(self.flushed.0) > KEPT_FOR {
            self.flush(end.done);
        }
    }

    pub(super) fn tell(&self, failure: &RequestFailure) {
        self.run.tell(failure);
    }

    /// What an answer makes of its request.
    #[inline]
    pub(super) fn fate(&self, answered: Answered) -> Fate {
        match answered.answer {
            AnswerKind::Fine => Fate::Answered,
            AnswerKind::Shed => Fate::Shed,
            AnswerKind::Status(status) => {
                self.tell(&RequestFailure::status(status));
                Fate::Failed(LoadFailure::Status)
            }
        }
    }

    pub(super) fn flush(&mut self, now: Nanos) {
        self.flushed = now;
        self.run.enter(&self.ends, now);
        self.ends.clear();
    }
}
