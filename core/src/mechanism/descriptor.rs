//! What a mechanism says of itself, in data: listed, measured against, and audited.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::terms::{Parameter, Parameters, Placement, Unit};

/// How many tasks take part, as far as placements are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tasks {
    /// One thread does everything: placements that tell two CPUs apart do not apply.
    OneThread,
    /// Several threads or processes, which wait for one another by blocking.
    Several,
    /// Several that must run at the same time, because they wait without blocking: sharing one CPU, each would wait
    /// for the end of the other's time slice.
    Simultaneous,
    /// Several that give their CPU to one another without blocking. With a CPU each, no other task would get it.
    TakingTurns,
}

impl Tasks {
    /// Whether `placement` means anything for them.
    pub fn fit(self, placement: Placement) -> bool {
        match self {
            Self::OneThread => placement.fits_a_single_task(),
            Self::Several => true,
            Self::Simultaneous => placement != Placement::SameCpu,
            Self::TakingTurns => placement == Placement::SameCpu,
        }
    }
}

/// What a mechanism takes from the limits of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    /// File descriptors open at once.
    pub descriptors: u64,
    /// Threads alive at once.
    pub threads: u64,
    /// Processes alive at once.
    pub processes: u64,
}

/// How often something happens per operation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// This often, to the last digit for system calls and within the scheduler's rounding for switches.
    Exactly(f64),
    /// Never more often.
    AtMost(f64),
    /// Within these, both included.
    Between(f64, f64),
    /// As the scheduler, or a library that spins before it sleeps, decides: recorded, not judged.
    Depends,
}

impl Bound {
    /// The least and the most; `None` where nothing is judged.
    pub fn range(self) -> Option<(f64, f64)> {
        match self {
            Self::Exactly(value) => Some((value, value)),
            Self::AtMost(most) => Some((0.0, most)),
            Self::Between(least, most) => Some((least, most)),
            Self::Depends => None,
        }
    }

    /// Whether `observed` per operation is within the bound, when counting may be off by `slack` per operation.
    pub fn holds(self, observed: f64, slack: f64) -> bool {
        match self {
            Self::Exactly(value) => (observed - value).abs() <= slack,
            Self::AtMost(most) => observed <= most + slack,
            Self::Between(least, most) => (least - slack..=most + slack).contains(&observed),
            Self::Depends => true,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(value) => write!(f, "exactly {value}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::Between(least, most) => write!(f, "{least} to {most}"),
            Self::Depends => f.write_str("depends on the scheduler"),
        }
    }
}

/// Whose calls an expectation is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallsOf {
    /// All tasks, threads and processes.
    AllTasks,
    /// Child processes alone: the instance's own threads measure them.
    ChildProcesses,
    /// The instance's own process alone: its child processes are what it works with.
    OwnProcess,
}

/// What a mechanism is expected to do per operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// System calls, by the name the audit gives them: the kernel's, with what matters of the arguments behind a
    /// colon (`futex:wait`, `epoll_ctl:edge`). Calls that are not named here must not happen, unless `others` says so.
    pub calls: Vec<(String, Bound)>,
    /// All calls not named in `calls` together.
    pub others: Bound,
    /// Calls that a batch makes besides those of its operations, at most and in all, by name: what wakes tasks that
    /// sleep between batches. A batch must not make more, and never fewer than its operations make.
    pub per_batch: Vec<(String, f64)>,
    /// Calls made by set-up alone, in all and not per operation: proof of what was set up, not of its cost.
    pub set_up: Vec<(String, Bound)>,
    /// Voluntary context switches: a task gave up its CPU to wait.
    pub voluntary: Bound,
    /// All context switches. A woken task may preempt its waker, which then need not wait: one involuntary switch in
    /// place of a voluntary one, so that often only the sum is certain.
    pub switches: Bound,
    /// Wakeups of one of the mechanism's tasks.
    pub wakeups: Bound,
    /// Operations that may be under way as a batch ends, at least 1: their calls may fall into the batch beside.
    pub under_way: u64,
    /// Whose calls these are.
    pub calls_of: CallsOf,
}

impl Expectation {
    /// The name for all calls together that have no bound of their own.
    pub const OTHER_CALLS: &str = "other calls";

    /// Nothing at all: no call, no voluntary switch, no wakeup. The other methods add to it. A task that never waits
    /// may still be preempted, so the number of all switches is not judged until [`Self::switches`] bounds it.
    pub fn nothing() -> Self {
        let none = Bound::Exactly(0.0);
        let (calls, per_batch, set_up) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            calls,
            others: none,
            per_batch,
            set_up,
            voluntary: none,
            switches: Bound::Depends,
            wakeups: none,
            under_way: 1,
            calls_of: CallsOf::AllTasks,
        }
    }

    /// The same expectation, of what the processes call that the instance's own has started, and not of its own calls.
    #[must_use]
    pub fn of_child_processes(mut self) -> Self {
        self.calls_of = CallsOf::ChildProcesses;
        self
    }

    /// The same expectation, of what the instance's own process calls, and not of the processes that it has started.
    #[must_use]
    pub fn of_own_process(mut self) -> Self {
        self.calls_of = CallsOf::OwnProcess;
        self
    }

    /// The same expectation, with `bound` for the system call `name` per operation.
    #[must_use]
    pub fn call(mut self, name: &str, bound: Bound) -> Self {
        self.calls.push((name.into(), bound));
        self
    }

    /// The same expectation, with `bound` for all the calls together that are not named, per operation.
    #[must_use]
    pub fn others(mut self, bound: Bound) -> Self {
        self.others = bound;
        self
    }

    /// Allows so many calls of `name` once a batch; [`Self::OTHER_CALLS`] names all that are not named together.
    #[must_use]
    pub fn per_batch(mut self, name: &str, calls: f64) -> Self {
        self.per_batch.push((name.into(), calls));
        self
    }

    /// Allows for so many operations under way, at least 1, as a batch ends: a connection that is made ahead.
    #[must_use]
    pub fn under_way(mut self, operations: u64) -> Self {
        self.under_way = operations.max(1);
        self
    }

    /// The same expectation, with `bound` for the calls of `name` that set-up makes, in all.
    #[must_use]
    pub fn set_up(mut self, name: &str, bound: Bound) -> Self {
        self.set_up.push((name.into(), bound));
        self
    }

    /// The same expectation, with `bound` for voluntary context switches per operation.
    #[must_use]
    pub fn voluntary(mut self, bound: Bound) -> Self {
        self.voluntary = bound;
        self
    }

    /// The same expectation, with `bound` for all context switches per operation.
    #[must_use]
    pub fn switches(mut self, bound: Bound) -> Self {
        self.switches = bound;
        self
    }

    /// The same expectation, with `bound` for wakeups per operation.
    #[must_use]
    pub fn wakeups(mut self, bound: Bound) -> Self {
        self.wakeups = bound;
        self
    }
}

/// A mechanism, in data.
#[derive(Debug)]
pub struct Descriptor {
    /// Group and name: `brigade/thread`.
    pub id: &'static str,
    /// One sentence: what its figure isolates.
    pub isolates: &'static str,
    /// What one operation is.
    pub unit: Unit,
    /// Whether placements over several CPUs apply.
    pub tasks: Tasks,
    /// What can be varied.
    pub parameters: &'static [Parameter],
    /// The id of the mechanism that it is compared with; the baseline of a group names itself.
    pub baseline: &'static str,
    /// What it needs of the kernel and the user, in words; [`super::Mechanism::probe`] checks it.
    pub requirements: &'static [&'static str],
    /// The primary source: man page, paper, or the library's documentation.
    pub source: &'static str,
    /// Operations in a lap; only whole laps are run.
    pub lap: fn(&Parameters) -> u64,
    /// What it takes of the machine's limits.
    pub resources: fn(&Parameters) -> Resources,
    /// What it does per operation.
    pub expects: fn(&Parameters, Placement) -> Expectation,
}

impl Descriptor {
    /// The part of the id before the slash.
    pub fn group(&self) -> &'static str {
        self.id.split_once('/').map_or(self.id, |(group, _)| group)
    }

    /// The part of the id behind the slash.
    pub fn name(&self) -> &'static str {
        self.id.split_once('/').map_or(self.id, |(_, name)| name)
    }

    /// The parameter called `name`.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// Its parameters, each with its default.
    pub fn defaults(&self) -> Parameters {
        Parameters::defaults(self.parameters)
    }

    /// The least whole number of laps that holds `ops`, in operations.
    pub fn whole_laps(&self, parameters: &Parameters, ops: u64) -> u64 {
        let lap = (self.lap)(parameters);
        ops.max(1).div_ceil(lap) * lap
    }

    /// Whether `placement` means anything for it, for some of its parameters at least.
    pub fn fits(&self, placement: Placement) -> bool {
        self.tasks.fit(placement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_within_the_slack_and_not_beyond() {
        for (bound, holds, breaks) in [
            (Bound::Exactly(1.0), [0.99, 1.01], [0.97, 1.03]),
            (Bound::AtMost(1.0), [-5.0, 1.01], [1.03, 9.0]),
            (Bound::Between(1.0, 2.0), [0.99, 2.01], [0.97, 2.03]),
        ] {
            for observed in holds {
                assert!(bound.holds(observed, 0.02), "{observed} is {bound}");
            }
            for observed in breaks {
                assert!(!bound.holds(observed, 0.02), "{observed} is not {bound}");
            }
            assert!(!bound.holds(f64::NAN, 0.02), "{bound}");
        }
        assert!(Bound::Depends.holds(1e9, 0.0));
    }

    #[test]
    fn an_expectation_of_nothing_allows_nothing_that_is_not_added() {
        let nothing = Expectation::nothing();
        assert_eq!((nothing.others, nothing.voluntary), (Bound::Exactly(0.0), Bound::Exactly(0.0)));
        assert_eq!((nothing.wakeups, nothing.switches), (Bound::Exactly(0.0), Bound::Depends));
        assert!(nothing.calls.is_empty() && nothing.set_up.is_empty());
    }
}
