//! A run from its plan to its record: what `run` and `compare --paired` share.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::options::Usage;
use super::progress::Progress;
use crate::harness::now_ms;
use crate::harness::rounds::{
    Asked, Conclusion, Held, Interrupts, Job, Outlook, Processes, Programs, Standing, Witness, conduct, introduce,
    knows_turns,
};
use crate::host::moment::Moment;
use crate::host::{Host, Root};
use crate::record::{BenchmarkLine, Line, MachineLine, Outcome, RecordError, Run, Suite, Writer, read};

/// A run that can be measured.
#[derive(Debug)]
pub(super) struct Measuring {
    /// What was asked.
    pub(super) asked: Asked,
    /// Where it lies.
    pub(super) folder: PathBuf,
    _held: Held,
    machine: String,
    writers: Vec<Writer>,
    standing: Standing,
}

/// What a command line that measures comes to. Nothing was written yet.
#[derive(Debug)]
pub(super) enum Start {
    /// A new run in this folder.
    Begin(Box<Asked>, PathBuf),
    /// Going on with the run in this folder.
    Resume(PathBuf),
}

impl Measuring {
    /// Begins a run or goes on with one.
    pub(super) fn start(start: Start) -> anyhow::Result<Self> {
        match start {
            Start::Begin(asked, folder) => Self::begin(*asked, folder),
            Start::Resume(folder) => Self::resume(folder),
        }
    }

    /// Begins a run in `folder`.
    fn begin(mut asked: Asked, folder: PathBuf) -> anyhow::Result<Self> {
        // Before the plan, so that a program that is none leaves no run behind.
        let suites = suites(&asked, &folder).inspect_err(|_| {
            // Fails when it holds something, which is then somebody's.
            let _ = std::fs::remove_dir(&folder);
        })?;
        // Programs of before turns measure their sides one after the other.
        let knows = |program: &PathBuf| is_here(program) || knows_turns(program, &folder);
        asked.in_turns &= asked.programs.0.iter().all(knows);
        let held = asked.begin(&folder)?;
        Self::open(asked, folder, held, suites)
    }

    /// Goes on with the run in `folder`.
    fn resume(folder: PathBuf) -> anyhow::Result<Self> {
        let (asked, held) = Asked::resume(&folder)?;
        let suites = suites(&asked, &folder)?;
        Self::open(asked, folder, held, suites)
    }

    fn open(asked: Asked, folder: PathBuf, held: Held, suites: Vec<Suite>) -> anyhow::Result<Self> {
        let host = Host::observe(&Root::default());
        let machine = host.id();
        let mut standing = Standing::default();
        let mut writers = Vec::new();
        for (side, (path, suite)) in asked.folders(&folder).iter().zip(suites).enumerate() {
            let mut writer = Writer::open(path)?;
            let before = if writer.is_new() { Run::default() } else { read(path)? };
            check_same(&before, &host, &suite, &folder)?;
            if before.machines.is_empty() {
                writer.append(&Line::Machine(Box::new(machine_line(asked.argv.clone(), &host, suite))))?;
            }
            for line in &before.benchmarks {
                standing.add(side, line);
            }
            let known = |line: &&BenchmarkLine| before.benchmarks.iter().any(|before| before.id == line.id);
            for line in asked.unsupported.iter().filter(|line| !known(line)) {
                writer.append(&Line::Benchmark(Box::new(line.clone())))?;
            }
            writers.push(writer);
        }
        Ok(Self { asked, folder, _held: held, machine, writers, standing })
    }

    /// Measures what is not in the record yet.
    pub(super) fn go_on(&mut self) -> anyhow::Result<Conclusion> {
        let interrupts = Interrupts::take_over()?;
        let progress = Progress::new(&self.asked);
        let ticking = progress.clone();
        let stopping = progress.clone();
        let mut processes = Processes::new(
            &self.asked,
            &self.folder,
            &self.machine,
            interrupts,
            move || ticking.tick(),
            move || stopping.say("stopping after this benchmark; Ctrl-C again stops at once"),
        );
        let mut recorder = Recorder { writers: &mut self.writers, progress: &progress };
        let conclusion = conduct(&self.asked, &mut self.standing, &mut processes, &mut recorder);
        progress.clear();
        Ok(conclusion?)
    }

    /// The records, by side.
    pub(super) fn runs(&self) -> Result<Vec<Run>, RecordError> {
        self.asked.folders(&self.folder).iter().map(|folder| read(folder)).collect()
    }
}

fn is_here(program: &Path) -> bool {
    program == Programs::default().0[0]
}

/// The builds that measure, by side.
fn suites(asked: &Asked, folder: &Path) -> anyhow::Result<Vec<Suite>> {
    let suite = |program: &PathBuf| -> anyhow::Result<Suite> {
        if is_here(program) {
            return Ok(Suite::current());
        }
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        introduce(program, folder).map_err(|reason| Usage::Unknown(reason).into())
    };
    asked.programs.0.iter().take(asked.sides()).map(suite).collect()
}

/// What a record says of where and by what it was measured.
pub(super) fn machine_line(argv: Vec<String>, host: &Host, suite: Suite) -> MachineLine {
    MachineLine {
        id: host.id(),
        host: host.clone().for_the_record(),
        moment: Moment::observe(&Root::default()),
        suite,
        argv,
        started_ms: now_ms(),
    }
}

/// Rounds of two machines, or of two builds, are no rounds of one benchmark.
///
/// # Errors
/// When `before` was measured on another machine, or by another build.
pub(super) fn check_same(before: &Run, host: &Host, suite: &Suite, folder: &Path) -> Result<(), Usage> {
    let Some(machine) = before.machines.first() else { return Ok(()) };
    let differs = |what: &str| {
        let folder = folder.display();
        Err(Usage::Unknown(format!(
            "{folder}: {what} since the run began, so its rounds would not mix; begin a new run"
        )))
    };
    if machine.id != host.id() {
        return differs("this machine's hardware, kernel or settings are not what they were");
    }
    if machine.suite != *suite {
        return differs("the program is not the build that it was");
    }
    Ok(())
}

struct Recorder<'a> {
    writers: &'a mut [Writer],
    progress: &'a Progress,
}

impl Witness for Recorder<'_> {
    fn begins(&mut self, jobs: &[Job<'_>], outlook: &Outlook) {
        self.progress.begins(jobs, outlook);
    }

    fn done(&mut self, job: &Job<'_>, line: &BenchmarkLine) -> Result<(), RecordError> {
        match &line.outcome {
            Outcome::Failed(reason) => self.progress.say(&format!("{}: FAILED: {reason}", line.id)),
            Outcome::Unsupported(reason) => self.progress.say(&format!("{}: unsupported: {reason}", line.id)),
            Outcome::Measured(_) => {}
        }
        self.writers[job.entry.side].append(&Line::Benchmark(Box::new(line.clone())))
    }

    fn discarded(&mut self, job: &Job<'_>, why: &[String]) {
        self.progress.say(&format!("{}: once more: {}", job.entry.id, why.join(", ")));
    }
}

/// A share as people write it: `1%`, `0.5 %`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix('%').map(str::trim).and_then(|number| number.parse::<f64>().ok());
    let share = number.map(|percent| percent / 100.0).filter(|share| share.is_finite() && *share >= 0.0);
    share.ok_or_else(|| format!("`{text}` is no share; write 1% or 0.5%"))
}

/// A share that is more than nothing.
pub(super) fn positive_share(text: &str) -> Result<f64, String> {
    share(text).and_then(|share| if share > 0.0 { Ok(share) } else { Err("it must be more than 0%".into()) })
}

/// A seed for this run: the time is different every time, and the plan keeps it.
pub(super) fn fresh_seed() -> u64 {
    now_ms()
}

/// The absolute path of a program, so that a run can go on from another directory.
pub(super) fn absolute(program: &Path) -> anyhow::Result<PathBuf> {
    std::fs::canonicalize(program).with_context(|| program.display().to_string())
}
