//! membarrier(2) while another thread of the process runs on another CPU: an interrupt there, and its answer.
//!
//! Timed: the call, one inter-processor interrupt to the CPU of the other thread, the wait for its acknowledgement: the
//! part of a cross-CPU wakeup that is neither scheduling nor leaving idle. Not timed: waking the other thread, which
//! spins while a batch lasts and sleeps between batches.
//! Distortions: where the hypervisor delivers interrupts in software each one is an exit of the virtual machine, on
//! either side. A CPU on which the other thread is not running just then (preempted, or moved to the caller's CPU) is
//! spared the interrupt.

use std::sync::Arc;

use super::{one_at_a_time, repeat};
use crate::mechanism::batch_gate::{self, BatchGate, GateOwner};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit,
    Unsupported, register,
};
use crate::sys::membarrier::{private_expedited, register_private_expedited};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "syscall/membarrier",
    isolates: "an interrupt from CPU to CPU and its acknowledgement",
    unit: Unit::Call,
    tasks: Tasks::Simultaneous,
    parameters: &[],
    baseline: "syscall/getppid",
    requirements: &["MEMBARRIER_CMD_PRIVATE_EXPEDITED (Linux 4.14)", "two CPUs that this process may use"],
    source: "membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED",
    lap: one_at_a_time,
    resources: |_| Resources { descriptors: 0, threads: 2, processes: 0 },
    expects: |_, _| {
        // The partner sleeps between batches.
        let once = Expectation::nothing().per_batch(Expectation::OTHER_CALLS, batch_gate::CALLS);
        once.call("membarrier", Bound::Exactly(1.0))
    },
};

struct Membarrier;

register!(Membarrier);

impl Mechanism for Membarrier {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let cpus = crew.assignment().cpus().len();
        if cpus < 2 {
            let remedy = "allow this process a second CPU (taskset, cpuset)";
            return Err(Unsupported::new("two CPUs", format!("{cpus} CPU"), remedy).into());
        }
        register_private_expedited().map_err(|error| {
            Unsupported::new(
                "MEMBARRIER_CMD_PRIVATE_EXPEDITED",
                error.to_string(),
                "Linux 4.14 or later with CONFIG_MEMBARRIER",
            )
        })?;
        let gate = Arc::new(BatchGate::default());
        let partners = Arc::clone(&gate);
        crew.spawn(1, move |ready| {
            ready.signal();
            while partners.await_next()? {
                while partners.is_on() {
                    std::hint::spin_loop();
                }
                partners.leave()?;
            }
            Ok(())
        })?;
        let owner = GateOwner(gate);
        let mut calls = repeat(|| Ok(private_expedited()?));
        Ok(Box::new(move |ops: u64| -> Result<Batch, Failure> {
            owner.begin()?;
            let batch = calls.run(ops);
            owner.close();
            owner.await_gone()?;
            batch
        }))
    }
}
