use super::*;
use crate::sys::affinity::allowed_cpus;
use crate::terms::{Parameters, Placement, Setting, Unsupported};
use crate::units::Quantity;
use std::sync::mpsc;

fn config(timeout: Duration) -> InstanceConfig {
    let setting = Setting::new(Placement::Unpinned, allowed_cpus().unwrap(), Parameters::defaults(&[]));
    InstanceConfig { id: "test/fake/unpinned".into(), setting, timeout, marked: false }
}

fn counting(_: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
    Ok(Box::new(|ops| Batch::timed(|| Ok(ops))))
}

#[test]
fn a_batch_is_run_and_counted() {
    let mut driver = Driver::start(config(Duration::from_secs(10)), || Ok(()), counting).unwrap();
    assert_eq!(driver.run(7).unwrap().ops, Ops(7));
    assert_eq!(driver.run(9).unwrap().ops, Ops(9));
    driver.stop().unwrap();
}

/// The driver is woken before the batch begins, and the main thread after it has ended.
#[test]
fn a_batch_is_handed_over_as_the_operation_timed_it() {
    let fixed = |_: &mut Crew| -> Result<Box<dyn Operation>, Failure> {
        Ok(Box::new(|ops| Ok(Batch { ops: Ops(ops), amount: Amount(ops) })))
    };
    for marked in [false, true] {
        let config = InstanceConfig { marked, ..config(Duration::from_secs(10)) };
        let mut driver = Driver::start(config, || Ok(()), fixed).unwrap();
        for ops in [1, 7, 1000] {
            assert_eq!(driver.run(ops), Ok(Batch { ops: Ops(ops), amount: Amount(ops) }));
        }
        driver.stop().unwrap();
    }
}

/// The least of many, since others are at work on this machine.
fn least_of_many(measure: impl Fn() -> Amount) -> Amount {
    (0..10_000).map(|_| measure()).min().unwrap()
}

#[test]
fn a_batch_that_does_nothing_takes_as_long_as_a_look_at_the_clock() {
    let clock = || {
        let start = Instant::now();
        std::hint::black_box(());
        Amount(start.elapsed().as_nanos() as u64)
    };
    let clock = least_of_many(clock);
    let batch = least_of_many(|| Batch::timed(|| std::hint::black_box(Ok(1))).unwrap().amount);
    // A system call, let alone a wakeup, takes more than four looks.
    assert!(batch.0 <= 4 * clock.0.max(1), "{batch:?} against {clock:?}");
}

/// Finds out how many operations it did.
struct Finder(u64);

impl Operation for Finder {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        self.0 += ops;
        Batch::timed(|| Ok(ops))
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        Ok(vec![Metric::scalar("operations".into(), Quantity::Number, std::mem::take(&mut self.0) as f64)])
    }

    fn counted_metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        Err(Unsupported::new("a PMU", "none", "another machine").into())
    }
}

#[test]
fn findings_are_those_since_they_were_last_taken() {
    let set_up = |_: &mut Crew| -> Result<Box<dyn Operation>, Failure> { Ok(Box::new(Finder(0))) };
    let mut driver = Driver::start(config(Duration::from_secs(10)), || Ok(()), set_up).unwrap();
    driver.run(7).unwrap();
    driver.run(9).unwrap();
    let found = |number| vec![Metric::scalar("operations".into(), Quantity::Number, number)];
    assert_eq!(driver.metrics().unwrap(), found(16.0));
    assert_eq!(driver.metrics().unwrap(), found(0.0));
    assert!(matches!(driver.counted_metrics(), Err(Failure::Unsupported(_))));
    driver.stop().unwrap();
}

#[test]
fn a_wrong_count_is_found() {
    let short =
        |_: &mut Crew| -> Result<Box<dyn Operation>, Failure> { Ok(Box::new(|ops| Batch::timed(|| Ok(ops - 1)))) };
    let mut driver = Driver::start(config(Duration::from_secs(10)), || Ok(()), short).unwrap();
    assert_eq!(driver.run(5), Err(Failure::Miscounted { asked: 5, done: 4 }));
}

#[test]
fn a_panic_in_set_up_or_in_a_batch_is_a_failure() {
    let set_up = |_: &mut Crew| -> Result<Box<dyn Operation>, Failure> { panic!("no set-up today") };
    let failure = Driver::start(config(Duration::from_secs(10)), || Ok(()), set_up).unwrap_err();
    assert!(failure.to_string().contains("no set-up today"), "{failure}");

    let set_up = |_: &mut Crew| -> Result<Box<dyn Operation>, Failure> {
        Ok(Box::new(|_| -> Result<Batch, Failure> { panic!("no batch today") }))
    };
    let mut driver = Driver::start(config(Duration::from_secs(10)), || Ok(()), set_up).unwrap();
    let failure = driver.run(1).unwrap_err();
    assert!(failure.to_string().contains("no batch today"), "{failure}");
}

#[test]
fn a_hang_ends_with_the_name_of_what_hung() {
    let hang = |_: &mut Crew| -> Result<Box<dyn Operation>, Failure> {
        Ok(Box::new(|_| -> Result<Batch, Failure> {
            loop {
                std::thread::park();
            }
        }))
    };
    // Set-up must end within the timeout, and the batch does not: on a busy machine a longer one is needed for both.
    let failures = [50, 500, 5_000, 50_000].map(Duration::from_millis).into_iter().map(|timeout| {
        let run = |mut driver: Driver| driver.run(1);
        Driver::start(config(timeout), || Ok(()), hang).and_then(run).unwrap_err().to_string()
    });
    let hung = |failure: &String| {
        assert!(failure.contains("test/fake/unpinned"), "{failure}");
        failure.contains("a batch")
    };
    assert!(failures.into_iter().any(|failure| hung(&failure)), "no batch was begun within 50 s");
}

/// Says when it is dropped.
struct IdleGuard(mpsc::Sender<()>);

impl Drop for IdleGuard {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn what_was_only_slow_takes_itself_down_after_it_was_given_up() {
    for slow_set_up in [false, true] {
        let (dropped, gone) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let set_up = move |_: &mut Crew| -> Result<Box<dyn Operation>, Failure> {
            let held = IdleGuard(dropped);
            if slow_set_up {
                let _ = wait.recv();
            }
            Ok(Box::new(move |ops| {
                let _ = (&held, wait.recv());
                Batch::timed(|| Ok(ops))
            }))
        };
        let run = |mut driver: Driver| driver.run(1);
        let outcome = Driver::start(config(Duration::from_millis(50)), || Ok(()), set_up).and_then(run);
        assert!(matches!(outcome, Err(Failure::TimedOut { .. })), "{outcome:?}");
        assert!(gone.try_recv().is_err());
        go.send(()).unwrap();
        gone.recv_timeout(Duration::from_secs(10)).expect("the operation is dropped");
    }
}

#[test]
fn the_failure_of_a_task_is_told_instead_of_the_broken_channel() {
    let set_up = |crew: &mut Crew| -> Result<Box<dyn Operation>, Failure> {
        let (go, gone) = mpsc::channel::<()>();
        let (say, said) = mpsc::channel::<()>();
        crew.spawn(1, move |ready| {
            ready.signal();
            let _ = gone.recv();
            let _keep_open_until_recorded = say;
            Err(Failure::Corrupted("the byte was 7".into()))
        })?;
        let gate = Arc::clone(crew.monitor());
        Ok(Box::new(move |_| -> Result<Batch, Failure> {
            let _ = go.send(());
            let _ = said.recv();
            // The task's sender drops before its failure is filed.
            while lock(&gate.state).ended == 0 {
                std::thread::yield_now();
            }
            Err(Failure::Corrupted("broken".into()))
        }))
    };
    let mut driver = Driver::start(config(Duration::from_secs(10)), || Ok(()), set_up).unwrap();
    let failure = driver.run(1).unwrap_err().to_string();
    assert!(failure.contains("the byte was 7"), "{failure}");
}
