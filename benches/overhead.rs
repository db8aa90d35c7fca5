//! `cargo bench --bench overhead`: what the harness itself costs.
//!
//! Two mechanisms against the same loops written by hand, with nothing around them, in one process and by turns: a
//! sample of the one, a sample of the other. The ratio of the medians must lie within 5 % of one.

use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use nix::unistd::{pipe, read, write};
use switchcost::harness::{Choice, Planned, Session, answer_audit_request, plan};
use switchcost::stats::{median, ratio_interval};

/// How far the ratio may lie from one.
const TOLERANCE: f64 = 0.05;

/// A loop written by hand: does so many operations and says how long they took.
type ByHand = Box<dyn FnOnce(Receiver<u64>, Sender<Duration>) + Send>;

fn main() -> ExitCode {
    if let Some(status) = answer_audit_request() {
        return status;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    // Filters are for the groups; a word that means this target asks for it.
    let filtered =
        arguments.iter().any(|argument| !argument.starts_with('-') && !"overhead".contains(argument.as_str()));
    if has("--list") {
        println!("overhead: benchmark");
        return ExitCode::SUCCESS;
    }
    if filtered || has("--help") {
        return ExitCode::SUCCESS;
    }
    let pairs = if has("--test") { 2 } else { 60 };
    match run(pairs) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) if has("--test") => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("overhead: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(pairs: usize) -> Result<bool, Box<dyn std::error::Error>> {
    let one_thread = compare("brigade/one_thread/same-cpu", 25_000, pairs, Box::new(one_thread))?;
    let ping_pong = compare("handoff/pipe/same-cpu", 8_000, pairs, Box::new(ping_pong))?;
    Ok(one_thread && ping_pong)
}

/// Measures the harness's benchmark `id` and the loop in turns, prints the ratio, and says whether it is within bounds.
fn compare(id: &str, ops: u64, pairs: usize, by_hand: ByHand) -> Result<bool, Box<dyn std::error::Error>> {
    let planned = plan(&Choice::default(), |other| other == id)?;
    let [Planned::Ready(benchmark)] = planned.as_slice() else {
        return Err(format!("{id} cannot run here").into());
    };
    let mut session = Session::open(benchmark, None)?;
    let (ask, asked) = channel();
    let (tell, told) = channel();
    let cpu = benchmark.seating.in_order()[0];
    let hand = spawn(move || {
        core_affinity::set_for_current(core_affinity::CoreId { id: cpu.0 });
        by_hand(asked, tell);
    });
    let (mut with, mut without) = (Vec::new(), Vec::new());
    // The first pair warms both up.
    for pair in 0..=pairs {
        let sample = session.sample(ops)?.batch;
        ask.send(sample.ops.0)?;
        let bare = told.recv()?;
        if pair > 0 {
            with.push(sample.elapsed.per(sample.ops).unwrap_or(f64::NAN));
            without.push(bare.as_nanos() as f64 / sample.ops.0 as f64);
        }
    }
    drop(ask);
    hand.join().map_err(|_| "the hand-written loop panicked")?;
    let (Some(harness), Some(bare)) = (median(&with), median(&without)) else {
        return Err("no samples".into());
    };
    let paired = |values: &[f64]| values.iter().map(|&value| vec![value]).collect::<Vec<_>>();
    let ratio = ratio_interval(&paired(&with), &paired(&without), true, 0.95, 1);
    let interval = ratio.map_or(String::new(), |ratio| {
        format!(", 95 % interval {:.3} to {:.3}", ratio.interval.low, ratio.interval.high)
    });
    println!("{id}: {harness:.1} ns/op in the harness, {bare:.1} by hand: ratio {:.3}{interval}", harness / bare);
    Ok((harness / bare - 1.0).abs() <= TOLERANCE)
}

/// What `brigade/one_thread` does: 500 pipes, a byte written and read in each.
fn one_thread(asked: Receiver<u64>, tell: Sender<Duration>) {
    let pipes: Vec<(OwnedFd, OwnedFd)> = (0..500).map(|_| pipe().expect("500 pipes fit")).collect();
    let mut byte = [7];
    for ops in asked {
        let start = Instant::now();
        for _ in 0..ops / 500 {
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
