//! io_uring_enter(2) with one request that does nothing: what a submission leaves behind.
//!
//! Timed: the blocks after the call. Not timed: filling the queue, the call, taking the completion, all of which come
//! before the first block. Distortions: none beyond the group's.

use super::stream::{self, STREAM, WORKING_SET};
use super::{one_at_a_time, resources, trials};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};
use crate::sys::bare_ring::BareRing;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "after_syscall/uring_submit",
    isolates: "user code after an io_uring submission and its completion",
    unit: Unit::Trial,
    tasks: Tasks::OneThread,
    parameters: &[WORKING_SET, STREAM],
    baseline: "after_syscall/nothing",
    requirements: &["io_uring (Linux 5.1)"],
    source: "io_uring_enter(2), IORING_OP_NOP; Soares and Stumm, FlexSC, OSDI 2010, figure 1",
    lap: one_at_a_time,
    resources,
    expects: |_, _| Expectation::nothing().call("io_uring_enter", Bound::Exactly(1.0)),
};

struct UringSubmit;

register!(UringSubmit);

impl Mechanism for UringSubmit {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        BareRing::new(1).map(|_| ()).map_err(|error| {
            let remedy = "`sysctl kernel.io_uring_disabled=0`, and a seccomp profile that allows io_uring_setup";
            Unsupported::new("io_uring", error.to_string(), remedy)
        })
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        self.probe()?;
        stream::supports(parameters)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let mut ring = BareRing::new(1)?;
        trials::set_up(parameters, move || {
            ring.push_nop(0)?;
            ring.submit_and_wait(1)?;
            match ring.arrival() {
                Some(_) => Ok(()),
                None => Err(Failure::Corrupted("a submission without its completion".into())),
            }
        })
    }
}
