//! futex(2) `FUTEX_WAKE` without a waiter: what an unlock pays that cannot know whether a task waits.
//!
//! Timed: hashing the address and finding the bucket empty. Distortions: another process whose futex shares the bucket
//! would be looked at; since Linux 6.16 processes have tables of their own (FUTEX_PRIVATE_HASH).

use std::sync::atomic::AtomicU32;

use super::{one_at_a_time, repeat, resources};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};
use crate::sys::futex::{FutexScope, wake};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "syscall/futex_wake",
    isolates: "a wake on a futex without a waiter: a hash and an empty queue",
    unit: Unit::Call,
    tasks: Tasks::OneThread,
    parameters: &[],
    baseline: "syscall/getppid",
    requirements: &[],
    source: "futex(2), FUTEX_WAKE",
    lap: one_at_a_time,
    resources,
    expects: |_, _| Expectation::nothing().call("futex:wake", Bound::Exactly(1.0)),
};

struct FutexWake;

register!(FutexWake);

impl Mechanism for FutexWake {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let word = AtomicU32::new(0);
        Ok(repeat(move || match wake(&word, 1, FutexScope::Private)? {
            0 => Ok(()),
            woken => Err(Failure::Corrupted(format!("{woken} waiters where none waits"))),
        }))
    }
}
