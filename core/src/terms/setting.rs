//! What is chosen of a benchmark besides its mechanism.

use serde::{Deserialize, Serialize};

use super::{Idle, Parameters, Placement, Policy};
use crate::units::CpuId;

/// What is chosen of a benchmark besides its mechanism. A plan, the requests to child processes and the record hold it
/// as it is, so that a new choice is a new field of this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Where the tasks run.
    pub placement: Placement,
    /// The CPUs that the placement comes down to on this machine, in the order in which tasks take them, and in a
    /// record in rising order; none where the machine has no such placement.
    pub cpus: Vec<CpuId>,
    /// What idle CPUs do.
    pub idle: Idle,
    /// How the tasks are scheduled; absent is as programs start. It is always written: programs of version 1 need it in
    /// a request.
    #[serde(default)]
    pub policy: Policy,
    /// The mechanism's own parameters, all of them.
    pub parameters: Parameters,
}

impl Setting {
    /// A setting in which CPUs idle and tasks are scheduled as they are without being asked.
    pub fn new(placement: Placement, cpus: Vec<CpuId>, parameters: Parameters) -> Self {
        Self { placement, cpus, idle: Idle::default(), policy: Policy::default(), parameters }
    }

    /// As a record holds it: the CPUs in rising order, each once.
    #[must_use]
    pub fn for_the_record(mut self) -> Self {
        self.cpus.sort_unstable();
        self.cpus.dedup();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_the_cpus_in_rising_order_and_every_choice() {
        let cpus = [3, 1, 3].map(CpuId).to_vec();
        let setting = Setting::new(Placement::OnePerCpu, cpus, Parameters::defaults(&[])).for_the_record();
        let text = serde_json::to_string(&setting).unwrap();
        let policy = r#""policy":{"class":"other","slice_us":null}"#;
        let whole =
            format!(r#"{{"placement":"one-per-cpu","cpus":[1,3],"idle":"default",{policy},"parameters":{{}}}}"#);
        assert_eq!(text, whole);
        // Records of version 1 leave it out where it is the default.
        let old = text.replace(&format!("{policy},"), "");
        assert_eq!(serde_json::from_str::<Setting>(&old).unwrap(), setting);
        assert_eq!(serde_json::from_str::<Setting>(&text).unwrap(), setting);
    }
}
