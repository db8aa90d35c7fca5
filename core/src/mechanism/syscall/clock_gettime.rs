//! clock_gettime(2) of `CLOCK_MONOTONIC`: without the kernel through the vDSO, or forced into it.
//!
//! Timed: reading the CPU's counter and scaling it, and with `path = syscall` the way into the kernel and back; the
//! distance is what the vDSO saves. It is also what each timestamp of every figure here costs.
//! Distortions: where the clock source has no vDSO (hpet, acpi_pm; `switchcost host` names it) the C library makes the
//! call after all, and the audit of `path = vdso` differs: that machine's timestamps cost this much.

use std::hint::black_box;
use std::time::Instant;

use super::{one_at_a_time, repeat, resources};
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Tasks, Unit,
    register,
};
use crate::sys::clock::monotonic_by_system_call;

const PATH: Parameter = Parameter {
    name: "path",
    meaning: "how the clock is read: through the vDSO, or by a system call",
    domain: Domain::Word { words: &[VDSO, "syscall"] },
};
const VDSO: &str = "vdso";

static DESCRIPTOR: Descriptor = Descriptor {
    id: "syscall/clock_gettime",
    isolates: "a reading of the clock, with and without the kernel",
    unit: Unit::Call,
    tasks: Tasks::OneThread,
    parameters: &[PATH],
    baseline: "syscall/getppid",
    requirements: &[],
    source: "clock_gettime(2), vdso(7)",
    lap: one_at_a_time,
    resources,
    expects: |parameters, _| match parameters.word(PATH.name) {
        VDSO => Expectation::nothing(),
        _ => Expectation::nothing().call("clock_gettime", Bound::Exactly(1.0)),
    },
};

struct ClockGettime;

register!(ClockGettime);

impl Mechanism for ClockGettime {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        Ok(match parameters.word(PATH.name) {
            VDSO => repeat(|| {
                black_box(Instant::now());
                Ok(())
            }),
            _ => repeat(|| {
                black_box(monotonic_by_system_call()?);
                Ok(())
            }),
        })
    }
}
