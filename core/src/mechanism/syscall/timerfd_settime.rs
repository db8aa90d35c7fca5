//! A timer that is set: timerfd_settime(2), for a time at which nothing else is due before or long after something
//! else.
//!
//! Timed: the call. With `expires=soon` the timer becomes the CPU's next event, and the kernel programs the CPU's timer
//! anew (hrtimer_reprogram in kernel/time/hrtimer.c); with `expires=late` it does not. The difference is the cost of
//! programming the CPU's timer, which leaving idle does as well when it restarts the tick (tick_nohz_restart in
//! kernel/time/tick-sched.c): tens of nanoseconds on bare metal, an exit to the hypervisor on most virtual machines.
//! Not timed: creating the timer. It is set again before it expires; one that is not interrupts the next batch once.
//! Distortions: a tick that is due within the 200 µs comes first and spares the programming, of a tick each
//! millisecond one call in five.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::{one_at_a_time, repeat};
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Resources,
    Tasks, Unit, register,
};
use crate::sys::SysError;

const EXPIRES: Parameter = Parameter {
    name: "expires",
    meaning: "when the timer would expire: late (after a quarter of an hour), or soon (before any other timer of the \
              CPU)",
    domain: Domain::Word { words: &["late", "soon"] },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "syscall/timerfd_settime",
    isolates: "setting a timer, and with expires=soon programming the CPU's",
    unit: Unit::Call,
    tasks: Tasks::OneThread,
    parameters: &[EXPIRES],
    baseline: "syscall/getppid",
    requirements: &[],
    source: "timerfd_settime(2); hrtimer_reprogram in kernel/time/hrtimer.c",
    lap: one_at_a_time,
    resources: |_| Resources { descriptors: 1, threads: 1, processes: 0 },
    expects: |_, _| Expectation::nothing().call("timerfd_settime", Bound::Exactly(1.0)),
};

struct TimerfdSettime;

register!(TimerfdSettime);

impl Mechanism for TimerfdSettime {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let failed = |call: &'static str| move |errno| SysError::new(call, errno);
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC).map_err(failed("timerfd_create"))?;
        // By turns a microsecond later: the same time again would find the CPU's timer programmed already.
        let times = match parameters.word(EXPIRES.name) {
            "soon" => [TimeSpec::new(0, 200_000), TimeSpec::new(0, 201_000)],
            _ => [TimeSpec::new(900, 0), TimeSpec::new(901, 0)],
        };
        let mut turn = 0;
        Ok(repeat(move || {
            turn ^= 1;
            let set = timer.set(Expiration::OneShot(times[turn]), TimerSetTimeFlags::empty());
            Ok(set.map_err(failed("timerfd_settime"))?)
        }))
    }
}
