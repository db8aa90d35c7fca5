//! The same curve in instructions per cycle, where the CPU counts both and lets user code read them: a look at the kernel
//! between two blocks would be the very call whose after-effects are to be seen.

use nix::errno::Errno;

use super::recovery::{Recovery, median_in_steps};
use super::stream::Stream;
use super::trials::{Clock, curve, walk};
use crate::crew::Axis;
use crate::mechanism::{Failure, Finding, Unsupported};
use crate::sys::SysError;
use crate::sys::user_counter::{Counted, UserCounter};
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

impl Clock for &UserCounter {
    #[inline(always)]
    fn read(self) -> u64 {
        // It is looked for at the end whether it counted all the while.
        UserCounter::read(self).unwrap_or_default()
    }
}

/// No work at all, between the same readings.
struct Nothing;

impl Stream for Nothing {
    fn block(&mut self) {}

    fn position(&self) -> usize {
        0
    }

    fn seek(&mut self, _: usize) {}
}

impl Registers {
    pub(super) fn open() -> Result<Self, Unsupported> {
        let open = |what| UserCounter::open(what).map_err(|error| refused(&error));
        Ok(Self { cycles: open(Counted::Cycles)?, instructions: open(Counted::Instructions)? })
    }

    /// The clock of the trials.
    pub(super) fn cycles(&self) -> impl Clock {
        &self.cycles
    }

    /// Of as many blocks as `row` has places.
    pub(super) fn overhead(&self, row: &mut [u32]) -> Result<Overhead, Failure> {
        let instructions = self.count(&mut Nothing, row)?;
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

/// Of trials timed in cycles, with so many `instructions` in a block.
pub(super) fn findings(recovery: &Recovery, instructions: f64) -> Vec<Finding> {
    let number = |of: &str, value: f64| Finding::figure(of, Quantity::Number, value);
    let axis = || Axis { of: "instructions per cycle".into(), quantity: Quantity::Number };
    let rate = |cycles: &f64| instructions / cycles.max(1.0);
    vec![
        number("cycles lost after the call", recovery.lost()),
        number("instructions in a block", instructions),
        curve("instructions per cycle after the call", axis(), recovery.after.iter().map(rate)),
        curve("instructions per cycle without the call", axis(), recovery.undisturbed.iter().map(rate)),
    ]
}

fn needed(observed: impl Into<String>, remedy: &str) -> Unsupported {
    Unsupported::new("cycles and instructions read in user mode", observed, remedy)
}

fn lost() -> Failure {
    needed("others took the registers meanwhile", "run it again without other users of the PMU").into()
}

fn refused(error: &SysError) -> Unsupported {
    let remedy = match error.errno {
        Errno::EOPNOTSUPP if cfg!(target_arch = "aarch64") => "sysctl -w kernel.perf_user_access=1 (Linux 5.17)",
        Errno::EOPNOTSUPP => "echo 1 > /sys/bus/event_source/devices/cpu/rdpmc",
        Errno::EACCES | Errno::EPERM => "sysctl -w kernel.perf_event_paranoid=2, or CAP_PERFMON",
        Errno::EBUSY => "end other users of the PMU, or: sysctl -w kernel.nmi_watchdog=0",
        _ => "run where the CPU has a PMU that user code may read: the curve over time needs none",
    };
    needed(error.to_string(), remedy)
}
