//! getppid(2): a call that does next to nothing, so that its cost is the way in and out.
//!
//! Timed: the entry, the mitigations that run on it, two loads, the exit. Distortions: a filter (seccomp) or a tracer
//! on this process is part of it, as it is of every call of a service in a container.

use super::{one_at_a_time, repeat, resources};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "syscall/getppid",
    isolates: "the way into the kernel and back: the least that any system call costs",
    unit: Unit::Call,
    tasks: Tasks::OneThread,
    parameters: &[],
    baseline: "syscall/getppid",
    requirements: &[],
    source: "getppid(2)",
    lap: one_at_a_time,
    resources,
    expects: |_, _| Expectation::nothing().call("getppid", Bound::Exactly(1.0)),
};

struct Getppid;

register!(Getppid);

impl Mechanism for Getppid {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        Ok(repeat(|| {
            // The answer goes to no one; a system call is never optimised away.
            std::hint::black_box(nix::unistd::getppid());
            Ok(())
        }))
    }
}
