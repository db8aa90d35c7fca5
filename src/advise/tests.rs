//! Opposite facts give the opposite verdict; every class of program that a loop does not help is told so.

use super::made_up_program::{Costs, REFERENCE, SECOND, blocking_server, calibrations, observed, point, wait};
use super::*;
use crate::stats::Interval;
use crate::terms::{
    CalibrationTime, Dispatch, Observation, ObservedRequests, PointRole, ServingSleeps, SwitchDetail, WaitKind,
};
use crate::units::Nanos;

/// What records tell, without the shares that a test is about.
fn recorded_switches() -> SwitchDetail {
    SwitchDetail {
        wall: Nanos(10 * SECOND),
        out_voluntary: 400_000,
        out_preempted: 0,
        lost: 0,
        direct: None,
        to_idle: None,
        to_others: None,
        migrated: None,
        run_queue_delay: None,
        woken_remotely: None,
        woken_by_own: None,
    }
}

fn advice_on(observation: &Observation) -> Advice {
    advise(observation, &calibrations(7000.0), Dispatch::TARGETS)
}

#[test]
fn threads_that_wait_for_a_socket_each_are_told_yes_where_a_loop_is_cheaper_and_no_where_it_is_not() {
    let yes = advise(&blocking_server(), &calibrations(7000.0), Dispatch::TARGETS);
    assert_eq!((yes.verdict, yes.reason), (AdviceVerdict::Yes, AdviceReason::Saves), "{}", yes.sentence);
    // 40,000 switches a second, 3 µs each, of 0.5 CPUs.
    let best = yes.targets.iter().find(|prediction| prediction.target == Dispatch::Epoll).unwrap();
    assert!((best.saving.estimate - 0.12).abs() < 0.002 && (best.share.estimate - 0.24).abs() < 0.004, "{best:?}");
    assert!((best.predicted.estimate - 0.38).abs() < 0.002);
    assert!(best.share.low > 0.15 && best.share.high < 0.33, "{:?}", best.share);
    assert!(yes.instead.is_empty(), "{:?}", yes.instead);
    let no = advise(&blocking_server(), &calibrations(10_300.0), Dispatch::TARGETS);
    assert_eq!((no.verdict, no.reason), (AdviceVerdict::No, AdviceReason::SavesLittle), "{}", no.sentence);
    assert!(no.sentence.contains("would cost") && !no.instead.is_empty(), "{}", no.sentence);
    let close = advise(&blocking_server(), &calibrations(9300.0), Dispatch::TARGETS);
    assert_eq!((close.verdict, close.reason), (AdviceVerdict::TooClose, AdviceReason::Unsure), "{}", close.sentence);
}

#[test]
fn each_kind_of_program_that_a_loop_does_not_help_is_told_why() {
    let of = |kind, call: &str| observed(vec![wait(kind, call, 32, 400_000.0)]);
    let hardly = |mut observation: Observation| {
        observation.voluntary = 300;
        observation.waits.iter_mut().for_each(|wait| wait.switches = 300.0);
        observation
    };
    let mut spinning = hardly(of(WaitKind::OneDescriptor, "read"));
    spinning.calls = Some([("sched_yield".to_string(), 900_000.0), ("write".to_string(), 10.0)].into());
    let mut idle = blocking_server();
    (idle.user, idle.system, idle.voluntary) = (Nanos(SECOND / 100), Nanos(0), 100);
    idle.run_queue_wait = Some(Nanos(0));
    let mut short = blocking_server();
    short.wall = Nanos(SECOND / 10);
    let cases = [
        (of(WaitKind::ManyDescriptors, "epoll_wait"), AdviceReason::EventLoop),
        (of(WaitKind::Lock, "futex"), AdviceReason::Locks),
        (of(WaitKind::Disk, "pread64"), AdviceReason::Disk),
        (of(WaitKind::Sleep, "clock_nanosleep"), AdviceReason::Sleeps),
        (of(WaitKind::Child, "wait4"), AdviceReason::Children),
        (hardly(of(WaitKind::OneDescriptor, "read")), AdviceReason::Computes),
        (hardly(of(WaitKind::ManyDescriptors, "epoll_wait")), AdviceReason::EventLoop),
        (spinning, AdviceReason::Spins),
        (idle, AdviceReason::Idle),
    ];
    for (observation, reason) in cases {
        // None of them needs a calibration, and none is helped by one.
        for advice in [advise(&observation, &[], Dispatch::TARGETS), advice_on(&observation)] {
            assert_eq!((advice.verdict, advice.reason), (AdviceVerdict::No, reason), "{}", advice.sentence);
            assert!(!advice.instead.is_empty(), "{reason:?}");
            assert_eq!(advice.evidence.len(), 3, "{:?}", advice.evidence);
        }
        let before = calibrations(7000.0).remove(0);
        assert_eq!(operating_point(&observation, &before), None, "{reason:?}");
    }
    assert_eq!(advice_on(&short).reason, AdviceReason::TooShort);
}

#[test]
fn switches_to_an_idle_cpu_save_less_than_those_to_another_thread() {
    let with = |direct: f64| {
        let mut observation = blocking_server();
        observation.switches = Some(SwitchDetail { direct: Some(direct), ..recorded_switches() });
        advise(&observation, &calibrations(8800.0), &[Dispatch::Epoll])
    };
    // The loop of the calibration sleeps 0.4 times a request: six of ten switches went to another thread.
    let (idle, same, direct) = (with(0.0), with(0.6), with(1.0));
    let share = |advice: &Advice| advice.targets[0].share.estimate;
    let unseen = advise(&blocking_server(), &calibrations(8800.0), &[Dispatch::Epoll]);
    assert!((share(&same) - share(&unseen)).abs() < 1e-6);
    assert!(share(&idle) < share(&same) && share(&same) < share(&direct), "{}", share(&idle));
    assert_eq!((idle.verdict, direct.verdict), (AdviceVerdict::No, AdviceVerdict::Yes), "{}", share(&idle));
}

#[test]
fn a_switch_to_another_program_may_be_one_that_a_loop_does_without() {
    let with = |direct: f64, to_others: Option<f64>| {
        let mut observation = blocking_server();
        observation.switches = Some(SwitchDetail { direct: Some(direct), to_others, ..recorded_switches() });
        advise(&observation, &calibrations(8800.0), &[Dispatch::Epoll]).targets[0].share
    };
    let (unknown, none, all) = (with(0.0, None), with(0.0, Some(0.0)), with(0.0, Some(1.0)));
    assert_eq!(unknown, none);
    // It is taken for one to an idle CPU, and the interval reaches to where it was a direct one.
    assert!((all.estimate - none.estimate).abs() < 1e-9 && (all.low - none.low).abs() < 1e-9, "{all:?} {none:?}");
    let direct = with(1.0, Some(0.0));
    assert!(none.high < direct.estimate && all.high > direct.estimate, "{none:?} {all:?} {direct:?}");
}

#[test]
fn a_wake_that_the_program_pays_for_is_saved_in_its_own_account_and_not_elsewhere() {
    let with = |share: Option<f64>| {
        let mut observation = blocking_server();
        observation.waits[0].woken_by_own = share;
        advise(&observation, &calibrations(8800.0), &[Dispatch::Epoll]).targets.remove(0)
    };
    let (unseen, clients, half, own) = (with(None), with(Some(0.0)), with(Some(0.5)), with(Some(1.0)));
    assert_eq!(unseen, clients);
    // A loop's wake is a microsecond cheaper for the client, of 40,000 a second.
    let elsewhere = |prediction: &TargetPrediction| prediction.elsewhere.unwrap().estimate;
    assert!((elsewhere(&clients) - 0.04).abs() < 1e-6 && (elsewhere(&half) - 0.02).abs() < 1e-6);
    assert!(elsewhere(&own).abs() < 1e-9);
    for (prediction, more) in [(&half, 0.02), (&own, 0.04)] {
        let saved = prediction.saving.estimate - clients.saving.estimate;
        assert!((saved - more).abs() < 1e-6, "{saved} {more}");
    }
    // At each load, and whatever else is waited for.
    assert!(own.curve.iter().zip(&clients.curve).all(|(own, other)| own.per_switch.low > other.per_switch.low));
    let mut locks = blocking_server();
    locks.waits.push(wait(WaitKind::Lock, "futex", 32, 1000.0));
    locks.waits[1].woken_by_own = Some(1.0);
    assert!(elsewhere(&advise(&locks, &calibrations(8800.0), &[Dispatch::Epoll]).targets[0]) > 0.039);
}

#[test]
fn wakes_on_the_same_cpu_are_none_that_were_calibrated() {
    let is_told = |remotely: Option<f64>, calibrations: &[crate::terms::ServerCalibration]| {
        let mut observation = blocking_server();
        observation.switches = Some(SwitchDetail { woken_remotely: remotely, ..recorded_switches() });
        let advice = advise(&observation, calibrations, &[Dispatch::Epoll]);
        advice.unseen.iter().any(|told| told.what == "what waking on the same CPU costs")
    };
    let mut calibrations = calibrations(8800.0);
    assert!(is_told(Some(0.2), &calibrations) && !is_told(Some(0.9), &calibrations) && !is_told(None, &calibrations));
    calibrations.iter_mut().for_each(|calibration| calibration.client_cpus = calibration.server_cpus.clone());
    assert!(!is_told(Some(0.2), &calibrations), "client and server shared their CPU");
}

#[test]
fn where_switches_went_and_how_long_threads_were_ready_is_evidence() {
    let mut observation = blocking_server();
    let (direct, to_idle, run_queue_delay) = (Some(0.25), Some(0.7), Some(Nanos(12_340)));
    observation.switches = Some(SwitchDetail { direct, to_idle, run_queue_delay, ..recorded_switches() });
    let evidence = advice_on(&observation).evidence.join("\n");
    for part in ["25 % of its switches went straight", "70 % left the CPU idle", "each for 12.34 µs"] {
        assert!(evidence.contains(part), "{evidence}");
    }
}

#[test]
fn sleeps_of_threads_that_serve_become_timers_of_a_loop() {
    let with = |serving: f64| {
        let mut sleep = wait(WaitKind::Sleep, "clock_nanosleep", 32, 200_000.0);
        let blocked = Nanos((serving * 500_000.0) as u64);
        sleep.serving = Some(ServingSleeps { switches: serving, blocked });
        observed(vec![wait(WaitKind::OneDescriptor, "recvfrom", 32, 200_000.0), sleep])
    };
    let advice = |serving| advise(&with(serving), &calibrations(7000.0), &[Dispatch::Epoll]);
    let point = |serving| operating_point(&with(serving), &calibrations(7000.0).remove(0)).unwrap();
    // Each of 20,000 requests a second sleeps half a millisecond: a loop makes neither switch.
    let (timers, asleep) = (advice(200_000.0), advice(0.0));
    assert!(
        (timers.convertible.estimate - 40_000.0).abs() < 1.0 && (asleep.convertible.estimate - 20_000.0).abs() < 1.0
    );
    assert!(timers.targets[0].saving.estimate > 1.9 * asleep.targets[0].saving.estimate);
    assert_eq!((timers.staying.len(), asleep.staying.len()), (0, 1));
    assert!(timers.evidence[0].ends_with("and 50 % in sleeps of the same threads"), "{:?}", timers.evidence);
    let is_told = |advice: &Advice| advice.unseen.iter().any(|told| told.what.contains("sleeps of serving"));
    assert!(is_told(&timers) && !is_told(&asleep));
    let (own, without) = (point(200_000.0), point(0.0));
    assert_eq!((own.delay, without.delay), (Nanos(500_000), Nanos(0)));
    assert!((own.rate - 20_000.0).abs() < 1.0 && (without.rate - 20_000.0).abs() < 1.0);
    // 25 µs a request, of which our server uses 9, and half as much again for the sleep.
    assert!(own.work.0.abs_diff(11_500) < 100 && without.work.0.abs_diff(16_000) < 100, "{own:?}");
    // Servers that answer the requests keep up, though there are twice as many switches.
    let mut slower = calibrations(7000.0);
    slower[1].points.iter_mut().flat_map(|point| &mut point.laps).for_each(|lap| lap.wall = Nanos(lap.wall.0 * 2));
    let reached = |observation: &Observation| {
        let advice = advise(observation, &slower, &[Dispatch::Epoll]);
        advice.targets[0].curve.iter().all(|point| point.reached)
    };
    assert!(reached(&with(200_000.0)) && !reached(&blocking_server()));
    // A thread that wakes now and then to tidy up.
    let seldom = advice(10_000.0);
    assert!(!is_told(&seldom) && seldom.convertible == asleep.convertible && point(10_000.0) == without);
}

#[test]
fn a_machine_that_changed_its_state_gets_no_verdict() {
    let mut calibrations = calibrations(7000.0);
    let slow = Costs { blocking: REFERENCE.blocking * 1.36, looped: REFERENCE.looped * 1.36, ..REFERENCE };
    calibrations[1].points[0] = point(PointRole::Reference, slow);
    let advice = advise(&blocking_server(), &calibrations, Dispatch::TARGETS);
    assert_eq!((advice.verdict, advice.reason), (AdviceVerdict::Refused, AdviceReason::MachineChanged));
    assert!(advice.sentence.contains("1.35 times"), "{}", advice.sentence);
    // Faster is a change too.
    calibrations.swap(0, 1);
    (calibrations[0].time, calibrations[1].time) = (CalibrationTime::Before, CalibrationTime::After);
    assert_eq!(advise(&blocking_server(), &calibrations, Dispatch::TARGETS).reason, AdviceReason::MachineChanged);
    // An event loop stays one in either state.
    let looped = observed(vec![wait(WaitKind::ManyDescriptors, "epoll_wait", 1, 400_000.0)]);
    assert_eq!(advise(&looped, &calibrations, Dispatch::TARGETS).reason, AdviceReason::EventLoop);
    let advice = advise(&blocking_server(), &[], Dispatch::TARGETS);
    assert_eq!((advice.verdict, advice.reason), (AdviceVerdict::Refused, AdviceReason::Uncalibrated));
}

#[test]
fn what_threads_wait_for_must_be_seen_before_the_answer_is_yes() {
    let unseen = advice_on(&observed(Vec::new()));
    assert_eq!((unseen.verdict, unseen.reason), (AdviceVerdict::TooClose, AdviceReason::WaitsUnseen));
    let half = observed(vec![
        wait(WaitKind::OneDescriptor, "recvfrom", 16, 200_000.0),
        wait(WaitKind::Unknown, "unknown", 16, 200_000.0),
    ]);
    let whole = advice_on(&blocking_server()).targets[0].saving;
    let half = advice_on(&half).targets[0].saving;
    assert!(half.low < whole.low && half.high - half.low > whole.high - whole.low, "{half:?} {whole:?}");
    let locks = observed(vec![
        wait(WaitKind::OneDescriptor, "recvfrom", 16, 40_000.0),
        wait(WaitKind::Lock, "futex", 16, 360_000.0),
    ]);
    let advice = advice_on(&locks);
    assert!((advice.convertible.estimate - 4000.0).abs() < 1.0, "{:?}", advice.convertible);
    assert_eq!((advice.verdict, advice.reason), (AdviceVerdict::No, AdviceReason::Locks));
    assert_eq!(advice.staying[0].switches, 36_000.0);
}

#[test]
fn preemptions_are_evidence_and_change_no_figure() {
    let mut preempted = blocking_server();
    preempted.involuntary = 4_000_000;
    let (many, few) = (advice_on(&preempted), advice_on(&blocking_server()));
    assert_eq!(many.targets, few.targets);
    assert!(many.preemptions > few.preemptions);
}

#[test]
fn the_load_below_which_a_loop_costs_more_lies_between_those_measured() {
    let advice = advice_on(&blocking_server());
    let epoll = &advice.targets[0];
    // −0.4 µs at a quarter, +0.3 µs at a half: four sevenths of the way, by the logarithm.
    let expected = 0.25 * 2f64.powf(4.0 / 7.0);
    assert!((epoll.crossover.unwrap() - expected).abs() < 0.01, "{:?}", epoll.crossover);
    let holds = epoll.holds.unwrap();
    assert_eq!((holds.from, holds.to), (1.0, 2.0));
    let factors: Vec<f64> = epoll.curve.iter().map(|point| point.factor).collect();
    assert_eq!(factors, [0.25, 0.5, 1.0, 2.0]);
    assert!(epoll.curve.iter().all(|point| point.reached));
    // As observed at the observed load, and dearer for each request below it.
    assert!((epoll.curve[2].blocking - 0.5).abs() < 1e-9 && epoll.curve[0].blocking > 0.125);
    let events: Vec<f64> = epoll.curve.iter().filter_map(|point| point.events_per_wake).collect();
    assert!(events.is_sorted(), "{events:?}");
    let mut cheaper = calibrations(7000.0);
    cheaper[1].points.retain(|point| !matches!(point.role, PointRole::Load(factor) if factor < 1.0));
    assert_eq!(advise(&blocking_server(), &cheaper, &[Dispatch::Epoll]).targets[0].crossover, None);
}

#[test]
fn figures_for_each_request_memory_and_the_cpus_that_wake() {
    let mut observation = blocking_server();
    observation.requests = Some(ObservedRequests { count: 200_000.0, source: "counter".into() });
    let advice = advice_on(&observation);
    let request = advice.targets[0].per_request.unwrap();
    assert!(
        (request.now - 25_000.0).abs() < 1.0 && (request.predicted.estimate - 19_000.0).abs() < 100.0,
        "{request:?}"
    );
    let memory = advice.memory.unwrap();
    assert_eq!((memory.threads, memory.held, memory.tasks), (32, 32.0 * (12288.0 + 16384.0), Some(32_000.0)));
    let elsewhere = advice.targets[0].elsewhere.unwrap();
    assert!((elsewhere.estimate - 0.04).abs() < 1e-6, "{elsewhere:?}");
    let blocking = advice.causes.blocking.unwrap();
    // 10 µs less the 6 µs of a loop that hardly waits, 40,000 times.
    assert!((blocking.estimate - 0.16).abs() < 0.01, "{blocking:?}");
}

#[test]
fn the_load_to_calibrate_under_is_the_observed_one() {
    let before = calibrations(7000.0).remove(0);
    let own = operating_point(&blocking_server(), &before).unwrap();
    assert_eq!((own.connections, own.idle_connections, own.workers), (32, 0, 1));
    assert!((own.rate - 40_000.0).abs() < 1.0);
    // 12.5 µs a wait, of which our server uses 9 without work.
    assert!(own.work.0.abs_diff(3500) < 60, "{:?}", own.work);
    assert!(!own.saturated);
    let mut full = blocking_server();
    full.system = Nanos(9 * SECOND);
    assert!(operating_point(&full, &before).unwrap().saturated);
    let mut many = blocking_server();
    many.waits[0].threads = 2000;
    let own = operating_point(&many, &before).unwrap();
    assert_eq!((own.connections, own.idle_connections), (32, 1968));
}

#[test]
fn an_advice_survives_its_way_through_json() {
    let advice = advice_on(&blocking_server());
    let text = serde_json::to_string(&advice).unwrap();
    assert_eq!(serde_json::from_str::<Advice>(&text).unwrap(), advice);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    for field in ["verdict", "reason", "sentence", "evidence", "instead", "unseen", "target", "causes", "targets"] {
        assert!(!value[field].is_null(), "{field}");
    }
    assert_eq!(value["verdict"], "yes");
    assert!(value["targets"][0]["share"]["low"].is_number());
}

#[test]
fn an_interval_on_one_side_of_five_percent_decides() {
    let of = |low: f64, high: f64| {
        decision::by_interval(&Interval { low, estimate: (low + high) / 2.0, high, confidence: 0.95 })
    };
    assert_eq!(of(0.05, 0.3), AdviceVerdict::Yes);
    assert_eq!(of(0.0499, 0.3), AdviceVerdict::TooClose);
    assert_eq!(of(-0.2, 0.0499), AdviceVerdict::No);
    assert_eq!(of(-0.2, 0.05), AdviceVerdict::TooClose);
}
