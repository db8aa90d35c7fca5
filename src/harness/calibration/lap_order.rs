//! The order of laps, and how long each may last.

use std::time::Duration;

use crate::terms::{CalibrationPoint, Dispatch, PointRole, Shortfall};

/// Laps of each kind of server at the observed load.
const OBSERVED_ROUNDS: usize = 5;

/// The same of the reference.
const REFERENCE_ROUNDS: usize = 3;

/// The same at any other point.
const OTHER_ROUNDS: usize = 2;

/// What a lap takes beside its length: a process that starts, connections, and the end of both.
const BESIDE: Duration = Duration::from_millis(90);

/// No lap is shorter: a scheduler's tick is up to 10 ms.
const SHORTEST: Duration = Duration::from_millis(60);

/// No lap is longer: further ones tell more.
const LONGEST: Duration = Duration::from_secs(3);

/// Which lap comes next.
#[derive(Debug)]
pub(super) struct LapOrder {
    laps: Vec<(usize, Dispatch)>,
    next: usize,
    /// As many laps as every point needs for an interval.
    needed: usize,
    length: Duration,
    budget: Duration,
}

impl LapOrder {
    /// For `points`, with the blocking server and those of `targets` in turn.
    pub(super) fn new(points: &[CalibrationPoint], targets: &[Dispatch], budget: Duration) -> Self {
        let mut laps = Vec::new();
        let mut needed = 0;
        for round in 0..OBSERVED_ROUNDS {
            for (index, point) in points.iter().enumerate() {
                let (rounds, kinds) = match point.role {
                    PointRole::Reference => (REFERENCE_ROUNDS, &[Dispatch::Epoll][..]),
                    PointRole::Load(1.0) => (OBSERVED_ROUNDS, targets),
                    _ => (OTHER_ROUNDS, targets),
                };
                if round < rounds {
                    let kinds = std::iter::once(Dispatch::Blocking).chain(kinds.iter().copied());
                    laps.extend(kinds.map(|dispatch| (index, dispatch)));
                }
            }
            if round + 1 == OTHER_ROUNDS {
                needed = laps.len();
            }
        }
        let each = budget / u32::try_from(laps.len()).unwrap_or(u32::MAX).max(1);
        let length = each.saturating_sub(BESIDE).clamp(SHORTEST, LONGEST);
        Self { laps, next: 0, needed, length, budget }
    }

    /// The next lap, by the point's place and the kind of server. `None` when all are done, the time is over and every
    /// point has the laps that it needs, or twice the time is over.
    pub(super) fn next_lap(&mut self, elapsed: Duration) -> Option<(usize, Dispatch)> {
        let over = elapsed >= self.budget && self.next >= self.needed;
        // On a machine that is busy otherwise a process may take seconds to start.
        if over || elapsed >= 2 * self.budget {
            return None;
        }
        let lap = self.laps.get(self.next).copied()?;
        self.next += 1;
        Some(lap)
    }

    /// How long a lap lasts, without what it takes beside that.
    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// Laps so far.
    pub(super) fn laps_begun(&self) -> u64 {
        self.next as u64
    }

    /// The share of laps that are done, the one that begins not included.
    pub(super) fn done(&self) -> f64 {
        self.next.saturating_sub(1) as f64 / self.laps.len().max(1) as f64
    }

    /// That time was too short for all laps.
    pub(super) fn cut_short(&self) -> Option<Shortfall> {
        let left = self.laps.len() - self.next;
        (left > 0).then(|| {
            let why = format!("time was over {left} laps before the last of {}", self.laps.len());
            Shortfall::new("all laps of the calibration", why, "give --calibrate-for more time")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Nanos;

    fn order(budget: Duration) -> LapOrder {
        let roles = [PointRole::Reference, PointRole::Load(1.0), PointRole::Load(2.0)];
        let point = |role| CalibrationPoint {
            role,
            connections: 1,
            idle_connections: 0,
            rate: None,
            work: Nanos(0),
            delay: Nanos(0),
            laps: Vec::new(),
        };
        LapOrder::new(&roles.map(point), Dispatch::TARGETS, budget)
    }

    #[test]
    fn kinds_take_turns_and_every_point_has_two_laps_of_each_before_any_has_three() {
        let mut order = order(Duration::from_secs(100));
        let laps: Vec<_> = std::iter::from_fn(|| order.next_lap(Duration::ZERO)).collect();
        // Three of the reference's two kinds, five and two of four kinds.
        assert_eq!(laps.len(), 6 + 20 + 8);
        assert_eq!(laps[..2], [(0, Dispatch::Blocking), (0, Dispatch::Epoll)]);
        let kinds: Vec<Dispatch> = laps[2..6].iter().map(|lap| lap.1).collect();
        assert_eq!(kinds, [Dispatch::Blocking, Dispatch::Epoll, Dispatch::Uring, Dispatch::Tokio]);
        for point in 0..3 {
            let of = laps[..order.needed].iter().filter(|lap| **lap == (point, Dispatch::Epoll));
            assert_eq!(of.count(), 2);
        }
        assert!(order.cut_short().is_none());
    }

    #[test]
    fn time_that_is_over_ends_it_once_every_point_has_an_interval() {
        let mut order = order(Duration::from_secs(1));
        let over = Duration::from_millis(1500);
        let laps = std::iter::from_fn(|| order.next_lap(over)).count();
        assert_eq!(laps, order.needed);
        assert!(order.cut_short().unwrap().why.contains("before the last of 34"));
        assert_eq!(order.length(), SHORTEST);
        let mut late = self::order(Duration::from_secs(1));
        assert!(late.next_lap(over).is_some());
        assert_eq!(late.next_lap(Duration::from_secs(2)), None, "bounded, whatever is missing");
    }
}
