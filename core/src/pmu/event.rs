//! One event, by the name perf gives it.

use std::fmt;
use std::str::FromStr;

use perf_event::Builder;
use perf_event::events::{Cache, Hardware, Raw, Software, Tracepoint};
use serde::{Deserialize, Serialize};

use super::sysfs::{self, Term};
use super::{PmuError, SysRoot, names, tracepoint};
use crate::terms::Shortfall;

/// An event that can be counted, named as perf names it.
///
/// | form | examples |
/// | --- | --- |
/// | generic hardware | `cycles`, `instructions`, `branch-misses`, `stalled-cycles-backend` |
/// | cache: level, operation, result | `L1-dcache-load-misses`, `LLC-loads`, `dTLB-load-misses` |
/// | software | `task-clock`, `context-switches` or `cs`, `page-faults` or `faults` |
/// | raw, hexadecimal | `r01c4` |
/// | sysfs | `cpu/event=0xc0,umask=0x01/`, `cpu/mem-loads/`, `msr/tsc/` |
/// | tracepoint | `sched:sched_switch` |
///
/// A modifier says where the event is counted: `:u` in user mode, `:k` in the kernel, `:uk` or none in both
/// (after a sysfs event's last slash the colon may be left out). Aliases are folded, so that records
/// compare whichever alias was used: [`Display`](fmt::Display) writes the one name of each event. Source: perf-list(1).
///
/// Parsing consults no machine. Whether a PMU or tracepoint exists here is found out when it is opened.
///
/// A tracepoint that carries a task (`sched:sched_waking`) is delivered to the events of the task that fires it
/// *and* to those of the task it carries (`perf_tp_event` in kernel/events/core.c): counted on a tree of tasks it
/// can count double. [`Wakeups`](super::Wakeups) counts wake-ups once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub(super) source: EventSource,
    pub(super) scope: EventScope,
}

/// What counts the event: a PMU, the kernel's software, or a tracepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EventSource {
    Hardware(Hardware),
    Cache(Cache),
    Software(Software),
    Raw(u64),
    Sysfs { pmu: String, terms: Vec<Term> },
    Tracepoint { system: String, name: String },
}

/// The mode in which the event is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventScope {
    Everywhere,
    User,
    Kernel,
}

/// What one count stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventScale {
    /// How many units one count is; finite. Source: the event's `.scale` file in sysfs.
    pub factor: f64,
    /// The unit, as sysfs spells it: `Joules`, `ns`.
    pub unit: String,
}

/// An event with everything this machine's sysfs and tracefs say of it.
pub(super) struct ResolvedEvent {
    pub(super) builder: Builder<'static>,
    pub(super) scale: Option<EventScale>,
}

impl Event {
    /// Reads a list as perf's `-e` takes it: events separated by commas, of which those between the slashes of a
    /// sysfs event separate its terms.
    ///
    /// # Errors
    /// Those of parsing the first text that is no event; an empty one is none.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, PmuError> {
        let mut between_slashes = false;
        let separators = |c: char| {
            between_slashes ^= c == '/';
            c == ',' && !between_slashes
        };
        text.split(separators).map(|name| name.trim().parse()).collect()
    }

    /// Cycles in both modes.
    pub(super) fn cycles() -> Self {
        Self { source: EventSource::Hardware(Hardware::CPU_CYCLES), scope: EventScope::Everywhere }
    }

    /// Whether counting it may occupy one of the processor's counters. Software events and tracepoints do not.
    pub fn uses_hardware_counter(&self) -> bool {
        match &self.source {
            EventSource::Hardware(_) | EventSource::Cache(_) | EventSource::Raw(_) | EventSource::Sysfs { .. } => true,
            EventSource::Software(_) | EventSource::Tracepoint { .. } => false,
        }
    }

    /// Whether it is the processor's own PMU that counts it.
    pub(super) fn is_of_cpu_pmu(&self) -> bool {
        matches!(self.source, EventSource::Hardware(_) | EventSource::Cache(_) | EventSource::Raw(_))
    }

    /// Whether each PMU of CPU cores has it under the same number (perf_event_open(2), PERF_TYPE_HARDWARE and
    /// PERF_TYPE_HW_CACHE).
    pub(super) fn is_generic(&self) -> bool {
        matches!(self.source, EventSource::Hardware(_) | EventSource::Cache(_))
    }

    /// Whether it is a number of the processor's own PMU.
    pub(super) fn is_raw(&self) -> bool {
        matches!(self.source, EventSource::Raw(_))
    }

    /// Whether the work of [`workload`](super::workload) makes the count grow on every working PMU.
    pub(super) fn must_advance(&self) -> bool {
        let stalls = matches!(
            self.source,
            EventSource::Hardware(Hardware::STALLED_CYCLES_FRONTEND | Hardware::STALLED_CYCLES_BACKEND)
        );
        stalls || self.always_advances()
    }

    /// Whether the count grows whenever a counted task runs: a task that is switched to runs in the kernel, and one
    /// that does anything of its own in user mode.
    pub(super) fn always_advances(&self) -> bool {
        let with_every_instruction = matches!(
            self.source,
            EventSource::Hardware(
                Hardware::CPU_CYCLES
                    | Hardware::REF_CPU_CYCLES
                    | Hardware::INSTRUCTIONS
                    | Hardware::BRANCH_INSTRUCTIONS
            )
        );
        with_every_instruction || self.is_clock()
    }

    /// Whether it is a clock in nanoseconds, which the kernel reads without regard to the mode
    /// (`task_clock_event_read`, `cpu_clock_event_read` in kernel/events/core.c).
    pub(super) fn is_clock(&self) -> bool {
        matches!(self.source, EventSource::Software(Software::TASK_CLOCK | Software::CPU_CLOCK))
    }

    /// The same event counted in user mode alone, if that is a count of its own and the event is not limited yet.
    ///
    /// A context switch or migration always happens inside the kernel: with the kernel excluded the kernel opens
    /// such an event and counts 0 for ever, so software events other than faults have no such version.
    pub(super) fn in_user_mode(&self) -> Option<Self> {
        let counts_in_user_mode = match &self.source {
            EventSource::Hardware(_) | EventSource::Cache(_) | EventSource::Raw(_) | EventSource::Sysfs { .. } => true,
            EventSource::Software(event) => {
                matches!(*event, Software::PAGE_FAULTS | Software::PAGE_FAULTS_MIN | Software::PAGE_FAULTS_MAJ)
            }
            EventSource::Tracepoint { .. } => false,
        };
        (counts_in_user_mode && self.scope == EventScope::Everywhere)
            .then(|| Self { source: self.source.clone(), scope: EventScope::User })
    }

    /// The same event counted in both modes, if it is limited to one.
    pub(super) fn in_both_modes(&self) -> Option<Self> {
        (self.scope != EventScope::Everywhere)
            .then(|| Self { source: self.source.clone(), scope: EventScope::Everywhere })
    }

    /// A modifier that the kernel takes and that makes the count say something else than its name.
    fn refuse_misleading_modifier(&self) -> Result<(), Shortfall> {
        let happens_in_the_kernel = matches!(
            self.source,
            EventSource::Software(Software::CONTEXT_SWITCHES | Software::CPU_MIGRATIONS | Software::CGROUP_SWITCHES)
        );
        let reason = match self.scope {
            EventScope::User if happens_in_the_kernel => "it happens in the kernel, and in user mode always reads 0",
            EventScope::User | EventScope::Kernel if self.is_clock() => "the kernel does not split this clock by mode",
            _ => return Ok(()),
        };
        Err(Shortfall::new(self.to_string(), reason, "drop the modifier"))
    }

    /// Looks up what the name leaves to the machine.
    pub(super) fn resolve(&self, root: &SysRoot) -> Result<ResolvedEvent, Shortfall> {
        self.refuse_misleading_modifier()?;
        let mut scale = self.is_clock().then(|| EventScale { factor: 1.0, unit: "ns".into() });
        let mut builder = match &self.source {
            EventSource::Hardware(event) => Builder::new(*event),
            EventSource::Cache(event) => Builder::new(event.clone()),
            EventSource::Software(event) => Builder::new(*event),
            EventSource::Raw(config) => Builder::new(Raw::new(*config)),
            EventSource::Tracepoint { system, name } => {
                Builder::new(Tracepoint::with_id(tracepoint::id(root, system, name)?))
            }
            EventSource::Sysfs { pmu, terms } => {
                let encoding = sysfs::Pmu::load(root, pmu)
                    .and_then(|pmu| pmu.refuse_system_wide()?.encode(terms))
                    .map_err(|fault| fault.not_counted(self.to_string()))?;
                scale = encoding.scale.clone();
                encoding.builder()
            }
        };
        // perf's own reading of the modifiers: a stated mode excludes the hypervisor too.
        builder
            .exclude_user(self.scope == EventScope::Kernel)
            .exclude_kernel(self.scope == EventScope::User)
            .exclude_hv(self.scope != EventScope::Everywhere);
        Ok(ResolvedEvent { builder, scale })
    }
}

impl FromStr for Event {
    type Err = PmuError;

    fn from_str(text: &str) -> Result<Self, PmuError> {
        if let Some((pmu, rest)) = text.split_once('/') {
            return sysfs_event(text, pmu, rest);
        }
        let (name, modifier) = match text.rsplit_once(':') {
            Some((name, modifier)) => (name, Some(modifier)),
            None => (text, None),
        };
        let scope = modifier.map_or(Some(EventScope::Everywhere), parse_scope);
        match (source(name), scope, modifier) {
            (Some(source), Some(scope), _) => Ok(Self { source, scope }),
            (Some(_), None, Some(modifier)) => Err(malformed(text, unknown_modifier(modifier))),
            (None, _, Some(rest)) if is_identifier(name) && is_identifier(rest) && scope.is_none() => {
                let source = EventSource::Tracepoint { system: name.to_owned(), name: rest.to_owned() };
                Ok(Self { source, scope: EventScope::Everywhere })
            }
            _ => Err(unknown(text, if scope.is_some() { name } else { text })),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before_modifier = ":";
        match &self.source {
            EventSource::Hardware(event) => f.write_str(names::of_hardware(*event))?,
            EventSource::Cache(event) => f.write_str(&names::of_cache(event))?,
            EventSource::Software(event) => f.write_str(names::of_software(*event))?,
            EventSource::Raw(config) => write!(f, "r{config:x}")?,
            EventSource::Tracepoint { system, name } => write!(f, "{system}:{name}")?,
            EventSource::Sysfs { pmu, terms } => {
                let terms: Vec<String> = terms.iter().map(Term::to_string).collect();
                write!(f, "{pmu}/{}/", terms.join(","))?;
                before_modifier = "";
            }
        }
        match self.scope {
            EventScope::Everywhere => Ok(()),
            EventScope::User => write!(f, "{before_modifier}u"),
            EventScope::Kernel => write!(f, "{before_modifier}k"),
        }
    }
}

/// A name without modifier; tracepoints, which hold a colon themselves, may still carry one outside.
fn source(name: &str) -> Option<EventSource> {
    let tracepoint = || {
        let (system, name) = name.split_once(':')?;
        let is_modifier = parse_scope(name).is_some();
        (is_identifier(system) && is_identifier(name) && !is_modifier)
            .then(|| EventSource::Tracepoint { system: system.to_owned(), name: name.to_owned() })
    };
    names::hardware(name)
        .map(EventSource::Hardware)
        .or_else(|| names::software(name).map(EventSource::Software))
        .or_else(|| names::cache(name).map(EventSource::Cache))
        .or_else(|| raw(name).map(EventSource::Raw))
        .or_else(tracepoint)
}

/// `r` and up to 64 bits in hexadecimal digits.
fn raw(name: &str) -> Option<u64> {
    let digits = name.strip_prefix('r').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()
}

fn sysfs_event(text: &str, pmu: &str, rest: &str) -> Result<Event, PmuError> {
    let (terms, modifier) =
        rest.rsplit_once('/').ok_or_else(|| malformed(text, "the slash after the terms is missing".into()))?;
    if !sysfs::is_file_name(pmu) {
        return Err(malformed(text, format!("'{pmu}' cannot be a PMU's name")));
    }
    let terms: Result<Vec<Term>, String> = terms.split(',').map(|term| term.trim().parse()).collect();
    let modifier = modifier.strip_prefix(':').unwrap_or(modifier);
    let scope = match modifier {
        "" => EventScope::Everywhere,
        modifier => parse_scope(modifier).ok_or_else(|| malformed(text, unknown_modifier(modifier)))?,
    };
    let terms = terms.map_err(|fault| malformed(text, fault))?;
    Ok(Event { source: EventSource::Sysfs { pmu: pmu.to_owned(), terms }, scope })
}

fn parse_scope(modifier: &str) -> Option<EventScope> {
    match modifier {
        "u" => Some(EventScope::User),
        "k" => Some(EventScope::Kernel),
        "uk" | "ku" => Some(EventScope::Everywhere),
        _ => None,
    }
}

/// What the names of trace systems and tracepoints are made of: they are C identifiers, and a few have hyphens.
fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn unknown_modifier(modifier: &str) -> String {
    format!("unknown modifier '{modifier}'; there are :u (user mode), :k (kernel) and :uk (both)")
}

fn malformed(text: &str, fault: String) -> PmuError {
    PmuError::MalformedEvent { name: text.to_owned(), fault }
}

fn unknown(text: &str, name: &str) -> PmuError {
    PmuError::UnknownEvent { name: text.to_owned(), nearest: names::nearest(name) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> String {
        text.parse::<Event>().unwrap().to_string()
    }

    #[test]
    fn every_generic_name_is_read_and_written_back() {
        for known in names::known() {
            let canonical = name(&known);
            assert_eq!(name(&canonical), canonical);
            assert_eq!(name(&format!("{known}:k")), format!("{canonical}:k"));
            assert_eq!(name(&format!("{known}:uk")), canonical);
        }
    }

    #[test]
    fn aliases_fold_into_one_name() {
        for (alias, canonical) in [
            ("cs", "context-switches"),
            ("faults", "page-faults"),
            ("cpu-cycles:u", "cycles:u"),
            ("branch-instructions", "branches"),
            ("l1d-misses", "L1-dcache-load-misses"),
            ("llc", "LLC-loads"),
            ("branch-load-misses", "branch-load-misses"),
            ("r00C0:ku", "rc0"),
            ("cpu/event=192, umask=0x1/u", "cpu/event=0xc0,umask=0x1/u"),
            ("power/energy-pkg/", "power/energy-pkg/"),
            ("sched:sched_switch", "sched:sched_switch"),
            ("sched:sched_switch:k", "sched:sched_switch:k"),
        ] {
            assert_eq!(name(alias), canonical, "{alias}");
        }
    }

    #[test]
    fn unknown_names_say_what_was_meant_and_where_to_look() {
        let error = "instrutcions:u".parse::<Event>().unwrap_err().to_string();
        assert!(error.contains("'instrutcions:u'") && error.contains("did you mean instructions"), "{error}");
        assert!(error.contains("perf list"), "{error}");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, fault) in [
            ("cycles:x", "unknown modifier 'x'"),
            ("cycles:", "unknown modifier ''"),
            ("cpu/event=0xc0", "slash"),
            ("cpu//", "empty"),
            ("../event=1/", "cannot be a PMU's name"),
            ("cpu/../x/", "cannot be"),
            ("cpu/event=0xg/", "number"),
            ("cpu/event=1/x", "unknown modifier 'x'"),
        ] {
            let error = text.parse::<Event>().unwrap_err();
            assert!(matches!(error, PmuError::MalformedEvent { .. }), "{text}: {error}");
            assert!(error.to_string().contains(fault), "{text}: {error}");
        }
        for text in ["", "r", "rxyz", "r11112222333344445", "a b:c", "::", "sched:", "quux", "quux:u", "é:ü"] {
            let error = text.parse::<Event>().unwrap_err();
            assert!(matches!(error, PmuError::UnknownEvent { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn lists_split_at_commas_outside_slashes() {
        let list = Event::parse_list("cycles, cpu/event=1,umask=2/u,cs").unwrap();
        let written: Vec<String> = list.iter().map(Event::to_string).collect();
        assert_eq!(written, ["cycles", "cpu/event=0x1,umask=0x2/u", "context-switches"]);
        assert!(Event::parse_list("cycles,,cs").is_err());
    }

    #[test]
    fn switches_are_never_counted_with_the_kernel_excluded() {
        for (text, user) in [
            ("context-switches", None),
            ("cpu-migrations", None),
            ("sched:sched_switch", None),
            ("cycles:k", None),
            ("cache-misses", Some("cache-misses:u")),
            ("page-faults", Some("page-faults:u")),
        ] {
            let event: Event = text.parse().unwrap();
            assert_eq!(event.in_user_mode().map(|event| event.to_string()).as_deref(), user, "{text}");
        }
    }

    #[test]
    fn modifiers_that_would_read_0_or_everything_are_refused() {
        let root = SysRoot::default();
        for text in ["context-switches:u", "migrations:u", "cgroup-switches:u", "task-clock:k", "cpu-clock:u"] {
            let refusal = text.parse::<Event>().unwrap().resolve(&root).err().unwrap();
            assert_eq!(refusal.remedy, "drop the modifier", "{text}");
        }
        for text in ["context-switches:k", "page-faults:u", "task-clock:uk", "cycles:u"] {
            assert!(text.parse::<Event>().unwrap().resolve(&root).is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Event>();
            let _ = Event::parse_list(&text);
        }

        #[test]
        fn what_parses_is_written_in_a_form_that_parses_to_the_same(text in "[a-zA-Z0-9:/=,_-]{1,24}") {
            if let Ok(event) = text.parse::<Event>() {
                prop_assert_eq!(event.to_string().parse::<Event>().unwrap(), event);
            }
        }
    }
}
