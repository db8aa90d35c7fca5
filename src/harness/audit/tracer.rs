//! Watching an audited process's system calls from outside.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use nix::unistd::Pid;

use super::child::{BATCHES, SET_UP};
use super::{Calls, names};
use crate::sys::SysError;
use crate::sys::mark;
use crate::sys::ptrace::{Event, Tracee};

type Counts = BTreeMap<String, u64>;

/// Runs `command` under the tracer and returns what its tasks, all but its main thread, called.
///
/// Runs on a thread of its own: ptrace(2) ties tracees to the thread that attached them, and this way none is left over
/// on the caller's.
pub(super) fn watch(command: Command, batches: [u64; 2]) -> Result<Calls, String> {
    let tracer = std::thread::Builder::new().name("tracer".into()).spawn(move || trace(command));
    let tracer = tracer.map_err(|error| error.to_string())?;
    let marks = tracer.join().map_err(|_| "the tracer panicked".to_string())??;
    let at = |mark: u64| marks.get(&mark).ok_or_else(|| "the audited process ended early".to_string());
    let [first, second] = BATCHES.map(|[begin, end]| Ok::<_, String>(between(at(begin)?, at(end)?)));
    let (first, second) = (first?, second?);
    let ops = (batches[1] - batches[0]) as f64;
    let rate = |name: &String| {
        let count = |counts: &Counts| counts.get(name).copied().unwrap_or(0) as f64;
        (count(&second) - count(&first)) / ops
    };
    let per_op = first.keys().chain(second.keys()).map(|name| (name.clone(), rate(name))).collect();
    Ok(Calls { per_op, set_up: at(SET_UP)?.clone() })
}

fn between(begin: &Counts, end: &Counts) -> Counts {
    let before = |name: &String| begin.get(name).copied().unwrap_or(0);
    end.iter().map(|(name, count)| (name.clone(), count - before(name))).collect()
}

/// Counts until the process ends; returns the counts as they stood at each of its marks.
fn trace(mut command: Command) -> Result<BTreeMap<u64, Counts>, String> {
    let told = |error: SysError| error.to_string();
    let mut child = command.stdin(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let leader = Pid::from_raw(i32::try_from(child.id()).map_err(|error| error.to_string())?);
    let mut tracee = Tracee::seize(leader).map_err(told)?;
    // It creates no task before this byte: none can slip in unwatched.
    let mut go = child.stdin.take().ok_or("the audited process has no standard input")?;
    go.write_all(b"\n").map_err(|error| error.to_string())?;
    let mut counts = Counts::new();
    let mut marks = BTreeMap::new();
    // Between batches the driver waits for the main thread; that is not the mechanism's doing.
    let mut idle_driver = None;
    loop {
        match tracee.next_event().map_err(told)? {
            Event::Ended(_) => return Ok(marks),
            Event::Entry(entry) => match mark::read(entry.number, &entry.arguments) {
                Some(mark::BATCH_BEGINS) => idle_driver = None,
                Some(mark::BATCH_ENDS) => idle_driver = Some(entry.thread),
                Some(mark) => drop(marks.insert(mark, counts.clone())),
                None if entry.thread == leader || Some(entry.thread) == idle_driver => {}
                None => {
                    *counts.entry(names::name(&entry)).or_insert(0) += 1;
                }
            },
        }
    }
}
