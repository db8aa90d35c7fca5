//! How busy the machine is: observed at the start and at the end of a run.

use super::cgroup;
use super::processor::current_mhz;
use super::root::Root;
use crate::terms::host::{CpuTicks, Moment, Stoppages};

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
            stoppages: Stoppages::observe(root),
        }
    }
}

impl Stoppages {
    fn observe(root: &Root) -> Self {
        let groups = cgroup::levels(root);
        Self {
            held_by_quota: groups.iter().filter_map(|level| level.held_by_quota(root)).max(),
            overheated: overheated(root),
            swapped_pages: root.text("/proc/vmstat").ok().and_then(|text| swapped_pages(&text)),
            // No file tells; who asks for a moment of the running machine asks the clocks as well.
            suspended: None,
            online: root.text("/sys/devices/system/cpu/online").ok(),
            granted: groups.iter().find_map(|level| level.granted(root)),
        }
    }
}

/// The counts of a package stand at each of its CPUs: what matters is whether the sum rises.
fn overheated(root: &Root) -> Option<u64> {
    const DIRECTORY: &str = "/sys/devices/system/cpu";
    let is_cpu = |name: &String| name.strip_prefix("cpu").is_some_and(|rest| rest.parse::<u32>().is_ok());
    let count = |name: String| {
        let of = |what| root.value::<u64>(&format!("{DIRECTORY}/{name}/thermal_throttle/{what}_throttle_count")).ok();
        [of("core"), of("package")].into_iter().flatten().reduce(|a, b| a.saturating_add(b))
    };
    let cpus = root.names(DIRECTORY).unwrap_or_default();
    cpus.into_iter().filter(is_cpu).filter_map(count).reduce(|a, b| a.saturating_add(b))
}

fn swapped_pages(vmstat: &str) -> Option<u64> {
    let of = |name| vmstat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    of("pswpin ")?.checked_add(of("pswpout ")?)
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
    fn pages_go_both_ways() {
        assert_eq!(swapped_pages("pgpgin 9\npswpin 3\npswpout 4\npswpout_x 1"), Some(7));
        assert_eq!(swapped_pages("pswpin 3"), None);
    }

    #[test]
    fn guest_time_is_not_counted_twice() {
        let stat = "cpu  100 10 20 800 5 0 5 60 90 9\ncpu0 1 1 1 1 1 1 1 1 1 1";
        assert_eq!(ticks(stat), Some(CpuTicks { steal: 60, total: 1000, busy: Some(135) }));
        assert_eq!(ticks("cpu  1 2 3"), None);
    }
}
