//! The same curve in instructions per cycle, where the CPU counts both and lets user code read them.

use std::hint::black_box;
use std::path::Path;

use nix::errno::Errno;

use super::recovery::{Recovery, median_in_steps};
use super::stream::Stream;
use super::trials::{BlockClock, curve, walk};
use crate::mechanism::{Failure, Metric, MetricKey, Unsupported};
use crate::sys::SysError;
use crate::sys::affinity::allowed_cpus;
use crate::sys::ticks::{self, TickRate};
use crate::sys::user_counter::{NOT_READABLE, UserCounter, UserEvent};
use crate::terms::CurveAxis;
use crate::units::Quantity;

/// The driver's two registers.
pub(super) struct Registers {
    cycles: UserCounter,
    instructions: UserCounter,
}

/// What timing a block adds to it.
pub(super) struct Overhead {
    pub(super) cycles: f64,
    /// Of a whole row.
    instructions: u64,
}

impl BlockClock for &UserCounter {
    #[inline(always)]
    fn read(self) -> u64 {
        // `Registers::check` finds out afterwards.
        UserCounter::read(self).unwrap_or_default()
    }
}

/// No work at all, between the same readings.
struct NoWork;

impl Stream for NoWork {
    fn block(&mut self) {}

    fn position(&self) -> usize {
        0
    }

    fn seek(&mut self, _: usize) {}
}

/// A reading takes some tens of cycles. In a virtual machine whose counters the hypervisor emulates it leaves for there
/// and takes a microsecond, which the guest's counters do not count, and every block would be one behind a call.
const LONGEST_READING: f64 = 300.0;

/// Of which the median is taken.
const READINGS: usize = 101;

impl Registers {
    pub(super) fn open() -> Result<Self, Failure> {
        if allowed_cpus()?.len() > 1 {
            // CPUs of different kinds have counters of different kinds.
            return Err(needed("a task that may run on several CPUs", "a placement on chosen CPUs").into());
        }
        let open = |what| UserCounter::open(what).map_err(|error| refused(&error));
        let registers = Self { cycles: open(UserEvent::Cycles)?, instructions: open(UserEvent::Instructions)? };
        let reading = registers.nanos_of_a_reading();
        if reading > LONGEST_READING {
            let observed = format!("a reading takes {reading:.0} ns, as if the hypervisor did it");
            return Err(needed(observed, "run on the machine itself, or where guests have the registers").into());
        }
        Ok(registers)
    }

    fn nanos_of_a_reading(&self) -> f64 {
        let rate = TickRate::observe();
        let mut ticks: Vec<u32> = (0..READINGS)
            .map(|_| {
                let before = ticks::read();
                black_box(self.cycles.read());
                u32::try_from(ticks::read().wrapping_sub(before)).unwrap_or(u32::MAX)
            })
            .collect();
        median_in_steps(&mut ticks, rate.step).unwrap_or_default() / rate.per_nano
    }

    /// Whether both counted whenever the task ran.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        match self.cycles.counted_all_the_while()? && self.instructions.counted_all_the_while()? {
            true => Ok(()),
            false => Err(lost()),
        }
    }

    /// The clock of the trials.
    pub(super) fn cycles(&self) -> impl BlockClock {
        &self.cycles
    }

    /// Of as many blocks as `row` has places.
    pub(super) fn overhead(&self, row: &mut [u32]) -> Result<Overhead, Failure> {
        let instructions = self.count(&mut NoWork, row)?;
        Ok(Overhead { cycles: median_in_steps(row, 1).unwrap_or_default(), instructions })
    }

    /// In a block, less the overhead.
    pub(super) fn instructions_of(
        &self,
        stream: &mut impl Stream,
        row: &mut [u32],
        overhead: &Overhead,
    ) -> Result<f64, Failure> {
        let all = self.count(stream, row)?;
        Ok(all.saturating_sub(overhead.instructions) as f64 / row.len().max(1) as f64)
    }

    fn count(&self, stream: &mut impl Stream, row: &mut [u32]) -> Result<u64, Failure> {
        let read = || self.instructions.read().zip(self.cycles.read()).ok_or_else(lost);
        let (before, _) = read()?;
        walk(stream, row, &self.cycles);
        let (after, _) = read()?;
        Ok(after.wrapping_sub(before))
    }
}

/// Of so many `pairs` of trials timed in cycles, with so many `instructions` in a block.
pub(super) fn metrics(recovery: &Recovery, instructions: f64, overhead: &Overhead, pairs: u64) -> Vec<Metric> {
    let number = |of: MetricKey, value: f64| Metric::scalar(of, Quantity::Number, value);
    let axis = || CurveAxis { of: "instructions per cycle".into(), quantity: Quantity::Number };
    let rate = |cycles: &f64| instructions / cycles.max(1.0);
    vec![
        number(MetricKey::CyclesLost, recovery.lost()),
        number(MetricKey::InstructionsPerBlock, instructions),
        number(MetricKey::ReadingCycles, overhead.cycles),
        number(MetricKey::PairsInCycles, pairs as f64),
        curve(MetricKey::IpcAfterCall, axis(), recovery.after.iter().map(rate)),
        curve(MetricKey::IpcWithoutCall, axis(), recovery.undisturbed.iter().map(rate)),
    ]
}

fn needed(observed: impl Into<String>, remedy: &str) -> Unsupported {
    Unsupported::new("cycles and instructions read in user mode", observed, remedy)
}

fn lost() -> Failure {
    needed("others took the registers meanwhile", "run it again without other users of the PMU").into()
}

fn refused(error: &SysError) -> Unsupported {
    let arm = cfg!(target_arch = "aarch64");
    let x86 = cfg!(target_arch = "x86_64");
    // Files are named where they are.
    let rdpmc = || Path::new("/sys/bus/event_source/devices/cpu/rdpmc").exists();
    let remedy = match (error.call.as_str(), error.errno) {
        (NOT_READABLE, Errno::EOPNOTSUPP) if arm => "Linux 5.17, and: sysctl -w kernel.perf_user_access=1",
        (NOT_READABLE, Errno::EOPNOTSUPP) if x86 && rdpmc() => "echo 1 > /sys/bus/event_source/devices/cpu/rdpmc",
        (NOT_READABLE, Errno::EOPNOTSUPP) if !x86 => {
            "run on x86-64 or arm64: registers of other processors are not read"
        }
        (NOT_READABLE, Errno::EBUSY) if watchdog_is_on() => {
            "end other users of the PMU (sysctl -w kernel.nmi_watchdog=0), or another CPU"
        }
        (NOT_READABLE, Errno::EBUSY) => "end other users of the PMU, or choose another CPU",
        ("mmap", Errno::EPERM) => "sysctl -w kernel.perf_event_mlock_kb=1024, or CAP_IPC_LOCK",
        ("perf_event_open", Errno::EACCES | Errno::EPERM) => {
            "sysctl -w kernel.perf_event_paranoid=2, and a sandbox that allows perf_event_open"
        }
        _ => "run where the CPU has a PMU that user code may read: the curve over time needs none",
    };
    needed(error.to_string(), remedy)
}

/// Whether the NMI watchdog is on, which holds a counter on the processors that are read here.
fn watchdog_is_on() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/nmi_watchdog").is_ok_and(|value| value.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_per_cycle_are_those_of_a_block_over_its_cycles() {
        let recovery = Recovery { after: vec![400.0, 200.0], undisturbed: vec![200.0, 200.0] };
        let found = metrics(&recovery, 300.0, &Overhead { cycles: 30.0, instructions: 0 }, 256);
        let heights = |of: MetricKey| -> Vec<f64> {
            let curve = found.iter().find_map(|metric| match metric {
                Metric::Curve(curve) if curve.of == of => Some(curve),
                _ => None,
            });
            curve.unwrap().points.iter().map(|(_, height)| *height).collect()
        };
        assert_eq!(heights(MetricKey::IpcAfterCall), [0.75, 1.5]);
        assert_eq!(heights(MetricKey::IpcWithoutCall), [1.5, 1.5]);
        assert!(found.contains(&Metric::scalar(MetricKey::CyclesLost, Quantity::Number, 200.0)));
    }

    #[test]
    fn every_refusal_has_its_remedy() {
        let remedy = |call: &str, errno| refused(&SysError::new(call, errno)).0.remedy;
        assert!(remedy("perf_event_open", Errno::EACCES).contains("perf_event_paranoid"));
        assert!(remedy("mmap", Errno::EPERM).contains("perf_event_mlock_kb"));
        assert_eq!(remedy(NOT_READABLE, Errno::EBUSY).contains("nmi_watchdog"), watchdog_is_on());
        let switched_off = remedy(NOT_READABLE, Errno::EOPNOTSUPP);
        let rdpmc = Path::new("/sys/bus/event_source/devices/cpu/rdpmc").exists();
        assert_eq!(switched_off.contains("rdpmc"), cfg!(target_arch = "x86_64") && rdpmc, "{switched_off}");
        assert!(remedy("perf_event_open", Errno::ENOENT).contains("PMU"));
    }
}
