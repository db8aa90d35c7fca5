//! Energy, where the machine meters it.

use perf_event::Counter;

use super::refusal::{Reach, RefusalContext, errno_of, explain};
use super::sysfs::Pmu;
use super::{EventScale, PmuError, SysRoot};
use crate::sys::perf;
use crate::terms::Shortfall;
use crate::units::CpuId;

/// The PMU of the RAPL meters on Intel and AMD (arch/x86/events/rapl.c).
const PMU: &str = "power";

/// The energy meters of the machine: packages, cores, memory.
///
/// They meter whole packages, not tasks, so everything else that runs is in them. They run by themselves: an open
/// meter costs the measured code nothing.
#[derive(Debug)]
pub struct Energy {
    meters: Vec<Meter>,
    not_counted: Vec<Shortfall>,
}

/// One meter at one moment. Only differences mean anything: [`EnergyReading::joules_since`].
#[derive(Debug, Clone, PartialEq)]
pub struct EnergyReading {
    /// The event: `power/energy-pkg/`, `power/energy-ram/`.
    pub event: String,
    /// What the counter of each package reads. The meters themselves advance about every millisecond.
    counts: Vec<u64>,
    /// One count is 2^-32 J.
    joules_per_count: f64,
}

impl EnergyReading {
    /// A reading with these counts, one for each package.
    pub fn new(event: &str, counts: Vec<u64>, joules_per_count: f64) -> Self {
        Self { event: event.into(), counts, joules_per_count }
    }

    /// What all packages took since `before`, in joules. A counter that went over its end in between has gone on, as
    /// counters do; `None` where one has gone backwards, which is one that began again, and tells nothing.
    pub fn joules_since(&self, before: &Self) -> Option<f64> {
        if self.counts.len() != before.counts.len() {
            return None;
        }
        let taken = self.counts.iter().zip(&before.counts).map(|(after, before)| after.wrapping_sub(*before));
        // Half of what a counter holds is half a billion joules here: 60 days at 400 W, and no sample.
        let taken: Option<Vec<u64>> = taken.map(|counts| i64::try_from(counts).ok()?.try_into().ok()).collect();
        Some(joules(&taken?, self.joules_per_count))
    }
}

#[derive(Debug)]
struct Meter {
    event: String,
    joules_per_count: f64,
    /// One per package.
    counters: Vec<Counter>,
}

impl Energy {
    /// Opens every meter there is. What cannot be opened is in [`not_counted`](Self::not_counted).
    pub fn open() -> Self {
        Self::open_under(&SysRoot::default())
    }

    fn open_under(root: &SysRoot) -> Self {
        if !root.event_sources().join(PMU).is_dir() {
            let missing = Shortfall::new(
                "power/energy-pkg/",
                "there are no energy meters (RAPL) here",
                "run on bare metal with an Intel or AMD processor and the kernel's rapl driver (modprobe rapl)",
            );
            return Self { meters: Vec::new(), not_counted: vec![missing] };
        }
        let opened: Vec<Result<Meter, Shortfall>> = match Pmu::load(root, PMU) {
            Ok(pmu) => pmu.events().iter().map(|event| Meter::open(root, &pmu, event)).collect(),
            Err(fault) => vec![Err(fault.not_counted(format!("{PMU}/energy-pkg/")))],
        };
        let (mut meters, mut not_counted) = (Vec::new(), Vec::new());
        for outcome in opened {
            match outcome {
                Ok(meter) => meters.push(meter),
                Err(refusal) => not_counted.push(refusal),
            }
        }
        Self { meters, not_counted }
    }

    /// The meters that could not be opened, and why.
    pub fn not_counted(&self) -> &[Shortfall] {
        &self.not_counted
    }

    /// Reads every open meter.
    ///
    /// # Errors
    /// [`PmuError::Counter`] when the kernel refuses a read.
    pub fn read(&mut self) -> Result<Vec<EnergyReading>, PmuError> {
        self.meters.iter_mut().map(Meter::read).collect()
    }
}

impl Meter {
    fn open(root: &SysRoot, pmu: &Pmu, name: &str) -> Result<Self, Shortfall> {
        let event = format!("{PMU}/{name}/");
        let find = || {
            let term = name.parse().map_err(|_| pmu.odd_event(name))?;
            Ok((pmu.encode(&[term])?, pmu.cpus()?))
        };
        let (encoding, cpus) = find().map_err(|fault: super::sysfs::SysfsFault| fault.not_counted(event.clone()))?;
        let Some(EventScale { factor, .. }) = encoding.scale.clone().filter(|scale| scale.unit == "Joules") else {
            return Err(Shortfall::new(
                event,
                "the kernel does not say what a count is in joules",
                "use a newer kernel",
            ));
        };
        let on = |CpuId(cpu): CpuId| {
            let mut builder = encoding.builder();
            // The meters know no modes: the driver refuses an event that excludes one.
            perf::open(builder.exclude_kernel(false).exclude_hv(false).any_pid().one_cpu(cpu).enabled(true))
        };
        let counters: Result<Vec<Counter>, std::io::Error> = cpus.into_iter().map(on).collect();
        let counters = counters.map_err(|error| {
            let conditions = RefusalContext {
                reach: Reach::Processors,
                paranoid: root.paranoid(),
                cpu_pmu: Some(true),
                watchdog: false,
            };
            explain(&event, errno_of(&error), conditions)
        })?;
        Ok(Self { event, joules_per_count: factor, counters })
    }

    fn read(&mut self) -> Result<EnergyReading, PmuError> {
        let read = |counter: &mut Counter| counter.read();
        let counts = self.counters.iter_mut().map(read).collect::<Result<Vec<u64>, _>>();
        let counts = counts.map_err(|error| PmuError::counter(&self.event, "read", &error))?;
        Ok(EnergyReading::new(&self.event, counts, self.joules_per_count))
    }
}

/// All packages together. Added up as floating-point numbers, whose sum cannot overflow.
fn joules(counts: &[u64], joules_per_count: f64) -> f64 {
    counts.iter().map(|count| *count as f64 * joules_per_count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_added_up_in_joules() {
        let joules_per_count = 2_f64.powi(-32);
        assert_eq!(joules(&[], joules_per_count), 0.0);
        assert_eq!(joules(&[1 << 31, 1 << 32], joules_per_count), 1.5);
        assert_eq!(joules(&[u64::MAX, u64::MAX], joules_per_count), 2_f64.powi(33));
    }

    #[test]
    fn a_counter_goes_on_beyond_its_end_and_one_that_began_again_tells_nothing() {
        let at = |counts: &[u64]| EnergyReading::new("power/energy-pkg/", counts.into(), 0.5);
        assert_eq!(at(&[10, 4]).joules_since(&at(&[6, 4])), Some(2.0));
        assert_eq!(at(&[3, 4]).joules_since(&at(&[u64::MAX - 4, 2])), Some(5.0), "eight and two counts");
        assert_eq!(at(&[3, 9]).joules_since(&at(&[4, 1])), None);
        assert_eq!(at(&[3]).joules_since(&at(&[1, 1])), None);
    }

    #[test]
    fn a_machine_without_meters_says_so() {
        let energy = Energy::open_under(&SysRoot::fixture("no-such-machine"));
        assert!(energy.meters.is_empty());
        assert!(energy.not_counted()[0].why.contains("no energy meters"), "{:?}", energy.not_counted());
    }

    #[test]
    fn meters_of_another_machine_are_refused_with_a_reason() {
        let energy = Energy::open_under(&SysRoot::fixture("amd-server"));
        assert_eq!(energy.meters.len() + energy.not_counted().len(), 1);
        for refusal in energy.not_counted() {
            assert_eq!(refusal.what, "power/energy-pkg/");
            assert!(!refusal.why.is_empty() && !refusal.remedy.is_empty());
        }
    }

    #[test]
    fn what_this_machine_meters_does_not_run_backwards() {
        let mut energy = Energy::open();
        let (before, after) = (energy.read().unwrap(), energy.read().unwrap());
        for (before, after) in before.iter().zip(&after) {
            assert!(after.joules_since(before).is_some_and(|joules| joules >= 0.0), "{before:?} {after:?}");
        }
        energy.not_counted().iter().for_each(|refusal| println!("not checked: {refusal}"));
    }
}
