//! A run from its plan to its record: what `run` and `compare --paired` share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::folder;
use super::options::UsageError;
use super::progress::ProgressDisplay;
use crate::compare::{Difference, differences, void_the_impossible};
use crate::harness::rounds::{
    Job, PlanLock, ProcessRunner, Programs, RunObserver, RunOutcome, RunPlan, RunProgress, RunState, Signals, identify,
    run_rounds, shortest_budgets, supports_interleaving,
};
use crate::harness::{now_ms, usable_cpus};
use crate::host::Root;
use crate::record::{BenchmarkLine, Build, HostLine, Line, Outcome, RecordError, RecordWriter, Run, read};
use crate::terms::{Host, Moment};

/// A run that can be measured.
#[derive(Debug)]
pub(super) struct RunSession {
    /// What was asked.
    pub(super) plan: RunPlan,
    /// Where it lies.
    pub(super) folder: PathBuf,
    _held: PlanLock,
    host_id: String,
    writers: Vec<RecordWriter>,
    state: RunState,
}

/// What a command line asks to measure, before anything is written.
#[derive(Debug)]
pub(super) enum Start {
    /// A new run in this folder, or in one of its own.
    Begin(Box<RunPlan>, Option<PathBuf>),
    /// Going on with the run in this folder.
    Resume(PathBuf),
}

impl RunSession {
    /// Begins a run or goes on with one.
    pub(super) fn start(start: Start) -> anyhow::Result<Self> {
        match start {
            Start::Begin(plan, named) => Self::begin(*plan, folder::named_or_new(named)?),
            Start::Resume(folder) => Self::resume(folder),
        }
    }

    /// Begins a run in `folder`.
    fn begin(mut plan: RunPlan, folder: PathBuf) -> anyhow::Result<Self> {
        must_have_proc()?;
        must_have_time(&plan)?;
        // Before the plan, so that a program that is none leaves no run behind.
        let builds = builds(&plan, &folder).inspect_err(|_| {
            // Fails when it holds something, which this run did not put there.
            let _ = std::fs::remove_dir(&folder);
        })?;
        // Builds that cannot be interleaved measure their sides one after the other.
        let supports = |program: &PathBuf| is_here(program) || supports_interleaving(program, &folder);
        plan.interleaved &= plan.programs.0.iter().all(supports);
        let held = plan.begin(&folder)?;
        Self::open(plan, folder, held, builds)
    }

    /// Goes on with the run in `folder`.
    fn resume(folder: PathBuf) -> anyhow::Result<Self> {
        let (plan, held) = RunPlan::resume(&folder)?;
        // Told once, and not by every benchmark that would fail.
        usable_cpus(&plan.cpus()).map_err(|error| UsageError::Unknown(format!("{}: {error}", folder.display())))?;
        let builds = builds(&plan, &folder)?;
        Self::open(plan, folder, held, builds)
    }

    fn open(plan: RunPlan, folder: PathBuf, held: PlanLock, builds: Vec<Build>) -> anyhow::Result<Self> {
        let host = Host::observe(&Root::default());
        let host_id = host.id();
        let mut state = RunState::default();
        let mut writers = Vec::new();
        for (side, (path, build)) in plan.folders(&folder).iter().zip(builds).enumerate() {
            let mut writer = RecordWriter::open(path)?;
            let before = if writer.is_new() { Run::default() } else { read(path)? };
            check_same(&before, &host, &build, &folder)?;
            if before.hosts.is_empty() {
                writer.append(&Line::Host(Box::new(host_line(plan.argv.clone(), &host, build))))?;
            }
            for line in &before.benchmarks {
                state.add(side, line);
            }
            let known = |line: &&BenchmarkLine| before.benchmarks.iter().any(|before| before.id == line.id);
            for line in plan.unsupported.iter().filter(|line| !known(line)) {
                writer.append(&Line::Benchmark(Box::new(line.clone())))?;
            }
            writers.push(writer);
        }
        Ok(Self { plan, folder, _held: held, host_id, writers, state })
    }

    /// Measures what is not in the record yet.
    pub(super) fn go_on(&mut self) -> anyhow::Result<RunOutcome> {
        let signals = Signals::take_over()?;
        let progress = ProgressDisplay::new(&self.plan);
        let ticking = progress.clone();
        let stopping = progress.clone();
        let mut processes = ProcessRunner::new(
            &self.plan,
            &self.folder,
            &self.host_id,
            signals,
            move || ticking.tick(),
            move || stopping.say("stopping after this benchmark; Ctrl-C again stops at once"),
        );
        let mut recorder = RecordingObserver { writers: &mut self.writers, progress: &progress };
        let outcome = run_rounds(&self.plan, &mut self.state, &mut processes, &mut recorder);
        progress.clear();
        Ok(outcome?)
    }

    /// The records, by side, without figures that cannot be.
    pub(super) fn runs(&self) -> Result<Vec<Run>, RecordError> {
        let read = |folder: &PathBuf| -> Result<Run, RecordError> {
            let mut run = read(folder)?;
            void_the_impossible(&mut run);
            Ok(run)
        };
        self.plan.folders(&self.folder).iter().map(read).collect()
    }
}

/// Fails in a root without `/proc`, where every process of the run would fail with a reason that says nothing of it.
pub(super) fn must_have_proc() -> anyhow::Result<()> {
    proc_at(Path::new("/proc"))
}

fn proc_at(proc: &Path) -> anyhow::Result<()> {
    if proc.join("self/exe").symlink_metadata().is_ok() {
        return Ok(());
    }
    anyhow::bail!(
        "nothing was measured: {0} is not mounted, and it is where this program finds itself, to start the processes \
         that measure, and what the host is; as root: mount -t proc proc {0}",
        proc.display()
    )
}

/// Fails when the budget has room for nothing: the command line is in order, and the time is not.
fn must_have_time(plan: &RunPlan) -> anyhow::Result<()> {
    let Some((budget, (one, all))) = plan.budget.zip(shortest_budgets(plan)).filter(|(budget, (one, _))| budget < one)
    else {
        return Ok(());
    };
    let seconds = |time: Duration| format!("{}s", time.as_millis().div_ceil(1000));
    let for_all = if all > one { format!(", {} for everything", seconds(all)) } else { String::new() };
    anyhow::bail!(
        "nothing was measured: --budget {} is too short for anything; it takes {} at least{for_all}, and less with \
         shorter samples (--measure, --warm-up) or fewer rounds (--rounds)",
        seconds(budget),
        seconds(one)
    )
}

fn is_here(program: &Path) -> bool {
    program == Programs::default().0[0]
}

/// The builds that measure, by side.
fn builds(plan: &RunPlan, folder: &Path) -> anyhow::Result<Vec<Build>> {
    plan.programs.0.iter().take(plan.sides()).map(|program| build_of(program, folder)).collect()
}

/// The build of a program, whose answer passes through `folder`.
pub(super) fn build_of(program: &Path, folder: &Path) -> anyhow::Result<Build> {
    if is_here(program) {
        return Ok(Build::current());
    }
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    identify(program, folder).map_err(|reason| UsageError::Unknown(reason).into())
}

/// What a record says of where and by what it was measured.
pub(super) fn host_line(argv: Vec<String>, host: &Host, build: Build) -> HostLine {
    HostLine {
        id: host.id(),
        host: host.clone().for_the_record(),
        moment: Moment::observe(&Root::default()),
        build,
        argv,
        started_ms: now_ms(),
    }
}

/// Rounds of two machines, or of two builds, are no rounds of one benchmark.
///
/// # Errors
/// When `before` was measured on another machine, or by another build.
pub(super) fn check_same(before: &Run, host: &Host, build: &Build, folder: &Path) -> Result<(), UsageError> {
    let Some(then) = before.hosts.first() else { return Ok(()) };
    let (other_host, other_build) = (then.id != host.id(), then.build != *build);
    if !other_host && !other_build {
        return Ok(());
    }
    let now = host_line(Vec::new(), host, build.clone());
    let moved: Vec<String> = differences(&[then, &now]).iter().filter_map(|found| moved(found, other_host)).collect();
    let what = match (moved.is_empty(), other_host) {
        (false, _) => moved.join(", "),
        // Of an identity made by another version of this program.
        (true, true) => "this machine's hardware, kernel or settings are others".into(),
        (true, false) => "the program has been built anew".into(),
    };
    let back = if other_host { "set that back, or begin a new run" } else { "begin a new run" };
    Err(UsageError::Unknown(format!(
        "{}: since the run began, {what}: further rounds would not belong to the same figures; {back}",
        folder.display()
    )))
}

/// What a fact was and is, where it tells machines or builds apart.
fn moved(found: &Difference, of_the_host: bool) -> Option<String> {
    // What no host's identity holds (sysctls) may move.
    let counts = found.name.starts_with("build.") != of_the_host && found.group != "settings";
    let [then, now] = found.values.as_slice() else { return None };
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "not there".into());
    counts.then(|| format!("{} was {} and is {}", found.name, word(then), word(now)))
}

struct RecordingObserver<'a> {
    writers: &'a mut [RecordWriter],
    progress: &'a ProgressDisplay,
}

impl RunObserver for RecordingObserver<'_> {
    fn begins(&mut self, jobs: &[Job<'_>], progress: &RunProgress) {
        self.progress.begins(jobs, progress);
    }

    fn done(&mut self, job: &Job<'_>, line: &BenchmarkLine) -> Result<(), RecordError> {
        match &line.outcome {
            Outcome::Failed(reason) => self.progress.say(&format!("{}: FAILED: {reason}", line.id)),
            Outcome::Unsupported(reason) => self.progress.say(&format!("{}: unsupported: {reason}", line.id)),
            Outcome::Measured(_) => {}
        }
        self.writers[job.entry.side].append(&Line::Benchmark(Box::new(line.clone())))
    }

    fn out_of_time(&mut self, job: &Job<'_>) {
        self.progress.say(&format!("{}: given up: --budget is used up", job.entry.id));
    }

    fn discarded(&mut self, job: &Job<'_>, why: &[String]) {
        self.progress.say(&format!("{}: once more: {}", job.entry.id, why.join(", ")));
    }
}

/// A share as people write it: `1%`, `0.5 %`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix('%').map(str::trim).and_then(|number| number.parse::<f64>().ok());
    let share = number.map(|percent| percent / 100.0).filter(|share| share.is_finite() && *share >= 0.0);
    let share = share.ok_or_else(|| format!("`{text}` is no share; write 1% or 0.5%"))?;
    if share <= LARGEST_SHARE { Ok(share) } else { Err(format!("no more than {}%", LARGEST_SHARE * 100.0)) }
}

/// Beyond any difference that an option of this program could be meant to wait for.
const LARGEST_SHARE: f64 = 10.0;

/// A share that is more than nothing.
pub(super) fn positive_share(text: &str) -> Result<f64, String> {
    share(text).and_then(|share| if share > 0.0 { Ok(share) } else { Err("it must be more than 0%".into()) })
}

/// The absolute path of a program, so that a run can go on from another directory.
pub(super) fn absolute(program: &Path) -> anyhow::Result<PathBuf> {
    std::fs::canonicalize(program).with_context(|| program.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_without_proc_is_told_before_anything_is_begun() {
        assert!(must_have_proc().is_ok());
        let told = proc_at(Path::new("/no/such")).unwrap_err().to_string();
        assert!(told.contains("/no/such is not mounted") && told.contains("mount -t proc"), "{told}");
    }
}
