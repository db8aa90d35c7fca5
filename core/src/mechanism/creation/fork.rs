//! fork(2), a child that ends at once, and waitpid(2).
//!
//! Timed: copying the address space's tables, the child's first run and its copy-on-write faults, its end, the reaping.
//! Distortions: the cost follows the resident memory and the number of mappings of the process that forks. That is the
//! benchmark itself, a few MiB, and whatever `resident` and `maps` add: set-up touches that many bytes in pages of the
//! base size (MADV_NOHUGEPAGE, since a huge page would cost as much as a small one), and makes that many mappings of a
//! page each. The bare and the counted instance live in one process, so that both pay for what both hold.

use std::os::fd::AsFd;

use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::{ALIVE, BodyStart, Stopwatch, UNTIL, laps, tasks_per_lap};
use crate::mechanism::{
    Bound, CpuAssignment, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters,
    Resources, Tasks, Unit, register,
};
use crate::sys::affinity::AffinityMask;
use crate::sys::channel::{Ends, pipe, read_byte};
use crate::sys::memory::{Mappings, ResidentBytes};
use crate::sys::process::{close_copy, die_with_parent, fork_running, wait_for};

const RESIDENT: Parameter = Parameter {
    name: "resident",
    meaning: "further bytes that the forking process has touched",
    domain: Domain::Number { default: 0, min: 0, max: 1 << 40 },
};

const MAPS: Parameter = Parameter {
    name: "maps",
    meaning: "further memory mappings that the forking process has, of a page each",
    domain: Domain::Number { default: 0, min: 0, max: 1 << 24 },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "creation/fork",
    isolates: "a process forked, run to its end and reaped: an address space copied and thrown away",
    unit: Unit::Task,
    tasks: Tasks::Several,
    parameters: &[ALIVE, UNTIL, RESIDENT, MAPS],
    baseline: "creation/thread",
    requirements: &[],
    source: "fork(2), _exit(2), waitpid(2)",
    lap: tasks_per_lap,
    resources: |parameters| Resources { descriptors: 4, threads: 1, processes: parameters.number(ALIVE.name) },
    expects: |parameters, _| {
        // The end of another child interrupts a wait of a traced process, which then begins again.
        let waits = if parameters.number(ALIVE.name) > 1 { Bound::Between(1.0, 2.0) } else { Bound::Exactly(1.0) };
        Expectation::nothing()
            .call("clone", Bound::Exactly(1.0))
            .call("exit_group", Bound::Exactly(1.0))
            .call("wait4", waits)
            // PR_SET_PDEATHSIG and the look at the parent; with more than one alive also the gate's pipe, with several
            // CPU masks the move.
            .others(Bound::Between(1.0, 8.0))
            .voluntary(Bound::AtMost(3.0))
            .wakeups(Bound::AtMost(4.0))
    },
};

struct Fork;

register!(Fork);

impl Mechanism for Fork {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let alive = parameters.size(ALIVE.name);
        let masks = masks(crew.assignment())?;
        let (parent, mut children) = (Pid::this(), Vec::with_capacity(alive));
        let mut watch = Stopwatch::wanted(parameters)?;
        let burden = (ResidentBytes::new(parameters.size(RESIDENT.name))?, Mappings::new(parameters.size(MAPS.name))?);
        Ok(Box::new(move |ops: u64| {
            // Held as long as the operation is.
            let _ = &burden;
            laps(&mut watch, ops, |watch| {
                let gate = if alive > 1 { Some(pipe(false)?) } else { None };
                for task in 1..=alive {
                    let mask = (masks.len() > 1).then(|| &masks[task % masks.len()]);
                    let beginning = watch.as_mut().map(Stopwatch::next);
                    children.push(fork_running(|| life(parent, mask, beginning.as_ref(), gate.as_ref()))?);
                }
                // Closing the gate's last writer lets every child read its end.
                drop(gate);
                reap(&mut children)
            })
        }))
    }
}

/// The masks of the CPU masks, made before any fork: a child may not allocate.
fn masks(assignment: &CpuAssignment) -> Result<Vec<AffinityMask>, Failure> {
    (0..assignment.masks()).map(|mask| Ok(AffinityMask::of(&assignment.cpu_mask(mask).cpus)?)).collect()
}

/// What a child does; its status says which step failed.
fn life(parent: Pid, mask: Option<&AffinityMask>, beginning: Option<&BodyStart>, gate: Option<&Ends>) -> i32 {
    if !die_with_parent(parent) {
        return 3;
    }
    if mask.is_some_and(|mask| mask.apply(Pid::from_raw(0)).is_err()) {
        return 1;
    }
    if let Some(beginning) = beginning {
        beginning.record();
    }
    if let Some(gate) = gate {
        // Its own copy of the writing end would keep the gate shut for ever.
        close_copy(gate.writer.as_fd());
        if read_byte(&gate.reader).is_err() {
            return 2;
        }
    }
    0
}

fn reap(children: &mut Vec<Pid>) -> Result<u64, Failure> {
    let mut reaped = 0;
    for child in children.drain(..) {
        match wait_for(child)? {
            WaitStatus::Exited(_, 0) => reaped += 1,
            other => {
                return Err(Failure::Corrupted(format!("a forked child ended as {other:?}")));
            }
        }
    }
    Ok(reaped)
}
