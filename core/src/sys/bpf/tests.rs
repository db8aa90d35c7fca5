//! The object is the one that its source makes; what it counts is what `/proc` counts. The latter needs privileges.

use std::process::Command;
use std::sync::mpsc::channel;

use aya::EbpfError;
use nix::unistd::{gettid, pipe, read, write};

use super::*;
use crate::sys::affinity::{allowed_cpus, confine_current_thread};
use crate::sys::task_files::parse_switches;

#[test]
fn the_object_is_that_of_its_source() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/bpf-object");
    let output = Command::new(script).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_object_can_be_read() {
    // Who may not load it is refused after it was read.
    match EbpfLoader::new().btf(None).load(OBJECT) {
        Ok(_) | Err(EbpfError::MapError(_) | EbpfError::BtfError(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn privileges_are_capabilities() {
    let is_told = |held: &str| is_privileged(&format!("Name:\tx\nCapEff:\t{held}\n"));
    assert!(is_told("000001ffffffffff") && is_told("0000000000200000") && is_told("000000c000000000"));
    assert!(!is_told("0000000000000000") && !is_told("0000004000000000") && !is_told("0000008000000000"));
    assert!(!is_privileged(""));
}

/// A counter of this process that counts; `None`, and a word, where that is not allowed.
fn counter(room: u32) -> Option<SwitchCounter> {
    match SwitchCounter::load(room) {
        Ok(mut counter) => {
            counter.watch(std::process::id()).unwrap();
            counter.set_counting(true).unwrap();
            Some(counter)
        }
        Err(refusal) => {
            println!("not checked: {refusal}");
            None
        }
    }
}

/// Voluntary and involuntary switches of the calling thread, by `/proc`.
fn switches() -> (u64, u64) {
    parse_switches(&std::fs::read_to_string("/proc/thread-self/status").unwrap()).unwrap()
}

/// Two threads on one CPU hand a byte back and forth; returns for each its number and its switches by `/proc`.
fn hand_over(times: usize) -> [(i32, (u64, u64)); 2] {
    let cpu = allowed_cpus().unwrap()[0];
    let ends = [pipe().unwrap(), pipe().unwrap()];
    let side = |own: usize| {
        let (input, output) = (ends[own].0.try_clone().unwrap(), ends[1 - own].1.try_clone().unwrap());
        move || {
            confine_current_thread(&[cpu]).unwrap();
            let mut byte = [0];
            for _ in 0..times {
                if own == 0 {
                    write(&output, &byte).unwrap();
                }
                assert_eq!(read(&input, &mut byte).unwrap(), 1);
                if own == 1 {
                    write(&output, &byte).unwrap();
                }
            }
            (gettid().as_raw(), switches())
        }
    };
    let (one, other) = (side(0), side(1));
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        let one = scope.spawn(one);
        [one.join().unwrap(), other.join().unwrap()]
    })
}

#[test]
fn what_is_counted_is_what_proc_counts() {
    let Some(mut counter) = counter(1000) else { return };
    let threads = hand_over(2000);
    counter.set_counting(false).unwrap();
    let counted = counter.read().unwrap();
    assert_eq!(counted.others, ThreadSwitchCounts::default());
    for (thread, (voluntary, involuntary)) in threads {
        let counts = counted.threads[&thread];
        // What is between the reading of `/proc` and the end of the thread: it may wait for a lock, and ends.
        assert!((voluntary..=voluntary + 8).contains(&counts.waiting), "{voluntary}: {counts:?}");
        assert!((involuntary..=involuntary + 8).contains(&counts.preempted), "{involuntary}: {counts:?}");
        assert!(counts.direct > 0 && counts.to_idle + counts.direct <= counts.waiting, "{counts:?}");
        assert!(counts.arrivals <= counts.waiting + counts.preempted && counts.delay > 0, "{counts:?}");
        // The other one wakes it, on the same CPU; neither runs elsewhere once it is pinned.
        assert!(counts.woken_by_own >= counts.woken * 9 / 10 && counts.woken >= voluntary * 9 / 10, "{counts:?}");
        assert!(counts.woken_remotely <= counts.woken / 10 && counts.migrated <= 4, "{counts:?}");
    }
}

#[test]
fn a_sleeping_thread_is_woken_by_an_interrupt_and_leaves_its_cpu_to_others() {
    let Some(counter) = counter(1000) else { return };
    let (send, receive) = channel();
    let sleeper = std::thread::spawn(move || {
        (0..20).for_each(|_| std::thread::sleep(std::time::Duration::from_millis(1)));
        send.send(gettid().as_raw()).unwrap();
    });
    let thread = receive.recv().unwrap();
    sleeper.join().unwrap();
    let counts = counter.read().unwrap().threads[&thread];
    assert!(counts.waiting >= 20 && counts.woken >= 20, "{counts:?}");
    assert!(counts.mean_delay().is_some_and(|delay| delay.0 > 0), "{counts:?}");
}

#[test]
fn children_are_followed_and_strangers_are_not() {
    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    let Some(mut counter) = counter(1000) else {
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        return;
    };
    let child = Command::new("sh").args(["-c", "sleep 0.01 & sleep 0.01; wait; echo $!"]).output().unwrap();
    let grandchild: i32 = String::from_utf8(child.stdout).unwrap().trim().parse().unwrap();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    counter.set_counting(false).unwrap();
    let counted = counter.read().unwrap();
    assert!(counted.threads.get(&grandchild).is_some_and(|counts| counts.waiting > 0), "{:?}", counted.threads);
    // It was forked before anything was watched.
    assert!(!counted.threads.contains_key(&stranger.id().cast_signed()), "{:?}", counted.threads);
}

#[test]
fn nothing_is_counted_while_it_is_switched_off() {
    let Some(mut counter) = counter(1000) else { return };
    let counted = hand_over(50);
    counter.set_counting(false).unwrap();
    let before = counter.read().unwrap();
    let threads = hand_over(50);
    let after = counter.read().unwrap();
    assert!(counted.iter().all(|(thread, _)| before.threads[thread] == after.threads[thread]));
    assert!(threads.iter().all(|(thread, _)| !after.threads.contains_key(thread)));
    counter.set_counting(true).unwrap();
    let threads = hand_over(50);
    let counted = counter.read().unwrap();
    assert!(threads.iter().all(|(thread, _)| counted.threads[thread].waiting > 0), "{counted:?}");
}

#[test]
fn threads_without_room_are_counted_together() {
    let Some(mut counter) = counter(1) else { return };
    let threads = hand_over(500);
    counter.set_counting(false).unwrap();
    let counted = counter.read().unwrap();
    assert!(counted.threads.len() <= 1, "{counted:?}");
    let seen: u64 = threads.iter().map(|(_, switches)| switches.0).sum();
    let all = counted.others.waiting + counted.threads.values().map(|counts| counts.waiting).sum::<u64>();
    assert!(all >= seen && counted.others.direct > 0, "{all} of {seen}: {counted:?}");
}
