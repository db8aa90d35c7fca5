//! What changes all the time: taken once at the start and once at the end of a run.

use serde::{Deserialize, Serialize};

use super::processor::current_mhz;
use super::root::Root;

/// How busy the machine was at one moment. What could not be read is `None` or empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Moment {
    /// Load averages over 1, 5 and 15 minutes (proc_loadavg(5)).
    pub load: Option<[f64; 3]>,
    /// Tasks that run or wait for a CPU, this process's included.
    pub runnable_tasks: Option<u64>,
    /// Tasks that exist.
    pub tasks: Option<u64>,
    /// CPU time since boot, over all CPUs.
    pub ticks: Option<CpuTicks>,
    /// The frequency of each CPU in MHz, where `/proc/cpuinfo` gives it.
    pub cpu_mhz: Vec<f64>,
    /// The share of the last ten seconds in which some task waited for a CPU, in percent, 0 to 100
    /// (Documentation/accounting/psi.rst).
    pub cpu_pressure_percent: Option<f64>,
}

/// CPU time since boot in ticks of `USER_HZ`, over all CPUs (`/proc/stat`, proc_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuTicks {
    /// Time in which the hypervisor ran something else while a CPU had work.
    pub steal: u64,
    /// All time, idle and steal included. Guest time is part of user time and not added again.
    pub total: u64,
    /// Time in which a CPU of this machine ran something: not idle, not waiting for I/O, not stolen.
    #[serde(default)]
    pub busy: Option<u64>,
}

impl Moment {
    /// Reads the moment below `root`.
    pub fn observe(root: &Root) -> Moment {
        let loadavg = root.text("/proc/loadavg").unwrap_or_default();
        let tasks = tasks(&loadavg);
        Moment {
            load: load(&loadavg),
            runnable_tasks: tasks.map(|(runnable, _)| runnable),
            tasks: tasks.map(|(_, all)| all),
            ticks: root.text("/proc/stat").ok().and_then(|stat| ticks(&stat)),
            cpu_mhz: root.text("/proc/cpuinfo").map(|text| current_mhz(&text)).unwrap_or_default(),
            cpu_pressure_percent: root.text("/proc/pressure/cpu").ok().and_then(|text| some_avg10(&text)),
        }
    }

    /// The share of all CPU time between two moments that the hypervisor took away, 0 to 1. `None` when it is
    /// not known, or when no tick passed between them.
    pub fn steal_share(start: &Moment, end: &Moment) -> Option<f64> {
        let (start, end) = (start.ticks?, end.ticks?);
        let total = end.total.checked_sub(start.total).filter(|total| *total > 0)?;
        // A live migration can set steal back.
        let steal = end.steal.checked_sub(start.steal)?;
        Some((steal as f64 / total as f64).min(1.0))
    }
}

impl CpuTicks {
    /// The share of steal in all time since boot, 0 to 1. `None` at the very start.
    pub fn steal_share(self) -> Option<f64> {
        (self.total > 0).then(|| self.steal as f64 / self.total as f64)
    }
}

fn load(loadavg: &str) -> Option<[f64; 3]> {
    let mut numbers = loadavg.split_whitespace().map_while(|word| word.parse::<f64>().ok());
    let load = [numbers.next()?, numbers.next()?, numbers.next()?];
    load.iter().all(|load| load.is_finite()).then_some(load)
}

/// Runnable and existing tasks: the fourth word, `2/84`.
pub(super) fn tasks(loadavg: &str) -> Option<(u64, u64)> {
    let (runnable, all) = loadavg.split_whitespace().nth(3)?.split_once('/')?;
    Some((runnable.parse().ok()?, all.parse().ok()?))
}

fn ticks(stat: &str) -> Option<CpuTicks> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // user, nice, system, idle, iowait, irq, softirq, steal; guest times follow.
    let times: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    let steal = *times.get(7)?;
    let total = times.iter().try_fold(0_u64, |sum, time| sum.checked_add(*time))?;
    let busy = total.checked_sub(times[3] + times[4] + steal);
    Some(CpuTicks { steal, total, busy })
}

fn some_avg10(pressure: &str) -> Option<f64> {
    let line = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    let share: f64 = line.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?.parse().ok()?;
    share.is_finite().then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(steal: u64, total: u64) -> Moment {
        Moment { ticks: Some(CpuTicks { steal, total, busy: None }), ..Moment::default() }
    }

    #[test]
    fn steal_is_a_share_of_the_time_between() {
        assert_eq!(Moment::steal_share(&at(10, 1000), &at(60, 2000)), Some(0.05));
        assert_eq!(Moment::steal_share(&at(10, 1000), &at(10, 1000)), None);
        assert_eq!(Moment::steal_share(&at(10, 1000), &at(5, 2000)), None);
        assert_eq!(Moment::steal_share(&Moment::default(), &at(5, 2000)), None);
    }

    #[test]
    fn guest_time_is_not_counted_twice() {
        let stat = "cpu  100 10 20 800 5 0 5 60 90 9\ncpu0 1 1 1 1 1 1 1 1 1 1";
        assert_eq!(ticks(stat), Some(CpuTicks { steal: 60, total: 1000, busy: Some(135) }));
        assert_eq!(ticks("cpu  1 2 3"), None);
    }
}
