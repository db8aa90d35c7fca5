//! From a user's choice to the benchmarks that it names on this machine.

use crate::host::Root;
use crate::host::limits::{Limits, Obstacle};
use crate::mechanism::{Mechanism, registry};
use crate::record::{BenchmarkLine, Outcome};
use crate::sys::SysError;
use crate::sys::limits::raise_descriptors;
use crate::terms::{Idle, Parameter, ParameterError, Parameters, Placement, Policy, Setting, Unsupported};
use crate::units::CpuId;

use super::Benchmark;
use super::benchmark::id;
use super::criterion_adapter::line;
use super::host_cpus::{HostCpus, UnusableCpus};
use super::limit_check::{
    INSTANCES_OF_A_SWEEP, count_of, demand, describe, instances, limits_command, most_tasks, too_large,
};

/// What a user chose. The default is every mechanism with its own parameters in every placement that there is here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// `NAME=VALUE`, for every mechanism that has a parameter of that name.
    pub parameters: Vec<(String, String)>,
    /// The placements; empty is those that the topology offers.
    pub placements: Vec<Placement>,
    /// The CPUs that may be used, in rising order; empty is those of this process's mask.
    pub cpus: Vec<CpuId>,
    /// What idle CPUs do, where that was said: saying `default` overrules what a profile says.
    pub idle: Option<Idle>,
    /// How tasks are scheduled, where that was said.
    pub policy: Option<Policy>,
}

impl Choice {
    /// The setting of a mechanism with these parameters; on which CPUs is not decided yet.
    pub(super) fn setting(&self, placement: Placement, parameters: Parameters) -> Setting {
        let (idle, policy) = (self.idle.unwrap_or_default(), self.policy.unwrap_or_default());
        Setting { idle, policy, ..Setting::new(placement, Vec::new(), parameters) }
    }

    /// The setting of `mechanism` for those who decide themselves on which CPUs its tasks run, one on each.
    ///
    /// # Errors
    /// A parameter that no mechanism has, and a value that this one does not take.
    pub fn setting_of(&self, mechanism: &dyn Mechanism) -> Result<Setting, PlanError> {
        check_names(self)?;
        Ok(self.setting(Placement::OnePerCpu, parameters(self, mechanism)?))
    }

    /// This choice with everything that `over` sets in place of its own.
    #[must_use]
    pub fn overruled_by(&self, over: &Self) -> Self {
        let kept = self.parameters.iter().filter(|(name, _)| !over.parameters.iter().any(|(other, _)| other == name));
        Self {
            parameters: kept.chain(&over.parameters).cloned().collect(),
            placements: if over.placements.is_empty() { &self.placements } else { &over.placements }.clone(),
            cpus: if over.cpus.is_empty() { &self.cpus } else { &over.cpus }.clone(),
            idle: over.idle.or(self.idle),
            policy: over.policy.or(self.policy),
        }
    }
}

/// A benchmark, or the reason that there is none.
#[derive(Debug, Clone)]
pub enum PlannedBenchmark {
    /// It can be set up.
    Ready(Benchmark),
    /// It cannot be set up on this machine.
    Unsupported {
        /// The mechanism.
        mechanism: &'static dyn Mechanism,
        /// What was chosen.
        setting: Setting,
        /// Why not.
        reason: Unsupported,
    },
}

impl PlannedBenchmark {
    /// The id that records and filters use, such as `handoff/pipe/same-cpu`.
    pub fn id(&self) -> String {
        match self {
            Self::Ready(benchmark) => benchmark.id(),
            Self::Unsupported { mechanism, setting, .. } => id(mechanism.descriptor(), setting),
        }
    }

    /// Placement, CPUs, idle, policy and parameters, of a benchmark that cannot run here as well.
    pub fn setting(&self) -> &Setting {
        match self {
            Self::Ready(benchmark) => &benchmark.setting,
            Self::Unsupported { setting, .. } => setting,
        }
    }

    /// The registry's entry of the mechanism, which exists even where the benchmark cannot run.
    pub fn mechanism(&self) -> &'static dyn Mechanism {
        match self {
            Self::Ready(benchmark) => benchmark.mechanism,
            Self::Unsupported { mechanism, .. } => *mechanism,
        }
    }

    /// The name of its group.
    pub fn group(&self) -> &'static str {
        self.mechanism().descriptor().group()
    }
}

impl PlannedBenchmark {
    /// The line of a benchmark that cannot be set up; nothing for one that can.
    pub fn unsupported_line(&self, host_id: &str, started_ms: u64) -> Option<BenchmarkLine> {
        let Self::Unsupported { reason, .. } = self else { return None };
        Some(line(self, 0, host_id, started_ms, Outcome::Unsupported(reason.clone())))
    }
}

/// Why a choice cannot be planned. All of them are the user's to mend.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A value that a parameter does not take.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A parameter that no mechanism has.
    #[error("no mechanism has a parameter `{name}`; there are {known}")]
    UnknownParameter {
        /// As given.
        name: String,
        /// What there is.
        known: String,
    },
    /// More than the limits of this machine hold.
    #[error(
        "{id} needs more than this machine allows: {}. To leave it out: --exclude{}",
        describe(.obstacles),
        hint(.shown)
    )]
    Limits {
        /// The benchmark.
        id: String,
        /// Every limit in the way.
        obstacles: Vec<Obstacle>,
        /// The command that shows all limits.
        shown: Option<String>,
    },
    /// A sweep of what has no number of tasks.
    #[error("{0} has a fixed number of tasks: it has no parameter `tasks` or `alive`")]
    NoCount(&'static str),
    /// CPUs that were chosen and cannot be used.
    #[error(transparent)]
    Cpus(#[from] UnusableCpus),
    /// The kernel does not say which CPUs there are, or what the limits are.
    #[error(transparent)]
    Sys(#[from] SysError),
}

fn hint(shown: &Option<String>) -> String {
    shown.as_ref().map_or_else(String::new, |command| format!(". All limits: {command}"))
}

/// Plans the mechanisms that `wanted` names, in the registry's order.
///
/// The process's own limit of descriptors is raised as far as it may be, since the default of 1024 holds no brigade.
///
/// # Errors
/// A parameter or value that does not exist, and a benchmark larger than the limits.
pub fn plan(choice: &Choice, wanted: impl Fn(&str) -> bool) -> Result<Vec<PlannedBenchmark>, PlanError> {
    raise_descriptors();
    let root = Root::default();
    let host_cpus = HostCpus::observe(&root, &choice.cpus)?;
    check_names(choice)?;
    let limits = Limits::observe(&root);
    let mut planned = Vec::new();
    for &mechanism in registry() {
        let descriptor = mechanism.descriptor();
        let placements = host_cpus.placements(&choice.placements);
        let parameters = match parameters(choice, mechanism) {
            Ok(parameters) => parameters,
            Err(error) => {
                // A value that a mechanism does not take matters where the mechanism is wanted.
                let id = |placement: &Placement| id(descriptor, &choice.setting(*placement, descriptor.defaults()));
                if placements.iter().any(|placement| descriptor.fits(*placement) && wanted(&id(placement))) {
                    return Err(error.into());
                }
                continue;
            }
        };
        let offered = placements.clone();
        for placement in placements {
            let setting = choice.setting(placement, parameters.clone());
            let id = id(descriptor, &setting);
            if !mechanism.tasks(&parameters).fit(placement) || !wanted(&id) {
                continue;
            }
            if choice.placements.is_empty() && !mechanism.chosen_by_default(placement, &offered) {
                continue;
            }
            let assigned = host_cpus.place(mechanism, setting);
            if let PlannedBenchmark::Ready(benchmark) = &assigned {
                check_limits(&limits, &id, benchmark)?;
            }
            planned.push(assigned);
        }
    }
    Ok(planned)
}

/// The benchmarks of a sweep over the number of tasks.
#[derive(Debug)]
pub struct TaskSweep {
    /// By placement and rising count. What does not fit is unsupported, with every limit that is in the way.
    pub planned: Vec<PlannedBenchmark>,
    /// The most tasks that fit.
    pub most: Option<u64>,
}

/// Plans a sweep of `mechanism`: one instance at each count that `counts` makes of the most tasks that fit. Where
/// `beyond` is true, what does not fit is planned all the same.
///
/// # Errors
/// A mechanism without a number of tasks, and as [`plan`] but for the limits.
pub fn plan_counts(
    choice: &Choice,
    mechanism: &'static dyn Mechanism,
    beyond: bool,
    counts: impl FnOnce(&Parameter, Option<u64>) -> Vec<u64>,
) -> Result<TaskSweep, PlanError> {
    raise_descriptors();
    let root = Root::default();
    let host_cpus = HostCpus::observe(&root, &choice.cpus)?;
    check_names(choice)?;
    let descriptor = mechanism.descriptor();
    let parameter = count_of(descriptor).ok_or(PlanError::NoCount(descriptor.id))?;
    let limits = Limits::observe(&root);
    let parameters = parameters(choice, mechanism)?;
    let most = most_tasks(mechanism, &parameters, host_cpus.count(), &limits, INSTANCES_OF_A_SWEEP);
    let counts = counts(parameter, most);
    let mut planned = Vec::new();
    let tasks = mechanism.tasks(&parameters);
    for placement in host_cpus.placements(&choice.placements).into_iter().filter(|place| tasks.fit(*place)) {
        for tasks in &counts {
            let value = parameter.parse(&tasks.to_string())?;
            let parameters = parameters.clone().with(parameter, value);
            let assigned = host_cpus.place(mechanism, choice.setting(placement, parameters.clone()));
            let cpus = assigned.setting().cpus.len();
            let obstacles = limits.obstacles(demand(mechanism, &parameters, cpus, INSTANCES_OF_A_SWEEP));
            planned.push(match assigned {
                PlannedBenchmark::Ready(benchmark) if !obstacles.is_empty() && !beyond => {
                    PlannedBenchmark::Unsupported {
                        mechanism,
                        setting: benchmark.setting,
                        reason: too_large(mechanism, &parameters, &obstacles),
                    }
                }
                assigned => assigned,
            });
        }
    }
    Ok(TaskSweep { planned, most })
}

fn check_names(choice: &Choice) -> Result<(), PlanError> {
    let known = |name: &str| registry().iter().any(|mechanism| mechanism.descriptor().parameter(name).is_some());
    match choice.parameters.iter().find(|(name, _)| !known(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let mut known: Vec<&str> =
                registry().iter().flat_map(|m| m.descriptor().parameters.iter().map(|p| p.name)).collect();
            known.sort_unstable();
            known.dedup();
            Err(PlanError::UnknownParameter { name: name.clone(), known: known.join(", ") })
        }
    }
}

fn parameters(choice: &Choice, mechanism: &dyn Mechanism) -> Result<Parameters, ParameterError> {
    let descriptor = mechanism.descriptor();
    choice.parameters.iter().try_fold(descriptor.defaults(), |parameters, (name, value)| {
        match descriptor.parameter(name) {
            Some(parameter) => Ok(parameters.with(parameter, parameter.parse(value)?)),
            None => Ok(parameters),
        }
    })
}

fn check_limits(limits: &Limits, id: &str, benchmark: &Benchmark) -> Result<(), PlanError> {
    let Setting { parameters, cpus, .. } = &benchmark.setting;
    let instances = instances(benchmark.mechanism);
    let obstacles = limits.obstacles(demand(benchmark.mechanism, parameters, cpus.len(), instances));
    if obstacles.is_empty() {
        return Ok(());
    }
    let shown = limits_command(benchmark.descriptor(), parameters, instances);
    Err(PlanError::Limits { id: id.into(), obstacles, shown })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::find;

    fn set(name: &str, value: &str) -> Choice {
        Choice { parameters: vec![(name.into(), value.into())], ..Choice::default() }
    }

    fn ids(choice: &Choice, wanted: &str) -> Vec<String> {
        plan(choice, |id| id.starts_with(wanted)).unwrap().iter().map(PlannedBenchmark::id).collect()
    }

    #[test]
    fn tasks_that_share_a_thread_are_in_no_placement_that_tells_cpus_apart() {
        let placements = |flavour| {
            let placements = vec![Placement::SameCpu, Placement::OnePerCpu];
            ids(&Choice { placements, ..set("flavour", flavour) }, "handoff/tokio_notify/")
        };
        assert_eq!(placements("same_thread"), ["handoff/tokio_notify/same-cpu"]);
        assert_eq!(placements("two_workers").len(), 2);
    }

    #[test]
    fn the_registrys_order_is_kept_and_a_wish_for_one_thread_on_two_cpus_names_nothing() {
        let planned = ids(&Choice::default(), "brigade/one_thread");
        assert_eq!(planned, ["brigade/one_thread/unpinned", "brigade/one_thread/same-cpu"]);
        let same_llc = Choice { placements: vec![Placement::SameLlc], ..Choice::default() };
        assert_eq!(ids(&same_llc, "brigade/one_thread"), [""; 0]);
        assert_eq!(ids(&same_llc, "handoff/pipe"), ["handoff/pipe/same-llc"], "here or not, it is planned");
    }

    #[test]
    fn parameters_reach_those_that_have_them() {
        let few = set("tasks", "64");
        assert_eq!(ids(&few, "brigade/mio/same-cpu"), ["brigade/mio/same-cpu/tasks=64"]);
        assert_eq!(ids(&few, "handoff/pipe/same-cpu"), ["handoff/pipe/same-cpu"]);
    }

    #[test]
    fn a_value_must_be_one_for_the_mechanisms_that_are_wanted_alone() {
        let odd = set("payload", "100");
        assert_eq!(ids(&odd, "brigade/mio/same-cpu"), ["brigade/mio/same-cpu/payload=100"]);
        let error = plan(&odd, |id| id.starts_with("brigade/flume")).unwrap_err().to_string();
        assert!(error.contains("payload=100") && error.contains("1, 16, 64, 256"), "{error}");
    }

    #[test]
    fn what_cannot_be_planned_is_reported_with_what_there_is() {
        let message = |choice| plan(&choice, |_| true).unwrap_err().to_string();
        let unknown = message(set("task", "64"));
        assert!(unknown.contains("`task`") && unknown.contains("tasks"), "{unknown}");
        assert_eq!(message(set("tasks", "1")), "tasks=1: tasks is a whole number from 2 to 100000");
        assert_eq!(message(set("tasks", "many")), "tasks=many: tasks is a whole number from 2 to 100000");
        assert_eq!(message(set("transport", "fifo")), "transport=fifo: transport is one of pipe, socketpair");
    }

    #[test]
    fn more_than_the_limits_hold_is_reported_with_limit_and_remedy() {
        let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/host/vm-2cpu");
        let limits = Limits::observe(&Root::at(fixture));
        let mechanism = find("brigade/one_thread").unwrap();
        let checked = |tasks: &str| {
            let tasks = Choice { parameters: vec![("tasks".into(), tasks.into())], ..Choice::default() };
            let setting = Setting { cpus: vec![CpuId(0)], ..tasks.setting_of(mechanism).unwrap() };
            check_limits(&limits, "fake/one/same-cpu", &Benchmark { mechanism, setting })
        };
        assert!(checked("8").is_ok());
        let error = checked("5_000_000").unwrap_err().to_string();
        assert!(error.starts_with("fake/one/same-cpu needs more than this machine allows: "), "{error}");
        assert!(error.contains("RLIMIT_NOFILE (soft) is 1024") && error.contains("raise it: "), "{error}");
        assert!(error.contains("and 200000") && error.contains("fs.nr_open"), "both instances, every limit: {error}");
        assert!(error.ends_with("switchcost limits --tasks 5000000 --mechanism brigade/one_thread"), "{error}");
    }
}
