//! What a sample says that the kernel accounted to it: that of its own batch, and not of the counted instance beside
//! it, nor of the samples before. The only test of its process, because the kernel accounts by processes.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use nix::unistd::{SysconfVar, sysconf};
use switchcost::crew::{Batch, Crew, Failure, Operation};
use switchcost::harness::{Benchmark, Session};
use switchcost::mechanism::{Descriptor, Expectation, Mechanism, Resources, Tasks};
use switchcost::pmu::EventSet;
use switchcost::sys::affinity::allowed_cpus;
use switchcost::sys::memory::ResidentBytes;
use switchcost::terms::{Parameters, Placement, Setting, Unit};

/// Pages that a batch of the bare instance touches for the first time.
const PAGES: u64 = 256;
/// How many times as many one of the counted instance touches.
const MORE: u64 = 64;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "fake/faults",
    isolates: "nothing",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[],
    baseline: "fake/faults",
    requirements: &[],
    source: "none",
    lap: |_| 1,
    resources: |_| Resources::default(),
    expects: |_, _| Expectation::nothing(),
};

struct Faults;

static INSTANCES: AtomicUsize = AtomicUsize::new(0);

impl Mechanism for Faults {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let more = if INSTANCES.fetch_add(1, Ordering::Relaxed) == 0 { 1 } else { MORE };
        let page = sysconf(SysconfVar::PAGE_SIZE).unwrap().unwrap().cast_unsigned();
        Ok(Box::new(move |ops| {
            Batch::timed(|| {
                drop(ResidentBytes::new((PAGES * more * page) as usize)?);
                Ok(ops)
            })
        }))
    }
}

#[test]
fn usage_is_that_of_the_batch_of_the_bare_instance() {
    let benchmark = Benchmark {
        mechanism: &Faults,
        setting: Setting::new(Placement::Unpinned, allowed_cpus().unwrap(), DESCRIPTOR.defaults()),
    };
    let mut session = Session::open(&benchmark, Some(&EventSet::default())).unwrap();
    for sample in 0..9 {
        let usage = session.sample(1).unwrap().usage;
        assert!((PAGES..2 * PAGES).contains(&usage.minor_faults), "sample {sample}: {usage:?}");
    }
    let (counted, _) = session.close().unwrap();
    if counted.samples.is_empty() {
        println!("not checked beside a counted instance: {:?}", counted.not_counted);
    }
}
