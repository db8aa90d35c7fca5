//! What became of the requests of a run: counts apart, and the three histograms.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::feed::Due;
use super::precision::TailBlocks;
use crate::terms::ValueHistogram;
use crate::units::Nanos;

/// Why a request that was sent, or was to be sent, has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadFailure {
    /// No connection: `ECONNREFUSED`.
    Refused,
    /// The connection broke off: `ECONNRESET`, `EPIPE`.
    Reset,
    /// The server closed the connection before its answer was whole.
    Closed,
    /// What arrived is no answer.
    Malformed,
    /// An HTTP status of 400 and more, but for those by which a server sheds load.
    Status,
    /// No answer within the timeout.
    TimedOut,
    /// No answer when the run ended.
    Unanswered,
    /// Another error of a socket.
    Socket,
}

impl LoadFailure {
    /// In words, behind a number of requests: `timed out`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Closed => "closed without a whole answer",
            Self::Malformed => "malformed",
            Self::Status => "status of 400 and more",
            Self::TimedOut => "timed out",
            Self::Unanswered => "unanswered at the end",
            Self::Socket => "failed in a socket call",
        }
    }

    /// Whether its time is a lower bound of what an answer would have taken.
    fn is_censored(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unanswered)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    Shed,
    Failed(LoadFailure),
}

/// A request that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestEnd {
    /// When it was meant to be sent; 0 where there was no schedule.
    pub(super) due: Nanos,
    /// Since when its connection was free for it.
    pub(super) free: Nanos,
    pub(super) sent: Nanos,
    pub(super) done: Nanos,
    pub(super) fate: Fate,
}

/// How many requests came to what. In a closed loop what is intended is what is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestCounts {
    /// Meant to be sent after the warm-up.
    pub intended: u64,
    /// Sent, or tried on a connection that then failed.
    pub sent: u64,
    /// Of those sent: later than the tolerance after the moment at which they could have been sent, which is their
    /// time, or when a connection was free for them.
    pub late: u64,
    /// Of those sent: had to wait for a free connection, because the server had not answered on any.
    pub held: u64,
    /// Not sent when the run ended: the backlog.
    pub unsent: u64,
    /// Answered.
    pub answered: u64,
    /// Of those answered: before the last one was due.
    pub answered_in_time: u64,
    /// Turned away by the server: HTTP status 503 or 429.
    pub shed: u64,
    /// Without an answer, by reason.
    pub failed: BTreeMap<LoadFailure, u64>,
    /// Of the response times: those of requests that were unsent, unanswered or timed out, which are lower bounds.
    pub censored: u64,
}

impl RequestCounts {
    /// Without an answer, for whatever reason.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// What a stretch of a run came to.
#[derive(Debug, Clone)]
pub struct LoadInterval {
    /// From the start of the run.
    pub from: Duration,
    /// How long.
    pub length: Duration,
    /// Response times of the requests that ended in it.
    pub response: ValueHistogram,
    /// Service times.
    pub service: ValueHistogram,
}

/// The response times since the last cut, and where that was.
#[derive(Debug)]
struct OpenInterval {
    from: Nanos,
    response: ValueHistogram,
    service: ValueHistogram,
}

/// What became of the requests so far.
#[derive(Debug)]
pub(super) struct RequestLedger {
    /// Requests that were due, or sent where there is no schedule, before are not entered.
    measured_from: Nanos,
    end: Nanos,
    tolerance: Nanos,
    open: bool,
    pub(super) counts: RequestCounts,
    pub(super) response: ValueHistogram,
    pub(super) service: ValueHistogram,
    pub(super) lateness: ValueHistogram,
    pub(super) blocks: TailBlocks,
    /// The sum of the times for which requests were outstanding.
    pub(super) outstanding: u128,
    pub(super) last_end: Nanos,
    pub(super) last_answer: Nanos,
    /// Failures since the last answer.
    pub(super) failures_in_a_row: u64,
    /// What the first failure of each kind was told with.
    pub(super) told: BTreeMap<LoadFailure, String>,
    interval: Option<OpenInterval>,
}

impl RequestLedger {
    pub(super) fn new(open: bool, mean_gap: Nanos) -> Self {
        Self {
            measured_from: Nanos(0),
            end: Nanos(u64::MAX),
            tolerance: tolerance(mean_gap),
            open,
            counts: RequestCounts::default(),
            response: ValueHistogram::new(),
            service: ValueHistogram::new(),
            lateness: ValueHistogram::new(),
            blocks: TailBlocks::default(),
            outstanding: 0,
            last_end: Nanos(0),
            last_answer: Nanos(0),
            failures_in_a_row: 0,
            told: BTreeMap::new(),
            interval: None,
        }
    }

    /// Fixes which requests count: those due from `from` on; the last one is due before `end`.
    pub(super) fn begin(&mut self, from: Nanos, end: Nanos, intervals: bool) {
        (self.measured_from, self.end, self.last_answer, self.last_end) = (from, end, from, from);
        self.interval =
            intervals.then(|| OpenInterval { from, response: ValueHistogram::new(), service: ValueHistogram::new() });
    }

    pub(super) fn enter(&mut self, request: &RequestEnd) {
        let failed = match request.fate {
            Fate::Failed(failure) => {
                self.failures_in_a_row += 1;
                Some(failure)
            }
            Fate::Answered | Fate::Shed => {
                self.failures_in_a_row = 0;
                self.last_answer = self.last_answer.max(request.done);
                None
            }
        };
        let due = if self.open { request.due } else { request.sent };
        if due < self.measured_from {
            return;
        }
        self.last_end = self.last_end.max(request.done);
        let counts = &mut self.counts;
        counts.intended += 1;
        counts.sent += 1;
        self.outstanding += u128::from(request.done.0.saturating_sub(request.sent.0));
        if self.open {
            let late = request.sent.0.saturating_sub(due.max(request.free).0);
            self.lateness.record(late);
            counts.late += u64::from(late > self.tolerance.0);
            counts.held += u64::from(request.free > due);
        }
        match request.fate {
            Fate::Answered => {
                counts.answered += 1;
                counts.answered_in_time += u64::from(request.done <= self.end);
            }
            Fate::Shed => counts.shed += 1,
            Fate::Failed(failure) => *counts.failed.entry(failure).or_default() += 1,
        }
        let censored = failed.is_some_and(LoadFailure::is_censored);
        if request.fate == Fate::Answered || censored {
            self.counts.censored += u64::from(censored);
            let service = request.done.0.saturating_sub(request.sent.0);
            self.respond(due, request.done);
            self.service.record(service);
            if let Some(interval) = &mut self.interval {
                interval.service.record(service);
            }
        }
    }

    /// A request that was due and never sent: it has waited until `now` at least.
    pub(super) fn enter_unsent(&mut self, due: Due, now: Nanos) {
        if due.at < self.measured_from {
            return;
        }
        self.counts.intended += 1;
        self.counts.unsent += 1;
        self.counts.censored += 1;
        self.respond(due.at, now);
    }

    fn respond(&mut self, due: Nanos, done: Nanos) {
        let response = done.0.saturating_sub(due.0);
        self.response.record(response);
        self.blocks.record(due.0.saturating_sub(self.measured_from.0), response);
        if let Some(interval) = &mut self.interval {
            interval.response.record(response);
        }
    }

    /// What happened since the last cut, where intervals are kept.
    pub(super) fn cut(&mut self, start: Nanos, now: Nanos) -> Option<LoadInterval> {
        let interval = self.interval.as_mut()?;
        let from = std::mem::replace(&mut interval.from, now);
        let ns = |moment: Nanos, since: Nanos| Duration::from_nanos(moment.0.saturating_sub(since.0));
        Some(LoadInterval {
            from: ns(from, start),
            length: ns(now, from),
            response: std::mem::take(&mut interval.response),
            service: std::mem::take(&mut interval.service),
        })
    }
}

/// A request sent later than this after it could have been sent was sent late: one mean gap, by which the next one is
/// due, and 1 ms where they follow each other faster: 99.5 % within that leave the percentiles of a server on a network
/// as they are, and the median has a rule of its own.
fn tolerance(mean_gap: Nanos) -> Nanos {
    Nanos(mean_gap.0.max(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn ended(due: u64, free: u64, sent: u64, done: u64, fate: Fate) -> RequestEnd {
        let ms = |at: u64| Nanos(at * MS);
        RequestEnd { due: ms(due), free: ms(free), sent: ms(sent), done: ms(done), fate }
    }

    fn ledger(open: bool) -> RequestLedger {
        let mut ledger = RequestLedger::new(open, Nanos(MS));
        ledger.begin(Nanos(100 * MS), Nanos(1000 * MS), false);
        ledger
    }

    fn near(values: &ValueHistogram, milliseconds: u64) -> bool {
        values.max().abs_diff(milliseconds * MS) <= milliseconds * MS / 1000
    }

    #[test]
    fn a_response_counts_from_its_time_and_lateness_from_when_it_could_be_sent() {
        let mut ledger = ledger(true);
        // Due at 200, held until a connection was free at 300, sent 5 ms later, answered at 310.
        ledger.enter(&ended(200, 300, 305, 310, Fate::Answered));
        assert!(near(&ledger.response, 110) && near(&ledger.service, 5) && near(&ledger.lateness, 5));
        assert_eq!((ledger.counts.held, ledger.counts.late), (1, 1));
        // Due after its connection was free: not held, and 1 ms is in time.
        ledger.enter(&ended(400, 300, 401, 402, Fate::Answered));
        assert_eq!((ledger.counts.held, ledger.counts.late, ledger.counts.answered), (1, 1, 2));
        assert_eq!(ledger.outstanding, u128::from(6 * MS));
    }

    #[test]
    fn what_was_due_in_the_warm_up_is_not_counted() {
        let mut ledger = ledger(true);
        ledger.enter(&ended(99, 0, 150, 160, Fate::Answered));
        assert_eq!(ledger.counts, RequestCounts::default());
        let mut ledger = self::ledger(false);
        ledger.enter(&ended(0, 0, 99, 160, Fate::Answered));
        ledger.enter(&ended(0, 0, 100, 160, Fate::Answered));
        assert_eq!(ledger.counts.intended, 1);
        assert_eq!(ledger.lateness.count(), 0, "without a schedule there is no lateness");
    }

    #[test]
    fn requests_without_an_answer_count_as_long_as_they_waited_and_broken_ones_not_at_all() {
        let mut ledger = ledger(true);
        ledger.enter(&ended(200, 0, 200, 700, Fate::Failed(LoadFailure::TimedOut)));
        ledger.enter(&ended(300, 0, 300, 301, Fate::Failed(LoadFailure::Reset)));
        ledger.enter(&ended(300, 0, 300, 301, Fate::Shed));
        ledger.enter_unsent(Due { number: 3, at: Nanos(400 * MS) }, Nanos(1400 * MS));
        let counts = &ledger.counts;
        assert_eq!((counts.intended, counts.sent, counts.unsent, counts.shed), (4, 3, 1, 1));
        assert_eq!((counts.failures(), counts.censored, counts.answered), (2, 2, 0));
        assert_eq!(ledger.response.count(), 2);
        assert!(near(&ledger.response, 1000) && near(&ledger.service, 500));
    }

    #[test]
    fn failures_in_a_row_end_with_an_answer() {
        let mut ledger = ledger(true);
        for _ in 0..3 {
            ledger.enter(&ended(200, 0, 200, 201, Fate::Failed(LoadFailure::Closed)));
        }
        assert_eq!(ledger.failures_in_a_row, 3);
        ledger.enter(&ended(200, 0, 200, 205, Fate::Shed));
        assert_eq!((ledger.failures_in_a_row, ledger.last_answer), (0, Nanos(205 * MS)));
    }
}
