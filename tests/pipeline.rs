//! Pipelines beside loops that are written by hand for the same channel, with messages of the same size and nothing
//! around them: no checks, no stamps, no limit, no report.
//!
//!     cargo test --release --test pipeline -- --ignored --nocapture
//!
//! It wants a quiet machine and takes some two minutes.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use smol::future::block_on;
use switchcost::harness::{Benchmark, Choice, PlannedBenchmark, plan};
use switchcost::sys::affinity::{allowed_cpus, confine_current_thread};
use switchcost::terms::Placement;
use switchcost::units::CpuId;

/// As large as the messages of the group.
type ByHand = [u64; 6];

const PIPELINES: usize = 4;

/// How long a batch is: long against the wakeups at its ends.
const BATCH: Duration = Duration::from_millis(100);

/// Batches of either side, in turn.
const PAIRS: usize = 21;

/// How far the median ratio may be from 1.
const MOST: f64 = 0.05;

/// Threads over a channel that blocks: the time from letting the sources begin to the last message.
macro_rules! threads_by_hand {
    ($open:expr) => {
        move |messages: u64| {
            let gate = Arc::new(Barrier::new(PIPELINES + 1));
            let sinks: Vec<_> = (0..PIPELINES)
                .map(|_| {
                    let ((out, messages_in), (on, last)) = ($open, $open);
                    let gate = Arc::clone(&gate);
                    std::thread::spawn(move || {
                        gate.wait();
                        (0..messages).for_each(|number| out.send([number; 6] as ByHand).unwrap());
                    });
                    std::thread::spawn(move || {
                        while let Ok(message) = messages_in.recv() {
                            on.send(message).unwrap();
                        }
                    });
                    std::thread::spawn(move || {
                        let mut count = 0;
                        while let Ok(message) = last.recv() {
                            count += black_box(message)[0] / message[0].max(1);
                        }
                        black_box(count);
                        Instant::now()
                    })
                })
                .collect();
            gate.wait();
            let start = Instant::now();
            sinks.into_iter().map(|sink| sink.join().unwrap()).max().unwrap() - start
        }
    };
}

/// Tasks over a channel that is awaited, on what `$run` is given: all stages as futures.
macro_rules! tasks_by_hand {
    ($run:expr, $open:expr, $message:ident => $received:expr) => {
        move |messages: u64| {
            let run = $run;
            let (done, ends) = smol::channel::unbounded::<Instant>();
            let mut stages: Vec<StageByHand> = Vec::new();
            for _ in 0..PIPELINES {
                #[allow(unused_mut)] // tokio's receivers want it.
                let ((out, mut messages_in), (on, mut last)) = ($open, $open);
                let done = done.clone();
                stages.push(Box::pin(async move {
                    for number in 0..messages {
                        out.send([number; 6] as ByHand).await.unwrap();
                    }
                }));
                stages.push(Box::pin(async move {
                    while let Some(message) = {
                        let $message = &mut messages_in;
                        $received
                    } {
                        on.send(message).await.unwrap();
                    }
                }));
                stages.push(Box::pin(async move {
                    let mut count = 0;
                    while let Some(message) = {
                        let $message = &mut last;
                        $received
                    } {
                        count += black_box(message)[0] / message[0].max(1);
                    }
                    black_box(count);
                    done.try_send(Instant::now()).unwrap();
                }));
            }
            let ended = async move {
                let mut last = Instant::now();
                for _ in 0..PIPELINES {
                    last = last.max(ends.recv().await.unwrap());
                }
                last
            };
            run(stages, Box::pin(ended))
        }
    };
}

type StageByHand = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
type EndByHand = std::pin::Pin<Box<dyn Future<Output = Instant>>>;

/// Spawns the stages, waits for the end, and says how long that took.
fn on_tokio(several: bool) -> impl Fn(Vec<StageByHand>, EndByHand) -> Duration {
    move |stages, end| {
        let runtime = if several {
            let cpus = allowed_cpus().unwrap().len();
            tokio::runtime::Builder::new_multi_thread().worker_threads(cpus).build().unwrap()
        } else {
            tokio::runtime::Builder::new_current_thread().build().unwrap()
        };
        let start = Instant::now();
        stages.into_iter().for_each(|stage| drop(runtime.spawn(stage)));
        runtime.block_on(end) - start
    }
}

fn on_smol(several: bool) -> impl Fn(Vec<StageByHand>, EndByHand) -> Duration {
    move |stages, end| {
        if !several {
            let executor = smol::LocalExecutor::new();
            let start = Instant::now();
            stages.into_iter().for_each(|stage| executor.spawn(stage).detach());
            return block_on(executor.run(end)) - start;
        }
        let executor = smol::Executor::new();
        let (over, workers_end) = smol::channel::bounded::<()>(1);
        std::thread::scope(|scope| {
            for _ in 0..allowed_cpus().unwrap().len() {
                scope.spawn(|| block_on(executor.run(workers_end.recv())));
            }
            let start = Instant::now();
            stages.into_iter().for_each(|stage| executor.spawn(stage).detach());
            let took = block_on(end) - start;
            drop(over);
            took
        })
    }
}

type Loop = Box<dyn Fn(u64) -> Duration>;

/// The loop by hand for a mechanism, with a capacity and with one thread or several where it has runtimes.
fn by_hand(mechanism: &str, capacity: usize, several: bool) -> Loop {
    match mechanism {
        "thread_crossbeam" => Box::new(threads_by_hand!(crossbeam::channel::bounded(capacity))),
        "thread_std" => Box::new(threads_by_hand!(std::sync::mpsc::sync_channel(capacity))),
        "thread_flume" => Box::new(threads_by_hand!(flume::bounded(capacity))),
        "thread_kanal" => Box::new(threads_by_hand!(kanal::bounded(capacity))),
        "tokio_mpsc" => Box::new(tasks_by_hand!(
            on_tokio(several), tokio::sync::mpsc::channel(capacity), receiver => receiver.recv().await)),
        "kanal_async" => Box::new(tasks_by_hand!(
            on_tokio(several), kanal::bounded_async(capacity), receiver => receiver.recv().await.ok())),
        "smol_channel" => Box::new(tasks_by_hand!(
            on_smol(several), smol::channel::bounded(capacity), receiver => receiver.recv().await.ok())),
        other => panic!("no loop was written for {other}"),
    }
}

/// What stands in the registry under `mechanism`.
fn benchmark(mechanism: &str, placement: Placement, capacity: usize, several: bool) -> Benchmark {
    let runtime = if several { "multi_thread" } else { "current_thread" };
    let pipelines = PIPELINES.to_string();
    let chosen = [("pipelines", pipelines.as_str()), ("capacity", &capacity.to_string()), ("runtime", runtime)]
        .map(|(name, value)| (name.to_string(), value.to_string()));
    let choice = Choice { parameters: chosen.into(), placements: vec![placement], ..Choice::default() };
    let id = format!("pipeline/{mechanism}/");
    let planned = plan(&choice, |planned| planned.starts_with(&id)).unwrap();
    match planned.into_iter().next() {
        Some(PlannedBenchmark::Ready(benchmark)) => benchmark,
        other => panic!("{id}: {other:?}"),
    }
}

/// The median of ours over theirs, batch by batch in turn, on `cpus`.
fn ratio(benchmark: &Benchmark, by_hand: &Loop) -> (f64, f64) {
    let mut driver = benchmark.start(|| Ok(())).unwrap();
    let per_message = |took: Duration, messages: u64| took.as_nanos() as f64 / (messages * PIPELINES as u64) as f64;
    const FEW: u64 = 2_000;
    let guess = per_message(by_hand(FEW), FEW);
    let messages = (BATCH.as_nanos() as f64 / guess / PIPELINES as f64) as u64;
    let ops = benchmark.whole_laps(messages * PIPELINES as u64);
    let messages = ops / PIPELINES as u64;
    let mut pairs: Vec<(f64, f64)> = (0..=PAIRS)
        .map(|_| {
            let ours = driver.run(ops).unwrap();
            let theirs = per_message(by_hand(messages), messages);
            (ours.amount.0 as f64 / ours.ops.0 as f64 / theirs, theirs)
        })
        // The first batch finds cold caches.
        .skip(1)
        .collect();
    driver.stop().unwrap();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    pairs[pairs.len() / 2]
}

#[test]
#[ignore = "it wants a quiet machine, an optimised build, and minutes"]
fn each_mechanism_costs_what_a_loop_by_hand_does() {
    if cfg!(debug_assertions) {
        panic!("the figures of a build without optimisation say nothing: add --release");
    }
    let cases = [
        ("thread_crossbeam", true),
        ("thread_std", true),
        ("thread_flume", true),
        ("thread_kanal", true),
        ("tokio_mpsc", true),
        ("tokio_mpsc", false),
        ("smol_channel", true),
        ("smol_channel", false),
        ("kanal_async", true),
        ("kanal_async", false),
    ];
    let all: Vec<CpuId> = allowed_cpus().unwrap();
    let mut beyond = Vec::new();
    for placement in [Placement::SameCpu, Placement::Unpinned] {
        // What is written by hand runs where this thread may.
        let mask = if placement == Placement::SameCpu { &all[..1] } else { &all };
        for ((mechanism, several), capacity) in cases.into_iter().flat_map(|case| [128, 1].map(|held| (case, held))) {
            let benchmark = benchmark(mechanism, placement, capacity, several);
            confine_current_thread(mask).unwrap();
            let (ratio, theirs) = ratio(&benchmark, &by_hand(mechanism, capacity, several));
            confine_current_thread(&all).unwrap();
            let told = format!("{}: {ratio:.3} of {theirs:.1} ns by hand", benchmark.id());
            println!("{told}");
            if (ratio - 1.0).abs() > MOST {
                beyond.push(told);
            }
        }
    }
    assert!(beyond.is_empty(), "beyond {MOST}:\n{}", beyond.join("\n"));
}
