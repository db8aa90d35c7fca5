//! What an advice consists of.

use serde::{Deserialize, Serialize};

use super::causes::CpuCauses;
use super::prediction::TargetPrediction;
use super::waits::{StayingWait, WaitCounts};
use crate::stats::Interval;
use crate::terms::{Dispatch, Shortfall};

/// Whether a program would do better with an event loop, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// The answer.
    pub verdict: AdviceVerdict,
    /// What it rests on.
    pub reason: AdviceReason,
    /// The number and its interval, or the reason, in a sentence without full stop.
    pub sentence: String,
    /// Three lines of evidence, each without full stop.
    pub evidence: Vec<String>,
    /// What to look at instead, where the answer is not yes.
    pub instead: Vec<String>,
    /// What was not seen, or could not be measured.
    pub unseen: Vec<Shortfall>,
    /// The kind of loop that the verdict is about.
    pub target: Option<Dispatch>,
    /// Where the CPU time goes.
    pub causes: CpuCauses,
    /// Voluntary switches per second, by what was waited for.
    pub waits: WaitCounts,
    /// Voluntary switches per second that a loop would do without.
    pub convertible: Interval,
    /// Times per second that a thread was taken off its CPU: evidence of contention, and no part of the prediction.
    pub preemptions: f64,
    /// Threads that were ready and had no CPU, in the mean.
    pub run_queue: Option<f64>,
    /// Requests per second, where they are known.
    pub requests: Option<f64>,
    /// One prediction for each kind of loop that was calibrated.
    pub targets: Vec<TargetPrediction>,
    /// Waits that would be there with a loop too, those with most switches first.
    pub staying: Vec<StayingWait>,
    /// Memory that threads hold.
    pub memory: Option<ThreadMemory>,
    /// CPU time of the watcher for each second of watching, in seconds.
    pub watcher: f64,
    /// What watching cost the program, as a share of its CPU time, from pairs of spans with and without it; `None`
    /// where there was no pair.
    pub burden: Option<Interval>,
}

/// The answer to whether a program would do better with an event loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdviceVerdict {
    /// It would save at least 5 % of the program's CPU time.
    Yes,
    /// It would save less than that, or nothing.
    No,
    /// The interval lies on both sides.
    TooClose,
    /// There is no answer, and the reason says why.
    Refused,
}

impl AdviceVerdict {
    /// As people read it.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Yes => "YES",
            Self::No => "NO",
            Self::TooClose => "TOO CLOSE TO CALL",
            Self::Refused => "NO VERDICT",
        }
    }
}

/// What a verdict rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdviceReason {
    /// The saving is worthwhile.
    Saves,
    /// The saving is too small, though threads wait for descriptors.
    SavesLittle,
    /// It waits for many descriptors at once already.
    EventLoop,
    /// It waits for locks.
    Locks,
    /// It waits for the disk.
    Disk,
    /// It sleeps.
    Sleeps,
    /// It waits for child processes.
    Children,
    /// It computes, and hardly waits.
    Computes,
    /// It asks again and again without waiting.
    Spins,
    /// It hardly uses the CPU.
    Idle,
    /// The interval holds 5 %.
    Unsure,
    /// It could not be seen what threads wait for.
    WaitsUnseen,
    /// The machine was in another state after watching than before.
    MachineChanged,
    /// The servers could not be calibrated.
    Uncalibrated,
    /// It was watched for too short a time.
    TooShort,
}

/// Memory that threads hold because each waits in a call of its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ThreadMemory {
    /// How many threads.
    pub threads: u64,
    /// Bytes: stacks in user and kernel mode.
    pub held: f64,
    /// Bytes that as many connections hold in a calibrated loop; `None` without one.
    pub tasks: Option<f64>,
}
