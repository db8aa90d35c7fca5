//! The times at which an open loop means to send its requests, all of them fixed before the first is sent.

use std::sync::Arc;
use std::time::Duration;

use crate::stats::Prng;
use crate::units::Nanos;

/// How requests of an open loop arrive.
#[derive(Debug, Clone, PartialEq)]
pub enum ArrivalPattern {
    /// Evenly.
    Uniform {
        /// Requests per second; finite and above 0.
        rate: f64,
    },
    /// Independently of each other: exponential gaps.
    Poisson {
        /// Requests per second on average.
        rate: f64,
    },
    /// In bursts: for `on` they arrive as in [`Self::Poisson`], for `off` none does.
    Bursts {
        /// Requests per second on average, pauses included.
        rate: f64,
        /// The length of a burst; more than nothing.
        on: Duration,
        /// The length of the pause behind it.
        off: Duration,
    },
    /// At these times, from the start of the run, in rising order.
    Times(Arc<[Nanos]>),
}

/// The most that a schedule may ask for in a second. A clock reading takes some 25 ns.
const HIGHEST_RATE: f64 = 20e6;

impl ArrivalPattern {
    /// Whether a schedule can be made of it.
    pub(super) fn check(&self) -> Result<(), String> {
        let rate = match self {
            Self::Uniform { rate } | Self::Poisson { rate } | Self::Bursts { rate, .. } => *rate,
            Self::Times(times) if times.is_empty() => return Err("a list without times sends nothing".into()),
            Self::Times(times) => {
                let falls = times.windows(2).position(|pair| pair[0] > pair[1]);
                let told = |index| format!("time {} lies before the one above it: times rise", index + 2);
                return falls.map_or(Ok(()), |index| Err(told(index)));
            }
        };
        if !rate.is_finite() || rate <= 0.0 || rate > HIGHEST_RATE {
            return Err(format!("a rate of {rate} requests a second cannot be sent: above 0 and at most 20 million"));
        }
        match self {
            Self::Bursts { on, .. } if on.is_zero() => Err("bursts of no length hold no request".into()),
            _ => Ok(()),
        }
    }

    /// The mean time between two requests.
    pub(super) fn mean_gap(&self) -> Nanos {
        match self {
            Self::Uniform { rate } | Self::Poisson { rate } | Self::Bursts { rate, .. } => Nanos((1e9 / rate) as u64),
            Self::Times(times) => {
                let span = times.last().map_or(0, |last| last.0);
                Nanos(span / times.len().max(1) as u64)
            }
        }
    }

    /// Requests a second on average; `None` for a list of times.
    pub(super) fn rate(&self) -> Option<f64> {
        match self {
            Self::Uniform { rate } | Self::Poisson { rate } | Self::Bursts { rate, .. } => Some(*rate),
            Self::Times(_) => None,
        }
    }

    /// The same pattern at another rate; a list of times stays as it is.
    pub fn at_rate(&self, rate: f64) -> Self {
        match self {
            Self::Uniform { .. } => Self::Uniform { rate },
            Self::Poisson { .. } => Self::Poisson { rate },
            Self::Bursts { on, off, .. } => Self::Bursts { rate, on: *on, off: *off },
            Self::Times(_) => self.clone(),
        }
    }

    /// Its word on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Uniform { .. } => "uniform",
            Self::Poisson { .. } => "poisson",
            Self::Bursts { .. } => "bursts",
            Self::Times(_) => "times",
        }
    }
}

/// The times of one run, one after the other; the same for the same seed.
#[derive(Debug)]
pub(super) struct Schedule {
    arrivals: ArrivalPattern,
    prng: Prng,
    /// Of the request that comes next.
    number: u64,
    /// Of the request before, where gaps are drawn; a whole number of nanoseconds would lose their fractions.
    at: f64,
}

impl Schedule {
    pub(super) fn new(arrivals: ArrivalPattern, seed: u64) -> Self {
        let mut prng = Prng::seeded(seed);
        // Evenly spaced times begin at a random part of a gap: two runs side by side are not in step.
        let at = match &arrivals {
            ArrivalPattern::Uniform { .. } => prng.unit(),
            _ => 0.0,
        };
        Self { arrivals, prng, number: 0, at }
    }

    /// Begins from the start, with times that follow from `seed`.
    pub(super) fn restart(&mut self, seed: u64) {
        *self = Self::new(self.arrivals.clone(), seed);
    }

    /// Exponential, with the mean 1.
    fn gap(&mut self) -> f64 {
        -(1.0 - self.prng.unit()).ln()
    }
}

impl Iterator for Schedule {
    type Item = Nanos;

    #[inline]
    fn next(&mut self) -> Option<Nanos> {
        let number = self.number;
        self.number += 1;
        match self.arrivals {
            // From the number, not from the time before: rounding does not add up.
            ArrivalPattern::Uniform { rate } => Some(Nanos(((number as f64 + self.at) * 1e9 / rate) as u64)),
            ArrivalPattern::Poisson { rate } => {
                self.at += self.gap() * 1e9 / rate;
                Some(Nanos(self.at as u64))
            }
            ArrivalPattern::Bursts { rate, on, off } => {
                let (on, off) = (on.as_nanos() as f64, off.as_nanos() as f64);
                // Within bursts, as though there were no pauses; the pauses that have passed are added.
                let within = rate * (on + off) / on;
                self.at += self.gap() * 1e9 / within;
                Some(Nanos((self.at + (self.at / on).floor() * off) as u64))
            }
            ArrivalPattern::Times(ref times) => {
                usize::try_from(number).ok().and_then(|index| times.get(index)).copied()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn first(arrivals: ArrivalPattern, count: usize, seed: u64) -> Vec<u64> {
        Schedule::new(arrivals, seed).take(count).map(|at| at.0).collect()
    }

    /// The variance of the gaps over the square of their mean: 0 for even ones, 1 for independent arrivals.
    fn dispersion(times: &[u64]) -> f64 {
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64 / (mean * mean)
    }

    #[test]
    fn every_pattern_keeps_its_rate_and_its_burstiness() {
        let (on, off) = (Duration::from_millis(10), Duration::from_millis(30));
        for (arrivals, least, most) in [
            (ArrivalPattern::Uniform { rate: 3000.0 }, 0.0, 1e-6),
            (ArrivalPattern::Poisson { rate: 3000.0 }, 0.93, 1.07),
            (ArrivalPattern::Bursts { rate: 3000.0, on, off }, 10.0, 1e3),
        ] {
            let times = first(arrivals.clone(), 30_000, 7);
            let took = *times.last().unwrap() as f64 / SECOND as f64;
            assert!((took - 10.0).abs() < 0.3, "{arrivals:?}: {took}");
            assert!(times.is_sorted(), "{arrivals:?}");
            let spread = dispersion(&times);
            assert!((least..most).contains(&spread), "{arrivals:?}: {spread}");
            assert_eq!(times, first(arrivals.clone(), 30_000, 7), "the same seed, the same times");
            assert_ne!(times, first(arrivals, 30_000, 8));
        }
    }

    #[test]
    fn no_request_of_a_burst_falls_into_a_pause() {
        let (on, off) = (Duration::from_millis(10), Duration::from_millis(30));
        let times = first(ArrivalPattern::Bursts { rate: 1000.0, on, off }, 5000, 3);
        assert!(times.iter().all(|at| at % 40_000_000 <= 10_000_000));
    }

    #[test]
    fn even_times_do_not_drift() {
        let times = first(ArrivalPattern::Uniform { rate: 3.0 }, 3_000_001, 1);
        let gap = times[3_000_000] - times[0];
        assert!(gap.abs_diff(1_000_000 * SECOND) < 1000, "{gap}");
    }

    #[test]
    fn a_list_of_times_is_followed_and_must_rise() {
        let times = |times: &[u64]| ArrivalPattern::Times(times.iter().copied().map(Nanos).collect());
        assert_eq!(first(times(&[5, 5, 9]), 10, 1), [5, 5, 9]);
        assert!(times(&[5, 5, 9]).check().is_ok());
        assert!(times(&[]).check().unwrap_err().contains("sends nothing"));
        assert!(times(&[5, 9, 8]).check().unwrap_err().starts_with("time 3 lies before"));
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e8] {
            assert!(ArrivalPattern::Poisson { rate }.check().is_err(), "{rate}");
        }
    }
}
