//! Work that takes a known time on an otherwise idle CPU, and longer when other tasks want the CPU too.
//!
//! It is a number of steps and reads no clock. A task that works until a time is up has nothing left to do when it
//! comes back from being preempted, and so would leave out just the delay that is to be measured.

use std::hint::black_box;

use crate::sys::timer::monotonic;
use crate::units::Nanos;

/// One step of a pseudo-random sequence: G. Marsaglia, *Xorshift RNGs*, Journal of Statistical Software 8(14), 2003.
/// `state` is not 0.
#[inline]
pub fn scramble(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

/// How many steps a microsecond takes.
#[derive(Debug, Clone, Copy)]
pub struct Calibration {
    steps_per_us: u64,
}

impl Calibration {
    /// Calibrates on the CPU of the calling thread, by the fastest of several tries, which no interrupt has lengthened.
    pub fn measured() -> Self {
        const STEPS: u64 = 20_000;
        const TRIES: u32 = 20;
        let timed = |_| {
            let start = monotonic();
            CpuWork(STEPS).perform();
            monotonic().0 - start.0
        };
        let nanos = (0..TRIES).map(timed).min().unwrap_or(1).max(1);
        Self { steps_per_us: (STEPS * 1000 / nanos).max(1) }
    }

    /// The work that takes `time`; none for no time.
    pub fn work(self, time: Nanos) -> CpuWork {
        CpuWork((self.steps_per_us * time.0).div_ceil(1000))
    }
}

/// Steps that each need the one before, so that no two overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuWork(u64);

impl CpuWork {
    /// No work at all.
    pub fn nothing() -> Self {
        Self(0)
    }

    /// One of `of` equal parts of the work, rounded up to a whole step.
    pub fn part(self, of: u64) -> Self {
        Self(self.0.div_ceil(of))
    }

    /// Does the work once.
    pub fn perform(self) {
        let mut state = 1;
        for _ in 0..self.0 {
            // Kept from the compiler, which could take several steps of a linear recurrence at once.
            state = black_box(scramble(state));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_time_is_twice_the_steps() {
        let calibration = Calibration { steps_per_us: 250 };
        assert_eq!(calibration.work(Nanos(2_000)), CpuWork(500));
        assert_eq!(calibration.work(Nanos(1)), CpuWork(1));
        assert!(Calibration::measured().steps_per_us > 0);
    }
}
