//! Profiles: what is measured and how long, by name or from a file that machines can share.
//!
//! ```toml
//! rounds = 5              # all of these four may be left out
//! samples = 50            # in each round, at least 10
//! measure = "2500ms"      # all samples of a round together
//! warm-up = "700ms"
//!
//! [[benchmarks]]          # as often as you like; what two of them name is measured once
//! filter = "brigade/"     # as on the command line; left out: every id
//! placement = ["same-cpu", "unpinned"]   # left out: every one that this machine has
//! idle = "poll"           # left out: default
//! first = true            # of these placements only the first that a mechanism has here; left out: all
//! set = { tasks = 64 }    # parameters, for the mechanisms that have them; a list is measured value by value
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use toml::Spanned;

use crate::harness::{Choice, IdPattern, PlanError, PlannedBenchmark, Timing, plan};
use crate::terms::{Class, Idle, Placement, Policy, Value};
use crate::units::CpuId;

/// The fewest samples that Criterion takes, and the most that `--samples` does.
const SAMPLES: std::ops::RangeInclusive<usize> = 10..=100_000;

/// As `--rounds`.
const ROUNDS: std::ops::RangeInclusive<usize> = 1..=10_000;

/// More than a profile needs: lists of values multiply, and a few more of them would never end.
const MOST_COMBINATIONS: usize = 10_000;

/// More than any profile has: a device or a record given by mistake is not read to its end.
const LONGEST_FILE: u64 = 1 << 20;

/// Profiles that are files of this program, by name.
pub(super) const EMBEDDED_PROFILES: [(&str, &str); 13] = [
    (DEFAULT, include_str!("profiles/default.toml")),
    ("one-thread", include_str!("profiles/one-thread.toml")),
    ("parts", include_str!("profiles/parts.toml")),
    ("working-set", include_str!("profiles/working-set.toml")),
    ("cpu-share", include_str!("profiles/cpu-share.toml")),
    ("files", include_str!("profiles/files.toml")),
    ("wakeup", include_str!("profiles/wakeup.toml")),
    ("memory", include_str!("profiles/memory.toml")),
    ("clients", include_str!("profiles/clients.toml")),
    ("servers", include_str!("profiles/servers.toml")),
    ("old-chart", include_str!("profiles/old-chart.toml")),
    ("idle-connections", include_str!("profiles/idle-connections.toml")),
    ("pipelines", include_str!("profiles/pipelines.toml")),
];

/// The profile that is measured when nothing is named.
pub const DEFAULT: &str = "default";

/// The profile of every benchmark.
pub const ALL: &str = "all";

/// Makes a profile for this machine.
type ProfileMaker = fn(cpus: &[CpuId]) -> Result<Profile, PlanError>;

/// Profiles that this program makes for the machine, by name.
const GENERATED_PROFILES: [(&str, ProfileMaker); 4] = [
    ("quick", |_| Ok(Profile::quick())),
    (ALL, |_| Ok(Profile::all())),
    ("full", |_| Ok(Profile::full())),
    ("after-syscall", Profile::after_syscall),
];

/// Some of all benchmarks, as a profile selects them.
#[derive(Debug, Clone)]
pub struct BenchmarkSelection {
    /// Ids that match; `None` is all.
    pub filter: Option<IdPattern>,
    /// Placements and parameters.
    pub choice: Choice,
    /// Only the first of these placements that a mechanism has here.
    pub first_placement_only: bool,
    /// The file and the line that it comes from; `None` where it is made by this program.
    source: Option<(PathBuf, usize)>,
}

/// What is measured and how long.
#[derive(Debug, Clone)]
pub struct Profile {
    /// How many rounds when nothing is said.
    pub rounds: u32,
    /// How long in a round.
    pub timing: Timing,
    /// Which benchmarks; those that several select are measured once.
    pub selections: Vec<BenchmarkSelection>,
}

/// A profile that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("{path}: {source}; a profile is one of {names}, or a TOML file", names = Profile::names())]
    Io {
        /// The file, or the word.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A line of the file is wrong.
    #[error("{path}:{line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// What is asked for besides the profile cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ProfileFile {
    rounds: Option<Spanned<u32>>,
    samples: Option<Spanned<usize>>,
    measure: Option<Spanned<String>>,
    warm_up: Option<Spanned<String>>,
    benchmarks: Vec<Spanned<ProfileFileSelection>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFileSelection {
    filter: Option<Spanned<String>>,
    #[serde(default)]
    placement: Vec<Placement>,
    #[serde(default)]
    first: bool,
    idle: Option<Idle>,
    policy: Option<Class>,
    slice_us: Option<u64>,
    #[serde(default)]
    set: BTreeMap<String, ParameterValues>,
}

/// The value of a parameter, or several that are measured one after the other.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a whole number, a word in quotes, or a list of either")]
enum ParameterValues {
    One(Value),
    Several(Vec<Value>),
}

impl ParameterValues {
    fn all(&self) -> &[Value] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Several(values) => values,
        }
    }
}

/// Every combination of one value for each parameter.
fn combinations(set: &BTreeMap<String, ParameterValues>) -> Vec<Vec<(String, String)>> {
    set.iter().fold(vec![Vec::new()], |chosen, (name, values)| {
        let with = |before: &Vec<(String, String)>, value: &Value| {
            before.iter().cloned().chain([(name.clone(), value.to_string())]).collect()
        };
        chosen.iter().flat_map(|before| values.all().iter().map(move |value| with(before, value))).collect()
    })
}

impl Profile {
    /// Each mechanism once, on one CPU where it can run there, in short samples: minutes for everything.
    pub fn quick() -> Self {
        let timing = Timing { warm_up: Duration::from_millis(100), measure: Duration::from_millis(400), samples: 20 };
        let placements = vec![Placement::SameCpu, Placement::Unpinned];
        let choice = Choice { placements, ..Choice::default() };
        let selection = BenchmarkSelection { filter: None, choice, first_placement_only: true, source: None };
        Self { rounds: 3, timing, selections: vec![selection] }
    }

    /// Every mechanism in every placement.
    pub fn all() -> Self {
        Self { rounds: 5, timing: Timing::default(), selections: vec![BenchmarkSelection::of(Choice::default())] }
    }

    /// Every placement that the machine has, for longer.
    pub fn full() -> Self {
        let timing = Timing { warm_up: Duration::from_secs(1), measure: Duration::from_secs(5), samples: 100 };
        let one_per_cpu = Choice { placements: vec![Placement::OnePerCpu], ..Choice::default() };
        Self {
            rounds: 5,
            timing,
            selections: vec![BenchmarkSelection::of(Choice::default()), BenchmarkSelection::of(one_per_cpu)],
        }
    }

    /// The same in so many rounds.
    #[must_use]
    pub fn with_rounds(&self, rounds: u32) -> Self {
        Self { rounds, ..self.clone() }
    }

    /// The names of the profiles, for help and for messages about an unknown name.
    pub fn names() -> String {
        let files = EMBEDDED_PROFILES.iter().map(|(name, _)| *name);
        files.chain(GENERATED_PROFILES.iter().map(|(name, _)| *name)).collect::<Vec<_>>().join(", ")
    }

    /// By its name, or from a file. One that is made for the machine is made for `cpus`, those that were chosen; none
    /// is those of this process's mask.
    ///
    /// # Errors
    /// A file that is not there, a line of it that is wrong, or CPUs that cannot be used.
    pub fn named(name: &str, cpus: &[CpuId]) -> Result<Self, ProfileError> {
        if let Some((_, make)) = GENERATED_PROFILES.iter().find(|(made, _)| *made == name) {
            return Ok(make(cpus)?);
        }
        let path = Path::new(name);
        if let Some((_, text)) = EMBEDDED_PROFILES.iter().find(|(shipped, _)| *shipped == name) {
            return Self::parse(text, path);
        }
        let text = read(path).map_err(|source| ProfileError::Io { path: path.into(), source })?;
        Self::parse(&text, path)
    }

    /// Reads the text of a file called `path`.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ProfileError> {
        let wrong = |at: usize, reason: String| ProfileError::Line { path: path.into(), line: line(text, at), reason };
        let file: ProfileFile = toml::from_str(text).map_err(|error| {
            wrong(error.span().map_or(0, |span| span.start), error.message().lines().collect::<Vec<_>>().join("; "))
        })?;
        let mut profile = Self { selections: Vec::new(), ..Self::all() };
        if let Some(rounds) = file.rounds {
            within(ROUNDS, *rounds.as_ref() as usize).map_err(|reason| wrong(rounds.span().start, reason))?;
            profile.rounds = rounds.into_inner();
        }
        if let Some(samples) = file.samples {
            within(SAMPLES, *samples.as_ref()).map_err(|reason| wrong(samples.span().start, reason))?;
            profile.timing.samples = samples.into_inner();
        }
        for (given, time) in [(file.measure, &mut profile.timing.measure), (file.warm_up, &mut profile.timing.warm_up)]
        {
            if let Some(given) = given {
                *time = duration(given.as_ref()).map_err(|reason| wrong(given.span().start, reason))?;
            }
        }
        if file.benchmarks.is_empty() {
            return Err(wrong(0, "it names no [[benchmarks]]".into()));
        }
        for selection in file.benchmarks {
            let begins = selection.span().start;
            let selection = selection.into_inner();
            let filter = selection.filter.map(|filter| {
                let bad = |_| wrong(filter.span().start, format!("`{}` is no regular expression", filter.as_ref()));
                IdPattern::new(filter.as_ref()).map_err(bad)
            });
            let filter = filter.transpose()?;
            if let Some((name, _)) = selection.set.iter().find(|(_, values)| values.all().is_empty()) {
                return Err(wrong(begins, format!("{name} has no value")));
            }
            let many = selection.set.values().map(|values| values.all().len()).fold(1, usize::saturating_mul);
            if many > MOST_COMBINATIONS {
                return Err(wrong(
                    begins,
                    format!("{many} combinations of values, and {MOST_COMBINATIONS} are the most"),
                ));
            }
            let policy = match (selection.policy, selection.slice_us) {
                (None, None) => None,
                (class, slice) => {
                    let policy = Policy::new(class.unwrap_or_default(), slice);
                    Some(policy.map_err(|error| wrong(begins, error.to_string()))?)
                }
            };
            let source = Some((path.to_path_buf(), line(text, begins)));
            profile.selections.extend(combinations(&selection.set).into_iter().map(|parameters| {
                let choice = Choice {
                    parameters,
                    placements: selection.placement.clone(),
                    idle: selection.idle,
                    policy,
                    ..Choice::default()
                };
                BenchmarkSelection {
                    filter: filter.clone(),
                    choice,
                    first_placement_only: selection.first,
                    source: source.clone(),
                }
            }));
        }
        Ok(profile)
    }

    /// Plans everything that the profile names and `wanted` wants, each id once. What `over` sets replaces what the
    /// profile says of it.
    ///
    /// # Errors
    /// A parameter or value that does not exist, and a benchmark larger than the limits.
    pub fn plan(&self, over: &Choice, wanted: impl Fn(&str) -> bool) -> Result<Vec<PlannedBenchmark>, ProfileError> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for selection in &self.selections {
            let named = |id: &str| selection.filter.as_ref().is_none_or(|filter| filter.matches(id));
            let planned = plan(&selection.choice.overruled_by(over), |id| named(id) && wanted(id));
            let planned = planned.map_err(|error| selection.with_source(error))?;
            let one_is_enough = selection.first_placement_only && over.placements.is_empty();
            let planned = if one_is_enough { first_of_each(planned) } else { planned };
            all.extend(planned.into_iter().filter(|planned| seen.insert(planned.id())));
        }
        Ok(all)
    }
}

impl BenchmarkSelection {
    /// Everything that `choice` allows.
    pub fn of(choice: Choice) -> Self {
        Self { filter: None, choice, first_placement_only: false, source: None }
    }

    fn with_source(&self, error: PlanError) -> ProfileError {
        match &self.source {
            Some((path, line)) => ProfileError::Line { path: path.clone(), line: *line, reason: error.to_string() },
            None => error.into(),
        }
    }
}

/// Of each mechanism the first benchmark that can run here, or the first one where none can.
fn first_of_each(planned: Vec<PlannedBenchmark>) -> Vec<PlannedBenchmark> {
    let mut first: Vec<PlannedBenchmark> = Vec::new();
    for planned in planned {
        let id = planned.mechanism().descriptor().id;
        match first.iter_mut().find(|known| known.mechanism().descriptor().id == id) {
            None => first.push(planned),
            Some(known) if matches!(known, PlannedBenchmark::Unsupported { .. }) => *known = planned,
            Some(_) => {}
        }
    }
    first
}

fn within(range: std::ops::RangeInclusive<usize>, given: usize) -> Result<(), String> {
    let (least, most) = (range.start(), range.end());
    match given {
        given if given < *least => Err(format!("at least {least}, not {given}")),
        given if given > *most => Err(format!("no more than {most}, not {given}")),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(LONGEST_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST_FILE {
        return Err(std::io::Error::other(format!("more than {LONGEST_FILE} bytes are no profile")));
    }
    Ok(text)
}

/// Reads a time such as `10m`, `2.5s`, `1h30m` or `50ms`.
///
/// # Errors
/// What a time looks like.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    let positive = parsed.filter(|time| !time.is_zero());
    let time = positive.ok_or_else(|| format!("`{text}` is no time; write 50ms, 2.5s, 10m or 1h30m"))?;
    if time <= LONGEST { Ok(time) } else { Err("no more than a year".into()) }
}

/// Longer than any run: what times are added up and multiplied to stays far from what a `Duration` holds.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
}
