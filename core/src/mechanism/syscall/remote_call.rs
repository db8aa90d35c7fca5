//! A function called on another CPU by the kernel, which waits for it: smp_call_function_single, by reading a perf
//! event that counts there.
//!
//! Timed: the read, an inter-processor interrupt to the other CPU, that CPU leaving idle if it was idle, and the wait
//! for its answer. Not timed: the rest before each call, in which the other CPU goes to sleep; a CPU that is called
//! again at once has hardly begun to, and a hypervisor that polls for a while before it gives the CPU away
//! (halt_poll_ns, see Documentation/virt/kvm/halt-polling.rst) has not noticed. No task is woken and none is switched
//! to, so the difference between idle CPUs that sleep (`idle=default`) and a CPU kept busy (`idle=spinner`) is what
//! leaving idle costs, apart from all scheduling; the latter alone is the interrupt, as syscall/membarrier has it.
//! Distortions: where the hypervisor delivers interrupts in software, each is an exit of the virtual machine, and
//! leaving idle is the hypervisor's to schedule. With `idle=poll` the kernel marks the work and sends no interrupt at
//! all (call_function_single_prep_ipi in kernel/sched/core.c, since Linux 4.19). Unpinned, the caller may run on the
//! CPU it calls, and then calls nothing.

use std::time::{Duration, Instant};

use super::one_at_a_time;
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters,
    Resources, Tasks, Unit, Unsupported, register,
};
use crate::sys::perf::RemoteCounter;

const REST: Parameter = Parameter {
    name: "rest_us",
    meaning: "pause before each call, in microseconds, in which the other CPU may go to sleep; in a handoff between \
              CPUs it sleeps for about as long as the handoff takes",
    domain: Domain::Number { default: 20, min: 0, max: 1_000_000 },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "syscall/remote_call",
    isolates: "an interrupt from CPU to CPU and leaving idle, without waking any task",
    unit: Unit::Call,
    tasks: Tasks::Simultaneous,
    parameters: &[REST],
    baseline: "syscall/getppid",
    requirements: &["CAP_PERFMON, or kernel.perf_event_paranoid at most 0", "two CPUs that this process may use"],
    source: "perf_event_open(2); perf_event_read in kernel/events/core.c, smp_call_function_single in kernel/smp.c",
    lap: one_at_a_time,
    resources: |_| Resources { descriptors: 1, threads: 1, processes: 0 },
    expects: |_, _| Expectation::nothing().call("read", Bound::Exactly(1.0)),
};

struct RemoteCall;

register!(RemoteCall);

impl Mechanism for RemoteCall {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let assignment = crew.assignment();
        // Unpinned, all tasks share one CPU mask.
        let cpus = if assignment.masks() > 1 { assignment.cpu_mask(1).cpus.clone() } else { assignment.cpus() };
        let Some(&target) = cpus.last().filter(|_| assignment.cpus().len() > 1) else {
            let remedy = "allow this process a second CPU (taskset, cpuset)";
            return Err(Unsupported::new("two CPUs", "1 CPU", remedy).into());
        };
        let mut remote = RemoteCounter::open(target).map_err(|error| {
            Unsupported::new(
                "an event that counts on another CPU",
                error.to_string(),
                "root, CAP_PERFMON, or sysctl kernel.perf_event_paranoid=0",
            )
        })?;
        let rest = Duration::from_micros(parameters.number(REST.name));
        Ok(Box::new(move |ops: u64| -> Result<Batch, Failure> {
            let mut elapsed = Duration::ZERO;
            for _ in 0..ops {
                let rests = Instant::now();
                while rests.elapsed() < rest {
                    std::hint::spin_loop();
                }
                let called = Instant::now();
                remote.call()?;
                elapsed += called.elapsed();
            }
            // 584 years fit.
            Ok(Batch::lasting(elapsed, ops))
        }))
    }
}
