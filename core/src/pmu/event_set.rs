//! Which events are counted together.

use super::Event;

/// How many hardware events one set holds.
///
/// Four general-purpose counters is the least a current server core gives one hyper-thread (Intel since Sandy
/// Bridge with SMT on: Intel SDM volume 3, "Architectural Performance Monitoring"; AMD and arm64 give six). On
/// Intel cycles and instructions live on fixed counters on top of them. More than fit would be multiplexed, and
/// estimates instead of counts.
pub const HARDWARE_EVENTS_PER_SET: usize = 4;

/// The events to count, in sets that are counted one at a time.
///
/// The events of a set are opened separately, not as a perf group. A group counts all or nothing: where the NMI
/// watchdog or another profiler holds one counter, a group of four opens, never runs, and reads 0, while
/// separate events are multiplexed and say so. A group with `inherit` led by a software event also makes
/// `clone` fail with EINVAL on arm64 with Linux 5.10. What a group would give, counting its members over the
/// same time, a set that fits the PMU has anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSet {
    always: Vec<Event>,
    sets: Vec<Vec<Event>>,
}

impl Default for EventSet {
    /// Cycles and instructions split by mode; caches and branches; deeper cache and TLB misses; stalls. With
    /// every set the software events: task clock, context switches, migrations, page faults.
    fn default() -> Self {
        Self {
            always: events(&["task-clock", "context-switches", "cpu-migrations", "page-faults"]),
            sets: vec![
                events(&["cycles:u", "cycles:k", "instructions:u", "instructions:k"]),
                events(&["cache-references", "cache-misses", "branches", "branch-misses"]),
                events(&["L1-dcache-load-misses", "LLC-load-misses", "dTLB-load-misses", "iTLB-load-misses"]),
                events(&["stalled-cycles-frontend", "stalled-cycles-backend"]),
            ],
        }
    }
}

impl EventSet {
    /// This plan and `extra`, in sets of their own behind the present ones: [`HARDWARE_EVENTS_PER_SET`] hardware
    /// events each, in the given order. Events that are in the plan already are not counted twice.
    pub fn with_events(mut self, extra: &[Event]) -> Self {
        let mut set: Vec<Event> = Vec::new();
        for event in extra {
            if set.contains(event) || self.contains(event) {
                continue;
            }
            let hardware = set.iter().filter(|event| event.uses_hardware_counter()).count();
            if event.uses_hardware_counter() && hardware == HARDWARE_EVENTS_PER_SET {
                self.sets.push(std::mem::take(&mut set));
            }
            set.push(event.clone());
        }
        self.sets.extend((!set.is_empty()).then_some(set));
        self
    }

    /// These events, and none that always count.
    #[cfg(test)]
    pub(super) fn of(events: &[Event]) -> Self {
        Self { always: Vec::new(), sets: Vec::new() }.with_events(events)
    }

    /// The events that are counted with every set.
    pub fn always(&self) -> &[Event] {
        &self.always
    }

    /// The sets; [`Counters::select`](super::Counters::select) takes an index into them.
    pub fn sets(&self) -> &[Vec<Event>] {
        &self.sets
    }

    fn contains(&self, event: &Event) -> bool {
        self.always.contains(event) || self.sets.iter().any(|set| set.contains(event))
    }
}

fn events(names: &[&str]) -> Vec<Event> {
    names.iter().map(|name| name.parse().expect("the default plan names generic events")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_fit_the_smallest_pmu_and_no_event_stands_twice() {
        let plan =
            EventSet::default().with_events(&Event::parse_list("r1,r2,cs,r3,r4,r5,r1,cycles:u,major-faults").unwrap());
        let mut all: Vec<String> = plan.always().iter().map(Event::to_string).collect();
        for set in plan.sets() {
            assert!(set.iter().filter(|event| event.uses_hardware_counter()).count() <= HARDWARE_EVENTS_PER_SET);
            all.extend(set.iter().map(Event::to_string));
        }
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        let added: Vec<Vec<String>> =
            plan.sets()[4..].iter().map(|set| set.iter().map(Event::to_string).collect()).collect();
        assert_eq!(added, [vec!["r1", "r2", "r3", "r4"], vec!["r5", "major-faults"]]);
    }
}
