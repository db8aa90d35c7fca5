//! Watching an audited process's system calls from outside.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::Pid;

use super::child::{BATCHES, SET_UP};
use super::{AuditFailure, CallRates, names, read_answer};
use crate::mechanism::CallsOf;
use crate::sys::mark;
use crate::sys::ptrace::{TraceEvent, Tracee};

type CallCounts = BTreeMap<String, u64>;

/// Runs `command` under the tracer and returns what its tasks, all but its main thread, called.
///
/// Runs on a thread of its own: ptrace(2) ties tracees to the thread that attached them, and this way none is left over
/// on the caller's.
pub(super) fn watch(command: Command, batches: [u64; 2], whose: CallsOf) -> Result<CallRates, AuditFailure> {
    let tracer = std::thread::Builder::new().name("tracer".into()).spawn(move || trace(command, whose));
    let tracer = tracer.map_err(AuditFailure::unwatched)?;
    let marks = tracer.join().map_err(|_| AuditFailure::unwatched("the tracer panicked"))??;
    let at = |mark: u64| marks.get(&mark).ok_or_else(|| AuditFailure::unwatched(format!("mark {mark} was not seen")));
    let [first, second] = BATCHES.map(|[begin, end]| Ok::<_, AuditFailure>(between(at(begin)?, at(end)?)));
    let (first, second) = (first?, second?);
    let ops = (batches[1] - batches[0]) as f64;
    let rate = |name: &String| {
        let count = |counts: &CallCounts| counts.get(name).copied().unwrap_or(0) as f64;
        (count(&second) - count(&first)) / ops
    };
    let [_, judged] = batches;
    let per_op = first.keys().chain(second.keys()).map(|name| (name.clone(), rate(name))).collect();
    Ok(CallRates { per_op, batch: second.clone(), ops: judged, set_up: at(SET_UP)?.clone() })
}

/// The threads of the audited process itself.
struct OwnThreads {
    leader: Pid,
    known: HashMap<Pid, bool>,
}

impl OwnThreads {
    /// A thread stands in the folder of its process alone (proc(5)).
    fn has(&mut self, thread: Pid) -> bool {
        let leader = self.leader;
        let find = || Path::new(&format!("/proc/{leader}/task/{thread}")).exists();
        *self.known.entry(thread).or_insert_with(find)
    }
}

fn between(begin: &CallCounts, end: &CallCounts) -> CallCounts {
    let before = |name: &String| begin.get(name).copied().unwrap_or(0);
    end.iter().map(|(name, count)| (name.clone(), count - before(name))).collect()
}

/// Starts the process and counts until it ends; returns the counts as they stood at each of its marks.
fn trace(mut command: Command, whose: CallsOf) -> Result<BTreeMap<u64, CallCounts>, AuditFailure> {
    let mut child = command.stdin(Stdio::piped()).spawn().map_err(AuditFailure::unwatched)?;
    let outcome = follow(&mut child, whose);
    if outcome.is_err() {
        // Not to leave a process behind, nor its remains.
        let _ = child.kill();
        let _ = child.wait();
    }
    outcome
}

fn follow(child: &mut Child, whose: CallsOf) -> Result<BTreeMap<u64, CallCounts>, AuditFailure> {
    let leader = Pid::from_raw(i32::try_from(child.id()).map_err(AuditFailure::unwatched)?);
    let mut tracee = Tracee::seize(leader).map_err(AuditFailure::unwatched)?;
    // It creates no task before this byte: none can slip in unwatched.
    let mut go =
        child.stdin.take().ok_or_else(|| AuditFailure::unwatched("the audited process has no standard input"))?;
    go.write_all(b"\n").map_err(AuditFailure::unwatched)?;
    let mut counts = CallCounts::new();
    let mut marks = BTreeMap::new();
    // Between batches the driver waits for the main thread; that is not the mechanism's doing.
    let mut idle_driver = None;
    let mut own = OwnThreads { leader, known: HashMap::new() };
    loop {
        match tracee.next_event().map_err(AuditFailure::unwatched)? {
            TraceEvent::Ended(status) => {
                let said = child.stdout.take().map(said).unwrap_or_default();
                let ended = status.map_or("by a signal".into(), |status| format!("exit status {status}"));
                return read_answer(&said, ended).map(|_| marks);
            }
            TraceEvent::Entry(entry) => match mark::read(entry.number, &entry.arguments) {
                Some(mark::BATCH_BEGINS) => idle_driver = None,
                Some(mark::BATCH_ENDS) => idle_driver = Some(entry.thread),
                Some(mark) => drop(marks.insert(mark, counts.clone())),
                None if entry.thread == leader || Some(entry.thread) == idle_driver => {}
                None if whose == CallsOf::ChildProcesses && own.has(entry.thread) => {}
                None if whose == CallsOf::OwnProcess && !own.has(entry.thread) => {}
                None => {
                    *counts.entry(names::name(&entry)).or_insert(0) += 1;
                }
            },
        }
    }
}

/// What a process that has ended left in its pipe. Processes it forked may hold the other end, stopped for this tracer,
/// so an end of file is not waited for.
fn said(mut out: ChildStdout) -> Vec<u8> {
    let mut said = Vec::new();
    if fcntl(&out, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).is_ok() {
        // EAGAIN is the end of what there is.
        let _ = out.read_to_end(&mut said);
    }
    said
}
