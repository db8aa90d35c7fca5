//! Options that several front doors share, and the errors of whoever gives them.

use clap::Args;
use regex::Regex;

use crate::harness::{Choice, PlannedBenchmark};
use crate::mechanism::{Descriptor, registry};
use crate::pmu::{Event, EventSet, PmuError};
use crate::terms::{Class, Idle, Placement, Policy};

/// Bad usage: one line with the remedy, exit status 2.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// A filter that names nothing.
    #[error(
        "no benchmark's id matches `{0}`; `switchcost list` prints the mechanisms, ids read brigade/thread/same-cpu"
    )]
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

/// What to measure, and how.
#[derive(Debug, Clone, Default, PartialEq, Args, serde::Serialize, serde::Deserialize)]
pub(super) struct SettingArgs {
    /// Sets a parameter of every mechanism that has it; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(super) set: Vec<String>,
    /// Only these placements (unpinned, same-cpu, smt-sibling, same-llc, cross-llc, cross-node, one-per-cpu)
    #[arg(long, value_name = "LIST")]
    pub(super) placement: Option<String>,
    /// What idle CPUs do: default, poll (holds /dev/cpu_dma_latency at 0), or spinner (a SCHED_IDLE process on each
    /// CPU)
    #[arg(long, value_name = "MODE")]
    pub(super) idle: Option<String>,
    /// How tasks are scheduled: other, batch, idle, fifo or rr
    #[arg(long, value_name = "CLASS")]
    pub(super) policy: Option<String>,
    /// The slice asked of the fair scheduler, in microseconds (Linux 6.12)
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
        Ok(Choice { parameters, placements, idle, policy })
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

/// `, did you mean X?` for the mechanism whose id is nearly `given`.
pub(super) fn meant(given: &str) -> String {
    // A third of the letters wrong is where suggestions stop looking like the word that was meant.
    let most = given.chars().count() / 3;
    let ids = registry().iter().map(|mechanism| mechanism.descriptor().id);
    let ranked = ids.map(|id| (strsim::osa_distance(given, id), id)).filter(|(distance, _)| *distance <= most);
    ranked.min().map_or_else(String::new, |(_, id)| format!(", did you mean `{id}`?"))
}

/// The default plan of counters, and `events` on top.
pub(super) fn event_set(events: Option<&str>) -> Result<EventSet, UsageError> {
    let parse = |list: &str| Event::parse_list(list).map_err(|error: PmuError| UsageError::Unknown(error.to_string()));
    let extra = events.map_or(Ok(Vec::new()), parse)?;
    Ok(EventSet::default().with_events(&extra))
}

/// Which ids a filter means: a regular expression anywhere in the id, as Criterion's filters are.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    /// Every id.
    All,
    /// Ids that match.
    Pattern(Regex),
    /// The one id.
    Exact(String),
}

impl Filter {
    /// Reads a filter.
    pub(super) fn new(filter: Option<&str>, exact: bool) -> Result<Self, UsageError> {
        Ok(match filter {
            None => Self::All,
            Some(id) if exact => Self::Exact(id.into()),
            Some(pattern) => {
                let bad = |error: regex::Error| {
                    let told = error.to_string();
                    // Lines before the last one draw the pattern.
                    let reason = told.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").into();
                    UsageError::BadFilter { filter: pattern.into(), reason }
                };
                Self::Pattern(Regex::new(pattern).map_err(bad)?)
            }
        })
    }

    /// Whether `id` is meant.
    pub(super) fn matches(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Pattern(pattern) => pattern.is_match(id),
            Self::Exact(exact) => exact == id,
        }
    }

    /// Whether a benchmark of this mechanism is meant, in a placement that this machine has or another.
    pub(super) fn matches_in_a_placement(&self, descriptor: &Descriptor) -> bool {
        let matches = |placement| self.matches(&format!("{}/{placement}", descriptor.id));
        Placement::ALL.into_iter().any(|placement| descriptor.fits(placement) && matches(placement))
    }

    /// Fails when nothing of what `choice` and this filter name can be measured here, or when what `choice` sets is a
    /// parameter of none of it: an option that does nothing was meant to do something.
    pub(super) fn must_leave_something(&self, choice: &Choice, planned: &[PlannedBenchmark]) -> Result<(), UsageError> {
        self.must_name_something(&planned.iter().map(PlannedBenchmark::id).collect::<Vec<_>>())?;
        if planned.is_empty() {
            let placements: Vec<&str> = choice.placements.iter().map(|placement| placement.name()).collect();
            let reason = match (placements.as_slice(), choice.parameters.first()) {
                ([], None) => "this machine has no such placement (`switchcost host` shows its CPUs)".into(),
                ([], Some((name, value))) => {
                    format!(
                        "none is left with {name}={value}, which stands at the end of ids: was there a `$` before it?"
                    )
                }
                _ => format!("with placement {} nothing of it is left", placements.join(", ")),
            };
            return Err(UsageError::Unknown(format!("{self} names benchmarks, but {reason}")));
        }
        let taken =
            |name: &str| planned.iter().any(|planned| planned.mechanism().descriptor().parameter(name).is_some());
        match choice.parameters.iter().find(|(name, _)| !taken(name)) {
            None => Ok(()),
            Some((name, _)) => Err(UsageError::Unknown(format!(
                "nothing that {self} names has a parameter `{name}`; `switchcost list MECHANISM` shows those it has"
            ))),
        }
    }

    /// Fails when no mechanism in any placement, here or elsewhere, has an id that matches.
    ///
    /// Parameters stand behind the placement in an id, so that a filter may name them only when they are set.
    fn must_name_something(&self, planned: &[String]) -> Result<(), UsageError> {
        let elsewhere = || registry().iter().any(|mechanism| self.matches_in_a_placement(mechanism.descriptor()));
        if planned.iter().any(|id| self.matches(id)) || elsewhere() {
            return Ok(());
        }
        Err(UsageError::NoMatch(match self {
            Self::All => String::new(),
            Self::Pattern(pattern) => pattern.to_string(),
            Self::Exact(exact) => exact.clone(),
        }))
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("the catalogue"),
            Self::Pattern(pattern) => write!(f, "`{pattern}`"),
            Self::Exact(exact) => write!(f, "`{exact}`"),
        }
    }
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
    fn a_policy_that_cannot_be_is_bad_usage() {
        assert!(what(&[], Some("realtime"), None).is_err());
        assert!(what(&[], Some("fifo"), Some(300)).is_err(), "real-time policies have no slice");
        assert!(what(&[], None, Some(50)).is_err(), "shorter than any");
        assert!(what(&["slice_us=soon"], None, None).is_err());
    }
}
