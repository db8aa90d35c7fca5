//! How busy the machine is: observed at the start and at the end of a run.

use super::processor::current_mhz;
use super::root::Root;
use crate::terms::host::{CpuTicks, Moment};

impl Moment {
    /// Observes how busy the machine below `root` is now.
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

    #[test]
    fn guest_time_is_not_counted_twice() {
        let stat = "cpu  100 10 20 800 5 0 5 60 90 9\ncpu0 1 1 1 1 1 1 1 1 1 1";
        assert_eq!(ticks(stat), Some(CpuTicks { steal: 60, total: 1000, busy: Some(135) }));
        assert_eq!(ticks("cpu  1 2 3"), None);
    }
}
