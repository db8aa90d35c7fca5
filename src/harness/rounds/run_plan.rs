//! What a run was asked for, kept beside its record, and what follows from that alone: the order of each round, and
//! which sides of a comparison are interleaved.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::Programs;
use crate::harness::{Benchmark, BenchmarkSpec, PlannedBenchmark, SweepSampling, Timing, now_ms};
use crate::record::{BenchmarkLine, SCHEMA};
use crate::stats::Prng;
use crate::terms::Idle;
use crate::units::CpuId;

/// The name of the file in a run's folder.
pub const PLAN_FILE: &str = "plan.json";

/// What a run was asked for. Everything that decides what is measured is in here, so that a run that goes on is the
/// run that was begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunPlan {
    /// The version of the record's schema.
    pub schema: u32,
    /// The command line.
    pub argv: Vec<String>,
    /// How many rounds.
    pub rounds: u32,
    /// Rounds are added until every interval, of a pair that of its ratio, is at most this wide on either side: 0.01
    /// for ± 1 %.
    pub until: Option<f64>,
    /// How long all of it may take.
    pub budget: Option<Duration>,
    /// How long a benchmark may take before it is given up.
    pub timeout: Duration,
    /// How long each benchmark is measured in a round.
    pub timing: Timing,
    /// How each benchmark of a sweep is measured, in place of `timing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepSampling>,
    /// Decides every order that is drawn.
    pub seed: u64,
    /// Events to count besides the default ones, by perf's names.
    pub events: Option<String>,
    /// Whether counted samples are taken.
    pub counters: bool,
    /// Whether each benchmark is audited once.
    pub audit: bool,
    /// Whether a measurement with interference is made again.
    pub strict: bool,
    /// Whether the samples of the two sides of a pair are interleaved within a round, where they can be.
    #[serde(default)]
    pub interleaved: bool,
    /// The programs that measure, by side; both are the one that was started unless two programs are compared.
    pub programs: Programs,
    /// What is measured.
    pub entries: Vec<PlanEntry>,
    /// Benchmarks that were asked for and cannot run here.
    pub unsupported: Vec<BenchmarkLine>,
}

/// One benchmark that is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanEntry {
    /// Its id.
    pub id: String,
    /// What another process must know of it.
    pub spec: BenchmarkSpec,
    /// 0, or 1 for the second side of a paired comparison; each side has its own record.
    pub side: usize,
    /// Entries with the same number are measured next to each other.
    pub pair: usize,
}

impl PlanEntry {
    /// One side of the pair with this number.
    fn new(pair: usize, side: usize, benchmark: &Benchmark) -> Self {
        Self { id: benchmark.id(), spec: benchmark.spec(), side, pair }
    }
}

impl RunPlan {
    /// A plan of so many rounds of nothing yet, counted and audited, without a limit of time; `argv` is the command
    /// line. This is the one place that names every field: a verb sets those that its options speak of.
    pub fn new(argv: Vec<String>, rounds: u32, timing: Timing) -> Self {
        Self {
            schema: SCHEMA,
            argv,
            rounds,
            until: None,
            budget: None,
            // The crew's own watchdog, which knows what hung, waits for a minute at each step and speaks first.
            timeout: (timing.warm_up + timing.measure) * 10 + Duration::from_secs(180),
            timing,
            sweep: None,
            // The time is different every time, and the plan keeps it.
            seed: now_ms(),
            events: None,
            counters: true,
            audit: true,
            strict: false,
            interleaved: false,
            programs: Programs::default(),
            entries: Vec::new(),
            unsupported: Vec::new(),
        }
    }

    /// Adds a benchmark that is compared with none, or the line that says why there is none on this machine.
    pub fn add(&mut self, planned: &PlannedBenchmark, host_id: &str) {
        match planned {
            PlannedBenchmark::Ready(benchmark) => self.entries.push(PlanEntry::new(self.next_pair(), 0, benchmark)),
            PlannedBenchmark::Unsupported { .. } => {
                self.unsupported.extend(planned.unsupported_line(host_id, now_ms()));
            }
        }
    }

    fn next_pair(&self) -> usize {
        self.entries.last().map_or(0, |last| last.pair + 1)
    }

    /// Adds both sides of a comparison.
    pub fn add_pair(&mut self, sides: [&Benchmark; 2]) {
        let pair = self.next_pair();
        self.entries.extend(sides.into_iter().enumerate().map(|(side, of)| PlanEntry::new(pair, side, of)));
    }

    /// How many records the run has: one, or one for each side of a comparison.
    pub fn sides(&self) -> usize {
        self.entries.iter().map(|entry| entry.side + 1).max().unwrap_or(1)
    }

    /// Every CPU that a benchmark of it is confined to, in rising order.
    pub fn cpus(&self) -> Vec<CpuId> {
        let cpus: BTreeSet<CpuId> =
            self.entries.iter().flat_map(|entry| entry.spec.setting.cpus.iter().copied()).collect();
        cpus.into_iter().collect()
    }

    /// The folders of the records of the run in `folder`, by side.
    pub fn folders(&self, folder: &Path) -> Vec<PathBuf> {
        if self.sides() == 1 { vec![folder.into()] } else { vec![folder.join("a"), folder.join("b")] }
    }
}

/// Why a plan could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum RunPlanError {
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// There is no run to go on with.
    #[error("{path}: no run to resume there; `switchcost run` begins one")]
    NoRun {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is a run already.
    #[error("{path}: a run is there already; go on with it by --resume, or name another folder")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// There is a record that no run made.
    #[error("{path}: records of another command are there; name another folder")]
    Records {
        /// The folder.
        path: PathBuf,
    },
    /// There is a comparison of two sides, each of which has a record of its own.
    #[error("{path}: a paired comparison is there; name another folder")]
    Sides {
        /// The folder.
        path: PathBuf,
    },
    /// The file is no plan of this version.
    #[error("{path}: not a plan of this switchcost: {reason}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process works on the run.
    #[error("{path}: another switchcost is measuring this run")]
    Busy {
        /// The file.
        path: PathBuf,
    },
}

/// A plan that no other process can take up while this is held.
#[derive(Debug)]
pub struct PlanLock {
    _lock: Flock<File>,
}

impl RunPlan {
    /// Keeps the plan of a new run in `folder`.
    ///
    /// # Errors
    /// When a run is there already, or what the file system says.
    pub fn begin(&self, folder: &Path) -> Result<PlanLock, RunPlanError> {
        let path = folder.join(PLAN_FILE);
        let failed = |source| RunPlanError::Io { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        if path.exists() {
            return Err(RunPlanError::Exists { path: folder.into() });
        }
        // A command that failed before it had anything to write may leave an empty one.
        if folder.join(crate::record::FILE).metadata().is_ok_and(|record| record.len() > 0) {
            return Err(RunPlanError::Records { path: folder.into() });
        }
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        match publish(text.as_bytes(), folder, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(RunPlanError::Exists { path: folder.into() })
            }
            other => other.map_err(failed).and_then(|()| lock(&path)),
        }
    }

    /// Takes up the plan of the run in `folder`.
    ///
    /// # Errors
    /// When there is none, it is not of this version, or another process works on it.
    pub fn resume(folder: &Path) -> Result<(Self, PlanLock), RunPlanError> {
        let path = folder.join(PLAN_FILE);
        let mut text = String::new();
        match File::open(&path).and_then(|mut file| file.read_to_string(&mut text)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RunPlanError::NoRun { path: folder.into() });
            }
            other => other.map_err(|source| RunPlanError::Io { path: path.clone(), source })?,
        };
        let plan = Self::parse(&text, &path)?;
        Ok((plan, lock(&path)?))
    }

    /// Reads the text of a plan called `path`.
    ///
    /// # Errors
    /// When it is none of this version, or asks for what no command line can ask for: it is damaged.
    pub fn parse(text: &str, path: &Path) -> Result<Self, RunPlanError> {
        let broken = |reason: String| RunPlanError::Broken { path: path.into(), reason };
        // The version first: another one may have other fields.
        // An editor may have left a byte-order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let version: PlanVersion = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
        if version.schema != u64::from(SCHEMA) {
            return Err(broken(format!(
                "schema {}, and this one writes schema {SCHEMA}: the program that began a run ends it; begin a new one",
                version.schema
            )));
        }
        let plan: Self = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
        plan.check().map_err(broken)?;
        Ok(plan)
    }

    /// That every number is one that the command line can have asked for, and that every benchmark is one of this
    /// program.
    fn check(&self) -> Result<(), String> {
        let sweep = self.sweep.map(|sweep| (sweep.measure, sweep.samples as usize));
        let times = [Some(self.timeout), Some(self.timing.warm_up), Some(self.timing.measure)];
        let times = times.into_iter().chain([self.budget, sweep.map(|(measure, _)| measure)]).flatten();
        if let Some(time) = times.max().filter(|time| *time > LONGEST_TIME) {
            return Err(format!("a time of {time:?}"));
        }
        if self.rounds == 0 {
            return Err("0 rounds".into());
        }
        if let Some(share) = self.until.filter(|share| !share.is_finite() || *share <= 0.0) {
            return Err(format!("until {share}"));
        }
        let samples = sweep.map_or(self.timing.samples, |(_, samples)| samples);
        if !(1..=MOST_SAMPLES).contains(&samples) {
            return Err(format!("{samples} samples"));
        }
        for entry in &self.entries {
            if entry.side > 1 {
                return Err(format!("{}: side {}, and there are 0 and 1", entry.id, entry.side));
            }
            entry.spec.check().map_err(|reason| format!("{}: {reason}", entry.id))?;
        }
        Ok(())
    }
}

/// Writes `text` to `path` in `folder`, under its name only when whole: a kill leaves a plan or none. Of two processes
/// that begin a run in one folder, one finds that the file exists.
fn publish(text: &[u8], folder: &Path, path: &Path) -> io::Result<()> {
    let draft = folder.join(format!("plan.json.new.{}", std::process::id()));
    let mut file = File::create(&draft)?;
    let written = file.write_all(text).and_then(|()| file.sync_all()).and_then(|()| {
        match std::fs::hard_link(&draft, path) {
            // A file system without links (FAT, some network ones); two at once are then not told apart.
            Err(error) if !matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                std::fs::rename(&draft, path)
            }
            other => other,
        }
    });
    let _ = std::fs::remove_file(&draft);
    written
}

/// The timeout of a sweep of the largest brigades is days; a plan adds a few of these up.
const LONGEST_TIME: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What --samples takes at most.
const MOST_SAMPLES: usize = 100_000;

/// What the plans of all versions have.
#[derive(Deserialize)]
struct PlanVersion {
    schema: u64,
}

/// Keeps other processes from measuring the run in `folder`, for a command that adds to its record; `None` where there
/// is none.
///
/// # Errors
/// When another process works on it, or it is a paired comparison, whose sides have records of their own.
pub fn lock_run(folder: &Path) -> Result<Option<PlanLock>, RunPlanError> {
    if !folder.join(PLAN_FILE).exists() {
        return Ok(None);
    }
    let (plan, held) = RunPlan::resume(folder)?;
    if plan.sides() > 1 { Err(RunPlanError::Sides { path: folder.into() }) } else { Ok(Some(held)) }
}

fn lock(path: &Path) -> Result<PlanLock, RunPlanError> {
    let failed = |source| RunPlanError::Io { path: path.into(), source };
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(PlanLock { _lock: lock }),
        Err((_, Errno::EWOULDBLOCK)) => Err(RunPlanError::Busy { path: path.into() }),
        Err((_, errno)) => Err(failed(errno.into())),
    }
}

/// The entries of a round in the order in which they are measured: pairs in random order, and within each pair the
/// sides in random order. The same `seed` and `round` give the same order, so that a run that goes on keeps it.
pub(super) fn shuffled(entries: &[PlanEntry], seed: u64, round: u32) -> Vec<usize> {
    let mut prng = Prng::seeded(seed.wrapping_add(u64::from(round).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let mut pairs = by_pair(entries);
    shuffle(&mut pairs, &mut prng);
    for pair in &mut pairs {
        shuffle(pair, &mut prng);
    }
    pairs.into_iter().flatten().collect()
}

/// The indices of the entries of each pair, by the rising number of the pair. A benchmark that is compared with none
/// has a pair to itself.
pub(super) fn by_pair(entries: &[PlanEntry]) -> Vec<Vec<usize>> {
    let mut pairs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        pairs.entry(entry.pair).or_default().push(index);
    }
    pairs.into_values().collect()
}

/// Fisher and Yates, as Durstenfeld wrote it down (Communications of the ACM 7(7), 1964).
fn shuffle<T>(list: &mut [T], prng: &mut Prng) {
    for last in (1..list.len()).rev() {
        list.swap(last, prng.index(last + 1));
    }
}

/// The pairs by importance: the first of every Criterion group (its baseline), then the second of every one, and so on.
/// What is left out for lack of time then leaves every question with some of its answers.
pub(super) fn by_importance(entries: &[PlanEntry]) -> Vec<Vec<usize>> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, Vec<usize>)> = Vec::new();
    for pair in by_pair(entries) {
        let name = entries[pair[0]].spec.mechanism.split('/').next().unwrap_or_default();
        let rank = seen.entry(name).or_insert(0);
        ranked.push((*rank, pair));
        *rank += 1;
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, pair)| pair).collect()
}

/// Whether samples of `a` and `b` can be interleaved: while one is measured the other is set up, and must take no CPU
/// time from it.
pub(super) fn can_interleave(a: &BenchmarkSpec, b: &BenchmarkSpec) -> bool {
    // What idle CPUs do, they do for everybody, and a spinner of one side would run beside the other.
    a.setting.idle == b.setting.idle
        && a.setting.idle != Idle::Spinner
        && is_idle_between_samples(a)
        && is_idle_between_samples(b)
}

/// Whether its samples can be taken with pauses between them, and none of its tasks runs in the pauses.
fn is_idle_between_samples(spec: &BenchmarkSpec) -> bool {
    // Of one that this program does not know nothing can be said.
    spec.benchmark().is_some_and(|benchmark| {
        // Waits and memory are not divisible, and depend on who else is there.
        benchmark.is_divisible() && !benchmark.mechanism.is_busy_between_batches(&benchmark.setting.parameters)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::find;
    use crate::terms::{Class, Placement, Policy, Setting};
    use crate::units::CpuId;

    fn spec(mechanism: &str, set: &[(&str, &str)], idle: Idle) -> BenchmarkSpec {
        let descriptor = find(mechanism).unwrap().descriptor();
        let parameters = set.iter().fold(descriptor.defaults(), |parameters, (name, value)| {
            let parameter = descriptor.parameter(name).unwrap();
            parameters.with(parameter, parameter.parse(value).unwrap())
        });
        let setting = Setting { idle, ..Setting::new(Placement::SameCpu, vec![CpuId(0)], parameters) };
        BenchmarkSpec { mechanism: mechanism.into(), setting }
    }

    #[test]
    fn benchmarks_that_are_idle_between_samples_are_interleaved() {
        let futex = |idle| spec("handoff/futex", &[], idle);
        let with = |other: BenchmarkSpec| can_interleave(&futex(Idle::Default), &other);
        assert!(with(futex(Idle::Default)));
        assert!(with(spec("brigade/thread", &[("work", "2000")], Idle::Default)));
        assert!(with(spec("brigade/uring", &[("files", "registered")], Idle::Default)));
        assert!(can_interleave(&futex(Idle::Poll), &futex(Idle::Poll)));
        assert!(!with(futex(Idle::Poll)) && !with(futex(Idle::Spinner)));
        assert!(!can_interleave(&futex(Idle::Spinner), &futex(Idle::Spinner)));
        assert!(!with(spec("brigade/uring", &[("sqpoll", "on")], Idle::Default)));
        assert!(!with(spec("file/uring", &[("ring", "sqpoll")], Idle::Default)));
        assert!(!with(spec("footprint/thread", &[], Idle::Default)));
        assert!(!with(spec("wakeup/timer_timerfd", &[], Idle::Default)));
        assert!(!with(BenchmarkSpec { mechanism: "handoff/unheard_of".into(), ..futex(Idle::Default) }));
    }

    /// Made without its specification, which is what is tested.
    fn ready(mechanism: &str) -> Benchmark {
        let tasks = usize::from(mechanism.starts_with("brigade"));
        let policy = Policy { class: Class::Batch, slice_us: Some(500) };
        let setting = Setting { policy, ..spec(mechanism, &[("tasks", "8")][..tasks], Idle::Poll).setting };
        Benchmark { mechanism: find(mechanism).unwrap(), setting }
    }

    #[test]
    fn a_plan_gives_each_benchmark_ten_times_its_time_and_a_seed_of_its_own() {
        let timing = Timing { warm_up: Duration::from_secs(1), measure: Duration::from_secs(4), samples: 10 };
        let before = now_ms();
        let plan = RunPlan::new(vec!["run".into()], 3, timing);
        assert!((before..=now_ms()).contains(&plan.seed), "{}", plan.seed);
        assert_eq!(plan.timeout, Duration::from_secs(50 + 180));
        assert_eq!((plan.schema, plan.rounds, plan.timing), (SCHEMA, 3, timing));
        assert!(plan.counters && plan.audit && !plan.strict && !plan.interleaved && plan.sweep.is_none());
    }

    #[test]
    fn each_benchmark_has_a_number_of_its_own_and_both_sides_of_a_pair_share_one() {
        let mut plan = RunPlan::new(Vec::new(), 1, Timing::default());
        let (thread, pipe) = (ready("brigade/thread"), ready("handoff/pipe"));
        plan.add(&PlannedBenchmark::Ready(thread.clone()), "host");
        plan.add(&PlannedBenchmark::Ready(pipe.clone()), "host");
        plan.add_pair([&thread, &pipe]);
        let numbers: Vec<_> = plan.entries.iter().map(|entry| (entry.pair, entry.side)).collect();
        assert_eq!(numbers, [(0, 0), (1, 0), (2, 0), (2, 1)]);
        let ids: Vec<_> = plan.entries.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids, [thread.id(), pipe.id(), thread.id(), pipe.id()]);
    }

    #[test]
    fn what_was_chosen_arrives_in_another_process() {
        for benchmark in [ready("brigade/thread"), ready("handoff/pipe")] {
            let text = serde_json::to_string(&benchmark.spec()).unwrap();
            let there = serde_json::from_str::<BenchmarkSpec>(&text).unwrap().benchmark().unwrap();
            assert_eq!((there.id(), &there.setting), (benchmark.id(), &benchmark.setting), "{text}");
        }
    }
}
