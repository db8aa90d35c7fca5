//! Opening one event on the calling thread, or the reason why it cannot be counted.

use std::io;

use nix::errno::Errno;
use perf_event::events::Hardware;
use perf_event::{Builder, Counter};

use super::counters::{OpenEvent, try_together};
use super::event::{EventScope, ResolvedEvent};
use super::refusal::{Reach, RefusalContext, errno_of, explain, modes_not_told_apart, silent};
use super::trial::TrialOutcome;
use super::{Event, EventScale, SysRoot};
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

/// The counters of an event, its scale, and what is lacking.
type OnPmus = (Vec<Counter>, Option<EventScale>, Option<Shortfall>);

/// What opening needs to know to explain a refusal.
pub(super) struct Opener<'a> {
    root: &'a SysRoot,
    kernel: KernelCalls,
    paranoid: Option<i32>,
    cpu_pmu: Option<bool>,
    /// Where cores are of several kinds: the PMU of each.
    of_kinds: Vec<(String, u32)>,
}

/// Where a generic event of one PMU has its type in `config` (`PERF_PMU_TYPE_SHIFT` in linux/perf_event.h).
const PMU_TYPE_SHIFT: u32 = 32;

impl<'a> Opener<'a> {
    pub(super) fn new(root: &'a SysRoot, kernel: KernelCalls) -> Self {
        let of_kinds = root.pmus_of_kinds();
        Self { root, kernel, paranoid: root.paranoid(), cpu_pmu: has_cpu_pmu(kernel), of_kinds }
    }

    /// Opens the event, or the part of it that can be counted; `not_counted` gets the rest, with the reason.
    pub(super) fn open(&self, event: &Event, not_counted: &mut Vec<Shortfall>) -> Option<OpenEvent> {
        let mut refusal = match self.attempt(event) {
            Ok((open, lacking)) => {
                not_counted.extend(lacking);
                return Some(open);
            }
            Err(refusal) => refusal,
        };
        let open = match refusal.errno {
            Some(Errno::EACCES | Errno::EPERM) => {
                let open = event.in_user_mode().and_then(|event| self.attempt(&event).ok());
                if let Some((open, _)) = &open {
                    refusal.not_counted.why += &format!("; counted in user mode alone, as {}", open.event);
                }
                open
            }
            // A PMU without filters refuses whatever excludes a mode (PERF_PMU_CAP_NO_EXCLUDE in kernel/events/core.c).
            Some(Errno::EINVAL) => event.in_both_modes().and_then(|both| match self.attempt(&both) {
                Ok((open, lacking)) => {
                    refusal.not_counted = modes_not_told_apart(event, Ok(&open.event));
                    Some((open, lacking))
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
        let (open, lacking) = open?;
        // What stands in for two others lacks the same for both.
        if let Some(lacking) = lacking.filter(|lacking| !not_counted.contains(lacking)) {
            not_counted.push(lacking);
        }
        Some(open)
    }

    /// The open event, and what is lacking where not all kinds of core count it.
    fn attempt(&self, event: &Event) -> Result<(OpenEvent, Option<Shortfall>), Refusal> {
        let (counters, scale, lacking) = self.counters(event)?;
        let (always_advances, must_advance) = (event.always_advances(), event.must_advance());
        let mut open = OpenEvent { event: event.to_string(), scale, counters, always_advances, must_advance, alone: 0 };
        let advances = open.advances().map_err(|error| self.refusal(event, &error))?;
        if advances { Ok((open, lacking)) } else { Err(Refusal::of_the_event(silent(open.event))) }
    }

    /// The PMUs that count `event` together; `None` is the one that the kernel chooses.
    fn pmus(&self, event: &Event) -> &[(String, u32)] {
        if event.is_generic() && self.of_kinds.len() > 1 { &self.of_kinds } else { &[] }
    }

    /// A counter on each PMU that has the event, and what is lacking where some have not. A kernel that cannot be told
    /// which one (`PERF_PMU_CAP_EXTENDED_HW_TYPE`: Arm before 6.6) opens it on one of its choice.
    fn counters(&self, event: &Event) -> Result<OnPmus, Refusal> {
        let alone = || self.counter(event, None).map(|(counter, scale)| (vec![counter], scale));
        let pmus = self.pmus(event);
        if pmus.is_empty() {
            let raw = self.of_kinds.len() > 1 && event.is_raw();
            let why = "its number is that of one kind of core, and counts on the CPUs of one kind alone";
            let remedy = "name the PMU: cpu_core/config=0x…/; or choose CPUs of one kind with --cpus";
            let lacking = raw.then(|| Shortfall::new(event.to_string(), why, remedy));
            return alone().map(|(counters, scale)| (counters, scale, lacking));
        }
        let (mut counters, mut scale, mut refused) = (Vec::new(), None, Vec::new());
        for (name, number) in pmus {
            match self.counter(event, Some(*number)) {
                Ok((counter, of)) => {
                    counters.push(counter);
                    scale = of;
                }
                // It is the same for all of them, and has a remedy of its own.
                Err(refusal) if matches!(refusal.errno, Some(Errno::EACCES | Errno::EPERM)) => return Err(refusal),
                Err(refusal) => refused.push((name.as_str(), refusal.not_counted.why)),
            }
        }
        let lacking = |why: String| {
            let remedy = "choose CPUs of one kind with --cpus; Arm counts on all from Linux 6.6 on";
            Some(Shortfall::new(event.to_string(), why, remedy))
        };
        match &refused[..] {
            [] => Ok((counters, scale, None)),
            _ if counters.is_empty() => {
                let names: Vec<&str> = pmus.iter().map(|(name, _)| name.as_str()).collect();
                let why = format!("the kernel chose one of {}, and what runs on others is not in it", names.join(", "));
                alone().map(|(counters, scale)| (counters, scale, lacking(why)))
            }
            [(name, why), ..] => {
                let why = format!("{} of the {} kinds of core count it; {name}: {why}", counters.len(), pmus.len());
                Ok((counters, scale, lacking(why)))
            }
        }
    }

    fn counter(&self, event: &Event, pmu: Option<u32>) -> Result<(Counter, Option<EventScale>), Refusal> {
        let ResolvedEvent { mut builder, scale } = event.resolve(self.root).map_err(Refusal::of_the_event)?;
        // The clocks count the same whether or not the kernel is excluded, and excluding it needs no privilege.
        if event.is_clock() {
            builder.exclude_kernel(true);
        }
        if let Some(pmu) = pmu {
            builder.attrs_mut().config |= u64::from(pmu) << PMU_TYPE_SHIFT;
        }
        builder.inherit(true);
        let counter = (self.kernel.open)(event, &mut builder).map_err(|error| self.refusal(event, &error))?;
        Ok((counter, scale))
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

    /// A machine with two kinds of core, whose PMUs have the types 4 and 10.
    fn two_kinds() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, number) in [("cpu_core", "4"), ("cpu_atom", "10"), ("uncore_imc_0", "20"), ("cpum_cf", "21")] {
            let device = folder.path().join("sys/bus/event_source/devices").join(name);
            std::fs::create_dir_all(&device).unwrap();
            std::fs::write(device.join("type"), number).unwrap();
            // A PMU of all CPUs has no list of them.
            if name != "cpum_cf" {
                std::fs::write(device.join("cpus"), "0-1").unwrap();
            }
        }
        folder
    }

    fn on_two_kinds(names: &str, kernel: fn(&Event, &mut Builder) -> io::Result<Counter>) -> Counters {
        let folder = two_kinds();
        let root = SysRoot(folder.path().into());
        assert_eq!(root.pmus_of_kinds(), [("cpu_atom".to_string(), 10), ("cpu_core".into(), 4)]);
        let plan = EventSet::of(&Event::parse_list(names).unwrap());
        Counters::open_under(&plan, &root, KernelCalls { open: kernel, ..KernelCalls::RUNNING })
    }

    fn pmu_of(builder: &Builder) -> u64 {
        builder.attrs().config >> PMU_TYPE_SHIFT
    }

    #[test]
    fn of_several_kinds_of_core_each_counts_and_the_sum_is_told() {
        let mut counters = on_two_kinds("cycles:u,page-faults", |event, builder| match pmu_of(builder) {
            4 | 10 if event.is_generic() => stand_in(),
            // What is asked to find out whether there is a PMU, and what would be no sum.
            0 if event.is_generic() => Err(Errno::ENOENT.into()),
            0 => builder.build(),
            other => panic!("{event}: on PMU {other}"),
        });
        let refused = counters.not_counted();
        assert!(refused.iter().all(|refusal| refusal.what != "cycles:u"), "{refused:?}");
        counters.select(0).unwrap();
        super::super::workload::run();
        let read = counters.read().unwrap();
        let cycles = read.readings().iter().find(|reading| reading.event == "cycles:u").unwrap();
        // Both stand-ins are clocks that run everywhere: of two of them the sum is twice the time.
        assert!(cycles.count as f64 > 1.5 * cycles.enabled_ns as f64, "{cycles:?}");
        assert!(cycles.running_ns <= cycles.enabled_ns, "{cycles:?}");
    }

    #[test]
    fn a_kind_of_core_that_does_not_count_an_event_is_told() {
        let open = |kernel| on_two_kinds("cycles:u", kernel);
        let lacking = |counters: &Counters| {
            assert_eq!(counters.events().collect::<Vec<_>>(), ["cycles:u"]);
            let [shortfall] = counters.not_counted() else { panic!("{:?}", counters.not_counted()) };
            shortfall.to_string()
        };
        let one_lacks_it = open(|_, builder| match pmu_of(builder) {
            4 => Err(Errno::ENOENT.into()),
            _ => stand_in(),
        });
        assert!(lacking(&one_lacks_it).contains("1 of the 2 kinds of core count it; cpu_core: "));
        let older_kernel = open(|_, builder| match pmu_of(builder) {
            0 => stand_in(),
            _ => Err(Errno::EINVAL.into()),
        });
        assert!(lacking(&older_kernel).contains("the kernel chose one of cpu_atom, cpu_core"));
    }

    #[test]
    fn what_is_counted_in_user_mode_alone_says_which_kind_lacks_it_too() {
        let counters = on_two_kinds("cycles", |event, builder| match (event.scope, pmu_of(builder)) {
            (EventScope::Everywhere, 4 | 10) => Err(Errno::EACCES.into()),
            (EventScope::User, 4) => Err(Errno::ENOENT.into()),
            _ => stand_in(),
        });
        assert_eq!(counters.events().collect::<Vec<_>>(), ["cycles:u"]);
        let [mode, kind] = counters.not_counted() else { panic!("{:?}", counters.not_counted()) };
        assert!(mode.why.contains("counted in user mode alone"), "{mode}");
        assert!(kind.what == "cycles:u" && kind.why.contains("1 of the 2 kinds"), "{kind}");
    }

    #[test]
    fn a_raw_number_is_that_of_one_kind() {
        let counters = on_two_kinds("r1c4", |_, builder| match pmu_of(builder) {
            0 => stand_in(),
            other => panic!("on PMU {other}"),
        });
        assert!(counters.not_counted()[0].why.contains("one kind of core"), "{:?}", counters.not_counted());
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
