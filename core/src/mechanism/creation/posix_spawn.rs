//! posix_spawn(3) of the smallest static program, and waitpid(2).
//!
//! Timed: as `creation/vfork_exec`, and what the C library does around it: a stack of its own for the child, all
//! signals blocked, and the handlers of each signal reset in the child, which are most of its system calls.
//! Distortions: as there.

use nix::sys::wait::WaitStatus;

use super::laps;
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit,
    Unsupported, register,
};
use crate::sys::process::wait_for;
use crate::sys::spawn::TinyProgram;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "creation/posix_spawn",
    isolates: "a program started by posix_spawn: what the C library adds to vfork and execve",
    unit: Unit::Task,
    // The program cannot move itself to another CPU mask.
    tasks: Tasks::OneThread,
    parameters: &[],
    baseline: "creation/fork",
    requirements: &["programs in memory: memfd_create (Linux 3.17), on x86-64 or arm64"],
    source: "posix_spawn(3); glibc sysdeps/unix/sysv/linux/spawni.c",
    lap: |_| 1,
    resources: |_| Resources { descriptors: 1, threads: 1, processes: 1 },
    expects: |_, _| {
        Expectation::nothing()
            .call("clone", Bound::Exactly(1.0))
            .call("execve", Bound::Exactly(1.0))
            .call("exit_group", Bound::Exactly(1.0))
            .call("wait4", Bound::Exactly(1.0))
            .others(Bound::Between(1.0, 150.0))
            .voluntary(Bound::AtMost(4.0))
            .wakeups(Bound::AtMost(4.0))
    },
};

struct PosixSpawn;

register!(PosixSpawn);

impl Mechanism for PosixSpawn {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let program = TinyProgram::new().map_err(|error| {
            let remedy = "`sysctl vm.memfd_noexec=0`, or run on x86-64 or arm64";
            Unsupported::new("a program in memory", error.to_string(), remedy)
        })?;
        Ok(Box::new(move |ops: u64| {
            laps(&mut None, ops, |_| match wait_for(program.posix_spawn()?)? {
                WaitStatus::Exited(_, 0) => Ok(1),
                other => Err(Failure::Corrupted(format!("the program ended as {other:?}"))),
            })
        }))
    }
}
