//! A system call that another thread answers: the seccomp user notification, as container managers use it.
//!
//! Timed: per round trip one intercepted call by the driver and two ioctls by the supervisor, which receives the call
//! and answers it: per handoff half a call and one ioctl, and the switch. Not timed: installing the filter.
//! Distortions: the filter runs on every other call of the driver's too, a handful of BPF instructions.

use std::sync::mpsc;

use super::{ROUND_TRIP, handoffs_per_lap, switched_once};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Placement, Resources,
    Tasks, Unit, register,
};
use crate::sys::seccomp::{Listener, ask, supervise_current_thread};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/seccomp_notify",
    isolates: "a system call answered by another thread: the round trip of a user-space supervisor",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/futex",
    requirements: &["seccomp with SECCOMP_RET_USER_NOTIF (Linux 5.0)"],
    source: "seccomp_unotify(2)",
    lap: handoffs_per_lap,
    resources: |_| Resources { descriptors: 1, threads: 2, processes: 0 },
    expects: |_, placement| {
        let calls = Expectation::nothing().call("getppid", Bound::Exactly(0.5)).call("ioctl", Bound::Exactly(1.0));
        match placement {
            Placement::SameCpu => switched_once(calls, placement),
            // Both also meet at the filter's mutex, and either may sleep there.
            _ => calls.voluntary(Bound::AtMost(2.0)).wakeups(Bound::AtMost(2.0)),
        }
    },
};

struct SeccompNotify;

register!(SeccompNotify);

impl Mechanism for SeccompNotify {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        // Born before the filter is installed, the supervisor does not inherit it.
        let (hand_over, handed) = mpsc::channel::<Listener>();
        crew.spawn(1, move |ready| {
            ready.signal();
            // Set-up failed when nothing comes.
            handed.recv().map_or(Ok(()), |listener| supervise(&listener))
        })?;
        let listener = supervise_current_thread()?;
        hand_over.send(listener).map_err(|_| Failure::Corrupted("the supervisor ended".into()))?;
        Ok(Box::new(NotifyingTask { asked: 0 }))
    }
}

const STOP: u64 = u64::MAX;

fn supervise(listener: &Listener) -> Result<(), Failure> {
    loop {
        let asked = listener.receive()?;
        // Any 31 bits are an answer; a negative one would be taken for an error.
        listener.answer(asked, (asked.argument & 0x7fff_ffff) as i64)?;
        if asked.argument == STOP {
            return Ok(());
        }
    }
}

struct NotifyingTask {
    asked: u64,
}

impl Operation for NotifyingTask {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        Batch::timed(|| {
            let round_trips = ops / ROUND_TRIP;
            for _ in 0..round_trips {
                self.asked = (self.asked + 1) & 0x7fff_ffff;
                let answer = ask(self.asked)?;
                if answer != self.asked {
                    return Err(Failure::Corrupted(format!("asked {}, answered {answer}", self.asked)));
                }
            }
            Ok(round_trips * ROUND_TRIP)
        })
    }
}

impl Drop for NotifyingTask {
    fn drop(&mut self) {
        // ENOSYS when the supervisor is gone already.
        let _ = ask(STOP);
    }
}
