//! The watcher, end to end: programs whose threads are known to wait in one way, and what it says of them.
#![allow(clippy::unwrap_used)]

mod own_process;
#[path = "watch/programs.rs"]
mod programs;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use switchcost::sys::bpf::SwitchCounter;
use switchcost::sys::launch::{PassedSignals, launch, usage_of_ended};
use switchcost::sys::seccomp::{CallRule, refuse_from_now_on};
use switchcost::terms::{ChangeKind, DescriptorType, Observation, Wait, WaitKind, WatchTier};
use switchcost::watch::{WatchError, WatchOptions, WatchTarget, Watcher, watch};

/// A program of `programs.rs`, which has said that it is ready. It ends when its input does.
struct Program {
    child: Child,
    said: String,
}

impl Program {
    fn start(test: &str) -> Self {
        let mut command = own_process::command(&format!("programs::{test}"));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut program = Self { child, said: String::new() };
        program.said = program.line();
        program
    }

    /// The next line that it says itself: libtest's come before it.
    fn line(&mut self) -> String {
        let mut output = BufReader::with_capacity(1, self.child.stdout.as_mut().unwrap());
        loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "the program has ended");
            if let Some((_, said)) = line.split_once("program: ") {
                return said.trim().to_string();
            }
        }
    }

    fn target(&self) -> WatchTarget {
        WatchTarget::attach(self.child.id() as i32).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn options(milliseconds: u64) -> WatchOptions<'static> {
    WatchOptions { duration: Some(Duration::from_millis(milliseconds)), ..WatchOptions::default() }
}

/// Watched again for longer where no burst has met a thread of some role, as happens on a busy machine.
fn watched(target: &WatchTarget, milliseconds: u64) -> Observation {
    let observe = |times| watch(target, &options(times * milliseconds), &mut |_| {}, &|| false).unwrap();
    let is_met = |observation: &Observation| observation.roles.iter().all(|role| !role.waits.is_empty());
    Some(observe(1)).filter(is_met).unwrap_or_else(|| observe(3))
}

/// The wait in which the threads of a role spent most of their time.
fn main_wait<'a>(observation: &'a Observation, role: &str) -> &'a Wait {
    let role = observation.roles.iter().find(|found| found.name == role);
    let role = role.unwrap_or_else(|| panic!("{:?}", observation.roles));
    &observation.waits[role.waits[0].0]
}

#[test]
fn waits_are_told_apart_by_their_descriptors_and_not_by_their_calls() {
    let program = Program::start("of_many_waits");
    let observation = watched(&program.target(), 3_000);
    if let Some(lacking) = observation.unseen.iter().find(|lacking| lacking.what.starts_with("what threads wait for")) {
        return println!("not checked: {lacking}");
    }
    let kinds = [
        ("serve-N", WaitKind::OneDescriptor, Some(1.0), Some(DescriptorType::Socket)),
        ("loop", WaitKind::ManyDescriptors, Some(8.0), Some(DescriptorType::Socket)),
        ("one-epoll", WaitKind::OneDescriptor, Some(1.0), Some(DescriptorType::Socket)),
        ("one-poll", WaitKind::OneDescriptor, Some(1.0), Some(DescriptorType::Socket)),
        ("interruptible", WaitKind::OneDescriptor, Some(1.0), Some(DescriptorType::Socket)),
        ("many-select", WaitKind::ManyDescriptors, Some(3.0), Some(DescriptorType::Socket)),
        ("self-pipe", WaitKind::Lock, Some(0.0), Some(DescriptorType::Wakeup)),
        ("woken", WaitKind::Lock, None, Some(DescriptorType::Wakeup)),
        ("lock-N", WaitKind::Lock, None, None),
        ("nap", WaitKind::Sleep, None, None),
    ];
    for (role, kind, descriptors, descriptor_type) in kinds {
        let wait = main_wait(&observation, role);
        let found = (wait.kind, wait.descriptors, wait.descriptor_type);
        assert_eq!(found, (kind, descriptors, descriptor_type), "{role}: {wait:?}");
        assert!(wait.switches > 0.0, "{role}: {wait:?}");
    }
    assert!(main_wait(&observation, "one-epoll").call.starts_with("epoll"), "the call's name alone would mislead");
    // Who may use tracepoints learns how many events a wait brought: each loop is sent some at a time.
    if observation.tiers.contains(&WatchTier::CallTracepoints) {
        let calls = observation.calls.as_ref().unwrap();
        assert!(calls.keys().any(|call| call == "futex") && calls.values().all(|&rate| rate > 0.0), "{calls:?}");
        let events = main_wait(&observation, "many-select").events_per_wake;
        assert!(events.is_some_and(|events| (1.0..=3.0).contains(&events)), "{events:?}");
    }
    // Each switch belongs to a wait, and to a moment.
    let attributed: f64 = observation.waits.iter().map(|wait| wait.switches).sum();
    let in_moments: u64 = observation.moments.iter().map(|moment| moment.voluntary).sum();
    assert!((attributed - observation.voluntary as f64).abs() < 1.0, "{attributed} of {}", observation.voluntary);
    assert_eq!(in_moments, observation.voluntary);
    let in_moments: u64 = observation.moments.iter().map(|moment| moment.cpu.0).sum();
    assert_eq!(in_moments, observation.user.0 + observation.system.0);
    println!("{}", serde_json::to_string_pretty(&observation.overhead).unwrap());
}

#[test]
fn an_observation_is_read_back_from_a_record_as_it_was() {
    let program = Program::start("of_many_waits");
    let observation = watched(&program.target(), 200);
    let text = serde_json::to_string(&observation).unwrap();
    assert_eq!(serde_json::from_str::<Observation>(&text).unwrap(), observation);
}

#[test]
fn nothing_is_lost_of_threads_and_children_that_live_shorter_than_a_scan() {
    let mut program = Program::start("of_short_lives");
    let before: u64 = program.said.parse().unwrap();
    let (target, options) = (program.target(), WatchOptions::default());
    let watcher = Watcher::attach(&target, &options).unwrap();
    program.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    let observation = watcher.run(&mut |_| {}, &|| false);
    let used = usage_of_ended(Pid::from_raw(program.child.id() as i32)).expect("it has ended").cpu().0 - before;
    let seen = observation.user.0 + observation.system.0;
    // Children that were never seen are counted in ticks, one or two for each scan.
    assert!(seen > used / 10 * 9 - 30_000_000 && seen < used / 10 * 11 + 30_000_000, "{seen} of {used} ns");
    assert!(observation.changed.iter().any(|change| change.kind == ChangeKind::Exit), "{:?}", observation.changed);
    if observation.switches.is_some() {
        // Each of two hundred threads sleeps once, whether or not a scan met it.
        assert!(observation.voluntary >= 200, "{}", observation.voluntary);
    }
}

#[test]
fn five_thousand_threads_are_watched() {
    let program = Program::start("of_many_threads");
    let threads: u64 = program.said.parse().unwrap();
    // Long enough for a burst, also beside other tests on two CPUs.
    let observation = watched(&program.target(), 2500);
    assert!(observation.threads_peak > threads, "{} of {threads}", observation.threads_peak);
    assert_eq!(main_wait(&observation, "parked").kind, WaitKind::Lock);
    // Not every one has an event or a descriptor of its own, and that is told.
    println!("{threads} threads: {:?}\n{:?}", observation.overhead, observation.unseen);
}

#[test]
fn without_records_of_switches_it_goes_on_and_says_what_is_lacking() {
    ask_for_bpf();
    let program = Program::start("of_many_waits");
    let target = program.target();
    let watching = std::thread::spawn(move || {
        let refused = [libc::SYS_perf_event_open, libc::SYS_bpf].map(|call| CallRule::errno(call, Errno::EACCES));
        refuse_from_now_on(&refused).map(|_| watched(&target, 300))
    });
    let observation = match watching.join().unwrap() {
        Ok(observation) => observation,
        Err(error) => return println!("not checked: {error}"),
    };
    assert!(observation.switches.is_none() && !observation.tiers.contains(&WatchTier::SwitchRecords));
    let lacking: Vec<&str> = observation.unseen.iter().map(|lacking| lacking.what.as_str()).collect();
    assert!(lacking.contains(&"records of single switches"), "{lacking:?}");
    assert!(observation.voluntary > 0);
}

/// What the kernel's bpf(2) can do is asked once for the process: before a thread refuses itself the call.
fn ask_for_bpf() {
    let _ = SwitchCounter::load(1);
}

#[test]
fn without_bpf_switches_are_recorded_and_it_says_what_is_lacking() {
    ask_for_bpf();
    let program = Program::start("of_many_waits");
    let target = program.target();
    let watching = std::thread::spawn(move || {
        refuse_from_now_on(&[CallRule::errno(libc::SYS_bpf, Errno::EPERM)]).map(|_| watched(&target, 3000))
    });
    let observation = match watching.join().unwrap() {
        Ok(observation) => observation,
        Err(error) => return println!("not checked: {error}"),
    };
    let lacking = observation.unseen.iter().find(|lacking| lacking.what.starts_with("whether a CPU went idle"));
    assert!(lacking.is_some_and(|lacking| lacking.remedy.contains("root")), "{:?}", observation.unseen);
    assert!(!observation.tiers.contains(&WatchTier::Bpf));
    if observation.tiers.contains(&WatchTier::SwitchRecords) {
        let seen = observation.switches.unwrap();
        assert!(seen.out_voluntary > 0 && seen.direct.is_some() && seen.to_idle.is_none(), "{seen:?}");
        assert!(observation.overhead.pairs.iter().any(|pair| pair.tier == WatchTier::SwitchRecords));
    }
}

#[test]
fn with_bpf_it_is_known_where_switches_go_and_who_wakes() {
    let program = Program::start("of_many_waits");
    let observation = watched(&program.target(), 2500);
    if !observation.tiers.contains(&WatchTier::Bpf) {
        return println!("not checked: {:?}", observation.unseen);
    }
    let seen = observation.switches.unwrap();
    let went = [seen.direct, seen.to_idle, seen.to_others].map(|share| share.expect("it waits all the time"));
    assert!((went.iter().sum::<f64>() - 1.0).abs() < 1e-9 && went.iter().all(|share| *share >= 0.0), "{seen:?}");
    // It was switched off in some spans, to see what it costs.
    assert!(seen.wall < observation.wall && seen.wall.0 > observation.wall.0 / 2, "{seen:?}");
    assert!(observation.overhead.pairs.iter().any(|pair| pair.tier == WatchTier::Bpf));
    // Those that serve a socket are woken by threads of the same program, and those that sleep by none.
    let serving = main_wait(&observation, "serve-N");
    assert!(serving.woken_by_own.is_some_and(|share| share > 0.5), "{serving:?}");
    let sleeping = main_wait(&observation, "nap");
    assert!(sleeping.woken_by_own < serving.woken_by_own, "{sleeping:?} {serving:?}");
    assert!(seen.run_queue_delay.is_some() && seen.woken_remotely.is_some_and(|share| share <= 1.0), "{seen:?}");
}

#[test]
fn an_idle_a_stopped_and_an_ended_process() {
    let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
    let process = sleeper.id() as i32;
    let target = WatchTarget::attach(process).unwrap();
    let idle = watched(&target, 200);
    assert!(idle.voluntary <= 1 && idle.waits.iter().all(|wait| wait.kind == WaitKind::Sleep), "{:?}", idle.waits);
    kill(Pid::from_raw(process), Signal::SIGSTOP).unwrap();
    while !std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap().contains(") T ") {}
    let stopped = watched(&target, 200);
    assert!(stopped.changed.iter().any(|change| change.kind == ChangeKind::Stopped), "{:?}", stopped.changed);
    assert_eq!(stopped.user.0 + stopped.system.0, 0);
    sleeper.kill().unwrap();
    while !std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap().contains(") Z ") {}
    assert!(matches!(WatchTarget::attach(process), Err(WatchError::Ended { .. })));
    sleeper.wait().unwrap();
    assert_eq!(watch(&target, &options(100), &mut |_| {}, &|| false), Err(WatchError::NoProcess { process }));
}

#[test]
fn another_program_in_the_same_process_is_a_change() {
    let mut shell = Command::new("sh").args(["-c", "read x; exec sleep 60"]).stdin(Stdio::piped()).spawn().unwrap();
    let target = WatchTarget::attach(shell.id() as i32).unwrap();
    let options = options(300);
    let watcher = Watcher::attach(&target, &options).unwrap();
    shell.stdin.take().unwrap().write_all(b"x\n").unwrap();
    let observation = watcher.run(&mut |_| {}, &|| false);
    shell.kill().unwrap();
    shell.wait().unwrap();
    let told: Vec<&str> = observation.changed.iter().map(|change| change.what.as_str()).collect();
    assert!(told.iter().any(|what| what.contains("became sleep (it was sh)")), "{told:?}");
    assert_eq!(observation.command, "sleep");
}

#[test]
fn a_program_that_is_started_for_it_is_watched_from_its_first_instruction() {
    let words = ["sh", "-c", "sleep 0.4; sleep 0.4; exit 3"].map(std::ffi::OsString::from);
    let mut program = launch(&words).unwrap();
    let (target, options) = (WatchTarget::launched(&program).unwrap(), WatchOptions::default());
    let watcher = Watcher::attach(&target, &options).unwrap();
    program.release().unwrap();
    let observation = watcher.run(&mut |_| {}, &|| false);
    let usage = usage_of_ended(program.process()).unwrap();
    assert_eq!(program.wait(), Ok(3));
    assert_eq!((observation.command.as_str(), observation.user, observation.system), ("sh", usage.user, usage.system));
    assert!(observation.voluntary >= 4 && observation.threads_begun >= 2, "{observation:?}");
    assert!(observation.changed.iter().all(|change| change.kind != ChangeKind::Exec), "it becomes what it is once");
}

#[test]
fn signals_reach_the_program() {
    own_process::run("signals_are_passed_on");
}

#[test]
#[ignore = "run by `signals_reach_the_program`, in a process of its own"]
fn signals_are_passed_on() {
    let line = "trap 'exit 9' TERM; echo $$ > ready.new; mv ready.new ready; while :; do sleep 0.01; done";
    let mut program = launch(&["sh", "-c", line].map(std::ffi::OsString::from)).unwrap();
    let passed = PassedSignals::to(program.process()).unwrap();
    program.release().unwrap();
    while !std::path::Path::new("ready").exists() {
        std::thread::yield_now();
    }
    kill(Pid::this(), Signal::SIGTERM).unwrap();
    assert_eq!(program.wait(), Ok(9));
    drop(passed);
}
