//! Opening one event on the calling thread, or the reason why it cannot be counted.

use std::io;

use nix::errno::Errno;
use perf_event::events::Hardware;
use perf_event::{Builder, Counter};

use super::counters::{OpenEvent, try_together};
use super::event::{EventScope, ResolvedEvent};
use super::refusal::{Reach, RefusalContext, errno_of, explain, modes_not_told_apart, silent};
use super::trial::TrialOutcome;
use super::{Event, SysRoot};
use crate::sys::perf;
use crate::terms::Shortfall;

/// What opens events and counts with them; tests put a kernel with another PMU in its place.
#[derive(Clone, Copy)]
pub(super) struct KernelCalls {
    pub(super) open: fn(&Event, &mut Builder) -> io::Result<Counter>,
    /// Counts the trial's work with events that always count and a set.
    pub(super) try_together: fn(&mut [OpenEvent], &mut [OpenEvent]) -> Vec<TrialOutcome>,
}

impl KernelCalls {
    /// The one that runs.
    pub(super) const RUNNING: Self = Self { open: |_, builder| perf::open(builder), try_together };
}

/// What opening needs to know to explain a refusal.
pub(super) struct Opener<'a> {
    root: &'a SysRoot,
    kernel: KernelCalls,
    paranoid: Option<i32>,
    cpu_pmu: Option<bool>,
}

impl<'a> Opener<'a> {
    pub(super) fn new(root: &'a SysRoot, kernel: KernelCalls) -> Self {
        Self { root, kernel, paranoid: root.paranoid(), cpu_pmu: has_cpu_pmu(kernel) }
    }

    /// Opens the event, or the part of it that can be counted; `not_counted` gets the rest, with the reason.
    pub(super) fn open(&self, event: &Event, not_counted: &mut Vec<Shortfall>) -> Option<OpenEvent> {
        let mut refusal = match self.attempt(event) {
            Ok(open) => return Some(open),
            Err(refusal) => refusal,
        };
        let open = match refusal.errno {
            Some(Errno::EACCES | Errno::EPERM) => {
                let open = event.in_user_mode().and_then(|event| self.attempt(&event).ok());
                if let Some(open) = &open {
                    refusal.not_counted.why += &format!("; counted in user mode alone, as {}", open.event);
                }
                open
            }
            // A PMU without filters refuses whatever excludes a mode (PERF_PMU_CAP_NO_EXCLUDE in kernel/events/core.c).
            Some(Errno::EINVAL) => event.in_both_modes().and_then(|both| match self.attempt(&both) {
                Ok(open) => {
                    refusal.not_counted = modes_not_told_apart(event, Ok(&open.event));
                    Some(open)
                }
                Err(Refusal { errno: Some(Errno::EACCES | Errno::EPERM), not_counted }) => {
                    refusal.not_counted = modes_not_told_apart(event, Err(not_counted));
                    None
                }
                Err(_) => None,
            }),
            _ => None,
        };
        not_counted.push(refusal.not_counted);
        open
    }

    fn attempt(&self, event: &Event) -> Result<OpenEvent, Refusal> {
        let ResolvedEvent { mut builder, scale } = event.resolve(self.root).map_err(Refusal::of_the_event)?;
        // The clocks count the same whether or not the kernel is excluded, and excluding it needs no privilege.
        if event.is_clock() {
            builder.exclude_kernel(true);
        }
        builder.inherit(true);
        let counter = (self.kernel.open)(event, &mut builder).map_err(|error| self.refusal(event, &error))?;
        let (always_advances, must_advance) = (event.always_advances(), event.must_advance());
        let mut open = OpenEvent { event: event.to_string(), scale, counter, always_advances, must_advance, alone: 0 };
        let advances = open.advances().map_err(|error| self.refusal(event, &error))?;
        if advances { Ok(open) } else { Err(Refusal::of_the_event(silent(open.event))) }
    }

    fn refusal(&self, event: &Event, error: &io::Error) -> Refusal {
        let errno = errno_of(error);
        let own_user_mode = event.scope == EventScope::User || event.is_clock();
        let reach = if own_user_mode { Reach::OwnUserMode } else { Reach::OwnTasks };
        let cpu_pmu = self.cpu_pmu.filter(|_| event.is_of_cpu_pmu());
        let conditions = RefusalContext { reach, paranoid: self.paranoid, cpu_pmu, watchdog: self.root.nmi_watchdog() };
        Refusal { not_counted: explain(&event.to_string(), errno, conditions), errno: Some(errno) }
    }
}

struct Refusal {
    not_counted: Shortfall,
    /// The kernel's error, where the call was made.
    errno: Option<Errno>,
}

impl Refusal {
    fn of_the_event(not_counted: Shortfall) -> Self {
        Self { not_counted, errno: None }
    }
}

/// Whether the processor's PMU can count anything. Cycles in user mode is what every PMU has and what asks for
/// the least privilege; sysfs would have to be searched for the PMU's name, which differs by processor.
fn has_cpu_pmu(kernel: KernelCalls) -> Option<bool> {
    let cycles = Event::cycles();
    let attempt =
        |event: &Event, builder: &mut Builder| (kernel.open)(event, builder).map_err(|error| errno_of(&error));
    let outcome = match attempt(&cycles.in_user_mode()?, &mut Builder::new(Hardware::CPU_CYCLES)) {
        // It cannot leave a mode out, if it is there.
        Err(Errno::EINVAL) => {
            attempt(&cycles, Builder::new(Hardware::CPU_CYCLES).exclude_kernel(false).exclude_hv(false))
        }
        outcome => outcome,
    };
    match outcome {
        Ok(_) => Some(true),
        Err(errno) => (errno == Errno::ENOENT).then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use perf_event::events::Software;

    use super::super::{Counters, EventSet};
    use super::*;

    /// The clock that the tests open for every hardware event of both modes: every kernel has it, and every user may.
    fn stand_in() -> io::Result<Counter> {
        perf::open(Builder::new(Software::TASK_CLOCK).exclude_kernel(true).inherit(true))
    }

    fn without_filters(event: &Event, builder: &mut Builder) -> io::Result<Counter> {
        match event.scope {
            EventScope::Everywhere if event.is_of_cpu_pmu() => stand_in(),
            _ if event.is_of_cpu_pmu() => Err(Errno::EINVAL.into()),
            _ => builder.build(),
        }
    }

    /// And what counts the kernel takes a privilege.
    fn without_filters_or_privilege(event: &Event, builder: &mut Builder) -> io::Result<Counter> {
        match without_filters(event, builder) {
            Ok(_) if event.is_of_cpu_pmu() => Err(Errno::EACCES.into()),
            outcome => outcome,
        }
    }

    fn open(names: &str, kernel: fn(&Event, &mut Builder) -> io::Result<Counter>) -> Counters {
        let plan = EventSet::of(&Event::parse_list(names).unwrap());
        Counters::open_under(
            &plan,
            &SysRoot::fixture("amd-server"),
            KernelCalls { open: kernel, ..KernelCalls::RUNNING },
        )
    }

    /// The PMU has one counter for each kind of event: the second of a set runs and reads 0.
    fn one_counter_each(_: &mut [OpenEvent], set: &mut [OpenEvent]) -> Vec<TrialOutcome> {
        let kind = |open: &OpenEvent| open.event.split(':').next().map(str::to_owned);
        let first = |place: usize| set[..place].iter().all(|other| kind(other) != kind(&set[place]));
        (0..set.len()).map(|place| if first(place) { TrialOutcome::Counts } else { TrialOutcome::Silent }).collect()
    }

    #[test]
    fn events_that_cannot_count_together_are_counted_in_turn() {
        let plan = EventSet::of(&Event::parse_list("cycles:u,cycles:k,instructions:u,instructions:k").unwrap());
        let kernel = KernelCalls { open: |_, _| stand_in(), try_together: one_counter_each };
        let mut counters = Counters::open_under(&plan, &SysRoot::fixture("amd-server"), kernel);
        let mut counted = Vec::new();
        for set in counters.rotation() {
            counters.select(set).unwrap();
            let readings = counters.read().unwrap();
            counted.push(readings.readings().iter().map(|reading| reading.event.clone()).collect::<Vec<_>>());
        }
        assert_eq!(counted, [["cycles:u", "instructions:u"], ["cycles:k", "instructions:k"]]);
        assert!(counters.not_counted().is_empty(), "{:?}", counters.not_counted());
    }

    #[test]
    fn an_event_that_is_silent_in_every_set_is_not_counted() {
        let plan = EventSet::of(&Event::parse_list("cycles:u").unwrap());
        let kernel =
            KernelCalls { open: |_, _| stand_in(), try_together: |_, set| vec![TrialOutcome::Silent; set.len()] };
        let counters = Counters::open_under(&plan, &SysRoot::fixture("amd-server"), kernel);
        assert_eq!((counters.events().count(), counters.rotation().len()), (0, 0));
        assert!(counters.not_counted()[0].why.contains("reads 0"), "{:?}", counters.not_counted());
    }

    #[test]
    fn a_pmu_that_cannot_leave_a_mode_out_counts_both_together_and_once() {
        let counters = open("cycles:u,cycles:k,instructions:u,instructions:k", without_filters);
        assert_eq!(counters.events().collect::<Vec<_>>(), ["cycles", "instructions"]);
        let missing: Vec<&str> = counters.not_counted().iter().map(|refusal| refusal.what.as_str()).collect();
        assert_eq!(missing, ["cycles:u", "cycles:k", "instructions:u", "instructions:k"]);
        for refusal in counters.not_counted() {
            let counted = refusal.what.split(':').next().unwrap();
            assert!(refusal.why.contains("cannot count one mode alone"), "{refusal}");
            assert!(refusal.why.ends_with(&format!("counted in both together, as {counted}")), "{refusal}");
        }
    }

    #[test]
    fn where_both_modes_together_take_a_privilege_that_is_the_reason() {
        let counters = open("cycles:u", without_filters_or_privilege);
        assert_eq!(counters.events().count(), 0);
        let [refusal] = counters.not_counted() else { panic!("{:?}", counters.not_counted()) };
        assert!(refusal.why.contains("cannot count one mode alone"), "{refusal}");
        assert!(refusal.remedy.contains("CAP_PERFMON"), "{refusal}");
    }

    #[test]
    fn an_encoding_that_is_refused_in_every_mode_is_not_blamed_on_the_modes() {
        let refuse: fn(&Event, &mut Builder) -> io::Result<Counter> = |_, _| Err(Errno::EINVAL.into());
        let counters = open("cycles:u", refuse);
        let [refusal] = counters.not_counted() else { panic!("{:?}", counters.not_counted()) };
        assert!(refusal.why.contains("does not accept this event"), "{refusal}");
    }

    #[test]
    fn an_event_that_opens_and_never_advances_is_not_counted() {
        let mute: fn(&Event, &mut Builder) -> io::Result<Counter> =
            |_, _| Builder::new(Software::DUMMY).exclude_kernel(true).inherit(true).build();
        let counters = open("cycles:u,cache-misses:u", mute);
        assert_eq!(counters.events().collect::<Vec<_>>(), ["cache-misses:u"], "which may be 0");
        let [refusal] = counters.not_counted() else { panic!("{:?}", counters.not_counted()) };
        assert!(refusal.what == "cycles:u" && refusal.why.contains("reads 0"), "{refusal}");
    }
}
