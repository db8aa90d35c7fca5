//! An open loop: requests whose send times are fixed before the first is sent, and what became of each of them.
//!
//! A client that waits for an answer before it sends the next request stops asking while the server stands still, and
//! so leaves out just those requests that would have waited ("coordinated omission": G. Tene, *How NOT to measure
//! latency*, 2013). Here a request has a time at which it is meant to be sent, whatever the server does, and its
//! response time counts from then, also when it is sent late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Failure, Metric, MetricKey};
use crate::crew::scramble;
use crate::sys::timer::{monotonic, sleep_until};
use crate::terms::ValueHistogram;
use crate::units::{Nanos, Quantity};

/// The clock by which requests are sent.
pub(super) trait SendClock {
    /// The time now.
    fn now(&self) -> Nanos;

    /// Returns at `moment`, or as soon after it as can be.
    fn wait_until(&self, moment: Nanos) -> Result<(), Failure>;
}

/// `CLOCK_MONOTONIC`: sleeps, and looks on without sleeping for the last `awake` before the moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Monotonic {
    /// How long; nothing where the generator shares its CPU with what it measures.
    pub(super) awake: Nanos,
}

impl SendClock for Monotonic {
    #[inline]
    fn now(&self) -> Nanos {
        monotonic()
    }

    fn wait_until(&self, moment: Nanos) -> Result<(), Failure> {
        let rise = Nanos(moment.0.saturating_sub(self.awake.0));
        if monotonic() < rise {
            sleep_until(rise)?;
        }
        while monotonic() < moment {
            std::hint::spin_loop();
        }
        Ok(())
    }
}

/// Gaps between requests that arrive independently of each other: exponential ones (a Poisson process), so that no
/// request keeps in step with anything periodic.
#[derive(Debug)]
pub(super) struct Arrivals {
    mean: Nanos,
    state: u64,
}

impl Arrivals {
    /// With `mean` between two requests. All instances draw the same gaps.
    pub(super) fn every(mean: Nanos) -> Self {
        Self { mean, state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// The next `count` arrivals, counted from 0.
    pub(super) fn next(&mut self, count: u64) -> Vec<Nanos> {
        let mut at = 0.0;
        let mut arrival = || {
            self.state = scramble(self.state);
            // 53 bits, and never 0, whose logarithm would be infinite.
            let uniform = ((self.state >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            at -= uniform.ln() * self.mean.0 as f64;
            Nanos(at as u64)
        };
        (0..count).map(|_| arrival()).collect()
    }
}

/// The most requests in one schedule; a longer batch is cut.
pub(super) const MOST: u64 = 1 << 15;

/// As a lap: a batch of fewer would begin and end so often that no queue could grow in between.
pub(super) fn requests_in_20_ms(period_us: u64) -> u64 {
    20_000_u64.div_ceil(period_us)
}

/// The times of each request, by its number, which the generator and the server share.
#[derive(Debug)]
pub(super) struct RequestLog {
    slots: Box<[LoggedRequest]>,
}

#[derive(Debug, Default)]
struct LoggedRequest {
    intended: AtomicU64,
    sent: AtomicU64,
    begun: AtomicU64,
    done: AtomicU64,
}

impl RequestLog {
    /// A table without requests.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { slots: (0..MOST).map(|_| LoggedRequest::default()).collect() })
    }

    fn slot(&self, request: u32) -> &LoggedRequest {
        &self.slots[request as usize % self.slots.len()]
    }

    /// Notes that the server has begun with `request`.
    #[inline]
    pub(super) fn begin(&self, request: u32, now: Nanos) {
        self.slot(request).begun.store(now.0, Ordering::Relaxed);
    }

    /// Notes that the server is done with `request`. The server calls it before it signals the generator, and the
    /// signal orders this store before the generator's load.
    #[inline]
    pub(super) fn finish(&self, request: u32, now: Nanos) {
        self.slot(request).done.store(now.0, Ordering::Release);
    }
}

/// Sends requests `first`, `first + 1` …, each at its time from `start` on, and notes when that was meant to be and
/// when it was.
pub(super) fn send_all(
    clock: &impl SendClock,
    log: &RequestLog,
    first: u32,
    (start, arrivals): (Nanos, &[Nanos]),
    mut send: impl FnMut(u32) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for (request, arrival) in (0_u32..).map(|offset| first.wrapping_add(offset)).zip(arrivals) {
        let moment = Nanos(start.0 + arrival.0);
        clock.wait_until(moment)?;
        let slot = log.slot(request);
        slot.intended.store(moment.0, Ordering::Relaxed);
        slot.sent.store(clock.now().0, Ordering::Relaxed);
        send(request)?;
    }
    Ok(())
}

/// Whether the generator was the bottleneck. Its slip is part of each response time, so the highest percentiles must be
/// ten times as long. A slip of 5 µs is allowed in any case: reading a clock and making a system call takes that long.
fn spoils(slip_p99: u64, response_p99: u64, late: f64) -> bool {
    const LEAST: u64 = 5_000;
    const LATE: f64 = 0.01;
    slip_p99 > LEAST.max(response_p99 / 10) || late > LATE
}

/// What became of all requests since metrics were last taken.
#[derive(Debug)]
pub(super) struct RequestTotals {
    /// A request sent later than this after its time was sent late.
    tolerance: Nanos,
    response: ValueHistogram,
    wakeup: ValueHistogram,
    service: ValueHistogram,
    slip: ValueHistogram,
    late: u64,
}

impl RequestTotals {
    /// An empty one, for requests `period` apart on average: sent later than that, a request is late.
    pub(super) fn new(period: Nanos) -> Self {
        let empty = ValueHistogram::new;
        Self { tolerance: period, response: empty(), wakeup: empty(), service: empty(), slip: empty(), late: 0 }
    }

    /// Enters `count` requests from `first` on, all of them done; returns the sum of their response times.
    pub(super) fn enter(&mut self, log: &RequestLog, first: u32, count: u64) -> Nanos {
        let mut sum = 0;
        for request in (0..count).map(|offset| first.wrapping_add(offset as u32)) {
            let slot = log.slot(request);
            let done = slot.done.load(Ordering::Acquire);
            let [intended, sent, taken] =
                [&slot.intended, &slot.sent, &slot.begun].map(|at| at.load(Ordering::Relaxed));
            let response = done.saturating_sub(intended);
            self.response.record(response);
            self.wakeup.record(taken.saturating_sub(sent));
            self.service.record(done.saturating_sub(taken));
            let slip = sent.saturating_sub(intended);
            self.slip.record(slip);
            self.late += u64::from(slip > self.tolerance.0);
            sum += response;
        }
        // No batch answers in no time.
        Nanos(sum.max(1))
    }

    /// Takes what was entered: response time, what is between sending and beginning under the key `before`, service
    /// time, and how well the generator kept its schedule.
    pub(super) fn metrics(&mut self, before: MetricKey) -> Vec<Metric> {
        let Self { response, wakeup, service, slip, late, .. } = std::mem::replace(self, Self::new(self.tolerance));
        let late = late as f64 / slip.count().max(1) as f64;
        let (slipped, responded) = (slip.quantile(0.99), response.quantile(0.99));
        let mut metrics = vec![
            Metric::latencies(MetricKey::ResponseTime, response),
            Metric::latencies(before, wakeup),
            Metric::latencies(MetricKey::ServiceTime, service),
            Metric::scalar(MetricKey::ScheduleSlip, Quantity::Nanoseconds, slipped as f64),
            Metric::scalar(MetricKey::SentLate, Quantity::Share, late),
        ];
        if spoils(slipped, responded, late) {
            metrics.push(Metric::scalar(MetricKey::GeneratorBottleneck, Quantity::Share, late));
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Time that passes only while a task waits.
    struct Fake(Cell<u64>);

    impl SendClock for Fake {
        fn now(&self) -> Nanos {
            Nanos(self.0.get())
        }

        fn wait_until(&self, moment: Nanos) -> Result<(), Failure> {
            self.0.set(self.0.get().max(moment.0));
            Ok(())
        }
    }

    const MS: u64 = 1_000_000;

    /// 1000 requests in a second to a server that takes 0.1 ms for each, and for one of them `stall` longer.
    fn serve_with(stall: u64, clock: &Fake) -> RequestTotals {
        let (log, mut totals) = (RequestLog::new(), RequestTotals::new(Nanos(MS)));
        let arrivals: Vec<Nanos> = (0..1000).map(|request| Nanos(request * MS)).collect();
        let mut free = 0;
        send_all(clock, &log, 0, (Nanos(0), &arrivals), |request| {
            let taken = clock.now().0.max(free);
            free = taken + MS / 10 + if request == 400 { stall } else { 0 };
            log.begin(request, Nanos(taken));
            log.finish(request, Nanos(free));
            Ok(())
        })
        .unwrap();
        totals.enter(&log, 0, 1000);
        totals
    }

    #[test]
    fn a_stall_of_the_server_is_in_every_response_that_waited_for_it() {
        let mut totals = serve_with(100 * MS, &Fake(Cell::new(0)));
        // It takes up 111 requests: 101, 100.1 … 0.9 ms late each, so that ten of 1000 waited longer than about 91 ms.
        let p99 = totals.response.quantile(0.99);
        assert!((90 * MS..93 * MS).contains(&p99), "{p99}");
        // Who looks at the server alone sees one slow request in a thousand: that is what a closed loop reports.
        assert!(totals.service.quantile(0.99) < MS, "{:?}", totals.service);
        assert_eq!(totals.late, 0);
        assert!(totals.metrics(MetricKey::Wakeup).iter().all(|metric| *metric.of() != MetricKey::GeneratorBottleneck));
        assert!(serve_with(0, &Fake(Cell::new(0))).response.max() < MS);
    }

    #[test]
    fn a_generator_that_starts_late_says_so_and_its_requests_count_from_their_time() {
        let mut totals = serve_with(0, &Fake(Cell::new(100 * MS)));
        assert!(totals.response.quantile(0.95) > 40 * MS, "{:?}", totals.response);
        let metrics = totals.metrics(MetricKey::Wakeup);
        let value = |of: MetricKey| {
            metrics.iter().find_map(|metric| match metric {
                Metric::Scalar(figure) if figure.of == of => Some(figure.value),
                _ => None,
            })
        };
        assert!(value(MetricKey::ScheduleSlip).unwrap() > 90.0 * MS as f64, "{metrics:?}");
        assert!((value(MetricKey::SentLate).unwrap() - 0.1).abs() < 0.01, "{metrics:?}");
        assert!(value(MetricKey::GeneratorBottleneck).is_some());
        assert_eq!(totals.slip.count(), 0, "they are taken");
    }

    #[test]
    fn a_generator_spoils_a_figure_that_its_slip_or_its_late_requests_are_a_part_of() {
        // Up to 5 µs whatever the response time is, and up to a tenth of that.
        for (slip, response, spoilt) in [
            (5_000, 1, false),
            (5_001, 50_000, true),
            (5_001, 50_010, false),
            (10_000, 100_000, false),
            (10_001, 100_000, true),
            (90_000, 100_000, true),
        ] {
            assert_eq!(spoils(slip, response, 0.0), spoilt, "{slip} of {response}");
        }
        assert!(!spoils(0, MS, 0.01));
        assert!(spoils(0, MS, 0.011));
    }

    #[test]
    fn a_slip_far_below_the_mean_gap_spoils_what_is_no_longer_than_it() {
        let (log, mut totals) = (RequestLog::new(), RequestTotals::new(Nanos(MS)));
        let slot = log.slot(0);
        for (at, time) in [(&slot.intended, 0), (&slot.sent, 50_000), (&slot.begun, 60_000), (&slot.done, 61_000)] {
            at.store(time, Ordering::Relaxed);
        }
        totals.enter(&log, 0, 1);
        assert_eq!(totals.late, 0);
        assert!(totals.metrics(MetricKey::Wakeup).iter().any(|metric| *metric.of() == MetricKey::GeneratorBottleneck));
    }

    #[test]
    fn a_lap_is_20_ms_or_more_and_fits_a_schedule() {
        for period_us in [10, 20, 30, 200, 15_000, 1_000_000] {
            let requests = requests_in_20_ms(period_us);
            assert!(requests * period_us >= 20_000 && requests <= MOST, "{period_us}: {requests}");
        }
    }

    #[test]
    fn arrivals_keep_their_mean_and_go_on() {
        let mut arrivals = Arrivals::every(Nanos(1000));
        let (some, more) = (arrivals.next(10_000), arrivals.next(10_000));
        for times in [&some, &more] {
            let mean = times.last().unwrap().0 as f64 / 10_000.0;
            assert!((mean - 1000.0).abs() < 30.0, "{mean}");
            assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
        }
        assert_ne!(some, more);
    }
}
