//! The search of `switchcost load` for the rate at which the server is busy, or slow, to a given degree.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use nix::unistd::Pid;
use serde::Serialize;

use super::load::share;
use super::load_view::LoadWatch;
use super::options::UsageError;
use crate::harness::rounds::duration;
use crate::load::{
    LoadDriver, LoadEnd, LoadInterval, LoadObserver, LoadOutcome, LoadPlan, LoadProgress, RateGrowth, RateProbe,
    RateSearch, run_load,
};
use crate::sys::SysError;
use crate::sys::server_cpu::CpuScope;
use crate::sys::timer::monotonic;
use crate::units::Nanos;

/// What is searched for.
#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    /// Search for the rate at which the server uses this share of a CPU, such as 60%; 150% is one CPU and a half
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with = "target_p99")]
    target_cpu: Option<f64>,
    /// Search for the highest rate at which the p99 of the response time is no longer
    #[arg(long, value_name = "TIME", value_parser = duration)]
    target_p99: Option<Duration>,
    /// The server is this process
    #[arg(long, value_name = "PID")]
    server_pid: Option<i32>,
    /// The server is this process and its descendants
    #[arg(long, value_name = "PID", conflicts_with = "server_pid")]
    server_tree: Option<i32>,
    /// The server is this control group, by its folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["server_pid", "server_tree"])]
    server_cgroup: Option<PathBuf>,
    /// How long the load lasts at each rate that is tried
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    probe: Duration,
}

/// What came of a search.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SearchOutcome {
    /// What was looked at: `server CPU`, `response p99`.
    pub(super) figure: &'static str,
    /// A share of a CPU, or seconds.
    pub(super) target: f64,
    /// Whether it is a share.
    pub(super) is_share: bool,
    /// What was measured at each rate, in order.
    pub(super) probes: Vec<RateProbe>,
    /// The probe that met the target.
    pub(super) met: Option<RateProbe>,
    /// Requests a second that the server answered when it was asked for more, below the target: it will not reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ceiling: Option<f64>,
    /// The load at the rate that was found, or at the last one that was tried.
    #[serde(skip)]
    pub(super) outcome: LoadOutcome,
}

/// A search that is asked for.
#[derive(Debug)]
pub(super) struct LoadSearch {
    search: RateSearch,
    /// Whose CPU time is looked at; none where it is the latency.
    scope: Option<CpuScope>,
    target: f64,
    probe: Duration,
}

/// The share of a CPU may be off by two points, of which one is the search's.
const CPU_TOLERANCE: f64 = 0.01;

const MOST_PROBES: usize = 12;

impl SearchArgs {
    pub(super) fn is_asked(&self) -> bool {
        self.target_cpu.is_some() || self.target_p99.is_some()
    }

    fn scope(&self) -> Option<CpuScope> {
        let process = |pid: i32| Pid::from_raw(pid);
        let of_pid = self.server_pid.map(|pid| CpuScope::Process(process(pid)));
        let of_tree = self.server_tree.map(|pid| CpuScope::Tree(process(pid)));
        of_pid.or(of_tree).or_else(|| self.server_cgroup.clone().map(CpuScope::ControlGroup))
    }

    /// The search, if one is asked for, from the rate `first` on.
    pub(super) fn search(&self, first: Option<f64>) -> Result<Option<LoadSearch>, UsageError> {
        let first = first.unwrap_or(1000.0);
        if let Some(target) = self.target_p99 {
            let target = target.as_secs_f64();
            let search = RateSearch::new(target, 0.05 * target, RateGrowth::Steep, first, MOST_PROBES);
            return Ok(Some(LoadSearch { search, scope: None, target, probe: self.probe }));
        }
        let Some(target) = self.target_cpu else { return Ok(None) };
        let told = "--target-cpu needs the server: --server-pid, --server-tree or --server-cgroup";
        let scope = self.scope().ok_or_else(|| UsageError::Unknown(told.into()))?;
        scope.cpu().map_err(|error| UsageError::Unknown(format!("the server's CPU time: {error}")))?;
        let search = RateSearch::new(target, CPU_TOLERANCE, RateGrowth::Proportional, first, MOST_PROBES);
        Ok(Some(LoadSearch { search, scope: Some(scope), target, probe: self.probe }))
    }
}

impl LoadSearch {
    /// Measures at one rate after the other until the target is met.
    pub(super) fn carry_out(
        mut self,
        plan: &Arc<LoadPlan>,
        watch: &mut LoadWatch,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> anyhow::Result<SearchOutcome> {
        let warm_up = self.probe / 5;
        let (mut last, mut ceiling) = (None, None);
        while let Some(rate) = self.search.next_rate() {
            let driver = match &plan.driver {
                LoadDriver::Open(arrivals) => LoadDriver::Open(arrivals.at_rate(rate)),
                closed => closed.clone(),
            };
            let probe = LoadPlan { driver, duration: self.probe + warm_up, warm_up, ..LoadPlan::clone(plan) };
            let probe = probe.checked().map_err(|error| UsageError::Unknown(error.to_string()))?;
            watch.again();
            let mut meter = CpuMeter {
                inner: watch.until(interrupted),
                scope: self.scope.as_ref(),
                window: (warm_up, probe.duration),
                first: None,
                last: None,
                failed: None,
            };
            let outcome = run_load(&probe, &mut meter)?;
            let (cpu, failed) = (meter.share(), meter.failed.take());
            if let Some(error) = failed {
                anyhow::bail!("the server's CPU time: {error}");
            }
            let value = match cpu {
                Some(cpu) => cpu,
                None if outcome.backlog.is_some() || outcome.counts.answered == 0 => f64::INFINITY,
                None => outcome.response.quantile(0.99) as f64 / 1e9,
            };
            self.search.enter(rate, value);
            watch.say(&format!("\r\x1b[K{rate:.0} requests/s: {}", self.told(value)));
            // A server that has a backlog and is not as busy as that waits for something else than this CPU time.
            let saturated = outcome.backlog.filter(|_| self.scope.is_some() && value < self.target);
            ceiling = saturated.map(|backlog| backlog.answered);
            let over = ceiling.is_some() || matches!(outcome.ended, LoadEnd::Interrupted | LoadEnd::GaveUp(_));
            last = Some((rate, outcome));
            if over {
                break;
            }
        }
        let met = self.search.found();
        let (_, outcome) = last.ok_or_else(|| anyhow::anyhow!("nothing was measured"))?;
        Ok(SearchOutcome {
            figure: if self.scope.is_some() { "server CPU" } else { "response p99" },
            target: self.target,
            is_share: self.scope.is_some(),
            probes: self.search.probes().to_vec(),
            met,
            ceiling,
            outcome,
        })
    }

    fn told(&self, value: f64) -> String {
        match &self.scope {
            Some(_) => format!("{:.1} % of a CPU", value * 100.0),
            None if value.is_finite() => format!("p99 {}", super::load_view::time(value * 1e9)),
            None => "backlog".into(),
        }
    }
}

/// Reads the server's CPU time while a load runs.
struct CpuMeter<'a, 'w> {
    inner: super::load_view::WatchUntil<'w>,
    scope: Option<&'a CpuScope>,
    /// From the end of the warm-up to the end of sending.
    window: (Duration, Duration),
    first: Option<(Nanos, Nanos)>,
    last: Option<(Nanos, Nanos)>,
    failed: Option<SysError>,
}

impl CpuMeter<'_, '_> {
    /// CPUs in use between the first reading and the last; `None` without a server to look at.
    fn share(&self) -> Option<f64> {
        let ((from, before), (until, after)) = (self.first?, self.last?);
        let elapsed = until.0.saturating_sub(from.0);
        (elapsed > 0).then(|| after.0.saturating_sub(before.0) as f64 / elapsed as f64)
    }
}

impl LoadObserver for CpuMeter<'_, '_> {
    fn progress(&mut self, progress: &LoadProgress) -> bool {
        let (from, until) = self.window;
        if let Some(scope) = self.scope
            && (from..=until).contains(&progress.elapsed)
        {
            match scope.cpu() {
                Ok(cpu) => {
                    let reading = (monotonic(), cpu);
                    self.first.get_or_insert(reading);
                    self.last = Some(reading);
                }
                Err(error) => {
                    self.failed = Some(error);
                    return false;
                }
            }
        }
        self.inner.progress(progress)
    }

    fn interval_length(&self) -> Option<Duration> {
        self.inner.interval_length()
    }

    fn interval(&mut self, interval: LoadInterval) {
        self.inner.interval(interval);
    }
}
