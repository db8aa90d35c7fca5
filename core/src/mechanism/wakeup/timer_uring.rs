//! An io_uring timeout at an absolute time, submitted and waited for in one call.
//!
//! Timed: as for `timer_nanosleep`, and the completion's way through the ring. Not timed: the submission.
//! Distortions: `IORING_OP_TIMEOUT` starts its timer without slack (io_uring/timeout.c), so the parameter `slack`
//! changes nothing here, as for a timerfd.

use super::{LOAD, PAUSE, SLACK, Until, background_load, one_sleep, resources, sleeper};
use crate::mechanism::open_loop::requests_in_20_ms;
use crate::mechanism::{
    Bound, Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};
use crate::sys::timer::{TimeoutRing, monotonic};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "wakeup/timer_uring",
    isolates: "a sleep in io_uring_enter until a timeout completes: a timer as one request among others",
    unit: Unit::Wakeup,
    tasks: Tasks::OneThread,
    parameters: &[PAUSE, SLACK, LOAD],
    baseline: "wakeup/timer_nanosleep",
    requirements: &["io_uring with absolute timeouts (Linux 5.5)"],
    source: "io_uring_enter(2), IORING_OP_TIMEOUT",
    lap: |parameters| requests_in_20_ms(parameters.number(PAUSE.name)),
    resources,
    expects: |parameters, _| one_sleep(parameters).call("io_uring_enter", Bound::Exactly(1.0)),
};

struct TimerUring;

register!(TimerUring);

impl Mechanism for TimerUring {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn threads_per_cpu(&self, parameters: &Parameters) -> u64 {
        background_load::for_each_cpu(parameters)
    }

    fn probe(&self) -> Result<(), Unsupported> {
        TimeoutRing::new().and_then(|mut ring| ring.sleep_until(monotonic())).map_err(|error| {
            let remedy = "`sysctl kernel.io_uring_disabled=0`, a seccomp profile that allows io_uring_setup, Linux 5.5";
            Unsupported::new("io_uring with absolute timeouts (Linux 5.5)", error.to_string(), remedy)
        })
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let mut ring = TimeoutRing::new()?;
        sleeper(parameters, crew, Until(move |moment| Ok(ring.sleep_until(moment)?)))
    }
}
