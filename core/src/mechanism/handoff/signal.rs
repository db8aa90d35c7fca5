//! A real-time signal queued to the other thread, which takes it by waiting for it.
//!
//! Timed: per handoff one rt_tgsigqueueinfo, one rt_sigtimedwait, and the switch. No handler runs: delivering one would
//! add a frame on the stack and a sigreturn.
//! Distortions: queueing allocates in the kernel, and both threads' signals pass one lock of the process.

use std::sync::{Arc, OnceLock};

use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner, switched_once};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Placement, Tasks, Unit, register,
};
use crate::sys::signal::{self, SignalReceiver};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/signal",
    isolates: "a queued real-time signal taken by sigwaitinfo: the oldest way to wake a task, without a handler",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/futex",
    requirements: &[],
    source: "signal(7), rt_tgsigqueueinfo(2), sigwaitinfo(2)",
    lap: handoffs_per_lap,
    resources,
    expects: |_, placement| {
        let calls = Expectation::nothing()
            .call("rt_tgsigqueueinfo", Bound::Exactly(1.0))
            .call("rt_sigtimedwait", Bound::Exactly(1.0));
        match placement {
            Placement::SameCpu => switched_once(calls, placement),
            // Sender and receiver also meet at the process's signal lock, and a task woken twice runs once.
            _ => calls.voluntary(Bound::AtMost(1.5)).wakeups(Bound::AtMost(1.5)),
        }
    },
};

struct Signal;

register!(Signal);

impl Mechanism for Signal {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let names = Arc::new(Receivers::default());
        // Blocked here before the partner exists, it is blocked there from the start.
        let _ = names[0].set(SignalReceiver::current_thread()?);
        let driver = Half { names: Arc::clone(&names), own: 0 };
        let operation = spawn_partner(crew, driver, Half { names, own: 1 })?;
        // Until the partner has entered its thread id there is no thread to send a signal to.
        crew.await_ready()?;
        Ok(operation)
    }
}

type Receivers = [OnceLock<SignalReceiver>; 2];

const TURN: i32 = 1;
const STOP: i32 = 2;

struct Half {
    names: Arc<Receivers>,
    own: usize,
}

impl Half {
    fn send(&self, value: i32) -> Result<(), Failure> {
        match self.names[1 - self.own].get() {
            Some(other) => Ok(other.queue(value)?),
            None => Err(Failure::Corrupted("the partner has not arrived".into())),
        }
    }
}

impl HandoffHalf for Half {
    fn prepare(&mut self) -> Result<(), Failure> {
        let _ = self.names[self.own].set(SignalReceiver::current_thread()?);
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), Failure> {
        self.send(TURN)
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        Ok(if signal::wait()? == TURN { Command::Go } else { Command::Stop })
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // ESRCH when the other is gone already.
        let _ = self.send(STOP);
    }
}
