//! A timerfd, set to an absolute time and read: the sleep that an event loop can wait for beside other descriptors.
//!
//! Timed: as for `timer_nanosleep`. Not timed: setting the timer.
//! Distortions: the kernel gives these timers no slack, whatever the task's is (`timerfd_setup` in fs/timerfd.c), so
//! the parameter `slack` changes nothing here: that is the finding.

use super::{LOAD, PAUSE, SLACK, Until, background_load, one_sleep, resources, sleeper};
use crate::mechanism::open_loop::requests_in_20_ms;
use crate::mechanism::{Bound, Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};
use crate::sys::timer::Alarm;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "wakeup/timer_timerfd",
    isolates: "a sleep in the read of a timerfd: a timer without slack",
    unit: Unit::Wakeup,
    tasks: Tasks::OneThread,
    parameters: &[PAUSE, SLACK, LOAD],
    baseline: "wakeup/timer_nanosleep",
    requirements: &[],
    source: "timerfd_create(2); Linux fs/timerfd.c",
    lap: |parameters| requests_in_20_ms(parameters.number(PAUSE.name)),
    resources,
    expects: |parameters, _| {
        let calls = one_sleep(parameters).call("timerfd_settime", Bound::Exactly(1.0));
        calls.call("read", Bound::Exactly(1.0))
    },
};

struct TimerTimerfd;

register!(TimerTimerfd);

impl Mechanism for TimerTimerfd {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn threads_per_cpu(&self, parameters: &Parameters) -> u64 {
        background_load::for_each_cpu(parameters)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let alarm = Alarm::new()?;
        sleeper(parameters, crew, Until(move |moment| Ok(alarm.sleep_until(moment)?)))
    }
}
