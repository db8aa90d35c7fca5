//! How fast the calling thread's CPU runs at the moment, by a fixed stretch of work.
//!
//! On a shared machine a neighbour that the guest cannot see, on the other hardware thread of the core, slows a CPU for
//! tenths of seconds at a time, and no clock, steal counter or load average tells. On a 2-CPU virtual machine a chain
//! of dependent multiplications took 2 % longer meanwhile, while entering the kernel, and with it every mechanism that
//! does so, took 30 % longer: so the work is entries into the kernel. Frequency changes and throttling show as well.

use std::time::Instant;

use crate::units::Nanos;

/// Some ten microseconds: a thousand readings of the clock's step, and over before the next tick.
const CALLS: u32 = 64;

/// The first warms the path up; an interrupt spoils one and not the others.
const STRETCHES: u32 = 4;

/// The time of a fixed number of getppid(2) calls, the shortest of several tries. Comparable on one CPU under one kernel
/// and with nothing else.
pub fn pace() -> Nanos {
    let stretch = |_| {
        let start = Instant::now();
        for _ in 0..CALLS {
            // SAFETY: getppid takes no argument, touches no memory of the caller's and cannot fail.
            unsafe { libc::syscall(libc::SYS_getppid) };
        }
        // Tens of microseconds.
        Nanos(start.elapsed().as_nanos() as u64)
    };
    (0..STRETCHES).map(stretch).min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_takes_time() {
        assert!(pace() > Nanos(0));
    }
}
