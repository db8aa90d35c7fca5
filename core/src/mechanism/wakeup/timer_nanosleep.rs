//! clock_nanosleep(2) to an absolute time: the plainest way to sleep.
//!
//! Timed: from the moment at which the sleep should end until the task reads the clock after it: slack, the timer's
//! interrupt, leaving idle where the CPU was, the scheduler's choice, and the way out of the kernel. Not timed: the
//! time asleep, and the call before the moment. The moments lie on a grid (an open loop), as of all these timers.
//! Distortions: with the default slack the kernel ends the sleep up to 50 µs late on purpose (time(7)). A CPU that
//! sleeps with the task adds the way out of its idle state.

use super::{LOAD, PAUSE, SLACK, Until, background_load, one_sleep, resources, sleeper};
use crate::mechanism::open_loop::requests_in_20_ms;
use crate::mechanism::{Bound, Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};
use crate::sys::timer::sleep_until;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "wakeup/timer_nanosleep",
    isolates: "a sleep in clock_nanosleep: timer slack, interrupt, leaving idle, the scheduler",
    unit: Unit::Wakeup,
    tasks: Tasks::OneThread,
    parameters: &[PAUSE, SLACK, LOAD],
    baseline: "wakeup/timer_nanosleep",
    requirements: &[],
    source: "clock_nanosleep(2); time(7), \"Sleeping and timer slack\"; cyclictest(8)",
    lap: |parameters| requests_in_20_ms(parameters.number(PAUSE.name)),
    resources,
    expects: |parameters, _| one_sleep(parameters).call("clock_nanosleep", Bound::Exactly(1.0)),
};

struct TimerNanosleep;

register!(TimerNanosleep);

impl Mechanism for TimerNanosleep {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn threads_per_cpu(&self, parameters: &Parameters) -> u64 {
        background_load::for_each_cpu(parameters)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        sleeper(parameters, crew, Until(|moment| Ok(sleep_until(moment)?)))
    }
}
