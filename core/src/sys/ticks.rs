//! The CPU's own clock, read without the kernel, in an order with the loads and instructions around it: for spans of a
//! few hundred nanoseconds, where `clock_gettime` would be a good part of what is timed.
//!
//! x86-64: RDTSC between two LFENCEs, so that nothing before it is unfinished and nothing behind it has begun (Intel
//! SDM volume 2, "RDTSC"; AMD64 APM volume 3: LFENCE is dispatch-serializing, which Linux switches on). arm64:
//! CNTVCT_EL0 behind a barrier for loads and between two ISBs (Arm ARM, D12.2; Linux
//! arch/arm64/include/asm/arch_timer.h). Elsewhere `CLOCK_MONOTONIC` in nanoseconds.

use std::time::{Duration, Instant};

/// The name of the counter that is read.
pub const SOURCE: &str = if cfg!(target_arch = "x86_64") {
    "rdtsc"
} else if cfg!(target_arch = "aarch64") {
    "cntvct_el0"
} else {
    "clock_gettime"
};

/// The time-stamp counter now, in ticks of [`TickRate`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn read() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: LFENCE is part of SSE2, which x86-64 has, and RDTSC is user code's to execute unless prctl(2) PR_SET_TSC
    // forbade it to this very process.
    unsafe {
        std::arch::asm!("lfence", "rdtsc", "lfence", out("eax") low, out("edx") high, options(nostack));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// The generic timer's counter now, in ticks of [`TickRate`].
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub fn read() -> u64 {
    let now: u64;
    // SAFETY: barriers, and a register that Linux lets user code read (CNTKCTL_EL1.EL0VCTEN) for the vDSO's sake.
    unsafe {
        std::arch::asm!("dsb ishld", "isb", "mrs {now}, cntvct_el0", "isb", now = out(reg) now, options(nostack));
    }
    now
}

/// The time since the first reading, in nanoseconds.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
pub fn read() -> u64 {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// How the counter runs: against time, in which steps, and what a reading costs.
#[derive(Debug, Clone, PartialEq)]
pub struct TickRate {
    /// Ticks in a nanosecond.
    pub per_nano: f64,
    /// By how many ticks it advances at once: the largest number that divides every difference seen.
    pub step: u64,
    /// Differences of readings in a row, in ticks: what a reading costs.
    pub costs: Vec<u32>,
}

/// Enough for a median and a common divisor.
const READINGS: usize = 1024;

/// Long against a reading of either clock, short against whatever is set up.
const CALIBRATION: Duration = Duration::from_millis(5);

impl TickRate {
    /// Watches the counter for five milliseconds.
    pub fn observe() -> Self {
        let mut costs = vec![0; READINGS];
        let mut before = read();
        for cost in &mut costs {
            let now = read();
            *cost = u32::try_from(now.wrapping_sub(before)).unwrap_or(u32::MAX);
            before = now;
        }
        let (first, began) = (read(), Instant::now());
        while began.elapsed() < CALIBRATION {
            std::hint::spin_loop();
        }
        let (last, took) = (read(), began.elapsed());
        let ticks = last.wrapping_sub(first).max(1) as f64;
        let step = costs.iter().fold(0, |step, &cost| common_divisor(step, u64::from(cost))).max(1);
        Self { per_nano: ticks / took.as_nanos() as f64, step, costs }
    }
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_advances_and_keeps_pace_with_the_clock() {
        let rate = TickRate::observe();
        assert!(rate.per_nano > 0.0 && rate.step >= 1, "{rate:?}");
        let first = read();
        std::thread::sleep(Duration::from_millis(20));
        let nanos = (read() - first) as f64 / rate.per_nano;
        // No longer than it slept would mean that it stands still while the CPU is idle.
        assert!(nanos > 15e6, "{nanos}");
    }

    #[test]
    fn steps_are_what_divides_every_difference() {
        assert_eq!([26, 52, 78].into_iter().fold(0, common_divisor), 26);
        assert_eq!([0, 0].into_iter().fold(0, common_divisor), 0);
    }
}
