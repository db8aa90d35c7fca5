//! The bare clone3(2): a thread without a C library, which ends with its first instruction.
//!
//! Timed: the kernel's part of creating a thread, its first switch, its exit, and the wake of the task that waits for
//! that (CLONE_CHILD_CLEARTID). The distance to `creation/thread` is what libraries add: a stack, thread-local storage,
//! a handle. Distortions: the thread runs wherever the scheduler starts it; it cannot move itself to a CPU mask, so
//! that only the placements of a single CPU and of none apply.

use std::sync::OnceLock;

use super::laps;
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit,
    Unsupported, register,
};
use crate::sys::SysError;
use crate::sys::clone::{BareThreads, SUPPORTED};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "creation/clone3",
    isolates: "the kernel's part of creating a thread: no stack, no library",
    unit: Unit::Task,
    tasks: Tasks::OneThread,
    parameters: &[],
    baseline: "creation/thread",
    requirements: &["clone3 (Linux 5.3), on x86-64 or arm64"],
    source: "clone(2), clone3()",
    lap: |_| 1,
    resources: |_| Resources { descriptors: 0, threads: 2, processes: 0 },
    expects: |_, _| {
        Expectation::nothing()
            .call("clone", Bound::Exactly(1.0))
            .call("exit", Bound::Exactly(1.0))
            // A thread that has ended already is not waited for.
            .call("futex:wait", Bound::AtMost(1.1))
            .voluntary(Bound::AtMost(2.0))
            .wakeups(Bound::AtMost(2.0))
    },
};

struct Clone3;

register!(Clone3);

impl Mechanism for Clone3 {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        if !SUPPORTED {
            let requirement = "clone3 written down for this architecture";
            return Err(Unsupported::new(requirement, std::env::consts::ARCH, "run on x86-64 or arm64"));
        }
        // Container runtimes answer clone3 with ENOSYS, so that the C library falls back on clone, whose flags their
        // filters can see. A limit that is reached now is none of this machine's properties.
        static TRIED: OnceLock<Result<(), SysError>> = OnceLock::new();
        match TRIED.get_or_init(|| BareThreads::default().create_and_await()) {
            Err(error) if error.is_refusal() => {
                let remedy = "Linux 5.3, or a sandbox that lets clone3 through (docker run --security-opt \
                              seccomp=unconfined)";
                Err(Unsupported::new("clone3", error.to_string(), remedy))
            }
            _ => Ok(()),
        }
    }

    fn set_up(&self, _: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let mut threads = BareThreads::default();
        Ok(Box::new(move |ops: u64| {
            laps(&mut None, ops, |_| {
                threads.create_and_await()?;
                Ok(1)
            })
        }))
    }
}
