//! No call at all: how flat the curve is when nothing happened, and what the others are compared with.
//!
//! Timed: the blocks. Distortions: none beyond the group's; what it loses is what the method cannot tell.

use super::stream::{self, STREAM, WORKING_SET};
use super::{one_at_a_time, resources, trials};
use crate::mechanism::{
    Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "after_syscall/nothing",
    isolates: "user code without any call before it: the undisturbed speed",
    unit: Unit::Trial,
    tasks: Tasks::OneThread,
    parameters: &[WORKING_SET, STREAM],
    baseline: "after_syscall/nothing",
    requirements: &[],
    source: "Soares and Stumm, FlexSC, OSDI 2010, section 2.2",
    lap: one_at_a_time,
    resources,
    expects: |_, _| Expectation::nothing(),
};

struct Nothing;

register!(Nothing);

impl Mechanism for Nothing {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        stream::supports(parameters)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        trials::set_up(parameters, || Ok(()))
    }
}
