//! Which ids a command line means: `FILTER` and `--exclude`, both as often as you like.

use std::cell::Cell;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::options::UsageError;
use crate::harness::{Choice, IdPattern, PlannedBenchmark};
use crate::mechanism::{Descriptor, registry};
use crate::terms::Placement;
use crate::units::cpu_list;

/// The options that choose among ids.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub(super) struct FilterArgs {
    /// Only benchmarks whose id matches one of these regular expressions: handoff/ is a group, handoff/futex$ a
    /// mechanism, futex everything with that word in its id
    #[arg(value_name = "FILTER")]
    pub(super) filter: Vec<String>,
    #[command(flatten)]
    pub(super) excluded: ExcludeArgs,
}

/// The option that leaves ids out.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub(super) struct ExcludeArgs {
    /// Leave out benchmarks whose id matches this regular expression; may be repeated
    #[arg(long, value_name = "REGEX")]
    #[serde(default)]
    pub(super) exclude: Vec<String>,
}

impl FilterArgs {
    /// Reads the expressions.
    pub(super) fn filter(&self) -> Result<Filter, UsageError> {
        Filter::new(&self.filter, false, &self.excluded)
    }
}

/// Which ids are meant; [`IdPattern`] says when an expression matches.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    wanted: Wanted,
    excluded: Vec<Exclusion>,
}

/// One `--exclude`.
#[derive(Debug, Clone)]
struct Exclusion {
    pattern: IdPattern,
    /// Whether it has matched an id. Those that parameters are a part of are known while a plan is made, and only then.
    has_matched: Cell<bool>,
}

impl Exclusion {
    fn matches(&self, id: &str) -> bool {
        let matches = self.pattern.matches(id);
        self.has_matched.set(self.has_matched.get() || matches);
        matches
    }
}

/// What the ids that are meant have to match.
#[derive(Debug, Clone, Default)]
enum Wanted {
    /// Nothing in particular.
    #[default]
    All,
    /// At least one of these.
    AnyOf(Vec<IdPattern>),
    /// One of these, from end to end.
    Exact(Vec<String>),
}

impl Filter {
    /// Reads `filters`, which name whole ids where `exact` is true, and what leaves ids out.
    pub(super) fn new(filters: &[String], exact: bool, excluded: &ExcludeArgs) -> Result<Self, UsageError> {
        let read = |patterns: &[String]| patterns.iter().map(|text| pattern(text)).collect::<Result<Vec<_>, _>>();
        let exclusion = |pattern| Exclusion { pattern, has_matched: Cell::new(false) };
        let wanted = match filters {
            [] => Wanted::All,
            ids if exact => Wanted::Exact(ids.to_vec()),
            patterns => Wanted::AnyOf(read(patterns)?),
        };
        Ok(Self { wanted, excluded: read(&excluded.exclude)?.into_iter().map(exclusion).collect() })
    }

    /// Whether `id` is meant.
    pub(super) fn matches(&self, id: &str) -> bool {
        let excluded = self.excludes(id);
        let wanted = match &self.wanted {
            Wanted::All => true,
            Wanted::AnyOf(patterns) => patterns.iter().any(|pattern| pattern.matches(id)),
            Wanted::Exact(ids) => ids.iter().any(|exact| exact == id),
        };
        wanted && !excluded
    }

    /// Whether `id` is left out, whatever else it matches.
    pub(super) fn excludes(&self, id: &str) -> bool {
        // All are asked, so that each knows whether it matches something.
        self.excluded.iter().filter(|exclusion| exclusion.matches(id)).count() > 0
    }

    /// Whether a benchmark of this mechanism is meant, in a placement that this machine has or another.
    pub(super) fn matches_in_a_placement(&self, descriptor: &Descriptor) -> bool {
        ids(descriptor).any(|id| self.matches(&id))
    }

    /// Fails when nothing of what `choice` and this filter name can be measured here, or when what `choice` sets is a
    /// parameter of none of it: an option that does nothing was meant to do something.
    pub(super) fn check_plan(&self, choice: &Choice, planned: &[PlannedBenchmark]) -> Result<(), UsageError> {
        self.check_ids(&planned.iter().map(PlannedBenchmark::id).collect::<Vec<_>>())?;
        self.check_exclusions()?;
        if planned.is_empty() {
            let placements: Vec<&str> = choice.placements.iter().map(|placement| placement.name()).collect();
            let reason = match (placements.as_slice(), choice.parameters.first()) {
                ([], None) if !choice.cpus.is_empty() => {
                    format!("there is no such placement among CPUs {} (--cpus)", cpu_list(&choice.cpus))
                }
                ([], None) => "this machine has no such placement (`switchcost host` shows its CPUs)".into(),
                ([], Some((name, value))) => {
                    format!(
                        "none is left with {name}={value}, which stands at the end of ids: was there a `$` before it?"
                    )
                }
                _ => format!("none of them has placement {}", placements.join(", ")),
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

    /// Fails when none of `planned`, which this filter names, has CPUs to run on here: the record would be empty, and a
    /// reader would take it for a measurement.
    pub(super) fn check_support(&self, planned: &[PlannedBenchmark]) -> Result<(), UsageError> {
        let reason = |planned: &PlannedBenchmark| match planned {
            PlannedBenchmark::Ready(_) => None,
            PlannedBenchmark::Unsupported { reason, .. } => Some(format!("{} {reason}", planned.id())),
        };
        let reasons: Vec<String> = planned.iter().map_while(reason).collect();
        let Some(first) = reasons.first().filter(|_| reasons.len() == planned.len()) else { return Ok(()) };
        let others = if reasons.len() == 1 { String::new() } else { format!(" (and {} more)", reasons.len() - 1) };
        Err(UsageError::Unknown(format!("nothing that {self} names can run here: {first}{others}")))
    }

    /// Fails when no mechanism in any placement, here or elsewhere, has an id that matches.
    ///
    /// Parameters stand behind the placement in an id, so that a filter may name them only when they are set.
    fn check_ids(&self, planned: &[String]) -> Result<(), UsageError> {
        let elsewhere = || registry().iter().any(|mechanism| self.matches_in_a_placement(mechanism.descriptor()));
        if planned.iter().any(|id| self.matches(id)) || elsewhere() { Ok(()) } else { Err(self.names_nothing()) }
    }

    /// Fails when an exclusion has matched none of the ids that were asked about, and matches no other that there is:
    /// it was meant to leave something out.
    pub(super) fn check_exclusions(&self) -> Result<(), UsageError> {
        let anywhere = |exclusion: &Exclusion| {
            registry().iter().any(|mechanism| {
                let descriptor = mechanism.descriptor();
                ids(descriptor).any(|id| exclusion.matches(&id))
            })
        };
        let idle = self.excluded.iter().find(|exclusion| !exclusion.has_matched.get() && !anywhere(exclusion));
        let told = |exclusion: &Exclusion| UsageError::NoMatch(format!("matches --exclude `{}`", exclusion.pattern));
        idle.map_or(Ok(()), |exclusion| Err(told(exclusion)))
    }

    /// The error of a filter that names nothing.
    pub(super) fn names_nothing(&self) -> UsageError {
        UsageError::NoMatch(match (&self.wanted, self.excluded.is_empty()) {
            (_, true) => format!("matches {self}"),
            (Wanted::All, false) => format!("is left by {}", self.exclusion()),
            (_, false) => format!("matches {} and is left by {}", self.wanted, self.exclusion()),
        })
    }

    /// `--exclude` as given.
    fn exclusion(&self) -> String {
        self.excluded.iter().map(|exclusion| format!("--exclude `{}`", exclusion.pattern)).collect::<Vec<_>>().join(" ")
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.excluded.is_empty() {
            self.wanted.fmt(f)
        } else {
            write!(f, "{} with {}", self.wanted, self.exclusion())
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let quoted: Vec<String> = match self {
            Self::All => return f.write_str("the catalogue"),
            Self::AnyOf(patterns) => patterns.iter().map(|pattern| format!("`{pattern}`")).collect(),
            Self::Exact(ids) => ids.iter().map(|id| format!("`{id}`")).collect(),
        };
        f.write_str(&quoted.join(" or "))
    }
}

/// The ids of a mechanism with its own parameters, in every placement that there may be.
fn ids(descriptor: &Descriptor) -> impl Iterator<Item = String> {
    let placements = Placement::ALL.into_iter().filter(|placement| descriptor.fits(*placement));
    placements.map(|placement| format!("{}/{placement}", descriptor.id))
}

fn pattern(pattern: &str) -> Result<IdPattern, UsageError> {
    IdPattern::new(pattern).map_err(|error| {
        let told = error.to_string();
        // Lines before the last one draw the pattern.
        let reason = told.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").into();
        UsageError::BadFilter { filter: pattern.into(), reason }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(filters: &[&str], exclude: &[&str]) -> Filter {
        let strings = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        Filter::new(&strings(filters), false, &ExcludeArgs { exclude: strings(exclude) }).unwrap()
    }

    #[test]
    fn an_id_matches_one_filter_and_no_exclusion() {
        let both = filter(&["^handoff/", "^brigade/thread"], &["futex", "unpinned$"]);
        assert!(both.matches("handoff/pipe/same-cpu") && both.matches("brigade/thread/same-cpu"));
        assert!(!both.matches("brigade/mio/same-cpu"), "named by no filter");
        assert!(!both.matches("handoff/futex/same-cpu") && !both.matches("handoff/pipe/unpinned"), "left out");
        assert_eq!(both.to_string(), "`^handoff/` or `^brigade/thread` with --exclude `futex` --exclude `unpinned$`");
    }

    #[test]
    fn everything_but_one_group_is_an_exclusion_alone() {
        let rest = filter(&[], &["^footprint/"]);
        let named = |group: &str| {
            let mut of_group = registry().iter().filter(|mechanism| mechanism.descriptor().group() == group);
            of_group.all(|mechanism| rest.matches_in_a_placement(mechanism.descriptor()))
        };
        assert!(named("handoff") && named("creation") && !named("footprint"));
    }

    #[test]
    fn what_names_nothing_is_told_with_both() {
        let told = |filter: Filter| filter.names_nothing().to_string();
        assert!(told(filter(&["nowhere"], &[])).starts_with("no benchmark's id matches `nowhere`; "));
        let both = told(filter(&["^file/"], &["file"]));
        assert!(both.starts_with("no benchmark's id matches `^file/` and is left by --exclude `file`; "), "{both}");
        let all = told(filter(&[], &["."]));
        assert!(all.starts_with("no benchmark's id is left by --exclude `.`; "), "{all}");
    }

    #[test]
    fn an_exclusion_that_is_no_expression_is_refused() {
        let refused = Filter::new(&[], false, &ExcludeArgs { exclude: vec!["(".into()] }).unwrap_err().to_string();
        assert!(refused.starts_with("`(` is no regular expression: "), "{refused}");
    }
}
