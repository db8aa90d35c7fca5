//! What a mechanism leaves behind when its set-up fails half way: every call that makes something is made to fail, one
//! at a time. Of mechanisms whose laps create tasks, the first lap counts as set-up.
//!
//! A traced copy of this program sets each mechanism up again and again. The tracer sees which calls a set-up makes,
//! and from then on lets one of them return an error instead of being made: of each kind the first, the second, the one
//! in the middle and the last. The result must be an error or a benchmark that works (some failures have a way around
//! them), within the usual timeout, and must leave no descriptor, task, mapping or file.
//!
//! What a library keeps for the whole process (may's scheduler, async-io's reactor) is made before, by a set-up that
//! nothing happens to: it would be left behind by design.
#![allow(clippy::unwrap_used)]

mod own_process;
mod patience;
mod trial;

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::process::{Child, Stdio};

use nix::unistd::Pid;
use patience::timeout;
use switchcost::crew::Failure;
use switchcost::harness::{Benchmark, Choice, PlannedBenchmark, plan};
use switchcost::mechanism::Descriptor;
use switchcost::sys::mark;
use switchcost::sys::ptrace::{SyscallEntry, TraceEvent, Tracee};
use switchcost::terms::Value;
use syscalls::{Errno, Sysno};
use trial::{Belongings, TOKIO_WORKERS, settings};

/// What the traced process tells: a set-up begins, it has ended; and what it asks: which call fails next?
const BEGINS: u64 = 1;
const ENDS: u64 = 2;
const NEXT: u64 = 3;
/// The set-ups that follow are another mechanism's.
const MECHANISM: u64 = 4;

/// Which share of the benchmarks a traced process takes: `1/2`.
const SHARE: &str = "SWITCHCOST_INJECTION_SHARE";
/// Only benchmarks whose id holds this text, for looking for a fault.
const ONLY: &str = "SWITCHCOST_INJECTION_ONLY";

/// One failure: the call with this number, the so many-eth time it is made, returns this error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    call: u64,
    time: u64,
    errno: u64,
}

impl Step {
    /// As an answer to [`NEXT`]; 0 is none.
    fn encoded(self) -> i64 {
        (self.call << 32 | self.errno << 20 | self.time).cast_signed()
    }

    fn decoded(answer: u64) -> Option<Self> {
        (answer > 0).then_some(Self { call: answer >> 32, errno: answer >> 20 & 0xfff, time: answer & 0xf_ffff })
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = usize::try_from(self.call).ok().and_then(Sysno::new).map_or("?", |call| call.name());
        write!(f, "{name} number {} with {}", self.time, Errno::new(self.errno as i32))
    }
}

/// How a call fails that makes something; nothing for those that do not. Errors of their man pages, at limits that a
/// real machine meets.
fn failure(entry: &SyscallEntry) -> Option<Errno> {
    let call = Sysno::new(usize::try_from(entry.number).ok()?)?;
    match call.name() {
        // The standard library ends the process when a thread has no signal stack (library/std, stack_overflow.rs): the
        // one mapping for stacks that is writable from the start.
        "mmap" if is_signal_stack(entry) => None,
        "mmap" | "mremap" | "epoll_ctl" | "io_uring_setup" | "io_uring_register" | "seccomp" => Some(Errno::ENOMEM),
        "fcntl" if entry.arguments[1] == libc::F_SETPIPE_SZ as u64 => Some(Errno::EPERM),
        "fcntl" if ![libc::F_DUPFD as u64, libc::F_DUPFD_CLOEXEC as u64].contains(&entry.arguments[1]) => None,
        "pipe" | "pipe2" | "socketpair" | "socket" | "accept" | "accept4" | "eventfd2" | "epoll_create"
        | "epoll_create1" | "timerfd_create" | "signalfd4" | "memfd_create" | "dup" | "dup2" | "dup3" | "fcntl"
        | "open" | "openat" | "pidfd_open" => Some(Errno::EMFILE),
        "clone" | "clone3" | "fork" | "vfork" | "io_setup" => Some(Errno::EAGAIN),
        "bind" | "listen" => Some(Errno::EADDRINUSE),
        "connect" => Some(Errno::ECONNREFUSED),
        "setsockopt" => Some(Errno::ENOBUFS),
        "sched_setaffinity" => Some(Errno::EINVAL),
        "sched_setattr" | "sched_setscheduler" | "unshare" => Some(Errno::EPERM),
        "shmget" | "semget" | "msgget" | "mq_open" | "ftruncate" => Some(Errno::ENOSPC),
        _ => None,
    }
}

fn is_signal_stack(entry: &SyscallEntry) -> bool {
    let [_, _, protection, flags, ..] = entry.arguments;
    protection == (libc::PROT_READ | libc::PROT_WRITE) as u64 && flags & libc::MAP_STACK as u64 != 0
}

/// Of each call that a set-up made the first, the second, the one in the middle and the last.
fn steps(counts: &BTreeMap<u64, (u64, u64)>) -> VecDeque<Step> {
    let times = |count: u64| {
        let mut times = vec![1, 2, count.div_ceil(2), count];
        times.retain(|time| (1..=count).contains(time));
        times.sort_unstable();
        times.dedup();
        times
    };
    let of_call =
        |(&call, &(count, errno)): (&u64, &(u64, u64))| times(count).into_iter().map(move |time| (call, time, errno));
    counts.iter().flat_map(of_call).map(|(call, time, errno)| Step { call, time, errno }).collect()
}

#[test]
fn a_set_up_that_fails_half_way_leaves_nothing_behind() {
    const SHARES: usize = 6;
    let shares = std::thread::scope(|scope| {
        let share = |share: usize| scope.spawn(move || trace("set_ups_fail", &format!("{share}/{SHARES}")));
        let running: Vec<_> = (0..SHARES).map(share).collect();
        running.into_iter().map(|share| share.join().unwrap()).collect::<Vec<_>>()
    });
    let injected: usize = shares.iter().flatten().sum();
    println!("{injected} failures");
    let all = std::env::var(ONLY).is_err();
    assert!(!all || injected > 100 || shares.contains(&None), "{injected} failures are too few to tell anything");
}

/// Runs a test of this program under the tracer, which injects; says how many failures it did. `None` where nothing can
/// be traced.
fn trace(test: &str, share: &str) -> Option<usize> {
    let (scratch, said) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let out = said.reopen().unwrap();
    let mut child = own_process::command(test)
        .env("TMPDIR", scratch.path())
        .env(SHARE, share)
        // Libraries panic, and their traces would be all there is to see.
        .env("RUST_BACKTRACE", "0")
        .current_dir(scratch.path())
        .stdin(Stdio::piped())
        .stderr(out.try_clone().unwrap())
        .stdout(out)
        .spawn()
        .unwrap();
    let outcome = Injector::default().follow(&mut child);
    let _ = child.kill();
    let _ = child.wait();
    let said = std::fs::read_to_string(said.path()).unwrap();
    let told = || said.lines().filter(|line| line.starts_with("==")).collect::<Vec<_>>().join("\n");
    match outcome {
        Ok(injected) => {
            println!("{said}");
            own_process::assert_passed(test, &said);
            Some(injected)
        }
        Err(End::Untraced(reason)) => {
            println!("not checked: {reason}");
            None
        }
        Err(End::Ended(how)) => panic!("{how}\n{said}\n{}", told()),
    }
}

enum End {
    /// This machine lets nothing be traced, or has registers that this test does not know.
    Untraced(String),
    /// The traced process did not end well.
    Ended(String),
}

impl From<switchcost::sys::SysError> for End {
    fn from(error: switchcost::sys::SysError) -> Self {
        Self::Untraced(error.to_string())
    }
}

#[derive(Default)]
struct Injector {
    /// By number: how often a call was made in this set-up, and how it would fail.
    counts: BTreeMap<u64, (u64, u64)>,
    in_set_up: bool,
    /// What is still to fail for this benchmark; nothing before its first set-up was seen.
    left: Option<VecDeque<Step>>,
    armed: Option<Step>,
    /// The calls of each set-up of this mechanism that was made to fail. A setting by which it makes the very same
    /// calls (a payload, the time of some work) is set up by the same code, which has failed at each of them already.
    failed: Vec<BTreeMap<u64, (u64, u64)>>,
    injected: usize,
}

impl Injector {
    fn follow(mut self, child: &mut Child) -> Result<usize, End> {
        let mut tracee = Tracee::seize(Pid::from_raw(child.id() as i32))?;
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        let mut last = None;
        loop {
            match tracee.next_event()? {
                TraceEvent::Ended(Some(0)) => return Ok(self.injected),
                TraceEvent::Ended(status) => {
                    let armed = last.map_or("nothing".into(), |step: Step| step.to_string());
                    return Err(End::Ended(format!("it ended with {status:?}, after the failure of {armed}")));
                }
                TraceEvent::Entry(entry) => match mark::read(entry.number, &entry.arguments) {
                    Some(BEGINS) => {
                        self.counts.clear();
                        self.in_set_up = true;
                    }
                    Some(ENDS) => self.in_set_up = false,
                    Some(MECHANISM) => self.failed.clear(),
                    Some(NEXT) => {
                        self.armed = self.next();
                        last = self.armed.or(last);
                        tracee.answer(&entry, self.armed.map_or(0, Step::encoded))?;
                    }
                    Some(_) => {}
                    None => {
                        if let Some(errno) = self.enters(&entry) {
                            tracee.answer(&entry, -(errno as i64))?;
                        }
                    }
                },
            }
        }
    }

    /// The next failure of the benchmark whose set-up was seen; nothing when there is none left, and the next
    /// benchmark's turn.
    fn next(&mut self) -> Option<Step> {
        let left = self.left.get_or_insert_with(|| {
            if self.failed.contains(&self.counts) {
                return VecDeque::new();
            }
            self.failed.push(self.counts.clone());
            steps(&self.counts)
        });
        let next = left.pop_front();
        if next.is_none() {
            self.left = None;
        }
        next
    }

    /// The error that this call is to return.
    fn enters(&mut self, entry: &SyscallEntry) -> Option<u64> {
        if !self.in_set_up {
            return None;
        }
        let errno = failure(entry)?.into_raw() as u64;
        let (count, _) = self.counts.entry(entry.number).and_modify(|(count, _)| *count += 1).or_insert((1, errno));
        let fails = self.armed.take_if(|step| step.call == entry.number && step.time == *count)?;
        self.injected += 1;
        Some(fails.errno)
    }
}

fn is_baseline(descriptor: &Descriptor) -> bool {
    descriptor.id == descriptor.baseline
}

/// One placement of each mechanism, in all the settings of the conformance tests.
fn benchmarks() -> Vec<Benchmark> {
    let only = std::env::var(ONLY).unwrap_or_default();
    let mut benchmarks: Vec<Benchmark> = Vec::new();
    for planned in plan(&Choice::default(), |id| id.contains(&only)).unwrap() {
        let PlannedBenchmark::Ready(benchmark) = planned else { continue };
        let another = benchmarks.last().is_none_or(|last| last.descriptor().id != benchmark.descriptor().id);
        if another && benchmark.mechanism.probe().is_ok() {
            // The set-up of all servers is that of one; what fails in the server's process fails in the program.
            let descriptor = benchmark.descriptor();
            let few = match descriptor.group() {
                "server" => usize::from(is_baseline(descriptor)),
                // A protocol changes nothing in a client's set-up.
                "client" => 1,
                _ => usize::MAX,
            };
            let each = settings(descriptor).into_iter().take(few);
            benchmarks.extend(each.map(|parameters| benchmark.with_parameters(parameters)));
        }
    }
    benchmarks
}

#[test]
#[ignore = "a_set_up_that_fails_half_way_leaves_nothing_behind runs it"]
fn set_ups_fail() {
    let share = std::env::var(SHARE).unwrap();
    let (share, shares) = share.split_once('/').unwrap();
    let (share, shares): (usize, usize) = (share.parse().unwrap(), shares.parse().unwrap());
    await_tracer();
    let all = benchmarks();
    let mechanisms = all.chunk_by(|one, next| one.descriptor().id == next.descriptor().id).enumerate();
    let mine: Vec<_> = mechanisms.filter(|(index, _)| index % shares == share).map(|(_, settings)| settings).collect();
    // What a process opens once, at first use, is not left behind.
    for benchmark in mine.iter().copied().flatten() {
        works(benchmark).unwrap();
    }
    let mut faults = Vec::new();
    for settings in mine {
        mark::leave(MECHANISM);
        faults.extend(settings.iter().flat_map(fail_each_step));
    }
    assert!(faults.is_empty(), "{} faults", faults.len());
}

/// The tracer's word that it watches.
fn await_tracer() {
    std::io::Read::read_exact(&mut std::io::stdin(), &mut [0]).unwrap();
}

/// Sets it up once undisturbed, for the tracer to see, and then once for each failure; returns what went wrong.
fn fail_each_step(benchmark: &Benchmark) -> Vec<String> {
    let mut faults = Vec::new();
    let mut step = None;
    let start = std::time::Instant::now();
    let mut tried = 0;
    loop {
        let before = Belongings::now();
        let end = works(benchmark).and_then(|()| Belongings::now_at_last(&before));
        if let Err(fault) = end {
            let step = step.map_or("undisturbed".into(), |step: Step| step.to_string());
            println!("== {}: {step}: {fault}", benchmark.id());
            faults.push(fault);
        }
        step = mark::ask(NEXT).and_then(Step::decoded);
        while step.is_some_and(|step| is_tokios_own(benchmark, step)) {
            step = mark::ask(NEXT).and_then(Step::decoded);
        }
        if step.is_none() {
            println!("{}: {tried} steps in {:?}", benchmark.id(), start.elapsed());
            return faults;
        }
        tried += 1;
    }
}

/// What cannot be mended here, and would hang: tokio's own failure to create a worker. The mechanisms that ask it for
/// workers make sure beforehand that there can be as many threads (core/src/mechanism/workers.rs), which is what fails
/// instead; the calls behind that are tokio's.
fn is_tokios_own(benchmark: &Benchmark, step: Step) -> bool {
    let workers = match benchmark.setting.parameters.iter().find(|(name, _)| *name == "workers") {
        Some((_, Value::Number(workers))) if *workers > 0 => *workers,
        Some(_) => benchmark.setting.cpus.len() as u64,
        None => 2,
    };
    let creates = [libc::SYS_clone, libc::SYS_clone3].contains(&(step.call as libc::c_long));
    // A worker's stack is mapped anew where that of a thread that made sure is not free again yet: which mmap it is, is
    // chance.
    let may_be_a_stack = step.call as libc::c_long == libc::SYS_mmap;
    let asks = TOKIO_WORKERS.contains(&benchmark.descriptor().id);
    // The first is the driver.
    asks && (may_be_a_stack || (creates && step.time > 1 + workers))
}

/// Groups whose tasks come with each lap and not with the set-up.
const CREATE_IN_LAPS: [&str; 2] = ["creation", "footprint"];

/// Sets it up, and if that succeeds runs a lap: then the call that failed was not needed.
fn works(benchmark: &Benchmark) -> Result<(), String> {
    // A hang of the crew itself would have no other end.
    let _ = nix::unistd::alarm::set(3 * timeout().as_secs() as u32);
    mark::leave(BEGINS);
    // Some wait for a part of it for a thread that could not be had (core/src/mechanism/file/tokio_fs.rs).
    let mut started = benchmark.start_within(timeout() / 4);
    if CREATE_IN_LAPS.contains(&benchmark.descriptor().group()) {
        started = started.and_then(|mut driver| driver.run(benchmark.whole_laps(1)).map(|_| driver));
    }
    mark::leave(ENDS);
    let outcome = started.and_then(|mut driver| {
        driver.run(benchmark.whole_laps(1))?;
        driver.stop()
    });
    nix::unistd::alarm::cancel();
    match outcome {
        Err(failure @ Failure::TimedOut { .. }) => Err(failure.to_string()),
        _ => Ok(()),
    }
}
