//! What the kernel says a process has used: getrusage(2). Needs no privilege and costs the measured tasks nothing.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use super::SysError;
use crate::units::Nanos;

/// Cumulative use by tasks: CPU time, context switches, page faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in user mode. The sum with `system` is exact, the split follows the tick unless the kernel
    /// accounts at each entry (`CONFIG_VIRT_CPU_ACCOUNTING_GEN`).
    pub user: Nanos,
    /// CPU time in the kernel.
    pub system: Nanos,
    /// Times a task gave up its CPU to wait (`ru_nvcsw`).
    pub voluntary: u64,
    /// Times a task was taken off its CPU (`ru_nivcsw`).
    pub involuntary: u64,
    /// Page faults without I/O (`ru_minflt`).
    pub minor_faults: u64,
    /// Page faults with I/O (`ru_majflt`).
    pub major_faults: u64,
}

impl Usage {
    /// Use so far by all threads but the calling one, and by the children that were waited for: the tasks of the
    /// instances this process holds, without the thread that asks them for batches.
    ///
    /// # Errors
    /// getrusage(2) fails only for arguments it does not know.
    pub fn of_other_threads() -> Result<Self, SysError> {
        // The calling thread last: what it used in between is then taken off and not left in.
        let all = Self::of(UsageWho::RUSAGE_SELF)?.plus(Self::of(UsageWho::RUSAGE_CHILDREN)?);
        Ok(all.since(Self::of(UsageWho::RUSAGE_THREAD)?))
    }

    /// Use so far by this process, all its threads and the children that were waited for.
    ///
    /// # Errors
    /// As [`Usage::of_other_threads`].
    pub fn of_this_process() -> Result<Self, SysError> {
        Ok(Self::of(UsageWho::RUSAGE_SELF)?.plus(Self::of(UsageWho::RUSAGE_CHILDREN)?))
    }

    fn of(who: UsageWho) -> Result<Self, SysError> {
        let usage = getrusage(who).map_err(|errno| SysError::new("getrusage", errno))?;
        let count = |value: libc::c_long| u64::try_from(value).unwrap_or(0);
        Ok(Self {
            user: Nanos(count(usage.user_time().num_nanoseconds())),
            system: Nanos(count(usage.system_time().num_nanoseconds())),
            voluntary: count(usage.voluntary_context_switches()),
            involuntary: count(usage.involuntary_context_switches()),
            minor_faults: count(usage.minor_page_faults()),
            major_faults: count(usage.major_page_faults()),
        })
    }

    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// What was used after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        self.zip(earlier, u64::saturating_sub)
    }

    fn zip(self, other: Self, with: fn(u64, u64) -> u64) -> Self {
        Self {
            user: Nanos(with(self.user.0, other.user.0)),
            system: Nanos(with(self.system.0, other.system.0)),
            voluntary: with(self.voluntary, other.voluntary),
            involuntary: with(self.involuntary, other.involuntary),
            minor_faults: with(self.minor_faults, other.minor_faults),
            major_faults: with(self.major_faults, other.major_faults),
        }
    }

    /// CPU time in both modes.
    pub fn cpu(self) -> Nanos {
        Nanos(self.user.0.saturating_add(self.system.0))
    }
}
