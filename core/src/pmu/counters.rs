//! The counters of a thread and its descendants: opening the events of a plan, switching between its sets, reading.

use std::io;

use perf_event::Counter;

use super::opener::{KernelCalls, Opener};
use super::refusal::silent;
use super::trial::{Arrangement, TrialOutcome, arrange, judge};
use super::{Event, EventScale, EventSet, PmuError, SysRoot, Tally, workload};
use crate::terms::Shortfall;

/// The open events of a [`EventSet`] on the thread that opened them and everything it creates afterwards.
///
/// Nothing counts until [`select`](Self::select), **but open events cost a task its switches even while they are
/// disabled**: the scheduler leaves its fast path for a task that has a perf context
/// (`perf_event_task_sched_out` in kernel/events/core.c). A pipe round trip on one processor (Linux 6.18, virtual
/// machine, software events, medians of 25 interleaved runs) took 17 % longer with 4 or 18
/// events open, whether or not they counted, and still 8 % longer when they were closed before it began. So a
/// bare sample needs workers that were created without counters: neither [`pause`](Self::pause) nor dropping
/// makes counted workers bare ones.
#[derive(Debug)]
pub struct Counters {
    always: Vec<OpenEvent>,
    sets: Vec<Vec<OpenEvent>>,
    counting: Option<usize>,
    not_counted: Vec<Shortfall>,
    watchdog: bool,
}

/// One event's count since it was opened. Counts of tasks that ended are in it.
#[derive(Debug, Clone, PartialEq)]
pub struct CounterReading {
    /// The event, as records spell it.
    pub event: String,
    /// The raw count.
    pub count: u64,
    /// Time enabled, summed over the counted tasks while they ran, in nanoseconds.
    pub enabled_ns: u64,
    /// Time the event had a counter, in nanoseconds; less than `enabled_ns` where it was multiplexed.
    pub running_ns: u64,
    /// What one count stands for; `None` for a plain number of events.
    pub scale: Option<EventScale>,
    /// Whether it advances whenever a counted task runs, as cycles do: with a running time, a count of 0 is none.
    pub always_advances: bool,
}

/// All counting events at one moment. Only differences of snapshots mean anything: see [`since`](Self::since).
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    readings: Vec<CounterReading>,
}

/// What was counted between two snapshots.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    readings: Vec<CounterReading>,
}

#[derive(Debug)]
pub(super) struct OpenEvent {
    pub(super) event: String,
    pub(super) scale: Option<EventScale>,
    /// One; of cores of several kinds one for each, of which those count on whose CPUs a task runs.
    pub(super) counters: Vec<Counter>,
    pub(super) always_advances: bool,
    pub(super) must_advance: bool,
    /// What it counted of the trial's work when nothing else counted.
    pub(super) alone: u64,
}

impl Counters {
    /// Opens the plan's events on the calling thread, disabled, inherited by every thread and process created
    /// afterwards. What cannot be opened is in [`not_counted`](Self::not_counted).
    ///
    /// Where the kernel part is refused (`kernel.perf_event_paranoid` 2), events that make sense in user mode
    /// alone are counted there, under the name that says so (`cache-misses:u`), and the refusal of the event
    /// asked for is listed. Where the PMU cannot tell the modes apart, an event of one mode is counted in both, under
    /// the name without a mode.
    ///
    /// Each set is tried as a whole. Events that silence one another are counted in sets of their own.
    pub fn open(plan: &EventSet) -> Self {
        Self::open_under(plan, &SysRoot::default(), KernelCalls::RUNNING)
    }

    pub(super) fn open_under(plan: &EventSet, root: &SysRoot, kernel: KernelCalls) -> Self {
        let opener = Opener::new(root, kernel);
        let mut not_counted = Vec::new();
        let mut names: Vec<String> = Vec::new();
        let mut open_all = |events: &[Event]| -> Vec<OpenEvent> {
            let mut set: Vec<OpenEvent> = Vec::new();
            for event in events {
                // An event that replaces two others is counted once.
                let open = opener.open(event, &mut not_counted).filter(|open| !names.contains(&open.event));
                names.extend(open.iter().map(|open| open.event.clone()));
                set.extend(open);
            }
            set
        };
        let mut always = open_all(plan.always());
        let opened: Vec<Vec<OpenEvent>> = plan.sets().iter().map(|set| open_all(set)).collect();
        let mut sets = Vec::new();
        for set in opened {
            let Arrangement { sets: parts, silent: mute } = arrange(set, |set| (kernel.try_together)(&mut always, set));
            sets.extend(parts);
            not_counted.extend(mute.into_iter().map(|open| silent(open.event)));
        }
        Self { always, sets, counting: None, not_counted, watchdog: root.nmi_watchdog() }
    }

    /// The events of the plan that are not counted, or only in part, in the plan's order.
    pub fn not_counted(&self) -> &[Shortfall] {
        &self.not_counted
    }

    /// Every event of the plan that is not counted, or only in part, after the samples of `tally`.
    pub fn not_counted_in(&self, tally: &Tally) -> Vec<Shortfall> {
        let mut all = self.not_counted.clone();
        all.extend(tally.not_counted(self.watchdog));
        all.extend(tally.not_sampled(self.events()));
        all
    }

    /// The events that are open, as records spell them.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        self.always.iter().chain(self.sets.iter().flatten()).map(|open| open.event.as_str())
    }

    /// The sets worth a counted sample, to be selected in turn: those with an open event. Where no set has one
    /// but the events that always count do, the first index alone. Empty when nothing was opened.
    pub fn rotation(&self) -> Vec<usize> {
        let with_events: Vec<usize> = (0..self.sets.len()).filter(|&set| !self.sets[set].is_empty()).collect();
        if with_events.is_empty() && !self.always.is_empty() { vec![0] } else { with_events }
    }

    /// Makes the events of set `set` count, with those that always count, and no others. A `set` that the plan
    /// does not have holds no events.
    ///
    /// The kernel switches every inherited copy too (`perf_event_for_each_child` in kernel/events/core.c), one
    /// after the other: do it while the counted tasks are parked, outside the timed region.
    ///
    /// # Errors
    /// [`PmuError::Counter`] when the kernel refuses to switch; what counts then is undefined until the next call.
    pub fn select(&mut self, set: usize) -> Result<(), PmuError> {
        if self.counting == Some(set) {
            return Ok(());
        }
        match self.counting {
            Some(previous) => disable(self.sets.get_mut(previous).into_iter().flatten())?,
            None => enable(&mut self.always)?,
        }
        enable(self.sets.get_mut(set).into_iter().flatten())?;
        self.counting = Some(set);
        Ok(())
    }

    /// Stops all counting. The counted tasks go on paying for their perf context: see [`Counters`].
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn pause(&mut self) -> Result<(), PmuError> {
        if let Some(set) = self.counting.take() {
            disable(self.sets.get_mut(set).into_iter().flatten())?;
            disable(&mut self.always)?;
        }
        Ok(())
    }

    /// Reads what counts now: the selected set and the events that always count. Nothing after
    /// [`pause`](Self::pause). A read costs about a microsecond per event, kind of core and counted
    /// task.
    ///
    /// # Errors
    /// [`PmuError::Counter`] when the kernel refuses a read.
    pub fn read(&mut self) -> Result<Snapshot, PmuError> {
        let Some(selected) = self.counting else {
            return Ok(Snapshot { readings: Vec::new() });
        };
        let set = self.sets.get_mut(selected).into_iter().flatten();
        let readings: Result<Vec<CounterReading>, PmuError> =
            self.always.iter_mut().chain(set).map(OpenEvent::read).collect();
        Ok(Snapshot { readings: readings? })
    }
}

impl CounterReading {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            event: self.event.clone(),
            // The kernel's sums only grow; saturating keeps a kernel bug from becoming a count of 2^64.
            count: self.count.saturating_sub(earlier.count),
            enabled_ns: self.enabled_ns.saturating_sub(earlier.enabled_ns),
            running_ns: self.running_ns.saturating_sub(earlier.running_ns),
            scale: self.scale.clone(),
            always_advances: self.always_advances,
        }
    }
}

impl Snapshot {
    /// The readings, cumulative since the events were opened.
    pub fn readings(&self) -> &[CounterReading] {
        &self.readings
    }

    /// What was counted since `earlier`, of the events that are in both.
    pub fn since(&self, earlier: &Self) -> Delta {
        let difference = |now: &CounterReading| {
            let then = earlier.readings.iter().find(|then| then.event == now.event)?;
            Some(now.since(then))
        };
        Delta { readings: self.readings.iter().filter_map(difference).collect() }
    }
}

impl Delta {
    /// The differences, event by event.
    pub fn readings(&self) -> &[CounterReading] {
        &self.readings
    }

    #[cfg(test)]
    pub(super) fn of(readings: Vec<CounterReading>) -> Self {
        Self { readings }
    }
}

impl OpenEvent {
    fn read(&mut self) -> Result<CounterReading, PmuError> {
        let (count, enabled_ns, running_ns) =
            self.sums().map_err(|error| PmuError::counter(&self.event, "read", &error))?;
        Ok(CounterReading {
            event: self.event.clone(),
            count,
            enabled_ns,
            running_ns,
            scale: self.scale.clone(),
            always_advances: self.always_advances,
        })
    }

    /// The count of all kinds of core, and the times enabled and running. Each counter is enabled while a task runs
    /// anywhere, and runs only on CPUs of its kind (`pmu->filter` in kernel/events/core.c,
    /// `visit_groups_merge`; before Linux 6.3 `event_filter_match`).
    fn sums(&mut self) -> io::Result<(u64, u64, u64)> {
        let (mut count, mut enabled, mut running) = (0u64, 0, 0u64);
        for counter in &mut self.counters {
            let read = counter.read_count_and_time()?;
            count = count.saturating_add(read.count);
            enabled = read.time_enabled.max(enabled);
            running = running.saturating_add(read.time_running);
        }
        Ok((count, enabled, running.min(enabled)))
    }

    /// Counts the trial's work, of which no working PMU can miss everything. `Ok(false)` when the event had a counter
    /// all along and shows nothing; one that got no counter is not judged here.
    pub(super) fn advances(&mut self) -> io::Result<bool> {
        self.counters.iter_mut().try_for_each(Counter::enable)?;
        workload::run();
        self.counters.iter_mut().try_for_each(Counter::disable)?;
        let (count, _, running_ns) = self.sums()?;
        self.alone = count;
        Ok(count > 0 || running_ns == 0 || !self.must_advance)
    }
}

/// Counts the trial's work with the events of `set`, and with those that always count. An event that
/// cannot be switched or read is taken to count: the first sample will say what is wrong.
pub(super) fn try_together(always: &mut [OpenEvent], set: &mut [OpenEvent]) -> Vec<TrialOutcome> {
    let members = set.len();
    let mut attempt = || -> Result<Vec<TrialOutcome>, PmuError> {
        let before: Vec<CounterReading> = set.iter_mut().map(OpenEvent::read).collect::<Result<_, _>>()?;
        enable(always.iter_mut().chain(set.iter_mut()))?;
        workload::run();
        disable(set.iter_mut().chain(always.iter_mut()))?;
        let verdict = |(open, before): (&mut OpenEvent, &CounterReading)| {
            Ok(judge(open.must_advance, open.alone, &open.read()?.since(before), members))
        };
        set.iter_mut().zip(&before).map(verdict).collect()
    };
    attempt().unwrap_or_else(|_| vec![TrialOutcome::Counts; members])
}

fn enable<'a>(events: impl IntoIterator<Item = &'a mut OpenEvent>) -> Result<(), PmuError> {
    events.into_iter().try_for_each(|open| {
        let outcome = open.counters.iter_mut().try_for_each(Counter::enable);
        outcome.map_err(|error| PmuError::counter(&open.event, "ioctl PERF_EVENT_IOC_ENABLE", &error))
    })
}

fn disable<'a>(events: impl IntoIterator<Item = &'a mut OpenEvent>) -> Result<(), PmuError> {
    events.into_iter().try_for_each(|open| {
        let outcome = open.counters.iter_mut().try_for_each(Counter::disable);
        outcome.map_err(|error| PmuError::counter(&open.event, "ioctl PERF_EVENT_IOC_DISABLE", &error))
    })
}

#[cfg(test)]
mod tests {
    use super::super::ping_pong;
    use super::*;
    use crate::units::Ops;

    fn snapshot(event: &str, count: u64) -> Snapshot {
        Snapshot {
            readings: vec![CounterReading {
                event: event.into(),
                count,
                enabled_ns: 5,
                running_ns: 5,
                scale: None,
                always_advances: true,
            }],
        }
    }

    fn is_refused(counters: &Counters, event: &str) -> bool {
        counters.not_counted().iter().any(|refusal| refusal.what == event)
    }

    #[test]
    fn differences_are_of_events_in_both_snapshots() {
        let delta = snapshot("cycles", 7).since(&snapshot("cycles", 3));
        assert_eq!((delta.readings()[0].count, delta.readings()[0].enabled_ns), (4, 0));
        assert!(snapshot("cycles", 7).since(&snapshot("branches", 3)).readings().is_empty());
    }

    #[test]
    fn counters_go_to_another_thread() {
        fn assert_send<T: Send>() {}
        assert_send::<Counters>();
    }

    #[test]
    fn an_event_of_another_machine_is_not_counted_and_the_rest_is() {
        let extra = Event::parse_list("no-such-pmu/event=1/,power/energy-pkg/,cpu/event=99999999999/").unwrap();
        let counters = Counters::open_under(
            &EventSet::default().with_events(&extra),
            &SysRoot::fixture("amd-server"),
            KernelCalls::RUNNING,
        );
        for event in &extra {
            assert!(is_refused(&counters, &event.to_string()), "{event}: {:?}", counters.not_counted());
        }
    }

    #[test]
    fn every_event_of_the_plan_counts_or_says_why_not() {
        let plan = EventSet::default();
        let mut counters = Counters::open(&plan);
        let mut read = Vec::new();
        for set in counters.rotation() {
            counters.select(set).unwrap();
            workload::run();
            read.extend(counters.read().unwrap().readings().to_vec());
        }
        counters.pause().unwrap();
        assert!(counters.read().unwrap().readings().is_empty());
        for event in plan.always().iter().chain(plan.sets().iter().flatten()) {
            let reading = read.iter().find(|reading| reading.event == event.to_string());
            assert!(reading.is_some() || is_refused(&counters, &event.to_string()), "{event}");
            assert!(reading.is_none_or(|reading| !event.must_advance() || reading.count > 0), "{reading:?}");
        }
        counters.not_counted().iter().for_each(|refusal| println!("{refusal}"));
    }

    #[test]
    fn an_open_event_that_no_sample_has_says_so() {
        let counters = Counters::open(&EventSet::default());
        let missing = counters.not_counted_in(&Tally::default());
        for event in counters.events() {
            assert!(missing.iter().any(|refusal| refusal.what == event), "{event} is neither counted nor missing");
        }
    }

    #[test]
    fn threads_created_after_opening_are_counted_whole() {
        let mut counters = Counters::open(&EventSet::default());
        let mut before = None;
        ping_pong::run(["ping", "pong"], || {
            counters.select(0).unwrap();
            before = Some(counters.read().unwrap());
        });
        let mut tally = Tally::default();
        tally.add(&counters.read().unwrap().since(&before.unwrap()), Ops(ping_pong::ROUND_TRIPS));
        match tally.per_op("context-switches") {
            // A busy neighbour adds a preemption now and then; half of the two would be one side alone.
            Some(switches) => assert!((1.9..3.0).contains(&switches.per_op), "{switches:?}"),
            None => {
                assert!(is_refused(&counters, "context-switches"), "{:?}", counters.not_counted());
                println!("not checked: context switches of inherited threads");
            }
        }
        println!("{:#?}", tally.summaries());
    }

    #[test]
    fn nothing_counts_before_select_and_after_pause() {
        let mut counters = Counters::open(&EventSet::default());
        let running = |counters: &mut Counters| -> u64 {
            counters.always.iter_mut().map(|open| open.read().unwrap().enabled_ns).sum()
        };
        let opened = running(&mut counters);
        workload::run();
        assert_eq!(running(&mut counters), opened);
        counters.select(0).unwrap();
        counters.select(1).unwrap();
        workload::run();
        counters.pause().unwrap();
        let paused = running(&mut counters);
        workload::run();
        assert_eq!(running(&mut counters), paused);
        assert!(counters.always.is_empty() || paused > opened);
    }
}
