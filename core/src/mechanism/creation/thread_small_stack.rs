//! As `creation/thread`, with a stack of 64 KiB: what the size of the stack costs, and what it does not.
//!
//! Timed: as there. Stacks are mapped and touched page by page, so size alone should cost nothing with one alive; with
//! many, small ones stay in glibc's cache where large ones are unmapped.
//! Distortions: as there.

use std::thread::Builder;

use super::thread::{expectation, resources, spawn_and_join};
use super::{ALIVE, UNTIL, tasks_per_lap};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};

/// The least that holds the standard library's own frames in a debug build; PTHREAD_STACK_MIN is 16 KiB on x86-64 and
/// 128 KiB on arm64, where the standard library rounds up.
const STACK: usize = 64 * 1024;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "creation/thread_small_stack",
    isolates: "a thread spawned and joined with a stack of 64 KiB",
    unit: Unit::Task,
    tasks: Tasks::Several,
    parameters: &[ALIVE, UNTIL],
    baseline: "creation/thread",
    requirements: &[],
    source: "doc.rust-lang.org/std/thread/struct.Builder.html; pthread_attr_setstacksize(3)",
    lap: tasks_per_lap,
    resources,
    expects: |_, _| expectation(),
};

struct ThreadSmallStack;

register!(ThreadSmallStack);

impl Mechanism for ThreadSmallStack {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let builder = || Builder::new().stack_size(STACK);
        spawn_and_join(builder, parameters, crew.assignment())
    }
}
