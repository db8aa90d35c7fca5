//! io_uring_enter(2) with requests that do nothing: the price of a submission, alone and in batches.
//!
//! Timed: filling the queue, the call, taking each request and posting its completion, reading the completions. An
//! operation is a request; with `batch` requests a call, the call is shared. Distortions: none known.

use super::resources;
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Tasks,
    Unit, Unsupported, register,
};
use crate::sys::bare_ring::BareRing;

const BATCH: Parameter = Parameter {
    name: "batch",
    meaning: "requests submitted with one call",
    domain: Domain::Number { default: 1, min: 1, max: 16_384 },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "syscall/uring_nop",
    isolates: "an io_uring request that does nothing: what submission and completion cost, alone or in a batch",
    unit: Unit::Call,
    tasks: Tasks::OneThread,
    parameters: &[BATCH],
    baseline: "syscall/getppid",
    requirements: &["io_uring (Linux 5.1)"],
    source: "io_uring_enter(2), IORING_OP_NOP",
    lap: |parameters| parameters.number(BATCH.name),
    resources,
    expects: |parameters, _| {
        let each = 1.0 / parameters.number(BATCH.name) as f64;
        Expectation::nothing().call("io_uring_enter", Bound::Exactly(each))
    },
};

struct UringNop;

register!(UringNop);

impl Mechanism for UringNop {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        BareRing::new(1).map(|_| ()).map_err(|error| {
            let remedy = "`sysctl kernel.io_uring_disabled=0`, and a seccomp profile that allows io_uring_setup";
            Unsupported::new("io_uring", error.to_string(), remedy)
        })
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let batch = parameters.size(BATCH.name);
        let entries = u32::try_from(batch).map_err(|_| Failure::Corrupted(format!("a batch of {batch}")))?;
        let mut ring = BareRing::new(entries)?;
        Ok(Box::new(move |ops: u64| {
            Batch::timed(|| {
                let mut done = 0;
                while done < ops {
                    for tag in 0..batch {
                        ring.push_nop(tag as u64)?;
                    }
                    ring.submit_and_wait(batch)?;
                    while ring.arrival().is_some() {
                        done += 1;
                    }
                }
                Ok(done)
            })
        }))
    }
}
