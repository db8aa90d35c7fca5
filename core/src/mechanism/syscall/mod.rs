//! Calls: what the other groups' operations are made of, each alone.
//!
//! One task makes the same call over and over; no task waits and none is woken. What an operation of another group
//! costs beyond its calls is switching.

use super::{Batch, Failure, Group, Operation, Parameters, Resources};
use crate::units::Quantity;

mod clock_gettime;
mod epoll_wait;
mod eventfd_read;
mod eventfd_write;
mod futex_wake;
mod getppid;
mod membarrier;
mod remote_call;
mod timerfd_settime;
mod uring_nop;

/// The group `syscall`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "syscall",
    question: "What does one call into the kernel cost?",
    queues: false,
    measures: Quantity::Nanoseconds,
};

/// Makes `call` once for each operation.
fn repeat(mut call: impl FnMut() -> Result<(), Failure> + 'static) -> Box<dyn Operation> {
    Box::new(move |ops: u64| {
        Batch::timed(|| {
            for _ in 0..ops {
                call()?;
            }
            Ok(ops)
        })
    })
}

fn one_at_a_time(_: &Parameters) -> u64 {
    1
}

fn resources(_: &Parameters) -> Resources {
    Resources { descriptors: 4, threads: 1, processes: 0 }
}
