//! getppid(2): what is lost by having been in the kernel at all.
//!
//! Timed: the blocks after the call, not the call. Distortions: the mitigations that run on the way in and out are part
//! of what is seen (`switchcost host` names them): some of them flush predictors and buffers on purpose.

use super::stream::{self, STREAM, WORKING_SET};
use super::{one_at_a_time, resources, trials};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "after_syscall/getppid",
    isolates: "user code after the least that a system call does",
    unit: Unit::Trial,
    tasks: Tasks::OneThread,
    parameters: &[WORKING_SET, STREAM],
    baseline: "after_syscall/nothing",
    requirements: &[],
    source: "getppid(2); Soares and Stumm, FlexSC, OSDI 2010, figure 1",
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

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        stream::supports(parameters)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        trials::set_up(parameters, || {
            std::hint::black_box(nix::unistd::getppid());
            Ok(())
        })
    }
}
