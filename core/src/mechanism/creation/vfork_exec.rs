//! vfork(2) and execve(2) of the smallest static program, and waitpid(2).
//!
//! Timed: the child on borrowed memory, building the program's address space, its three instructions, its end, the
//! reaping. The program is `true` in 129 bytes, kept in memory (memfd_create(2)): what a real one adds is its dynamic
//! linker, its libraries and its start-up.
//! Distortions: while the child has not become the program its parent stands still; that is the mechanism. Against
//! `creation/fork` it does not depend on the parent's size.

use nix::sys::wait::WaitStatus;

use super::laps;
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit,
    Unsupported, register,
};
use crate::sys::process::wait_for;
use crate::sys::spawn::TinyProgram;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "creation/vfork_exec",
    isolates: "a program started by vfork and execve: a new process without a copy of the old one",
    unit: Unit::Task,
    // The program cannot move itself to another CPU mask.
    tasks: Tasks::OneThread,
    parameters: &[],
    baseline: "creation/fork",
    requirements: &["programs in memory: memfd_create (Linux 3.17), on x86-64 or arm64"],
    source: "vfork(2), execve(2), clone(2) CLONE_VFORK",
    lap: |_| 1,
    resources: |_| Resources { descriptors: 1, threads: 1, processes: 1 },
    expects: |_, _| {
        Expectation::nothing()
            .call("clone", Bound::Exactly(1.0))
            .call("execve", Bound::Exactly(1.0))
            .call("exit_group", Bound::Exactly(1.0))
            .call("wait4", Bound::Exactly(1.0))
            .others(Bound::Exactly(0.0))
            .voluntary(Bound::AtMost(4.0))
            .wakeups(Bound::AtMost(4.0))
    },
};

struct VforkExec;

register!(VforkExec);

impl Mechanism for VforkExec {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let program = TinyProgram::new().map_err(|error| {
            let remedy = "`sysctl vm.memfd_noexec=0`, or run on x86-64 or arm64";
            Unsupported::new("a program in memory", error.to_string(), remedy)
        })?;
        Ok(Box::new(move |ops: u64| {
            laps(&mut None, ops, |_| match wait_for(program.vfork_and_exec()?)? {
                WaitStatus::Exited(_, 0) => Ok(1),
                other => Err(Failure::Corrupted(format!("the program ended as {other:?}"))),
            })
        }))
    }
}
