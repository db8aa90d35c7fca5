//! The loop of a run: which benchmark is measured next, until all rounds are done, the budget ends, or intervals are
//! narrow enough.

use std::collections::BTreeSet;
use std::time::Duration;

use super::run_plan::{by_pair, can_interleave, shuffled};
use super::{PlanEntry, RunPlan, RunState};
use crate::harness::interference::interference;
use crate::record::{BenchmarkLine, Noise, Outcome, RecordError};
use crate::stats::{Basis, Budget, Precision, further_rounds};

mod run_budget;

pub use run_budget::shortest_budgets;

/// `--until` ends here without a budget. Ranks of a hundred rounds are known to a tenth of the rounds' scatter; who
/// needs more needs a quieter machine.
const MOST_ROUNDS: u32 = 100;

/// Samples taken at a slower CPU speed are set aside; a round of which more than this share was has few left for its
/// median.
const MOST_SLOWED: f64 = 0.75;

/// How often `--strict` tries.
const MOST_ATTEMPTS: u32 = 4;

/// One benchmark of one round.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The benchmark.
    pub entry: &'a PlanEntry,
    /// The round, from 0.
    pub round: u32,
    /// Whether it is audited, too.
    pub audit: bool,
}

/// How a job ended, or the two jobs of a pair.
#[derive(Debug)]
pub enum JobOutcome {
    /// Each has an answer, which may be that it failed.
    Done(Vec<BenchmarkLine>),
    /// They were ended in the middle, because a second signal asked to stop at once.
    Stopped,
    /// They were ended in the middle, after this long, because the time that they had was over.
    OutOfTime(Duration),
}

/// Measures one benchmark at a time, or two of them interleaved.
pub trait Runner {
    /// Measures one job, or two with their samples interleaved, of which the first begins. Everything about it, set-up
    /// and audit included, ends after `within`.
    fn run(&mut self, jobs: &[Job<'_>], within: Option<Duration>) -> JobOutcome;

    /// Whether a signal has asked to stop.
    fn stop_requested(&mut self) -> bool;
}

/// How much is done and how much is left, for the progress display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunProgress {
    /// Measurements so far, in this run.
    pub done: u64,
    /// Measurements in all, as far as that is known.
    pub all: u64,
    /// The time that those which are left take.
    pub left: Duration,
}

/// Receives the events of a run, and keeps its record.
pub trait RunObserver {
    /// A job begins, or two that are interleaved.
    fn begins(&mut self, jobs: &[Job<'_>], progress: &RunProgress);

    /// A job is done; its line belongs to the record of its side.
    ///
    /// # Errors
    /// When the record cannot be written: nothing more is measured then.
    fn done(&mut self, job: &Job<'_>, line: &BenchmarkLine) -> Result<(), RecordError>;

    /// A measurement was discarded, for interference or because it cannot be interleaved, and is made again.
    fn discarded(&mut self, job: &Job<'_>, why: &[String]);

    /// A job was ended in the middle, because the budget was used up.
    fn out_of_time(&mut self, job: &Job<'_>);
}

/// A benchmark that the budget had no time for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmeasuredBenchmark {
    /// Its id.
    pub id: String,
    /// The rounds that it has.
    pub rounds: u32,
    /// The rounds that were asked for.
    pub of: u32,
}

/// A benchmark, or a pair of them, whose interval is wider than was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct WideInterval {
    /// Its id; of a pair that of the first side.
    pub id: String,
    /// The relative half-width; `None` where there is none yet.
    pub half_width: Option<f64>,
    /// The rounds that it has.
    pub rounds: u32,
    /// Those of them that count: the CPU was slow in the others.
    pub counting: usize,
    /// How many more it would take, about, if as many of them count; `None` where that cannot be told or is far off.
    pub further: Option<usize>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunOutcome {
    /// A signal stopped it.
    pub stopped: bool,
    /// What has fewer rounds than were asked for, for lack of time.
    pub unmeasured: Vec<UnmeasuredBenchmark>,
    /// What is known less well than was asked for.
    pub wide_intervals: Vec<WideInterval>,
}

/// Measures what was asked and is not in `state` yet.
///
/// # Errors
/// When the record cannot be written.
pub fn run_rounds(
    plan: &RunPlan,
    state: &mut RunState,
    runner: &mut dyn Runner,
    observer: &mut dyn RunObserver,
) -> Result<RunOutcome, RecordError> {
    let kept = (0..plan.entries.len()).collect();
    let (not_interleaved, discarded_time) = (known_sequential(plan, state), Duration::ZERO);
    let mut run_loop = RunLoop { plan, state, done: 0, kept, not_interleaved, discarded_time, stopped: false };
    for round in 0..plan.rounds {
        // Predictions decide before the first round, measured times before the second.
        if round < 2 {
            run_loop.keep_what_fits(round);
        }
        let wanted = run_loop.kept.clone();
        run_loop.round(round, &wanted, runner, observer)?;
    }
    run_loop.make_use_of_what_is_left(runner, observer)?;
    if let Some(target) = plan.until {
        for round in plan.rounds..MOST_ROUNDS.max(plan.rounds) {
            let wanted = run_loop.too_wide(target).into_iter().flatten().collect::<BTreeSet<_>>();
            if run_loop.stopped || wanted.is_empty() || !run_loop.round(round, &wanted, runner, observer)? {
                break;
            }
        }
    }
    Ok(run_loop.outcome())
}

/// The pairs that are measured one side after the other although they could be interleaved: both sides have a line of
/// one round that says so, which is what a pair leaves that failed while interleaved before the run was resumed. A kill
/// between the two lines of a round leaves one.
fn known_sequential(plan: &RunPlan, state: &RunState) -> BTreeSet<usize> {
    let apart = |pair: &Vec<usize>| match pair.as_slice() {
        [a, b] => {
            let (a, b) = (&plan.entries[*a], &plan.entries[*b]);
            (can_interleave(&a.spec, &b.spec) && state.were_sequential(a, b)).then_some(a.pair)
        }
        _ => None,
    };
    if plan.interleaved { by_pair(&plan.entries).iter().filter_map(apart).collect() } else { BTreeSet::new() }
}

struct RunLoop<'a> {
    plan: &'a RunPlan,
    state: &'a mut RunState,
    done: u64,
    kept: BTreeSet<usize>,
    /// Pairs that failed while they were interleaved, in this process or before it, and are measured one side after the
    /// other since.
    not_interleaved: BTreeSet<usize>,
    /// How long the discarded measurements of the last such pair took. The next line of the record includes it.
    discarded_time: Duration,
    stopped: bool,
}

impl RunLoop<'_> {
    fn entries(&self) -> &[PlanEntry] {
        &self.plan.entries
    }

    /// Those that are not known well enough yet and can still be measured, by pairs.
    fn too_wide(&self, target: f64) -> Vec<Vec<usize>> {
        let can_run = |index: &usize| !self.state.is_given_up(&self.entries()[*index]);
        let wide =
            |pair: &Vec<usize>| pair.iter().all(can_run) && self.rounds_needed(pair, target) != Some(Budget::Reached);
        by_pair(self.entries()).into_iter().filter(wide).collect()
    }

    /// What must be known well: the figure of a benchmark that is measured alone, and the ratio of a pair, in which
    /// disturbances of both sides cancel out.
    fn precision(&self, pair: &[usize]) -> Option<Precision> {
        match pair {
            [only] => self.state.precision(&self.entries()[*only]),
            [a, b] => self.state.precision_of_ratio(&self.entries()[*a], &self.entries()[*b]),
            _ => None,
        }
    }

    /// How many more rounds `pair` needs until its interval is as narrow as `target`: rounds to be measured, of which
    /// as many will count as did so far.
    fn rounds_needed(&self, pair: &[usize], target: f64) -> Option<Budget> {
        let known = self.precision(pair)?;
        let measured = self.state.rounds(&self.entries()[pair[0]]) as usize;
        let each = measured.max(known.rounds) as f64 / known.rounds.max(1) as f64;
        let cap = (f64::from(MOST_ROUNDS) / each) as usize;
        Some(match further_rounds(&known, target, cap)? {
            Budget::Further(counting) => Budget::Further((counting as f64 * each).ceil() as usize),
            other => other,
        })
    }

    /// Measures what of `wanted` this round lacks; false when there was time for none of it.
    fn round(
        &mut self,
        round: u32,
        wanted: &BTreeSet<usize>,
        runner: &mut dyn Runner,
        observer: &mut dyn RunObserver,
    ) -> Result<bool, RecordError> {
        let plan = self.plan;
        let order = shuffled(&plan.entries, plan.seed, round);
        let wanted = order.into_iter().filter(|index| wanted.contains(index)).map(|index| &plan.entries[index]);
        let mut any = false;
        for pair in wanted.collect::<Vec<_>>().chunk_by(|a, b| a.pair == b.pair) {
            if self.is_interleaved(pair, round) {
                if self.should_stop(runner) {
                    return Ok(any);
                }
                if !self.has_time_for(pair) {
                    continue;
                }
                any |= self.measure(&self.jobs(pair, round), runner, observer)?;
            }
            // A pair that failed while interleaved has no result by that, and is measured one side after the other.
            for entry in pair.chunks(1) {
                if self.should_stop(runner) {
                    return Ok(any);
                }
                if self.is_done(entry[0], round) || !self.has_time_for(entry) {
                    any |= self.state.has(entry[0], round);
                    continue;
                }
                any |= self.measure(&self.jobs(entry, round), runner, observer)?;
            }
        }
        Ok(any)
    }

    fn should_stop(&mut self, runner: &mut dyn Runner) -> bool {
        self.stopped |= runner.stop_requested();
        self.stopped
    }

    fn has_time_for(&self, entries: &[&PlanEntry]) -> bool {
        self.left().is_none_or(|left| entries.iter().map(|entry| self.takes(entry)).sum::<Duration>() <= left)
    }

    fn is_done(&self, entry: &PlanEntry, round: u32) -> bool {
        self.state.has(entry, round) || self.state.is_given_up(entry)
    }

    /// Whether these entries of one pair are interleaved in this round.
    fn is_interleaved(&self, pair: &[&PlanEntry], round: u32) -> bool {
        let [a, b] = pair else { return false };
        self.plan.interleaved
            && !self.not_interleaved.contains(&a.pair)
            && !pair.iter().any(|entry| self.is_done(entry, round))
            && can_interleave(&a.spec, &b.spec)
    }

    fn jobs<'e>(&self, entries: &[&'e PlanEntry], round: u32) -> Vec<Job<'e>> {
        let job = |entry| Job { entry, round, audit: self.plan.audit && !self.state.is_audited(entry) };
        entries.iter().copied().map(job).collect()
    }

    /// Measures one job, or two interleaved. False when there is nothing of them to keep.
    fn measure(
        &mut self,
        jobs: &[Job<'_>],
        runner: &mut dyn Runner,
        observer: &mut dyn RunObserver,
    ) -> Result<bool, RecordError> {
        observer.begins(jobs, &self.progress(jobs));
        let left = self.left();
        let mut disturbed_lines: Option<Vec<BenchmarkLine>> = None;
        let mut took_ms = u64::try_from(std::mem::take(&mut self.discarded_time).as_millis()).unwrap_or(u64::MAX);
        let discarded_before = Duration::from_millis(took_ms);
        for discarded in 0..MOST_ATTEMPTS {
            let spent = Duration::from_millis(took_ms).saturating_sub(discarded_before);
            let mut lines = match runner.run(jobs, left.map(|left| left.saturating_sub(spent))) {
                JobOutcome::Done(lines) => lines,
                JobOutcome::Stopped => {
                    self.stopped = true;
                    return Ok(false);
                }
                JobOutcome::OutOfTime(took) => {
                    jobs.iter().for_each(|job| observer.out_of_time(job));
                    let Some(lines) = disturbed_lines else {
                        self.discarded_time = Duration::from_millis(took_ms) + took;
                        return Ok(false);
                    };
                    self.keep(jobs, &lines, observer)?;
                    self.discarded_time = took;
                    return Ok(true);
                }
            };
            took_ms += lines.iter_mut().map(|line| line.conditions.get_or_insert_default().took_ms).sum::<u64>();
            if jobs.len() > 1 && self.stop_interleaving(jobs, &lines, observer) {
                self.discarded_time = Duration::from_millis(took_ms);
                return Ok(false);
            }
            self.add_interference(&mut lines);
            for line in &mut lines {
                let conditions = line.conditions.get_or_insert_default();
                (conditions.took_ms, conditions.discarded) = (took_ms / jobs.len() as u64, discarded);
            }
            let load = |line: &BenchmarkLine| line.conditions.clone().unwrap_or_default().interference;
            let next = Duration::from_millis(took_ms) + Duration::from_millis(took_ms / u64::from(discarded + 1));
            let disturbed = jobs.iter().zip(&lines).find(|(_, line)| !load(line).is_empty());
            let again = self.plan.strict
                && self.left().is_none_or(|left| next <= left)
                && discarded + 1 < MOST_ATTEMPTS
                && !runner.stop_requested();
            if let Some((job, line)) = disturbed.filter(|_| again) {
                observer.discarded(job, &load(line));
                disturbed_lines = Some(lines);
                continue;
            }
            self.keep(jobs, &lines, observer)?;
            break;
        }
        Ok(true)
    }

    fn keep(
        &mut self,
        jobs: &[Job<'_>],
        lines: &[BenchmarkLine],
        observer: &mut dyn RunObserver,
    ) -> Result<(), RecordError> {
        for (job, line) in jobs.iter().zip(lines) {
            self.state.add(job.entry.side, line);
            self.done += 1;
            observer.done(job, line)?;
        }
        Ok(())
    }

    /// Whether one of the two jobs of an interleaved pair failed. Then the pair is no longer interleaved: two instances
    /// need twice the threads and the memory, and measured one after the other they show whether that was the reason.
    fn stop_interleaving(&mut self, jobs: &[Job<'_>], lines: &[BenchmarkLine], observer: &mut dyn RunObserver) -> bool {
        let found = jobs.iter().zip(lines).find_map(|(job, line)| Some((job, line.outcome.reason()?)));
        let Some((job, why)) = found else { return false };
        observer.discarded(
            job,
            &[format!(
                "measured one side after the other from here on, because this failed while \
                                           interleaved: {why}"
            )],
        );
        self.not_interleaved.insert(job.entry.pair)
    }

    /// Writes into `lines` what else the machine did while they were measured, together if there are several.
    fn add_interference(&self, lines: &mut [BenchmarkLine]) {
        let measured = |line: &BenchmarkLine| match &line.outcome {
            Outcome::Measured(measured) => Some(measured.noise.clone()),
            _ => None,
        };
        let noises: Vec<Noise> = lines.iter().filter_map(measured).collect();
        let load = interference(&noises.iter().collect::<Vec<_>>());
        for line in lines {
            let slowed = Some(self.state.slowed(line)).filter(|slowed| *slowed > MOST_SLOWED);
            let slowed = slowed.map(|slowed| {
                format!("its CPU ran slower than at its best beside {:.0} % of the samples", slowed * 100.0)
            });
            let conditions = line.conditions.get_or_insert_default();
            conditions.interference = load.iter().cloned().chain(slowed).collect();
        }
    }

    fn progress(&self, current: &[Job<'_>]) -> RunProgress {
        let mut progress = RunProgress { done: self.done, all: self.done, left: Duration::ZERO };
        for (index, entry) in self.entries().iter().enumerate() {
            let is_wanted = self.kept.contains(&index) && !self.state.is_given_up(entry);
            let missing = (0..self.plan.rounds).filter(|&round| !self.state.has(entry, round)).count();
            let missing = if is_wanted { u32::try_from(missing).unwrap_or(u32::MAX) } else { 0 };
            progress.all += u64::from(missing);
            progress.left += self.takes(entry) * missing;
        }
        if let Some(target) = self.plan.until.filter(|_| current[0].round + 1 >= self.plan.rounds) {
            for pair in self.too_wide(target) {
                let Some(Budget::Further(rounds)) = self.rounds_needed(&pair, target) else { continue };
                progress.all += (rounds * pair.len()) as u64;
                let takes: Duration = pair.iter().map(|&index| self.takes(&self.entries()[index])).sum();
                progress.left += takes * u32::try_from(rounds).unwrap_or(u32::MAX);
            }
        }
        // The second side of a pair that the first one has already made narrow enough.
        progress.all = progress.all.max(self.done + current.len() as u64);
        if let Some(left) = self.left() {
            progress.left = progress.left.min(left);
        }
        progress
    }

    fn outcome(self) -> RunOutcome {
        let short = |entry: &&PlanEntry| {
            !self.state.is_given_up(entry) && (0..self.plan.rounds).any(|round| !self.state.has(entry, round))
        };
        let unmeasured = |entry: &PlanEntry| UnmeasuredBenchmark {
            id: entry.id.clone(),
            rounds: self.state.rounds(entry),
            of: self.plan.rounds,
        };
        let wide_intervals = |pair: Vec<usize>, target: f64| {
            let further = match self.rounds_needed(&pair, target) {
                Some(Budget::Further(rounds)) => Some(rounds),
                _ => None,
            };
            let first = &self.entries()[pair[0]];
            let (rounds, known) = (self.state.rounds(first), self.precision(&pair));
            let counting = known.map_or(0, |known| known.rounds);
            // What holds within one process only is no answer to how well the benchmark is known.
            let known = known.filter(|known| known.basis != Basis::WithinRunOnly);
            let half_width = known.and_then(|known| known.interval.relative_half_width());
            WideInterval { id: first.id.clone(), half_width, rounds, counting, further }
        };
        let wide = self.plan.until.map_or(Vec::new(), |target| {
            self.too_wide(target).into_iter().map(|pair| wide_intervals(pair, target)).collect()
        });
        let unmeasured = if self.stopped || self.plan.budget.is_none() {
            Vec::new()
        } else {
            self.entries().iter().filter(short).map(unmeasured).collect()
        };
        RunOutcome { stopped: self.stopped, unmeasured, wide_intervals: wide }
    }
}
