//! The catalogue: what a mechanism is, and the registry of all of them.
//!
//! A mechanism is one file: it opens with what it isolates and what distorts it, holds a static [`Descriptor`] and
//! a `set_up` that returns the [`Operation`]. It enters the registry from there; its group's module names the file,
//! in one line. Nothing else keeps a list of mechanisms.

mod background_load;
mod batch_gate;
mod batched_load;
mod descriptor;
mod open_loop;
mod reactor;
mod scheduler;
mod server_beside;
mod workers;

pub mod after_syscall;
pub mod brigade;
pub mod client;
pub mod creation;
pub mod fairness;
pub mod file;
pub mod footprint;
pub mod handoff;
pub mod messaging;
pub mod pipeline;
pub mod server;
pub mod switch_working_set;
pub mod syscall;
pub mod wakeup;

use std::sync::OnceLock;

pub use descriptor::{Bound, CallsOf, Descriptor, Expectation, Resources, Tasks};

// What a mechanism's file names, under one roof; other rooms name each word where it lives.
pub use crate::crew::{Batch, CpuAssignment, Crew, Failure, Operation, Spawner};
pub use crate::terms::{
    Domain, Metric, MetricKey, Parameter, ParameterError, Parameters, Placement, Unit, Unsupported, Value,
};
use crate::units::Quantity;

/// One way in which control or data passes between tasks, or one kernel operation whose cost is isolated.
pub trait Mechanism: Sync {
    /// What it is, in data.
    fn descriptor(&self) -> &'static Descriptor;

    /// Whether this machine has what it needs whatever the parameters, without setting it up.
    ///
    /// # Errors
    /// What is missing, and what would help.
    fn probe(&self) -> Result<(), Unsupported> {
        Ok(())
    }

    /// Whether this machine has what it needs with these parameters, without setting it up.
    ///
    /// # Errors
    /// What is missing, and what would help.
    fn supports(&self, _parameters: &Parameters) -> Result<(), Unsupported> {
        self.probe()
    }

    /// How many tasks take part with these parameters, as far as placements are concerned. Several asynchronous tasks
    /// may share one thread, which is then on one CPU in every placement.
    fn tasks(&self, _parameters: &Parameters) -> Tasks {
        self.descriptor().tasks
    }

    /// Whether a plan that names no placement has it in `placement`, one of those that this machine offers.
    fn chosen_by_default(&self, _placement: Placement, _offered: &[Placement]) -> bool {
        true
    }

    /// Whether all its tasks descend from the driver's thread, so that counters opened there reach them. Where a
    /// library keeps threads of its own for the whole process they do not, and counted samples would be wrong.
    fn inherits_counters(&self) -> bool {
        true
    }

    /// Whether one of its tasks goes on running between batches, as the kernel's thread for a submission queue does for
    /// a while.
    fn is_busy_between_batches(&self, _parameters: &Parameters) -> bool {
        false
    }

    /// Threads for each CPU that its tasks may use, on top of those of [`Resources::threads`].
    fn threads_per_cpu(&self, _parameters: &Parameters) -> u64 {
        0
    }

    /// Open files in all its descriptor tables together, where it has several; [`Resources::descriptors`] is of one.
    fn files(&self, _parameters: &Parameters) -> u64 {
        0
    }

    /// Gives the calling process what an instance with these parameters needs and only a process of one thread can get.
    /// Processes that measure or audit a single benchmark call it first; others do not, and [`Mechanism::set_up`] then
    /// says what is missing.
    fn prepare_process(&self, _parameters: &Parameters) {}

    /// Makes it ready: descriptors open, tasks running and parked, memory touched. Runs on the driver's thread, and
    /// the operation stays there.
    ///
    /// # Errors
    /// The first call that failed, or `Unsupported`. Everything created so far is dropped, which must end the tasks
    /// that were spawned so far.
    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure>;
}

/// A question, and the mechanisms that answer it in one unit: a Criterion benchmark group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The first part of the ids.
    pub name: &'static str,
    /// The question.
    pub question: &'static str,
    /// Whether requests queue up within a batch, whose length is then part of what is measured.
    pub queues: bool,
    /// What is measured of each operation: time, unless the group says otherwise.
    pub measures: Quantity,
}

/// Every group, in the order in which they are listed and run.
pub static GROUPS: &[Group] = &[
    syscall::GROUP,
    handoff::GROUP,
    brigade::GROUP,
    switch_working_set::GROUP,
    after_syscall::GROUP,
    messaging::GROUP,
    pipeline::GROUP,
    creation::GROUP,
    footprint::GROUP,
    file::GROUP,
    wakeup::GROUP,
    fairness::GROUP,
    server::GROUP,
    client::GROUP,
];

/// What [`register`] collects at link time.
#[linkme::distributed_slice]
static ENTRIES: [&'static dyn Mechanism];

/// Enters a mechanism into the registry, from its own file: `register!(Thread);`.
///
/// The entry is placed in a section of the program that the linker gathers into a table. Rust counts the attribute that
/// names a section as unsafe code; this is its one use, and the type of the entry is checked.
macro_rules! register {
    ($mechanism:expr) => {
        #[allow(unsafe_code)]
        #[linkme::distributed_slice($crate::mechanism::ENTRIES)]
        static ENTRY: &dyn $crate::mechanism::Mechanism = &$mechanism;
    };
}
use register;

impl std::fmt::Debug for dyn Mechanism {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.descriptor().id)
    }
}

/// All mechanisms: by group, in each group the baseline first and then by name.
pub fn registry() -> &'static [&'static dyn Mechanism] {
    static SORTED: OnceLock<Vec<&'static dyn Mechanism>> = OnceLock::new();
    SORTED.get_or_init(|| {
        let mut all = ENTRIES.to_vec();
        // The order in which the linker gathers the entries is arbitrary.
        all.sort_by_key(|mechanism| {
            let descriptor = mechanism.descriptor();
            let group = GROUPS.iter().position(|group| group.name == descriptor.group());
            (group, descriptor.id != descriptor.baseline, descriptor.id)
        });
        all
    })
}

/// The mechanism called `id` (`brigade/thread`).
pub fn find(id: &str) -> Option<&'static dyn Mechanism> {
    registry().iter().copied().find(|mechanism| mechanism.descriptor().id == id)
}

/// The group called `name`.
pub fn group(name: &str) -> Option<&'static Group> {
    GROUPS.iter().find(|group| group.name == name)
}
