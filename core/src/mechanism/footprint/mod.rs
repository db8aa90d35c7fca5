//! Footprint: how much memory a task holds while it is parked.
//!
//! A lap creates `tasks` tasks in five steps. After each step, when all of them are parked, it reads what the process
//! and its children hold by kind ([`MemoryReader`]); then it ends them all. What a task holds is the slope over the
//! five numbers of tasks, which the reader of the metrics fits: what is there anyway, and what comes in large pieces,
//! falls out of a slope and stays in a quotient. One operation is one task. A sample is the slope of a straight line
//! through the five steps (least squares), for all tasks of the lap: bytes, in place of nanoseconds.
//!
//! With `pipe = own` each task waits to read from a pipe of its own, and a lap creates as many pipes without tasks
//! first. Their memory is told apart, and taken off in the sample. With `pipe = used` a byte has been through each
//! pipe, after which the kernel keeps the page that held it (fs/pipe.c, `tmp_page`): pipes in use are like that.
//!
//! What would make memory look free is taken away before a lap: what the allocator kept of the last one ([`Plug`]), and
//! huge pages. What the kernel frees late it has freed by then (membarrier(2), MEMBARRIER_CMD_GLOBAL). A step reads
//! slab before it looks at any child, because the look itself costs slab.
//!
//! There are no counted samples: counters on the tasks would be memory of the tasks.

use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::Pid;

use super::{Batch, Domain, Failure, Group, Operation, Parameter, Parameters};
use crate::sys::channel::{Ends, pipe, read_byte, write_byte};
use crate::sys::futex::{self, wait, wake};
use crate::sys::heap::{Plug, SmallPages};
use crate::sys::membarrier;
use crate::sys::memory_usage::{MemoryReader, MemoryUsage, SlabScope};
use crate::terms::{Curve, CurveAxis, Metric, MetricKey};
use crate::units::{Amount, Ops, Quantity};

mod may_coroutine;
mod process;
mod smol_task;
mod thread;
mod tokio_task;

/// The group `footprint`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "footprint",
    question: "How much memory does a parked task hold?",
    queues: false,
    measures: Quantity::Bytes,
};

/// How many numbers of tasks a slope goes over: five is the fewest with a 95 % interval.
const STEPS: usize = 5;

const TASKS: Parameter = Parameter {
    name: "tasks",
    meaning: "tasks at the last of five steps",
    domain: Domain::Number { default: 1000, min: STEPS as u64, max: 1_000_000 },
};

const PIPE: Parameter = Parameter {
    name: "pipe",
    meaning: "whether each task waits to read from a pipe of its own, and whether a byte has passed through the pipe \
              before",
    domain: Domain::Word { words: &["none", OWN, USED] },
};
const OWN: &str = "own";
const USED: &str = "used";

fn tasks_per_lap(parameters: &Parameters) -> u64 {
    parameters.number(TASKS.name)
}

/// What pipe each task has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PipeMode {
    None,
    Own,
    Used,
}

impl PipeMode {
    fn of(parameters: &Parameters) -> Self {
        match parameters.word(PIPE.name) {
            OWN => Self::Own,
            USED => Self::Used,
            _ => Self::None,
        }
    }

    fn exists(self) -> bool {
        self != Self::None
    }

    /// A pipe as the tasks have it. Allocates nothing when all goes well.
    fn open(self, nonblocking: bool) -> Result<Ends, Failure> {
        let ends = pipe(nonblocking)?;
        if self == Self::Used {
            write_byte(&ends.writer, 1)?;
            read_byte(&ends.reader)?;
        }
        Ok(ends)
    }
}

/// Descriptors of the tasks' pipes.
fn pipe_ends(parameters: &Parameters) -> u64 {
    if PipeMode::of(parameters).exists() { 2 * tasks_per_lap(parameters) } else { 0 }
}

/// Calls of pipe2(2) a task: as many pipes again without tasks.
fn pipes_per_task(parameters: &Parameters) -> f64 {
    if PipeMode::of(parameters).exists() { 2.0 } else { 0.0 }
}

/// Tasks that are parked. Dropping it ends them all.
trait ParkedTasks {
    /// Creates tasks until there are `tasks`, and returns when all of them are parked.
    fn grow(&mut self, tasks: usize) -> Result<(), Failure>;

    /// The tasks that are processes of their own.
    fn children(&self) -> &[Pid] {
        &[]
    }

    /// Ends the youngest until `tasks` are left; asked only of those that have children.
    fn shrink(&mut self, _tasks: usize) -> Result<(), Failure> {
        Ok(())
    }
}

/// The operation of every mechanism here: they differ in what `begin` makes.
struct Footprint<B> {
    begin: B,
    piping: PipeMode,
    steps: [usize; STEPS],
    reader: MemoryReader,
    laps: Vec<LapMemory>,
}

/// What was held at each step.
#[derive(Clone, Copy)]
struct LapMemory {
    tasks: [MemoryUsage; STEPS],
    pipes: Option<[MemoryUsage; STEPS]>,
}

impl<B, P> Footprint<B>
where
    B: FnMut() -> Result<P, Failure> + 'static,
    P: ParkedTasks,
{
    fn operation(parameters: &Parameters, begin: B) -> Result<Box<dyn Operation>, Failure> {
        let (tasks, reader) = (parameters.size(TASKS.name), MemoryReader::new()?);
        let steps = std::array::from_fn(|step| tasks * (step + 1) / STEPS);
        // The first look at this process makes the kernel keep its names, and the buffers are made.
        reader.read(&[])?;
        Ok(Box::new(Self { begin, piping: PipeMode::of(parameters), steps, reader, laps: Vec::new() }))
    }

    fn lap(&mut self) -> Result<LapMemory, Failure> {
        let pipes = if self.piping.exists() {
            Some(ascend(&self.reader, &self.steps, || Ok(Pipes { piping: self.piping, ends: Vec::new() }))?)
        } else {
            None
        };
        let begin = &mut self.begin;
        Ok(LapMemory { tasks: ascend(&self.reader, &self.steps, begin)?, pipes })
    }
}

/// Reads at each step; children are looked at on the way down, when no more slab has to be read.
fn ascend<P: ParkedTasks>(
    reader: &MemoryReader,
    steps: &[usize; STEPS],
    begin: impl FnOnce() -> Result<P, Failure>,
) -> Result<[MemoryUsage; STEPS], Failure> {
    settle();
    let _plug = Plug::new();
    let mut parked = begin()?;
    let (mut slabs, mut own) = (Vec::with_capacity(STEPS), Vec::with_capacity(STEPS));
    for &tasks in steps {
        parked.grow(tasks)?;
        slabs.push(reader.slab()?);
        if parked.children().is_empty() {
            own.push(reader.own(&[])?);
        }
    }
    if own.is_empty() {
        for &tasks in steps.iter().rev() {
            parked.shrink(tasks)?;
            own.push(reader.own(parked.children())?);
        }
        own.reverse();
    }
    Ok(std::array::from_fn(|step| reader.join(own[step], slabs[step])))
}

/// Waits until the kernel has freed what ended tasks left: one grace period ends those that began before, and what they
/// free may wait for another. Where the call does not exist the slab of a lap holds some of the last one's.
fn settle() {
    for _ in 0..2 {
        let _ = membarrier::global();
    }
}

impl LapMemory {
    /// Bytes of all tasks, without their pipes: the slope over the steps, for as many tasks as there are in all.
    fn bytes(&self, steps: &[usize; STEPS]) -> f64 {
        let tasks = gained(&self.tasks, MemoryUsage::total);
        let pipes = self.pipes.as_ref().map_or([0.0; STEPS], |pipes| gained(pipes, MemoryUsage::total));
        let alone = std::array::from_fn(|step| tasks[step] - pipes[step]);
        per_task(steps, &alone) * steps[STEPS - 1] as f64
    }
}

/// The slope of the straight line through `bytes` by least squares. Not the median of slopes that reports show: that
/// one forgets what single steps take more, and of a sum of samples every step is a part.
fn per_task(steps: &[usize; STEPS], bytes: &[f64; STEPS]) -> f64 {
    let mean = steps.iter().sum::<usize>() as f64 / STEPS as f64;
    let deviations = steps.map(|tasks| tasks as f64 - mean);
    // Their distances from the mean of all bytes would give the same: those from the mean of the steps add up to 0.
    let together: f64 = deviations.iter().zip(bytes).map(|(x, y)| x * y).sum();
    together / deviations.iter().map(|x| x * x).sum::<f64>()
}

/// Beyond the first step.
fn gained(steps: &[MemoryUsage; STEPS], of: impl Fn(&MemoryUsage) -> u64) -> [f64; STEPS] {
    std::array::from_fn(|step| of(&steps[step]) as f64 - of(&steps[0]) as f64)
}

impl<B, P> Operation for Footprint<B>
where
    B: FnMut() -> Result<P, Failure> + 'static,
    P: ParkedTasks,
{
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let _small = SmallPages::hold().ok();
        let (mut created, mut bytes) = (0, 0.0);
        while created < ops {
            let lap = self.lap()?;
            bytes += lap.bytes(&self.steps);
            created += self.steps[STEPS - 1] as u64;
            self.laps.push(lap);
        }
        // Where slab is the whole machine's, others may free more than the tasks take. A sample of 0 is none.
        Ok(Batch { ops: Ops(created), amount: Amount(bytes.round().max(1.0) as u64) })
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        let laps = std::mem::take(&mut self.laps);
        Ok(metrics(&laps, &self.steps, self.reader.scope()))
    }
}

/// One kind of memory out of all.
type MemoryKind = fn(&MemoryUsage) -> u64;

/// A curve for each kind of memory over the number of tasks.
fn metrics(laps: &[LapMemory], steps: &[usize; STEPS], scope: SlabScope) -> Vec<Metric> {
    let slab = match scope {
        SlabScope::Group => MetricKey::GroupSlab,
        SlabScope::GroupKernel => MetricKey::GroupKernelMemory,
        SlabScope::Machine => MetricKey::MachineSlab,
    };
    let kinds: [(MetricKey, MemoryKind); 6] = [
        (MetricKey::InAll, MemoryUsage::total),
        (MetricKey::UserResident, |held| held.resident),
        (MetricKey::PageTables, |held| held.page_tables),
        (MetricKey::KernelStacks, |held| held.kernel_stacks),
        (slab, |held| held.slab),
        (MetricKey::VirtualSize, |held| held.virtual_size),
    ];
    let tasks = |of: MetricKey, kind: MemoryKind| {
        curve(of, steps, &laps.iter().map(|lap| gained(&lap.tasks, kind)).collect::<Vec<_>>())
    };
    let mut found: Vec<Option<Metric>> = kinds.into_iter().map(|(of, kind)| tasks(of, kind)).collect();
    let pipes: Vec<_> =
        laps.iter().filter_map(|lap| Some((lap, gained(lap.pipes.as_ref()?, MemoryUsage::total)))).collect();
    let alone: Vec<_> = pipes.iter().map(|(_, pipes)| *pipes).collect();
    let without: Vec<_> = pipes
        .iter()
        .map(|(lap, pipes)| {
            let all = gained(&lap.tasks, MemoryUsage::total);
            std::array::from_fn(|step| all[step] - pipes[step])
        })
        .collect();
    found.insert(1, curve(MetricKey::WithoutPipe, steps, &without));
    found.push(curve(MetricKey::PipeAlone, steps, &alone));
    found.into_iter().flatten().collect()
}

/// The median of the laps at each step; nothing without a lap.
fn curve(of: MetricKey, steps: &[usize; STEPS], laps: &[[f64; STEPS]]) -> Option<Metric> {
    let point = |step: usize| {
        let mut values: Vec<f64> = laps.iter().map(|lap| lap[step]).collect();
        values.sort_unstable_by(f64::total_cmp);
        Some((steps[step] as f64, *values.get(values.len() / 2)?))
    };
    Some(Metric::Curve(Curve {
        of,
        x: CurveAxis { of: "tasks".into(), quantity: Quantity::Number },
        y: CurveAxis { of: "memory beyond that of the first step".into(), quantity: Quantity::Bytes },
        points: (0..STEPS).map(point).collect::<Option<_>>()?,
    }))
}

/// Pipes without tasks.
struct Pipes {
    piping: PipeMode,
    ends: Vec<Ends>,
}

impl ParkedTasks for Pipes {
    fn grow(&mut self, pipes: usize) -> Result<(), Failure> {
        while self.ends.len() < pipes {
            self.ends.push(self.piping.open(true)?);
        }
        Ok(())
    }
}

/// Where tasks of several threads say that they are about to wait, and learn that they may end.
#[derive(Default)]
struct ParkGate {
    arrived: AtomicU32,
    open: AtomicU32,
}

impl ParkGate {
    /// A task's last step before it waits.
    fn arrive(&self) -> Result<(), Failure> {
        self.arrived.fetch_add(1, Ordering::Release);
        wake(&self.arrived, 1, futex::FutexScope::Private)?;
        Ok(())
    }

    /// Waits until `tasks` have arrived.
    fn await_all(&self, tasks: usize) -> Result<(), Failure> {
        loop {
            let arrived = self.arrived.load(Ordering::Acquire);
            if arrived as usize >= tasks {
                return Ok(());
            }
            wait(&self.arrived, arrived, futex::FutexScope::Private, None)?;
        }
    }

    /// Blocks the calling thread until the gate is open.
    fn pass(&self) -> Result<(), Failure> {
        while !self.is_open() {
            wait(&self.open, 0, futex::FutexScope::Private, None)?;
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) != 0
    }

    fn open(&self) {
        self.open.store(1, Ordering::Release);
        // A wake without a waiter is harmless, and a drop cannot report a failure.
        let _ = wake(&self.open, u32::MAX, futex::FutexScope::Private);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: [usize; STEPS] = [200, 400, 600, 800, 1000];

    /// Each task holds 1000 bytes of each kind, besides `base`.
    fn held(base: u64, each: u64) -> [MemoryUsage; STEPS] {
        STEP.map(|tasks| {
            let kind = base + each * tasks as u64;
            MemoryUsage { resident: kind, page_tables: kind, kernel_stacks: kind, slab: kind, virtual_size: 10 * kind }
        })
    }

    #[test]
    fn a_sample_is_what_all_tasks_hold_without_what_was_there_and_without_their_pipes() {
        let bare = LapMemory { tasks: held(1 << 30, 1000), pipes: None };
        assert_eq!(bare.bytes(&STEP), 4000.0 * 1000.0);
        let with_pipes = LapMemory { tasks: held(1 << 30, 1000), pipes: Some(held(5, 100)) };
        assert_eq!(with_pipes.bytes(&STEP), 3600.0 * 1000.0);
    }

    #[test]
    fn every_step_has_a_part_in_a_sample() {
        let mut kinked = held(1 << 30, 1000);
        let bare = LapMemory { tasks: kinked, pipes: None }.bytes(&STEP);
        // In the middle it moves the line up or down and not its slope; beside it, by its distance from there.
        kinked[2].resident += 1 << 20;
        assert_eq!(LapMemory { tasks: kinked, pipes: None }.bytes(&STEP), bare);
        kinked[3].resident += 1_000_000;
        let more = LapMemory { tasks: kinked, pipes: None }.bytes(&STEP) - bare;
        assert!((more - 500_000.0).abs() < 1.0, "200 of 400,000 squares, times 1000 tasks: {more}");
        let mut cut = LapMemory { tasks: held(1 << 30, 1000), pipes: Some(held(5, 100)) };
        cut.pipes.as_mut().unwrap()[1].slab += 1_000_000;
        let more = cut.bytes(&STEP) - 3600.0 * 1000.0;
        assert!((more - 500_000.0).abs() < 1.0, "a pipe's memory is taken off, below the middle: {more}");
    }

    #[test]
    fn a_curve_is_the_median_of_the_laps() {
        let lap = |each| LapMemory { tasks: held(7, each), pipes: Some(held(9, 100)) };
        let found = metrics(&[lap(1000), lap(9000), lap(1001)], &STEP, SlabScope::Group);
        let of = |key: MetricKey| match found.iter().find(|metric| *metric.of() == key) {
            Some(Metric::Curve(curve)) => curve.points.clone(),
            other => panic!("{key}: {other:?}"),
        };
        assert_eq!(of(MetricKey::UserResident)[4], (1000.0, 800.0 * 1001.0));
        assert_eq!(of(MetricKey::InAll)[1], (400.0, 4.0 * 200.0 * 1001.0));
        assert_eq!(of(MetricKey::WithoutPipe)[0], (200.0, 0.0));
        assert_eq!(of(MetricKey::PipeAlone)[4], (1000.0, 4.0 * 800.0 * 100.0));
        let bare = metrics(&[LapMemory { pipes: None, ..lap(1) }], &STEP, SlabScope::Machine);
        assert_eq!(bare.len(), 6, "without pipes nothing is said of them");
        assert!(metrics(&[], &STEP, SlabScope::Machine).is_empty());
    }

    #[test]
    fn touched_pages_are_found_as_bytes_per_task() {
        /// A task that is 16 KiB of the heap and nothing else.
        struct Blocks(Vec<Vec<u8>>);
        impl ParkedTasks for Blocks {
            fn grow(&mut self, tasks: usize) -> Result<(), Failure> {
                while self.0.len() < tasks {
                    self.0.push(vec![1; 16 << 10]);
                }
                Ok(())
            }
        }
        let reader = MemoryReader::new().unwrap();
        let _small = SmallPages::hold();
        let right = |_: &usize| {
            let held = ascend(&reader, &STEP, || Ok(Blocks(Vec::new()))).unwrap();
            (14e3..24e3).contains(&(gained(&held, |held| held.resident)[STEPS - 1] / 800.0))
        };
        // Twice, because the second time the allocator has all of it already; and other tests of this process come and
        // go meanwhile, but not ten times over.
        assert_eq!((0..10).filter(right).take(2).count(), 2);
    }
}
