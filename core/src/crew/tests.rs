use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, Sender, channel};

use nix::unistd::Pid;

use super::*;
use crate::sys::affinity::{AffinityMask, allowed_cpus};
use crate::sys::channel::{pipe, read_byte};
use crate::sys::sched;
use crate::terms::{Class, Parameters, Placement, Setting};
use crate::units::CpuId;

/// How many tasks there are beside the driver.
const TASKS: usize = 4;

fn config(assignment: CpuAssignment, policy: Policy, timeout: Duration) -> InstanceConfig {
    let setting = Setting::new(assignment.placement(), assignment.in_order(), Parameters::defaults(&[]));
    InstanceConfig { id: "test/crew".into(), setting: Setting { policy, ..setting }, timeout, marked: false }
}

/// Two CPUs; nothing on a machine that has one.
fn two_cpus() -> Option<[CpuId; 2]> {
    let allowed = allowed_cpus().unwrap();
    if let [first, .., last] = allowed[..] {
        return Some([first, last]);
    }
    println!("not checked: which CPU a task is on, since this process may use {allowed:?} alone");
    None
}

/// What a task sees of itself inside its body.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    task: usize,
    cpus: Vec<CpuId>,
    policy: u32,
    name: String,
}

fn see(task: usize) -> Seen {
    let thread = nix::unistd::gettid();
    let name = std::fs::read_to_string(format!("/proc/self/task/{thread}/comm")).unwrap();
    let policy = sched::get(Pid::from_raw(0)).unwrap().policy;
    Seen { task, cpus: allowed_cpus().unwrap(), policy, name: name.trim().into() }
}

/// Waits for the end of the sender, which comes with that of the operation.
fn until_the_end(end: &Receiver<()>) -> Result<(), Failure> {
    let _: Result<(), _> = end.recv();
    Ok(())
}

fn two_channels() -> ([Sender<()>; 2], [Receiver<()>; 2]) {
    let (first, second) = (channel(), channel());
    ([first.0, second.0], [first.1, second.1])
}

/// Starts an instance of threads, every second of them spawned by the one before, and returns what they saw.
fn seen_by_threads(assignment: CpuAssignment, policy: Policy) -> (String, Vec<Seen>) {
    let (sender, receiver) = channel();
    let set_up = move |crew: &mut Crew| -> Result<Box<dyn Operation>, Failure> {
        sender.send(see(0)).unwrap();
        let mut ends = Vec::new();
        for task in (1..=TASKS).step_by(2) {
            let (spawner, sender) = (crew.spawner(), sender.clone());
            let ([end, next_end], [ended, next_ended]) = two_channels();
            ends.extend([end, next_end]);
            crew.spawn(task, move |ready| {
                sender.send(see(task)).unwrap();
                spawner.spawn(task + 1, move |ready| {
                    sender.send(see(task + 1)).unwrap();
                    ready.signal();
                    until_the_end(&next_ended)
                })?;
                ready.signal();
                until_the_end(&ended)
            })?;
        }
        Ok(holding(ends))
    };
    let driver = Driver::start(config(assignment, policy, TIMEOUT), || Ok(()), set_up).unwrap();
    let prefix = driver.prefix().to_string();
    driver.stop().unwrap();
    let mut seen: Vec<Seen> = receiver.into_iter().collect();
    seen.sort_by_key(|seen| seen.task);
    (prefix, seen)
}

#[test]
fn each_thread_reads_its_own_mask_back_and_its_name() {
    let Some(cpus) = two_cpus() else { return };
    // The driver's CPU mask is the first of either order: a thread that stayed with it would be in the wrong one.
    for cpus in [[cpus[0], cpus[1]], [cpus[1], cpus[0]]] {
        let (prefix, seen) =
            seen_by_threads(CpuAssignment::round_robin(Placement::OnePerCpu, &cpus), Policy::default());
        assert_eq!(seen.iter().map(|seen| seen.task).collect::<Vec<_>>(), (0..=TASKS).collect::<Vec<_>>());
        for seen in &seen {
            assert_eq!(seen.cpus, [cpus[seen.task % 2]], "task {}: {seen:?}", seen.task);
            assert_eq!(seen.name, format!("{prefix}{}", seen.task));
        }
    }
}

#[test]
fn each_thread_has_the_policy_that_was_asked_for() {
    let assignment = CpuAssignment::shared(Placement::Unpinned, allowed_cpus().unwrap());
    let policy = Policy { class: Class::Batch, slice_us: None };
    let (_, seen) = seen_by_threads(assignment.clone(), policy);
    assert!(seen.len() == TASKS + 1 && seen.iter().all(|seen| seen.policy == libc::SCHED_BATCH as u32), "{seen:?}");
    let (_, seen) = seen_by_threads(assignment, Policy::default());
    assert!(seen.iter().all(|seen| seen.policy == libc::SCHED_OTHER as u32), "{seen:?}");
}

/// A forked task may not allocate: it compares its mask inside its body, and ends by what it found.
#[test]
fn each_forked_task_reads_its_own_mask_back() {
    let Some(cpus) = two_cpus() else { return };
    let set_up = move |crew: &mut Crew| -> Result<Box<dyn Operation>, Failure> {
        let mut ends = Vec::new();
        for task in 1..=TASKS {
            let (expected, end) = (AffinityMask::of(&[cpus[task % 2]])?, pipe(false)?);
            let mut scratch = expected.clone();
            crew.fork(task, &[end.reader.as_raw_fd()], |ready| {
                let assigned = expected.is_current(&mut scratch);
                ready.signal();
                // Its copy of the writing end is closed: this ends with the operation.
                read_byte(&end.reader).is_ok() && assigned
            })?;
            ends.push(end);
        }
        Ok(holding(ends))
    };
    let assignment = CpuAssignment::round_robin(Placement::OnePerCpu, &cpus);
    let outcome =
        Driver::start(config(assignment, Policy::default(), TIMEOUT), || Ok(()), set_up).and_then(Driver::stop);
    assert_eq!(outcome, Ok(()), "a forked task is not on the CPU of its mask");
}

/// What holds its tasks by a channel.
fn holding<T: 'static>(kept: T) -> Box<dyn Operation> {
    Box::new(move |ops| Batch::timed(|| Ok(if size_of_val(&kept) > 0 { ops } else { 0 })))
}

#[test]
fn an_instance_is_ready_when_every_task_is_and_not_before() {
    let assignment = CpuAssignment::shared(Placement::Unpinned, allowed_cpus().unwrap());
    let start = |set_up: fn(&mut Crew) -> Result<Box<dyn Operation>, Failure>| {
        Driver::start(config(assignment.clone(), Policy::default(), Duration::from_millis(50)), || Ok(()), set_up)
    };
    let one_thread_is_not = |crew: &mut Crew| {
        let mut ends = Vec::new();
        for task in 1..=TASKS {
            let (end, ended) = channel();
            ends.push(end);
            crew.spawn(task, move |ready| {
                if task != 2 {
                    ready.signal();
                }
                until_the_end(&ended)
            })?;
        }
        Ok(holding(ends))
    };
    let failure = start(one_thread_is_not).unwrap_err();
    assert!(matches!(&failure, Failure::TimedOut { .. }), "{failure}");
    let one_process_is_not = |crew: &mut Crew| {
        let mut ends = Vec::new();
        for task in 1..=2 {
            let end = pipe(false)?;
            crew.fork(task, &[end.reader.as_raw_fd()], |ready| {
                if task != 2 {
                    ready.signal();
                }
                read_byte(&end.reader).is_ok()
            })?;
            ends.push(end);
        }
        Ok(holding(ends))
    };
    let failure = start(one_process_is_not).unwrap_err();
    assert!(matches!(&failure, Failure::TimedOut { .. }), "{failure}");
}
