//! Opening one event on the calling thread, or saying why not.

use std::io;

use nix::errno::Errno;
use perf_event::Builder;
use perf_event::events::Hardware;

use super::counters::Open;
use super::event::{Resolved, Scope};
use super::refusal::{Circumstances, Reach, errno_of, explain};
use super::{Event, NotCounted, Root};

/// What opening needs to know to explain a refusal.
pub(super) struct Opener<'a> {
    root: &'a Root,
    paranoid: Option<i32>,
    cpu_pmu: Option<bool>,
}

impl<'a> Opener<'a> {
    pub(super) fn new(root: &'a Root) -> Self {
        Self { root, paranoid: root.paranoid(), cpu_pmu: has_cpu_pmu() }
    }

    /// Opens the event, or what can be had of it; says in `not_counted` what could not.
    pub(super) fn open(&self, event: &Event, not_counted: &mut Vec<NotCounted>) -> Option<Open> {
        let mut refusal = match self.attempt(event) {
            Ok(open) => return Some(open),
            Err(refusal) => refusal,
        };
        let in_user_mode = event.in_user_mode().filter(|_| refusal.for_want_of_privilege);
        let open = in_user_mode.and_then(|event| self.attempt(&event).ok());
        if let Some(open) = &open {
            refusal.not_counted.reason += &format!("; counted in user mode alone, as {}", open.event);
        }
        not_counted.push(refusal.not_counted);
        open
    }

    fn attempt(&self, event: &Event) -> Result<Open, Refusal> {
        let Resolved { mut builder, scale } = event.resolve(self.root).map_err(Refusal::of_the_event)?;
        // The clocks count the same whether or not the kernel is excluded, and excluding it needs no privilege.
        if event.is_clock() {
            builder.exclude_kernel(true);
        }
        let name = event.to_string();
        let counter = builder.inherit(true).build().map_err(|error| self.refusal(event, &error))?;
        let mut open = Open { event: name, scale, counter };
        let advances = !event.must_advance() || open.advances().map_err(|error| self.refusal(event, &error))?;
        if !advances {
            return Err(Refusal::of_the_event(NotCounted::new(
                open.event,
                "the PMU claims to count and reads 0",
                "run where the PMU implements the event; emulated ones often do not",
            )));
        }
        Ok(open)
    }

    fn refusal(&self, event: &Event, error: &io::Error) -> Refusal {
        let errno = errno_of(error);
        let own_user_mode = event.scope == Scope::User || event.is_clock();
        let reach = if own_user_mode { Reach::OwnUserMode } else { Reach::OwnTasks };
        let circumstances =
            Circumstances { reach, paranoid: self.paranoid, cpu_pmu: self.cpu_pmu.filter(|_| event.is_of_cpu_pmu()) };
        Refusal {
            not_counted: explain(&event.to_string(), errno, circumstances),
            for_want_of_privilege: matches!(errno, Errno::EACCES | Errno::EPERM),
        }
    }
}

struct Refusal {
    not_counted: NotCounted,
    /// Less may be granted where this was refused.
    for_want_of_privilege: bool,
}

impl Refusal {
    fn of_the_event(not_counted: NotCounted) -> Self {
        Self { not_counted, for_want_of_privilege: false }
    }
}

/// Whether the processor's PMU can count anything. Cycles in user mode is what every PMU has and what asks for
/// the least privilege; sysfs would have to be searched for the PMU's name, which differs by processor.
fn has_cpu_pmu() -> Option<bool> {
    match Builder::new(Hardware::CPU_CYCLES).build() {
        Ok(_) => Some(true),
        Err(error) => (errno_of(&error) == Errno::ENOENT).then_some(false),
    }
}
