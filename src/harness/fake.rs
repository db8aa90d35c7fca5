//! A mechanism of a fixed time: what the harness hands out can be compared with it to the nanosecond.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::unistd::Pid;

use super::Benchmark;
use crate::crew::{Batch, Crew, Driver, Failure, Operation};
use crate::mechanism::{Descriptor, Expectation, Mechanism, Resources, Tasks};
use crate::sys::affinity::allowed_cpus;
use crate::terms::{Metric, MetricKey, Parameters, Placement, Setting, SpeedProbe, Unit};
use crate::units::{Amount, Nanos, Ops, Quantity};

/// What an operation of the first instance, the bare one, is said to take.
pub(super) const BARE: u64 = 1000;
/// What an operation of the second one, the counted one, is said to take.
pub(super) const COUNTED: u64 = 7777;
/// How many operations a lap has.
pub(super) const LAP: u64 = 4;
/// What is found out: how many batches were run since metrics were last taken.
pub(super) const BATCHES: &str = "batches";

/// What such a process is called.
const SPINNER: &str = "switchcost-idle";

static DESCRIPTOR: Descriptor = Descriptor {
    id: "fake/fixed_time",
    isolates: "nothing",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[],
    baseline: "fake/fixed_time",
    requirements: &[],
    source: "none",
    lap: |_| LAP,
    resources: |_| Resources::default(),
    expects: |_, _| Expectation::nothing(),
};

/// What happened, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A probe of the CPU's speed.
    Probe,
    /// A batch of the instance with this number, from 0, of so many operations.
    Batch(usize, u64),
}

/// The mechanism. Each batch says that it took a fixed time, `every` n-th one of an instance ten times that.
#[derive(Debug, Default)]
pub(super) struct FixedTime {
    pub(super) every: Option<usize>,
    /// What the probes of the CPU's speed find, over and over.
    pub(super) probes: Vec<u64>,
    /// Whether instances look for spinning processes.
    pub(super) watch_spinners: bool,
    pub(super) seen: Seen,
}

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    instances: AtomicUsize,
    probe_count: AtomicUsize,
    steps: Mutex<Vec<Step>>,
    /// The spinning processes at set-up, and whether any of them was there each time.
    spinners: Mutex<(Vec<Pid>, Vec<bool>)>,
}

impl FixedTime {
    /// Kept for good, as mechanisms are.
    pub(super) fn kept(self) -> &'static Self {
        Box::leak(Box::new(self))
    }

    /// All steps so far; begins anew.
    pub(super) fn take_steps(&self) -> Vec<Step> {
        std::mem::take(&mut self.seen.steps.lock().unwrap())
    }

    /// Whether the spinning processes were there when an instance was set up, and when it was dropped.
    pub(super) fn spinners(&self) -> Vec<bool> {
        self.seen.spinners.lock().unwrap().1.clone()
    }

    fn check_spinners(&self, instance: usize, first: bool) {
        if !self.watch_spinners || instance > 0 {
            return;
        }
        let (known, seen) = &mut *self.seen.spinners.lock().unwrap();
        let now = spinning_children();
        if first {
            known.clone_from(&now);
        }
        // Spinning processes of other tests come and go; the instance's own stay.
        seen.push(now.iter().any(|child| known.contains(child)));
    }

    /// A benchmark of it, on one CPU.
    pub(super) fn benchmark(&'static self) -> Benchmark {
        let setting = Setting::new(Placement::SameCpu, allowed_cpus().unwrap()[..1].to_vec(), DESCRIPTOR.defaults());
        let mechanism: &'static &'static Self = Box::leak(Box::new(self));
        Benchmark { mechanism, setting }
    }
}

/// The children of this process that keep CPUs from idling and have not ended, by their names.
fn spinning_children() -> Vec<Pid> {
    let me = std::process::id().cast_signed();
    let processes = procfs::process::all_processes().into_iter().flatten().flatten();
    let stats = processes.filter_map(|process| process.stat().ok());
    let own = stats.filter(|stat| stat.ppid == me && stat.comm == SPINNER && stat.state != 'Z');
    own.map(|stat| Pid::from_raw(stat.pid)).collect()
}

thread_local! {
    /// Whose speed probes [`probe_fake`] returns on this thread.
    static PROBED: Cell<Option<&'static FixedTime>> = const { Cell::new(None) };
}

/// Makes [`probe_fake`] return the speed probes of `fake`, for the calling thread.
pub(super) fn speed_probe_of(fake: &'static FixedTime) -> super::session::SpeedProbeFn {
    PROBED.set(Some(fake));
    probe_fake
}

/// In place of a probe of the CPU.
fn probe_fake(_: &mut Driver) -> Result<Option<SpeedProbe>, Failure> {
    let fake = PROBED.get().expect("the test has said whose speed probes");
    fake.seen.steps.lock().unwrap().push(Step::Probe);
    let index = fake.seen.probe_count.fetch_add(1, Ordering::Relaxed);
    let probe = Nanos(fake.probes[index % fake.probes.len()]);
    Ok(Some(SpeedProbe { min: probe, max: Nanos(2 * probe.0) }))
}

impl Mechanism for &'static FixedTime {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let instance = self.seen.instances.fetch_add(1, Ordering::Relaxed);
        self.check_spinners(instance, true);
        Ok(Box::new(Instance { of: self, instance, batches: 0, reported: 0 }))
    }
}

struct Instance {
    of: &'static FixedTime,
    instance: usize,
    batches: usize,
    reported: usize,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.of.check_spinners(self.instance, false);
    }
}

impl Operation for Instance {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        // Criterion plans by the clock on the wall: more operations must take longer.
        for step in 0..ops.saturating_mul(50) {
            black_box(step);
        }
        self.batches += 1;
        self.of.seen.steps.lock().unwrap().push(Step::Batch(self.instance, ops));
        let slow = self.of.every.is_some_and(|every| self.batches.is_multiple_of(every));
        let each = [BARE, COUNTED][self.instance.min(1)] * if slow { 10 } else { 1 };
        Ok(Batch { ops: Ops(ops), amount: Amount(ops * each) })
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        let since = self.batches - std::mem::replace(&mut self.reported, self.batches);
        Ok(vec![Metric::scalar(MetricKey::Other(BATCHES.into()), Quantity::Number, since as f64)])
    }
}
