//! Servers that do not do as they should: each ends in a count or in one line, and no run hangs.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::server::{HELLO, TestServer};
use super::*;

/// Runs a plan with each engine, and looks at what came of it; none may take longer than `most`.
fn each_engine(plan: impl Fn(&'static dyn LoadEngine) -> LoadPlan, look: impl Fn(&str, LoadOutcome)) {
    for engine in ENGINES.iter().filter(|engine| engine.supports().is_ok()) {
        look(engine.name(), run(plan(*engine)));
    }
}

fn gave_up(name: &str, outcome: &LoadOutcome) -> String {
    match &outcome.ended {
        LoadEnd::GaveUp(why) => why.clone(),
        other => panic!("{name}: {other:?}, {:?}", outcome.counts),
    }
}

#[test]
fn a_port_without_a_server_is_told_before_the_run() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for engine in ENGINES.iter().filter(|engine| engine.supports().is_ok()) {
        let plan = LoadPlan { engine: *engine, ..plan_for(free) };
        let told = run_load(&plan.checked().unwrap(), &mut ()).unwrap_err().to_string();
        assert!(told.contains("connect: ECONNREFUSED"), "{}: {told}", engine.name());
        assert_eq!(told.lines().count(), 1);
    }
}

#[test]
fn a_server_that_closes_at_once_is_given_up() {
    let server = TestServer::start(|stream, _| drop(stream));
    let plan = |engine| LoadPlan { engine, duration: Duration::from_secs(20), ..plan_for(server.address) };
    each_engine(plan, |name, outcome| {
        let told = gave_up(name, &outcome);
        assert!(told.contains("answered nothing") && told.lines().count() == 1, "{name}: {told}");
        assert_eq!(outcome.void, [VoidReason::NoAnswer], "{name}");
        // It rests between two attempts.
        assert!(outcome.counts.failures() < 20_000, "{name}: {:?}", outcome.counts);
    });
}

#[test]
fn a_server_that_speaks_no_http_is_quoted() {
    let server = TestServer::start(|mut stream, _| {
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n");
        let _ = stream.read(&mut [0; 512]);
    });
    let plan = |engine| LoadPlan { engine, duration: Duration::from_secs(20), ..plan_for(server.address) };
    each_engine(plan, |name, outcome| {
        let told = gave_up(name, &outcome);
        assert!(told.contains("SSH-2.0") && told.contains("not HTTP/1.1"), "{name}: {told}");
        assert!(outcome.counts.failed.contains_key(&LoadFailure::Malformed), "{name}");
    });
}

#[test]
fn a_server_that_never_answers_is_given_up_after_its_timeout() {
    let server = TestServer::start(|mut stream, shared| {
        let mut buffer = [0; 512];
        while let Ok(1..) = stream.read(&mut buffer) {
            if shared.over.load(Ordering::Relaxed) {
                return;
            }
        }
    });
    let timeout = Duration::from_millis(600);
    let plan = |engine| LoadPlan { engine, timeout, duration: Duration::from_secs(20), ..plan_for(server.address) };
    let start = Instant::now();
    each_engine(plan, |name, outcome| {
        let told = gave_up(name, &outcome);
        assert!(told.contains("no answer within 600ms"), "{name}: {told}");
        assert!(outcome.response.quantile(0.5) >= 599_000_000, "{name}: what timed out waited as long");
        assert_eq!(outcome.counts.censored, outcome.counts.failures(), "{name}");
    });
    // Far below what the plans allow.
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_server_that_dies_in_the_middle_leaves_the_figures_so_far() {
    for engine in ENGINES.iter().filter(|engine| engine.supports().is_ok()) {
        let name = engine.name();
        let server = TestServer::start(|mut stream, shared| {
            let mut buffer = [0; 4096];
            while let Ok(1..) = stream.read(&mut buffer) {
                if shared.served.fetch_add(1, Ordering::Relaxed) >= 400 || stream.write_all(HELLO).is_err() {
                    shared.over.store(true, Ordering::Relaxed);
                    // The next one to be accepted ends the server, and with it the listener.
                    return;
                }
            }
        });
        let (address, duration) = (server.address, Duration::from_secs(20));
        let outcome = run(LoadPlan { engine: *engine, driver: open(1000.0), duration, ..plan_for(address) });
        let told = gave_up(name, &outcome);
        assert!(told.contains("answered nothing after the first") && told.lines().count() == 1, "{name}: {told}");
        assert!((390..=400).contains(&outcome.counts.answered), "{name}: {:?}", outcome.counts);
        assert!(outcome.service.quantile(0.5) < 1_000_000_000 && outcome.void != [VoidReason::NoAnswer], "{name}");
    }
}

#[test]
fn a_rate_beyond_what_the_server_answers_is_a_backlog_with_a_ceiling() {
    // 8 connections of 4 ms each: 2,000 a second at the most.
    let server = TestServer::http(HELLO, |_| std::thread::sleep(Duration::from_millis(4)));
    let plan = |engine| {
        let duration = Duration::from_secs(1);
        LoadPlan { engine, driver: open(10_000.0), duration, ..plan_for(server.address) }
    };
    each_engine(plan, |name, outcome| {
        let backlog = outcome.backlog.unwrap_or_else(|| panic!("{name}: {:?}", outcome.counts));
        assert!((9_900.0..10_100.0).contains(&backlog.asked), "{name}: {backlog:?}");
        assert!((100.0..2_100.0).contains(&backlog.answered), "{name}: {backlog:?}");
        assert!(matches!(outcome.void[..], [VoidReason::SentTooFew { .. }, ..]), "{name}: {:?}", outcome.void);
        let counts = &outcome.counts;
        assert_eq!(counts.intended, counts.sent + counts.unsent, "{name}");
        assert!(outcome.response.quantile(0.9) > 800_000_000, "{name}: those that were never sent are in it");
    });
}

#[test]
fn a_run_ends_when_its_caller_says_so() {
    struct Impatient;
    impl LoadObserver for Impatient {
        fn progress(&mut self, progress: &LoadProgress) -> bool {
            progress.elapsed < Duration::from_millis(300)
        }
    }
    for engine in ENGINES.iter().filter(|engine| engine.supports().is_ok()) {
        let server = TestServer::http(HELLO, |_| {});
        let plan = LoadPlan {
            engine: *engine,
            driver: open(200.0),
            duration: Duration::from_secs(60),
            ..plan_for(server.address)
        };
        let outcome = run_load(&plan.checked().unwrap(), &mut Impatient).unwrap();
        assert_eq!(outcome.ended, LoadEnd::Interrupted, "{}", engine.name());
        let counts = &outcome.counts;
        assert!(counts.answered > 20 && counts.answered + 3 >= counts.intended, "{}: {counts:?}", engine.name());
    }
}

#[test]
fn a_run_ends_when_its_p99_is_known() {
    // Every answer takes the same 2 ms or little more.
    let server = TestServer::http(HELLO, |_| std::thread::sleep(Duration::from_millis(2)));
    let (precision, duration) = (Some(0.5), Duration::from_secs(30));
    let outcome = run(LoadPlan { driver: open(1000.0), precision, duration, ..plan_for(server.address) });
    assert_eq!(outcome.ended, LoadEnd::Precise);
    let p99 = outcome.p99.unwrap();
    assert!(p99.high <= 1.6 * p99.estimate, "{p99:?}");
}

#[test]
fn a_plan_that_asks_for_nothing_is_refused_in_one_sentence() {
    for (plan, told) in [
        (LoadPlan { connections: 0, ..plan() }, "0 connections"),
        (LoadPlan { driver: open(0.0), ..plan() }, "a rate of 0"),
        (LoadPlan { driver: LoadDriver::Closed { outstanding: 9, ramp: Duration::ZERO }, ..plan() }, "do not fit"),
        (LoadPlan { duration: Duration::from_secs(4000), ..plan() }, "at most an hour"),
        (LoadPlan { warm_up: Duration::from_secs(1), ..plan() }, "leaves nothing"),
        (LoadPlan { requests: Some(0), ..plan() }, "0 requests"),
        (LoadPlan { timeout: Duration::ZERO, ..plan() }, "no time for an answer"),
        (LoadPlan { threads: 0, ..plan() }, "0 threads"),
    ] {
        let error = plan.checked().unwrap_err().to_string();
        assert!(error.contains(told) && error.lines().count() == 1, "{error}");
    }
}
