//! The timeout of a wait for readiness: how an event loop sleeps when nothing is ready.
//!
//! Timed: as for `timer_nanosleep`. The timeout is relative, so the call's way into the kernel, from the reading of the
//! clock before it until the kernel's own, is part of the lateness. Not timed: the time asleep.
//! Distortions: the slack of such a wait is a thousandth of the timeout and at least the task's
//! (`select_estimate_accuracy` in fs/select.c). With `call = epoll_wait` the pause is rounded up to whole milliseconds
//! first, which is no lateness here: event loops that keep timers that way are late by that much more. For the same
//! reason these moments lie on no grid, which such timeouts would leave at once: each sleep begins when the one before
//! has ended (a closed loop), and nothing shows the moments that would have passed while the task stood still.

use std::time::Duration;

use super::{LOAD, PAUSE, SLACK, Sleep, background_load, one_sleep, resources, sleeper};
use crate::mechanism::open_loop::requests_in_20_ms;
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Failure, Mechanism, Operation, Parameter, Parameters, Tasks, Unit, Unsupported,
    register,
};
use crate::sys::timer::{EmptyEpoll, monotonic};
use crate::units::Nanos;

const CALL: Parameter = Parameter {
    name: "call",
    meaning: "epoll_pwait2, whose timeout is in nanoseconds, or epoll_wait, whose timeout is in milliseconds",
    domain: Domain::Word { words: &["epoll_pwait2", MILLISECONDS] },
};
const MILLISECONDS: &str = "epoll_wait";

static DESCRIPTOR: Descriptor = Descriptor {
    id: "wakeup/timer_epoll",
    isolates: "a sleep in epoll's wait until its timeout: how event loops keep their timers",
    unit: Unit::Wakeup,
    tasks: Tasks::OneThread,
    parameters: &[PAUSE, SLACK, LOAD, CALL],
    baseline: "wakeup/timer_nanosleep",
    requirements: &["epoll_pwait2 (Linux 5.11), or call=epoll_wait"],
    source: "epoll_wait(2); Linux fs/select.c, select_estimate_accuracy",
    lap: |parameters| match parameters.word(CALL.name) {
        // It rounds up to a millisecond.
        MILLISECONDS => requests_in_20_ms(parameters.number(PAUSE.name).next_multiple_of(1000)),
        _ => requests_in_20_ms(parameters.number(PAUSE.name)),
    },
    resources,
    expects: |parameters, _| one_sleep(parameters).call("epoll_wait", Bound::Exactly(1.0)),
};

struct TimerEpoll;

register!(TimerEpoll);

impl Mechanism for TimerEpoll {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn threads_per_cpu(&self, parameters: &Parameters) -> u64 {
        background_load::for_each_cpu(parameters)
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        if in_milliseconds(parameters) {
            return Ok(());
        }
        EmptyEpoll::new().and_then(|epoll| epoll.wait_for(Duration::ZERO)).map_err(|error| {
            let remedy = "Linux 5.11, or `--set call=epoll_wait`";
            Unsupported::new("epoll_pwait2 (Linux 5.11)", error.to_string(), remedy)
        })
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let epoll = EmptyEpoll::new()?;
        if in_milliseconds(parameters) {
            let milliseconds = parameters.number(PAUSE.name).div_ceil(1000);
            let milliseconds = u16::try_from(milliseconds).unwrap_or(u16::MAX);
            sleeper(parameters, crew, Coarse { epoll, milliseconds })
        } else {
            sleeper(parameters, crew, Fine(epoll))
        }
    }
}

fn in_milliseconds(parameters: &Parameters) -> bool {
    parameters.word(CALL.name) == MILLISECONDS
}

struct Fine(EmptyEpoll);

impl Sleep for Fine {
    #[inline]
    fn sleep(&mut self, due: Nanos) -> Result<Nanos, Failure> {
        self.0.wait_for(Duration::from_nanos(due.0.saturating_sub(monotonic().0)))?;
        Ok(due)
    }
}

struct Coarse {
    epoll: EmptyEpoll,
    milliseconds: u16,
}

impl Sleep for Coarse {
    #[inline]
    fn sleep(&mut self, _: Nanos) -> Result<Nanos, Failure> {
        let moment = Nanos(monotonic().0 + u64::from(self.milliseconds) * 1_000_000);
        self.epoll.wait_for_milliseconds(self.milliseconds)?;
        Ok(moment)
    }
}
