//! Creation: a task is created, runs, and is reaped.
//!
//! `alive` tasks exist at once: the driver creates that many, and only then lets them end and reaps them, so that with
//! more than one the figure holds no reuse of the stack or slot that the last one left. A lap is `alive` tasks.
//!
//! Where the placement has more than one CPU, a created thread or process moves itself to its seat first: tasks are
//! born where their creator runs (sched(7), "CPU affinity"), and the move is part of creating one elsewhere.

use super::{Domain, Group, Parameter, Parameters};

mod fork;
mod thread;
mod thread_small_stack;
mod tokio_task;

/// The group.
pub const GROUP: Group =
    Group { name: "creation", question: "What does it cost to create a task, run it and reap it?" };

const ALIVE: Parameter = Parameter {
    name: "alive",
    meaning: "tasks alive at once; with 1 each is reaped before the next is created",
    domain: Domain::Number { default: 1, min: 1, max: 100_000 },
};

fn tasks_per_lap(parameters: &Parameters) -> u64 {
    parameters.number(ALIVE.name)
}
