//! Options that several verbs and `cargo bench` share, and the errors of a wrong command line.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::harness::Choice;
use crate::mechanism::registry;
use crate::pmu::{Event, EventSet, PmuError};
use crate::terms::{Class, Idle, Placement, Policy};
use crate::units::{CpuId, parse_cpu_list};

/// Bad usage: one line with the remedy, exit status 2.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Filters and exclusions that together name nothing.
    #[error("no benchmark's id {0}; `switchcost list` prints the mechanisms, ids read brigade/thread/same-cpu")]
    NoMatch(String),
    /// A filter that is no regular expression.
    #[error("`{filter}` is no regular expression: {reason}")]
    BadFilter {
        /// As given.
        filter: String,
        /// What is wrong with it, in one line.
        reason: String,
    },
    /// A pair without its equals sign.
    #[error("`{0}` sets nothing: write --set NAME=VALUE, such as --set tasks=64")]
    NotAPair(String),
    /// A placement, an idle mode, an event that does not exist.
    #[error("{0}")]
    Unknown(String),
    /// An option without its value.
    #[error("{0} needs a value; `cargo bench -- --help` shows the options")]
    NoValue(String),
}

/// The setting that mechanisms are measured in.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub(super) struct SettingArgs {
    /// Set a parameter, for every mechanism that has it; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(super) set: Vec<String>,
    /// Only these placements (unpinned, same-cpu, smt-sibling, same-llc, cross-llc, cross-node, cross-kind,
    /// one-per-cpu)
    #[arg(long, value_name = "LIST")]
    pub(super) placement: Option<String>,
    /// Use only these CPUs, such as 0-3,8, even if taskset or isolcpus leaves them out, as long as the kernel allows
    /// it. same-cpu is the first of them, unpinned anywhere among them
    #[arg(long, value_name = "LIST")]
    pub(super) cpus: Option<String>,
    /// What idle CPUs do: default, poll (holds /dev/cpu_dma_latency at 0), or spinner (a SCHED_IDLE process on each
    /// CPU)
    #[arg(long, value_name = "MODE")]
    pub(super) idle: Option<String>,
    /// How tasks are scheduled: other, batch, idle, fifo or rr
    #[arg(long, value_name = "CLASS")]
    pub(super) policy: Option<String>,
    /// The time slice to request from the fair scheduler, in microseconds (Linux 6.12)
    #[arg(long, value_name = "N")]
    pub(super) slice_us: Option<u64>,
}

impl SettingArgs {
    /// Checks the words.
    pub(super) fn choice(&self) -> Result<Choice, UsageError> {
        let pair = |text: &String| match text.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_string(), value.trim().to_string())),
            None => Err(UsageError::NotAPair(text.clone())),
        };
        let unknown = |error: &dyn std::fmt::Display| UsageError::Unknown(error.to_string());
        let mut parameters = self.set.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
        let mut idle = match &self.idle {
            Some(word) => Some(word.parse::<Idle>().map_err(|error| unknown(&error))?),
            None => None,
        };
        // `--set idle=poll` is what the ids suggest.
        if let Some(index) = parameters.iter().position(|(name, _)| name == "idle") {
            idle = Some(parameters.remove(index).1.parse().map_err(|error| unknown(&error))?);
        }
        let policy = self.policy(&mut parameters)?;
        let placements = self.placement.as_deref().map_or(Ok(Vec::new()), |list| {
            list.split(',').map(|word| word.trim().parse::<Placement>().map_err(|error| unknown(&error))).collect()
        })?;
        let cpus = self.cpus.as_deref().map_or(Ok(Vec::new()), cpus)?;
        Ok(Choice { parameters, placements, cpus, idle, policy })
    }

    /// `--set policy=fifo` and `--set slice_us=100` are what the ids suggest.
    fn policy(&self, parameters: &mut Vec<(String, String)>) -> Result<Option<Policy>, UsageError> {
        let mut taken = |name: &str| {
            let index = parameters.iter().position(|(set, _)| set == name)?;
            Some(parameters.remove(index).1)
        };
        let class = taken("policy").or_else(|| self.policy.clone()).map(|word| {
            word.parse::<Class>().map_err(|error: crate::terms::UnknownClass| UsageError::Unknown(error.to_string()))
        });
        let class = class.transpose()?;
        let slice_us = match taken("slice_us") {
            Some(text) => {
                let whole =
                    text.parse().map_err(|_| UsageError::Unknown(format!("slice_us={text} is no whole number")))?;
                Some(whole)
            }
            None => self.slice_us,
        };
        if class.is_none() && slice_us.is_none() {
            return Ok(None);
        }
        let policy = Policy::new(class.unwrap_or_default(), slice_us);
        policy.map(Some).map_err(|error| UsageError::Unknown(error.to_string()))
    }
}

/// What is taken besides the time.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub(super) struct CountingArgs {
    /// Count these events too, by perf's names
    #[arg(long, value_name = "LIST")]
    pub(super) events: Option<String>,
    /// Take no counted samples
    #[arg(long)]
    pub(super) no_counters: bool,
    /// Skip the audits; the record says so
    #[arg(long)]
    pub(super) no_audit: bool,
}

/// Reads a CPU list: each once, in rising order.
pub(super) fn cpus(list: &str) -> Result<Vec<CpuId>, UsageError> {
    let listed = parse_cpu_list(list).filter(|cpus| !cpus.is_empty());
    let mut cpus = listed.ok_or_else(|| UsageError::Unknown(format!("`{list}` is no list of CPUs, such as 0-3,8")))?;
    cpus.sort_unstable();
    Ok(cpus)
}

/// What clap says of a wrong command line, in one line.
pub(super) fn in_one_line(told: &clap::Error) -> String {
    let text = told.to_string();
    let parts = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let said = parts.filter(|part| !part.is_empty() && !part.starts_with("Usage:") && !part.starts_with("For more"));
    let said = said.collect::<Vec<_>>().join("; ");
    said.strip_prefix("error: ").map_or(said.clone(), Into::into)
}

/// `, did you mean X?` for the mechanism whose id is nearly `given`.
pub(super) fn meant(given: &str) -> String {
    nearest(given, registry().iter().map(|mechanism| mechanism.descriptor().id))
}

/// `, did you mean X?` for the one of `names` that is nearly `given`; nothing where none is.
pub(super) fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> String {
    // A third of the letters wrong is where suggestions stop looking like the word that was meant.
    let most = given.chars().count() / 3;
    let ranked = names.map(|name| (strsim::osa_distance(given, name), name)).filter(|(distance, _)| *distance <= most);
    ranked.min().map_or_else(String::new, |(_, name)| format!(", did you mean `{name}`?"))
}

/// The default plan of counters, and `events` on top.
pub(super) fn event_set(events: Option<&str>) -> Result<EventSet, UsageError> {
    let parse = |list: &str| Event::parse_list(list).map_err(|error: PmuError| UsageError::Unknown(error.to_string()));
    let extra = events.map_or(Ok(Vec::new()), parse)?;
    Ok(EventSet::default().with_events(&extra))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(set: &[&str], policy: Option<&str>, slice_us: Option<u64>) -> Result<Choice, UsageError> {
        let set = set.iter().map(ToString::to_string).collect();
        SettingArgs { set, policy: policy.map(Into::into), slice_us, ..SettingArgs::default() }.choice()
    }

    #[test]
    fn a_policy_is_an_option_and_what_the_ids_say() {
        let asked = Policy { class: Class::Batch, slice_us: Some(300) };
        assert_eq!(what(&[], Some("batch"), Some(300)).unwrap().policy, Some(asked));
        let choice = what(&["policy=batch", "slice_us=300", "tasks=4"], None, None).unwrap();
        assert_eq!((choice.policy, choice.parameters.len()), (Some(asked), 1));
        assert_eq!((choice.idle, what(&["idle=default"], None, None).unwrap().idle), (None, Some(Idle::Default)));
    }

    #[test]
    fn cpus_are_read_as_the_kernel_writes_them_and_sorted() {
        assert_eq!(cpus("8,0-2,1").unwrap(), [0, 1, 2, 8].map(CpuId));
        for wrong in ["x", "", "1-0", "0,", "-1"] {
            let told = cpus(wrong).unwrap_err().to_string();
            assert_eq!(told, format!("`{wrong}` is no list of CPUs, such as 0-3,8"));
        }
    }

    #[test]
    fn a_policy_that_cannot_be_is_bad_usage() {
        assert!(what(&[], Some("realtime"), None).is_err());
        assert!(what(&[], Some("fifo"), Some(300)).is_err(), "real-time policies have no slice");
        assert!(what(&[], None, Some(50)).is_err(), "shorter than any");
        assert!(what(&["slice_us=soon"], None, None).is_err());
    }

    #[test]
    fn an_unknown_event_is_bad_usage() {
        let error = event_set(Some("cache-mises")).unwrap_err().to_string();
        assert!(error.contains("cache-mises") && error.lines().count() == 1, "{error}");
        assert!(event_set(Some("cache-misses,page-faults")).is_ok());
    }
}
