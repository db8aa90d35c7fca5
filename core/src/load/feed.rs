//! The requests of a run, handed out in order to the workers that send them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::load_plan::{LoadDriver, LoadPlan};
use super::schedule::Schedule;
use crate::stats::Prng;
use crate::units::Nanos;

/// A request that a worker is to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// Its number in the run, from 0.
    pub(super) number: u64,
    /// When it is meant to be sent; 0 is at once.
    pub(super) at: Nanos,
}

/// Hands out requests, each once. Workers take the next only when one of their connections is free for it: what is not
/// taken yet is the backlog.
#[derive(Debug)]
pub(super) struct RequestFeed {
    supply: Supply,
    /// How long requests are handed out.
    duration: u64,
    /// How long after that an open loop still sends what was due before.
    grace: u64,
    most: AtomicU64,
    start: AtomicU64,
    /// Since when nothing new is due, when the run was ended early; `u64::MAX` before that.
    closed: AtomicU64,
    taken: AtomicU64,
    exhausted: AtomicBool,
}

#[derive(Debug)]
enum Supply {
    /// Offsets of the first requests from the start; all others are due at once.
    Closed(Box<[u64]>),
    Open(Mutex<Schedule>),
}

/// What is due before the end of an open loop is still sent so long afterwards: a server that stood still at the end
/// is then no reason for requests to be left out. Longer would only work off the backlog of a server that is too slow.
const GRACE: Duration = Duration::from_secs(1);

impl RequestFeed {
    pub(super) fn new(plan: &LoadPlan) -> Self {
        let supply = match &plan.driver {
            LoadDriver::Closed { outstanding, ramp } => {
                let mut prng = Prng::seeded(plan.seed);
                let ramp = ramp.as_nanos() as f64;
                let mut offsets: Vec<u64> = (0..*outstanding).map(|_| (prng.unit() * ramp) as u64).collect();
                offsets.sort_unstable();
                Supply::Closed(offsets.into())
            }
            LoadDriver::Open(arrivals) => Supply::Open(Mutex::new(Schedule::new(arrivals.clone(), plan.seed))),
        };
        Self {
            supply,
            duration: plan.duration.as_nanos() as u64,
            grace: GRACE.min(plan.timeout).as_nanos() as u64,
            most: AtomicU64::new(plan.requests.unwrap_or(u64::MAX)),
            start: AtomicU64::new(0),
            closed: AtomicU64::new(u64::MAX),
            taken: AtomicU64::new(0),
            exhausted: AtomicBool::new(false),
        }
    }

    /// Makes it ready for so many more requests, when all that there were are done; an open loop has other times then,
    /// which follow from `seed`.
    pub(super) fn again(&self, requests: u64, seed: u64) {
        if let Supply::Open(schedule) = &self.supply {
            schedule.lock().unwrap_or_else(PoisonError::into_inner).restart(seed);
        }
        self.most.store(requests, Ordering::Relaxed);
        self.taken.store(0, Ordering::Relaxed);
        self.exhausted.store(false, Ordering::Relaxed);
    }

    /// Fixes the moment from which times count. Workers take nothing before.
    pub(super) fn begin(&self, start: Nanos) {
        self.start.store(start.0, Ordering::Release);
    }

    /// The moment from which times count.
    pub(super) fn start(&self) -> Nanos {
        Nanos(self.start.load(Ordering::Acquire))
    }

    /// When the last request is due, or was when the run was ended early.
    pub(super) fn end(&self) -> Nanos {
        Nanos((self.start().0 + self.duration).min(self.closed.load(Ordering::Acquire)))
    }

    /// From now on nothing new is due.
    pub(super) fn close(&self, now: Nanos) {
        self.closed.fetch_min(now.0, Ordering::AcqRel);
    }

    /// Whether the run was ended before its time.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire) != u64::MAX
    }

    /// Whether a request that is due at `at` is still to be sent at `now`.
    #[inline]
    pub(super) fn stands(&self, at: Nanos, now: Nanos) -> bool {
        let end = self.end().0;
        match self.supply {
            Supply::Closed(_) => now.0 < end,
            Supply::Open(_) => at.0 < end && (now.0 < end || (!self.is_closed() && now.0 < end + self.grace)),
        }
    }

    /// The next request, if there is one to be sent. After the first `None` there is no other.
    #[inline]
    pub(super) fn take(&self, now: Nanos) -> Option<Due> {
        if self.exhausted.load(Ordering::Relaxed) {
            return None;
        }
        let due = match &self.supply {
            Supply::Closed(offsets) => {
                if now.0 >= self.end().0 {
                    None
                } else {
                    let number = self.taken.fetch_add(1, Ordering::Relaxed);
                    let at = offsets.get(number as usize).map_or(0, |offset| self.start().0 + offset);
                    (number < self.most.load(Ordering::Relaxed)).then_some(Due { number, at: Nanos(at) })
                }
            }
            Supply::Open(schedule) => {
                let end = self.end().0;
                if now.0 >= end && (self.is_closed() || now.0 >= end + self.grace) {
                    None
                } else {
                    let mut schedule = schedule.lock().unwrap_or_else(PoisonError::into_inner);
                    self.next_of(&mut schedule)
                }
            }
        };
        if due.is_none() {
            self.exhausted.store(true, Ordering::Relaxed);
        }
        due
    }

    fn next_of(&self, schedule: &mut Schedule) -> Option<Due> {
        let number = self.taken.load(Ordering::Relaxed);
        if number >= self.most.load(Ordering::Relaxed) {
            return None;
        }
        let at = self.start().0 + schedule.next()?.0;
        // Nothing is taken off the schedule that lies behind the end, so what is left is either unsent or not due.
        if at >= self.end().0 {
            self.taken.store(u64::MAX, Ordering::Relaxed);
            return None;
        }
        self.taken.store(number + 1, Ordering::Relaxed);
        Some(Due { number, at: Nanos(at) })
    }

    /// What was due before the end and was never taken. To be called when all workers are done.
    pub(super) fn leftover(&self) -> Vec<Due> {
        let mut left = Vec::new();
        if let Supply::Open(schedule) = &self.supply {
            let mut schedule = schedule.lock().unwrap_or_else(PoisonError::into_inner);
            while let Some(due) = self.next_of(&mut schedule) {
                left.push(due);
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan;
    use super::*;
    use crate::load::ArrivalPattern;

    const MS: u64 = 1_000_000;

    fn open(rate: f64, seconds: u64) -> RequestFeed {
        let driver = LoadDriver::Open(ArrivalPattern::Uniform { rate });
        let feed = RequestFeed::new(&LoadPlan { driver, duration: Duration::from_secs(seconds), ..plan() });
        feed.begin(Nanos(1000 * MS));
        feed
    }

    #[test]
    fn an_open_loop_hands_out_what_is_due_before_the_end_and_no_more() {
        let feed = open(100.0, 2);
        let taken: Vec<Due> = std::iter::from_fn(|| feed.take(Nanos(1000 * MS))).collect();
        assert_eq!(taken.len(), 200);
        assert!(taken.windows(2).all(|pair| pair[1].at.0 - pair[0].at.0 == 10 * MS));
        assert!(taken.last().unwrap().at.0 < 3000 * MS);
        assert!(feed.leftover().is_empty());
    }

    #[test]
    fn the_backlog_of_a_run_that_is_over_is_left_over() {
        let feed = open(100.0, 2);
        assert!(feed.take(Nanos(3900 * MS)).is_some(), "within the grace");
        assert_eq!(feed.take(Nanos(4001 * MS)), None);
        assert_eq!(feed.leftover().len(), 199);
    }

    #[test]
    fn a_run_that_is_closed_early_leaves_what_was_due_before() {
        let feed = open(100.0, 2);
        let first = feed.take(Nanos(1000 * MS)).unwrap();
        feed.close(Nanos(1500 * MS));
        assert!(!feed.stands(first.at, Nanos(1500 * MS)));
        assert_eq!(feed.take(Nanos(1500 * MS)), None);
        assert_eq!(feed.leftover().len(), 49);
    }

    #[test]
    fn a_feed_that_begins_again_has_the_arrivals_of_its_seed() {
        let driver = LoadDriver::Open(ArrivalPattern::Poisson { rate: 1000.0 });
        let feed = RequestFeed::new(&LoadPlan { driver, duration: Duration::from_secs(60), ..plan() });
        let times = |seed, requests| {
            feed.again(requests, seed);
            feed.begin(Nanos(0));
            std::iter::from_fn(|| feed.take(Nanos(0))).map(|due| due.at.0).collect::<Vec<_>>()
        };
        let (first, other, same) = (times(1, 20), times(2, 20), times(1, 15));
        assert_eq!((first.len(), other.len()), (20, 20));
        assert!(first.iter().zip(&other).all(|(a, b)| a != b), "another seed has other arrivals");
        assert_eq!(first[..15], same);
    }

    #[test]
    fn a_closed_loop_starts_at_random_moments_and_goes_on_at_once() {
        let driver = LoadDriver::Closed { outstanding: 16, ramp: Duration::from_millis(10) };
        let feed = RequestFeed::new(&LoadPlan { connections: 16, driver, requests: Some(20), ..plan() });
        feed.begin(Nanos(5));
        let times: Vec<u64> = std::iter::from_fn(|| feed.take(Nanos(5))).map(|due| due.at.0).collect();
        assert_eq!(times.len(), 20);
        assert!(times[..16].is_sorted() && times[0] < times[15] && times[15] < 5 + 10 * MS, "{times:?}");
        assert!(times[16..].iter().all(|at| *at == 0));
    }
}
