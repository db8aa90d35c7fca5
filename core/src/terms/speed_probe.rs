//! How fast a CPU was at a moment.

use crate::units::Nanos;

/// How long a fixed stretch of work took on one CPU, of several stretches in a row: how fast the CPU is at the moment.
///
/// `crate::sys::speed` takes it, and says what the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpeedProbe {
    /// The shortest: what the CPU does with warm caches. Comparable on one CPU under one kernel, whatever ran before.
    pub min: Nanos,
    /// The longest. It shows disturbances too short to lengthen all repetitions, and what other programs left in the
    /// caches. It depends on what ran before, so it is comparable within one benchmark only.
    pub max: Nanos,
}

impl SpeedProbe {
    /// The slower of both in either respect.
    #[must_use]
    pub fn slower(self, other: Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.max(other.max) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_two_is_so_in_both_respects() {
        let of = |min, max| SpeedProbe { min: Nanos(min), max: Nanos(max) };
        assert_eq!(of(10, 20).slower(of(11, 15)), of(11, 20));
    }
}
