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
        Self {
            root,
            paranoid: root.paranoid(),
            cpu_pmu: has_cpu_pmu(),
        }
    }

    /// Opens the event, or what can be had of it; says in `not_counted` what could not.
    pub(super) fn open(&self, event: &Event, not_counted: &mut Vec<NotCounted>) -> Option<Open> {
        let outcome = match self.attempt(event) {
            Err(Refusal::Permission(refusal)) => match event.in_user_mode() {
                Some(user) => {
                    let open = self.attempt(&user);
                    let partly =
                        format!("{}; counted in user mode alone, as {user}", refusal.reason);
                    let reason = if open.is_ok() {
                        partly
                    } else {
                        refusal.reason.clone()
                    };
                    not_counted.push(NotCounted { reason, ..refusal });
                    return open.ok();
                }
                None => Err(refusal),
            },
            Err(Refusal::Other(refusal)) => Err(refusal),
            Ok(open) => Ok(open),
        };
        outcome.map_err(|refusal| not_counted.push(refusal)).ok()
    }

    fn attempt(&self, event: &Event) -> Result<Open, Refusal> {
        let Resolved { mut builder, scale } = event.resolve(self.root).map_err(Refusal::Other)?;
        // The clocks count the same whether or not the kernel is excluded, and excluding it needs no privilege.
        if event.is_clock() {
            builder.exclude_kernel(true);
        }
        let name = event.to_string();
        let counter = builder
            .inherit(true)
            .build()
            .map_err(|error| self.refusal(event, &error))?;
        let mut open = Open {
            event: name,
            scale,
            counter,
        };
        let advances = !event.must_advance()
            || open
                .advances()
                .map_err(|error| self.refusal(event, &error))?;
        if !advances {
            return Err(Refusal::Other(NotCounted::new(
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
        let reach = if own_user_mode {
            Reach::OwnUserMode
        } else {
            Reach::OwnTasks
        };
        let circumstances = Circumstances {
            reach,
            paranoid: self.paranoid,
            cpu_pmu: self.cpu_pmu,
        };
        let refusal = explain(&event.to_string(), errno, circumstances);
        match errno {
            Errno::EACCES | Errno::EPERM => Refusal::Permission(refusal),
            _ => Refusal::Other(refusal),
        }
    }
}

enum Refusal {
    Permission(NotCounted),
    Other(NotCounted),
}

/// Whether the processor's PMU can count anything. Cycles in user mode is what every PMU has and what asks for
/// the least privilege; sysfs would have to be searched for the PMU's name, which differs by processor.
fn has_cpu_pmu() -> Option<bool> {
    match Builder::new(Hardware::CPU_CYCLES).build() {
        Ok(_) => Some(true),
        Err(error) => (errno_of(&error) == Errno::ENOENT).then_some(false),
    }
}
