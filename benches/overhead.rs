//! `cargo bench --bench overhead`: what the harness itself costs, and the proof that it is less than 5 %.
//!
//! Two mechanisms against the same loops written by hand, with nothing around them, in one process: a batch of the one,
//! a batch of the other, and the next pair the other way round. Batches of some milliseconds show a cost per operation;
//! short ones, of some tens of microseconds, show a constant of a few microseconds a batch, which a long one hides.
//! Longer ones than that are interrupted on a busy machine, and no two of them alike.
//!
//! The figure is the median of the ratios of neighbours: whatever slows the machine for longer than a pair slows both
//! sides of it. Pairs are taken until the interval of the median lies on one side of the bound, or the time is up, so
//! that a busy machine makes it longer and not red. A ratio beyond the bound must be found again with fresh instances,
//! whose memory lies elsewhere. At the end the same pairs with a tenth added to the harness's side are judged: where
//! that is not found to be beyond the bound, this machine was too noisy to tell, which is said.
//!
//! The loops written by hand are compiled as this crate is, at opt-level 1, and the harness's at 3. Both make the same
//! two calls of the kernel for each operation, of some hundred nanoseconds each, beside which the nanosecond or two of
//! a wrapper that is not inlined is nothing.
//!
//! The bound holds under `--test` as well, which takes a few seconds.

use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use nix::unistd::{pipe, read, write};
use switchcost::harness::{Choice, PlannedBenchmark, Session, answer_audit_request, plan};
use switchcost::stats::{Interval, ratio_interval};
use switchcost::sys::affinity::confine_current_thread;

/// How far the ratio may lie from one.
const TOLERANCE: f64 = 0.05;

/// What must be found to be too much.
const PLANTED: f64 = 1.1;

/// Of each look at the pairs. There are about ten looks, so that one comparison in a thousand is misjudged.
const CONFIDENCE: f64 = 0.9999;

/// The pairs of the first look. Each further look has half as many again.
const FEWEST_PAIRS: usize = 40;

/// How often a ratio must be found beyond the bound, each time with fresh instances.
const INSTANCES: usize = 3;

/// A loop written by hand: does so many operations and says how long they took.
type ByHand = fn(Receiver<u64>, Sender<Duration>);

/// A mechanism, the loop that does the same, and the length of a batch.
struct Comparison {
    mechanism: &'static str,
    tasks: Option<usize>,
    ops: u64,
    by_hand: ByHand,
}

const COMPARISONS: [Comparison; 4] = [
    Comparison { mechanism: "brigade/one_thread", tasks: Some(FEW), ops: 64, by_hand: one_thread::<FEW> },
    Comparison { mechanism: "brigade/one_thread", tasks: None, ops: 3_000, by_hand: one_thread::<MANY> },
    Comparison { mechanism: "handoff/pipe", tasks: None, ops: 32, by_hand: ping_pong },
    Comparison { mechanism: "handoff/pipe", tasks: None, ops: 1_000, by_hand: ping_pong },
];

/// Pipes of a brigade whose lap is a short batch.
const FEW: usize = 8;
/// The pipes of a brigade by default.
const MANY: usize = 500;

/// Neighbouring batches of one pair of instances, in nanoseconds per operation.
#[derive(Default)]
struct Pairs {
    harness: Vec<f64>,
    by_hand: Vec<f64>,
    /// How long the harness's batches took, all together.
    lasted: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Within,
    Beyond,
    /// More pairs would tell.
    Open,
}

fn main() -> ExitCode {
    if let Some(status) = answer_audit_request() {
        return status;
    }
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let arguments: Vec<String> = arguments.collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    // Filters are for the groups; a word that means this target asks for it.
    let filtered =
        arguments.iter().any(|argument| !argument.starts_with('-') && !"overhead".contains(argument.as_str()));
    if has("--list") {
        // None is ignored, which test runners ask for apart.
        if !has("--ignored") {
            println!("overhead: benchmark");
        }
        return ExitCode::SUCCESS;
    }
    if filtered || has("--help") || has("--ignored") {
        return ExitCode::SUCCESS;
    }
    // Without `--bench`, which `cargo bench` passes, it is run as a test, as Criterion's targets are.
    let budget = Duration::from_secs(if has("--test") || !has("--bench") { 3 } else { 20 });
    let mut within = true;
    for comparison in &COMPARISONS {
        match comparison.holds(budget) {
            Ok(holds) => within &= holds,
            Err(error) => {
                eprintln!("overhead: {}: {error}", comparison.mechanism);
                return ExitCode::FAILURE;
            }
        }
    }
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Comparison {
    /// Whether the harness's cost is within the bound, or could not be told from it; `budget` is for each pair of
    /// instances.
    fn holds(&self, budget: Duration) -> Result<bool, Box<dyn std::error::Error>> {
        for instances in 1..=INSTANCES {
            let pairs = self.measure(budget)?;
            let interval = pairs.interval(1.0).ok_or("no pairs")?;
            let verdict = conclude(&interval);
            println!("{}", self.describe(&pairs, &interval));
            if verdict == Verdict::Beyond && instances < INSTANCES {
                println!("  beyond {TOLERANCE}: once more with fresh instances");
                continue;
            }
            if verdict == Verdict::Beyond {
                eprintln!("overhead: {}: the harness differs by more than {TOLERANCE}", self.mechanism);
                return Ok(false);
            }
            if verdict == Verdict::Open {
                println!("  NOT CHECKED: the machine is too noisy to tell whether it is within {TOLERANCE}");
            }
            break;
        }
        Ok(true)
    }

    /// Runs pairs of batches until their ratio is on one side of the bound or `budget` is spent.
    fn measure(&self, budget: Duration) -> Result<Pairs, Box<dyn std::error::Error>> {
        let id = format!("{}/same-cpu", self.mechanism);
        let parameters = self.tasks.map(|tasks| ("tasks".to_string(), tasks.to_string()));
        let choice = Choice { parameters: parameters.into_iter().collect(), ..Choice::default() };
        let planned = plan(&choice, |other| other == id || other.starts_with(&format!("{id}/")))?;
        let [PlannedBenchmark::Ready(benchmark)] = planned.as_slice() else {
            return Err(format!("{id} cannot run here").into());
        };
        let mut session = Session::open(benchmark, None)?;
        let (ask, asked) = channel();
        let (tell, told) = channel();
        let (cpu, by_hand) = (benchmark.setting.cpus[0], self.by_hand);
        let hand = spawn(move || {
            confine_current_thread(&[cpu]).expect("it is a CPU of this process's mask");
            by_hand(asked, tell);
        });
        let (mut pairs, mut next_look) = (Pairs::default(), FEWEST_PAIRS);
        let deadline = Instant::now() + budget;
        // The first pair warms both up.
        for pair in 0_usize.. {
            let mut harness = None;
            let mut by_hand = None;
            // Whoever comes second finds the caches as the other one left them.
            for turn in 0..2 {
                if (pair + turn) % 2 == 0 {
                    harness = Some(session.sample(self.ops)?.sample);
                } else {
                    ask.send(self.ops)?;
                    by_hand = Some(told.recv()?);
                }
            }
            let (Some(harness), Some(by_hand), true) = (harness, by_hand, pair > 0) else { continue };
            pairs.harness.push(harness.amount.0 as f64 / harness.ops.0 as f64);
            pairs.by_hand.push(by_hand.as_nanos() as f64 / self.ops as f64);
            pairs.lasted += Duration::from_nanos(harness.amount.0);
            let late = Instant::now() >= deadline && pair >= FEWEST_PAIRS;
            if pair == next_look || late {
                next_look += next_look / 2;
                // What is planted must be told as well.
                let open = |factor: f64| pairs.interval(factor).is_none_or(|ratio| judge(&ratio) == Verdict::Open);
                if late || !(open(1.0) || open(PLANTED)) {
                    break;
                }
            }
        }
        drop(ask);
        hand.join().map_err(|_| "the hand-written loop panicked")?;
        session.close()?;
        Ok(pairs)
    }

    fn describe(&self, pairs: &Pairs, interval: &Interval) -> String {
        let median = |values: &[f64]| switchcost::stats::median(values).unwrap_or(f64::NAN);
        let batch = pairs.lasted / u32::try_from(pairs.harness.len()).unwrap_or(u32::MAX).max(1);
        let planted = pairs.interval(PLANTED).map_or(Verdict::Open, |planted| judge(&planted));
        format!(
            "{}, batches of {batch:.1?}: {:.1} ns/op in the harness, {:.1} by hand: ratio {:.3}, {:.3} to {:.3} over \
             {} pairs; a tenth more would be {}",
            self.mechanism,
            median(&pairs.harness),
            median(&pairs.by_hand),
            interval.estimate,
            interval.low,
            interval.high,
            pairs.harness.len(),
            if planted == Verdict::Beyond { "found" } else { "missed: too noisy" },
        )
    }
}

impl Pairs {
    /// The median ratio of neighbours, the harness's side multiplied by `factor`.
    fn interval(&self, factor: f64) -> Option<Interval> {
        let sides = |values: &[f64], factor: f64| values.iter().map(|value| vec![value * factor]).collect::<Vec<_>>();
        let ratio = ratio_interval(&sides(&self.harness, factor), &sides(&self.by_hand, 1.0), true, CONFIDENCE, 1);
        ratio.map(|ratio| ratio.interval)
    }
}

/// On which side of the bound the whole interval lies.
fn judge(ratio: &Interval) -> Verdict {
    let (least, most) = (1.0 - TOLERANCE, 1.0 + TOLERANCE);
    if ratio.low > most || ratio.high < least {
        Verdict::Beyond
    } else if ratio.low >= least && ratio.high <= most {
        Verdict::Within
    } else {
        Verdict::Open
    }
}

/// As [`judge`], when there are no more pairs: an interval that is no wider than the tolerance and reaches across the
/// bound is judged by its middle.
fn conclude(ratio: &Interval) -> Verdict {
    match judge(ratio) {
        Verdict::Open if ratio.high - ratio.low > TOLERANCE => Verdict::Open,
        Verdict::Open if (ratio.estimate - 1.0).abs() > TOLERANCE => Verdict::Beyond,
        Verdict::Open => Verdict::Within,
        told => told,
    }
}

/// What `brigade/one_thread` does: a byte written and read in each of so many pipes.
fn one_thread<const PIPES: usize>(asked: Receiver<u64>, tell: Sender<Duration>) {
    let pipes: Vec<(OwnedFd, OwnedFd)> = (0..PIPES).map(|_| pipe().expect("so many pipes fit")).collect();
    let mut byte = [7];
    for ops in asked {
        let start = Instant::now();
        for _ in 0..ops / PIPES as u64 {
            for (reader, writer) in &pipes {
                write(writer, &byte).expect("a pipe takes a byte");
                read(reader, &mut byte).expect("a pipe holds its byte");
            }
        }
        if tell.send(start.elapsed()).is_err() {
            return;
        }
    }
}

/// What `handoff/pipe` does: a byte there, a byte back.
fn ping_pong(asked: Receiver<u64>, tell: Sender<Duration>) {
    let (there, back) = (pipe().expect("a pipe"), pipe().expect("a pipe"));
    let partner = answer(there.0, back.1);
    let mut byte = [7];
    for ops in asked {
        let start = Instant::now();
        for _ in 0..ops / 2 {
            write(&there.1, &byte).expect("a pipe takes a byte");
            read(&back.0, &mut byte).expect("the partner answers");
        }
        if tell.send(start.elapsed()).is_err() {
            break;
        }
    }
    drop(there.1);
    partner.join().expect("the partner ends with the pipe");
}

/// Inherits the mask of the thread that calls it.
fn answer(reader: OwnedFd, writer: OwnedFd) -> JoinHandle<()> {
    spawn(move || {
        let mut byte = [0];
        while read(&reader, &mut byte) == Ok(1) {
            write(&writer, &byte).expect("a pipe takes a byte");
        }
    })
}
