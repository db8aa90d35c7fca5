//! The speed of the calling thread's CPU at the moment, by a fixed stretch of work.
//!
//! On a shared machine another guest, on the other hardware thread of the core, slows a CPU for tenths of seconds at a
//! time, and no clock, steal counter or load average shows it. On a 2-CPU virtual machine a chain of dependent
//! multiplications then took 2 % longer, but entering the kernel, and with it every mechanism that does so, took 30 %
//! longer: so the work is entries into the kernel. Frequency changes and throttling show as well.

use std::time::Instant;

use crate::terms::SpeedProbe;
use crate::units::Nanos;

/// Some ten microseconds: a thousand readings of the clock's step, and over before the next tick.
const CALLS: u32 = 64;

/// Repetitions of the stretch: an interrupt may lengthen one of them, and the first one runs with the caches as the
/// code before it left them.
const STRETCHES: usize = 4;

/// Times a fixed number of getppid(2) calls, several times in a row.
pub fn probe_speed() -> SpeedProbe {
    let stretch = |_| {
        let start = Instant::now();
        for _ in 0..CALLS {
            // SAFETY: getppid takes no argument, touches no memory of the caller's and cannot fail.
            unsafe { libc::syscall(libc::SYS_getppid) };
        }
        // Tens of microseconds.
        Nanos(start.elapsed().as_nanos() as u64)
    };
    let stretches = [(); STRETCHES].map(stretch);
    let min = stretches.iter().copied().min().unwrap_or_default();
    SpeedProbe { min, max: stretches.iter().copied().max().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_takes_time_and_none_takes_longer_than_the_longest() {
        let probe = probe_speed();
        assert!(probe.min > Nanos(0) && probe.max >= probe.min);
    }
}
