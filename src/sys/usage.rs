//! What the kernel says a process has used: getrusage(2). Needs no privilege and costs the measured tasks nothing.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::SysError;
use crate::units::Nanos;

/// Cumulative use by tasks: CPU time, context switches, page faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResourceUsage {
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

impl ResourceUsage {
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

    /// Use so far by the process `child`, which has one thread and was not waited for yet: until then it is in nobody's
    /// getrusage(2).
    ///
    /// # Errors
    /// When it is gone, or /proc is not mounted.
    pub fn of_process(child: Pid) -> Result<Self, SysError> {
        let read = |file: &str| {
            let path = format!("/proc/{child}/{file}");
            std::fs::read_to_string(&path).map_err(|error| SysError::from_io(format!("read {path}"), &error))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        // The clock is exact; proc_pid_stat(5) counts in ticks of 10 ms and only shares it out.
        let cpu = clock_getcpuclockid(child)
            .and_then(|clock| clock.now())
            .map_err(|errno| SysError::new("clock_gettime of a process", errno))?;
        Ok(Self::parse(&stat, &status, u64::try_from(cpu.num_nanoseconds()).unwrap_or(0)))
    }

    fn parse(stat: &str, status: &str, cpu: u64) -> Self {
        // Behind the name, which may hold anything, the fields begin with the third.
        let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse().ok()).unwrap_or(0_u64);
        let line = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
        };
        let (user_ticks, system_ticks) = (field(14), field(15));
        // Without a tick of either it has mostly been in system calls, as tasks that wait for each other are.
        let user = match user_ticks + system_ticks {
            0 => 0,
            ticks => (u128::from(cpu) * u128::from(user_ticks) / u128::from(ticks)) as u64,
        };
        Self {
            user: Nanos(user),
            system: Nanos(cpu - user),
            voluntary: line("voluntary_ctxt_switches:"),
            involuntary: line("nonvoluntary_ctxt_switches:"),
            minor_faults: field(10),
            major_faults: field(12),
        }
    }

    /// Use so far by this process, all its threads and the children that were waited for.
    ///
    /// # Errors
    /// As [`ResourceUsage::of_other_threads`].
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 101 0 3 0 30 10 0 0 20 0 1 0 5";
        let status = "Name:\ta) b\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t4\n";
        let usage = ResourceUsage::parse(stat, status, 800);
        let expected = ResourceUsage {
            user: Nanos(600),
            system: Nanos(200),
            voluntary: 12,
            involuntary: 4,
            minor_faults: 101,
            major_faults: 3,
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn this_process_has_used_something() {
        assert!(ResourceUsage::of_process(Pid::this()).unwrap().cpu() > Nanos(0));
    }
}
