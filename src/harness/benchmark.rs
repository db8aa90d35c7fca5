//! A benchmark: a mechanism with everything chosen.

use crate::crew::{Crew, Driver, Failure, Idle, Operation, PATIENCE, Policy, Roster, Seating};
use crate::mechanism::{Descriptor, Mechanism, Parameters};
use crate::record::Setting;

/// A mechanism, its parameters and its place on this machine.
#[derive(Clone)]
pub struct Benchmark {
    /// The mechanism.
    pub mechanism: &'static dyn Mechanism,
    /// Its parameters.
    pub parameters: Parameters,
    /// Where its tasks sit.
    pub seating: Seating,
    /// What idle CPUs do.
    pub idle: Idle,
    /// How its tasks are scheduled.
    pub policy: Policy,
}

impl std::fmt::Debug for Benchmark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.id())
    }
}

impl Benchmark {
    /// The mechanism's descriptor.
    pub fn descriptor(&self) -> &'static Descriptor {
        self.mechanism.descriptor()
    }

    /// `brigade/thread/same-cpu`, and behind it whatever differs from the defaults:
    /// `brigade/thread/same-cpu/tasks=64,idle=poll`.
    pub fn id(&self) -> String {
        id(self.descriptor(), self.seating.placement().name(), &self.parameters, self.idle, self.policy)
    }

    /// What a record says of the choice.
    pub fn setting(&self) -> Setting {
        Setting {
            placement: self.seating.placement(),
            cpus: self.seating.cpus(),
            idle: self.idle,
            policy: self.policy,
            parameters: self.parameters.clone(),
        }
    }

    /// `ops` rounded up to whole laps.
    pub fn whole_laps(&self, ops: u64) -> u64 {
        self.descriptor().whole_laps(&self.parameters, ops)
    }

    /// Sets the mechanism up. `prelude` runs on the driver's thread before anything else does.
    ///
    /// # Errors
    /// `Unsupported` when it cannot run here, or whatever went wrong.
    pub fn start(&self, prelude: impl FnOnce() -> Result<(), Failure> + Send + 'static) -> Result<Driver, Failure> {
        self.start_with(false, prelude)
    }

    /// Sets the mechanism up for a tracer, whose driver marks its batches.
    ///
    /// # Errors
    /// As [`Benchmark::start`].
    pub(super) fn start_marked(&self) -> Result<Driver, Failure> {
        self.start_with(true, || Ok(()))
    }

    fn start_with(
        &self,
        marked: bool,
        prelude: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<Driver, Failure> {
        self.mechanism.probe()?;
        let roster =
            Roster { id: self.id(), seating: self.seating.clone(), policy: self.policy, patience: PATIENCE, marked };
        let (mechanism, parameters) = (self.mechanism, self.parameters.clone());
        let set_up =
            move |crew: &mut Crew| -> Result<Box<dyn Operation>, Failure> { mechanism.set_up(&parameters, crew) };
        Driver::start(roster, prelude, set_up)
    }
}

/// The id of a mechanism in a placement, supported here or not.
pub(super) fn id(
    descriptor: &Descriptor,
    placement: &str,
    parameters: &Parameters,
    idle: Idle,
    policy: Policy,
) -> String {
    let parameters = Some(parameters.differing_from_defaults(descriptor)).filter(|differing| !differing.is_empty());
    let idle = (idle != Idle::default()).then(|| format!("idle={idle}"));
    let differing: Vec<String> = parameters.into_iter().chain(idle).chain(policy.differing_from_default()).collect();
    let base = format!("{}/{placement}", descriptor.id);
    if differing.is_empty() { base } else { format!("{base}/{}", differing.join(",")) }
}
