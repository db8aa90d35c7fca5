//! A benchmark: a mechanism in a setting.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crew::{CpuAssignment, Crew, Driver, Failure, InstanceConfig, Operation, TIMEOUT};
use crate::mechanism::{Descriptor, Mechanism, find, group};
use crate::terms::{Idle, Parameters, Setting};
use crate::units::Quantity;

/// For each thread or process on top of [`TIMEOUT`]: creating one takes a tenth of it.
const PER_TASK: Duration = Duration::from_millis(1);

/// For each operation of a lap on top of [`TIMEOUT`]: more than those take whose cost grows with the tasks, up to some
/// thousand of them.
const PER_HOP: Duration = Duration::from_micros(100);

/// A mechanism, its parameters and its place on this machine.
#[derive(Clone)]
pub struct Benchmark {
    /// The mechanism.
    pub mechanism: &'static dyn Mechanism,
    /// Everything else that was chosen.
    pub setting: Setting,
}

/// A benchmark as one process names it to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkSpec {
    /// The mechanism's id.
    pub mechanism: String,
    /// Everything else that was chosen; its fields stand beside `mechanism`.
    #[serde(flatten)]
    pub setting: Setting,
}

impl BenchmarkSpec {
    /// That this program has the mechanism, that it has these parameters and no others, and CPUs to run on.
    pub(super) fn check(&self) -> Result<(), String> {
        let known = find(&self.mechanism).ok_or_else(|| format!("no mechanism is called {}", self.mechanism))?;
        let parameters = known.descriptor().parameters;
        for parameter in parameters {
            let value = self.setting.parameters.iter().find(|(name, _)| *name == parameter.name);
            let (_, value) = value.ok_or_else(|| format!("no value for {}", parameter.name))?;
            let taken = parameter.parse(&value.to_string()).map_err(|error| error.to_string())?;
            if taken != *value {
                return Err(format!("{}={value} is of another kind", parameter.name));
            }
        }
        if let Some((name, _)) =
            self.setting.parameters.iter().find(|(name, _)| parameters.iter().all(|p| p.name != *name))
        {
            return Err(format!("it has no parameter {name}"));
        }
        if self.setting.cpus.is_empty() { Err("no CPU to run on".into()) } else { Ok(()) }
    }

    /// Gives the calling process what the benchmark needs and only a process of one thread can have.
    pub(super) fn prepare_process(&self) {
        if let Some(mechanism) = find(&self.mechanism) {
            mechanism.prepare_process(&self.setting.parameters);
        }
    }

    /// The benchmark; `None` when this program has no such mechanism.
    pub fn benchmark(&self) -> Option<Benchmark> {
        Some(Benchmark { mechanism: find(&self.mechanism)?, setting: self.setting.clone() })
    }
}

impl std::fmt::Debug for Benchmark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.id())
    }
}

/// Whether measuring has a second instance, with counters: its tasks inherit them, and what is measured is time, which
/// counters would lengthen.
pub(super) fn has_counted_instance(mechanism: &dyn Mechanism) -> bool {
    let measures = group(mechanism.descriptor().group()).map_or(Quantity::default(), |group| group.measures);
    mechanism.inherits_counters() && measures.is_time()
}

impl Benchmark {
    /// What is measured of each operation.
    pub fn measures(&self) -> Quantity {
        group(self.descriptor().group()).map_or(Quantity::default(), |group| group.measures)
    }

    /// What the mechanism says of itself: unit, parameters, baseline, and what an audit expects.
    pub fn descriptor(&self) -> &'static Descriptor {
        self.mechanism.descriptor()
    }

    /// `brigade/thread/same-cpu`, then what differs from the defaults: `brigade/thread/same-cpu/tasks=64,idle=poll`.
    pub fn id(&self) -> String {
        id(self.descriptor(), &self.setting)
    }

    /// What another process must know to make the same one.
    pub fn spec(&self) -> BenchmarkSpec {
        BenchmarkSpec { mechanism: self.descriptor().id.into(), setting: self.setting.clone() }
    }

    /// Where its tasks sit.
    pub fn assignment(&self) -> CpuAssignment {
        CpuAssignment::of(&self.setting)
    }

    /// The same with other parameters.
    #[must_use]
    pub fn with_parameters(&self, parameters: Parameters) -> Self {
        Self { setting: Setting { parameters, ..self.setting.clone() }, ..self.clone() }
    }

    /// `ops` rounded up to whole laps.
    pub fn whole_laps(&self, ops: u64) -> u64 {
        self.descriptor().whole_laps(&self.setting.parameters, ops)
    }

    /// Whether a batch may as well be several shorter ones.
    pub(super) fn is_divisible(&self) -> bool {
        self.measures().is_time() && !group(self.descriptor().group()).is_some_and(|group| group.queues)
    }

    /// Sets the mechanism up. `before_set_up` runs on the driver's thread before anything else does.
    ///
    /// # Errors
    /// `Unsupported` when it cannot run here, or the failure of the set-up.
    pub fn start(
        &self,
        before_set_up: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<Driver, Failure> {
        self.start_with(false, self.timeout(), before_set_up)
    }

    /// As [`Benchmark::start`], for those who know that nothing takes longer than `timeout`.
    ///
    /// # Errors
    /// As [`Benchmark::start`].
    pub fn start_within(&self, timeout: Duration) -> Result<Driver, Failure> {
        self.start_with(false, timeout, || Ok(()))
    }

    /// Sets the mechanism up for a tracer, whose driver marks its batches.
    ///
    /// # Errors
    /// As [`Benchmark::start`].
    pub(super) fn start_marked(&self, timeout: Duration) -> Result<Driver, Failure> {
        self.start_with(true, timeout, || Ok(()))
    }

    /// How long anything it does may take before the watchdog calls it hung. It follows the number of tasks and the
    /// length of a lap, so that a hundred thousand threads have time to be created on a slow machine.
    pub fn timeout(&self) -> Duration {
        let demand = (self.descriptor().resources)(&self.setting.parameters);
        let lap = (self.descriptor().lap)(&self.setting.parameters);
        let of_cpus = self.mechanism.threads_per_cpu(&self.setting.parameters);
        let of_cpus = of_cpus.saturating_mul(self.setting.cpus.len() as u64);
        let tasks = demand.threads.saturating_add(demand.processes).saturating_add(of_cpus);
        TIMEOUT
            .saturating_add(PER_TASK.saturating_mul(u32::try_from(tasks).unwrap_or(u32::MAX)))
            .saturating_add(PER_HOP.saturating_mul(u32::try_from(lap).unwrap_or(u32::MAX)))
    }

    fn start_with(
        &self,
        marked: bool,
        timeout: Duration,
        before_set_up: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<Driver, Failure> {
        self.mechanism.supports(&self.setting.parameters)?;
        let id = self.id();
        let config = InstanceConfig { id, setting: self.setting.clone(), timeout, marked };
        let (mechanism, parameters) = (self.mechanism, self.setting.parameters.clone());
        let set_up =
            move |crew: &mut Crew| -> Result<Box<dyn Operation>, Failure> { mechanism.set_up(&parameters, crew) };
        Driver::start(config, before_set_up, set_up)
    }
}

/// The id of a mechanism in a setting, supported here or not.
pub(super) fn id(descriptor: &Descriptor, setting: &Setting) -> String {
    let Setting { placement, idle, policy, parameters, .. } = setting;
    let parameters =
        Some(parameters.differing_from_defaults(descriptor.parameters)).filter(|differing| !differing.is_empty());
    let idle = (*idle != Idle::default()).then(|| format!("idle={idle}"));
    let differing: Vec<String> = parameters.into_iter().chain(idle).chain(policy.differing_from_default()).collect();
    let base = format!("{}/{placement}", descriptor.id);
    if differing.is_empty() { base } else { format!("{base}/{}", differing.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::{Expectation, Resources, Tasks};
    use crate::terms::{Domain, Parameter, Placement, Unit, Value};

    const TASKS: Parameter =
        Parameter { name: "tasks", meaning: "tasks", domain: Domain::Number { default: 500, min: 2, max: 1000 } };
    const NOTIFY: Parameter =
        Parameter { name: "notify", meaning: "when", domain: Domain::Word { words: &["locked", "after"] } };

    static FAKE: Descriptor = Descriptor {
        id: "fake/one",
        isolates: "nothing",
        unit: Unit::Hop,
        tasks: Tasks::OneThread,
        parameters: &[TASKS, NOTIFY],
        baseline: "fake/one",
        requirements: &[],
        source: "none",
        lap: |parameters| parameters.number("tasks"),
        resources: |_| Resources::default(),
        expects: |_, _| Expectation::nothing(),
    };

    #[test]
    fn ids_name_what_differs_from_the_defaults() {
        let defaults = FAKE.defaults();
        let id = |placement, parameters: &Parameters, idle| {
            id(&FAKE, &Setting { idle, ..Setting::new(placement, Vec::new(), parameters.clone()) })
        };
        assert_eq!(id(Placement::SameCpu, &defaults, Idle::Default), "fake/one/same-cpu");
        assert_eq!(id(Placement::SameCpu, &defaults, Idle::Poll), "fake/one/same-cpu/idle=poll");
        let small = defaults.with(&TASKS, Value::Number(64)).with(&NOTIFY, Value::Word("after".into()));
        assert_eq!(id(Placement::Unpinned, &small, Idle::Default), "fake/one/unpinned/notify=after,tasks=64");
        assert_eq!(id(Placement::Unpinned, &small, Idle::Poll), "fake/one/unpinned/notify=after,tasks=64,idle=poll");
        let same = small.with(&TASKS, Value::Number(500)).with(&NOTIFY, Value::Word("locked".into()));
        assert_eq!(id(Placement::Unpinned, &same, Idle::Default), "fake/one/unpinned");
    }

    #[test]
    fn only_whole_laps_are_run() {
        let defaults = FAKE.defaults();
        for (asked, run) in [(0, 500), (1, 500), (500, 500), (501, 1000), (1000, 1000)] {
            assert_eq!(FAKE.whole_laps(&defaults, asked), run, "{asked}");
        }
    }
}
