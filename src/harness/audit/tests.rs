//! What is judged, and how it is reported.

use super::*;

fn calls(per_op: &[(&str, f64)], set_up: &[(&str, u64)]) -> CallRates {
    CallRates {
        per_op: per_op.iter().map(|(name, rate)| ((*name).into(), *rate)).collect(),
        set_up: set_up.iter().map(|(name, count)| ((*name).into(), *count)).collect(),
        ..CallRates::default()
    }
}

fn differences(record: &AuditRecord) -> Vec<&str> {
    record.differences().map(|check| check.what.as_str()).collect()
}

fn judged(expected: &Expectation, calls: &CallRates) -> AuditRecord {
    let mut record = AuditRecord::default();
    judge_calls(expected, calls, EXACT, &mut record);
    record
}

fn one_read_one_write() -> Expectation {
    Expectation::nothing().call("read", Bound::Exactly(1.0)).call("write", Bound::Exactly(1.0))
}

#[test]
fn a_heap_that_grows_with_a_batch_is_no_call_of_an_operation_and_one_that_grows_each_time_is() {
    let seldom = calls(&[("read", 1.0), ("write", 1.0), ("mprotect", 0.02)], &[]);
    assert_eq!(judged(&one_read_one_write(), &seldom).verdict(), "ok");
    let each_time = calls(&[("read", 1.0), ("write", 1.0), ("mprotect", 1.0)], &[]);
    assert_eq!(differences(&judged(&one_read_one_write(), &each_time)), ["other calls"]);
}

#[test]
fn calls_as_expected_agree() {
    let record = judged(&one_read_one_write(), &calls(&[("read", 1.0), ("write", 1.0), ("close", 0.0)], &[]));
    assert_eq!((record.verdict(), record.calls_per_op()), ("ok", Some(2.0)));
    assert!(!record.calls.contains_key("close"), "what a batch costs once is no part of an operation");
}

#[test]
fn a_second_call_a_missing_one_and_an_unnamed_one_differ() {
    let twice = judged(&one_read_one_write(), &calls(&[("read", 1.0), ("write", 2.0)], &[]));
    assert_eq!((twice.verdict(), differences(&twice)), ("DIFFERS", vec!["write"]));
    let dropped = judged(&one_read_one_write(), &calls(&[("read", 0.875), ("write", 0.875)], &[]));
    assert_eq!(differences(&dropped), ["read", "write"]);
    let missing = judged(&one_read_one_write(), &calls(&[("read", 1.0)], &[]));
    assert_eq!(differences(&missing), ["write"]);
    let strange = judged(&one_read_one_write(), &calls(&[("read", 1.0), ("write", 1.0), ("poll", 0.01)], &[]));
    assert_eq!(differences(&strange), ["other calls"]);
}

fn total(expected: &Expectation, batch: &[(&str, u64)], tasks: Tasks) -> String {
    let mut record = AuditRecord::default();
    let batch = batch.iter().map(|(name, count)| ((*name).into(), *count)).collect();
    judge_totals(expected, &CallRates { batch, ops: 192, ..CallRates::default() }, tasks, &mut record);
    differences(&record).join(", ")
}

#[test]
fn a_batch_without_its_last_round_trip_differs_though_the_rate_is_right() {
    let (expected, several) = (one_read_one_write(), Tasks::Several);
    assert_eq!(total(&expected, &[("read", 192), ("write", 192)], Tasks::OneThread), "");
    assert_eq!(total(&expected, &[("read", 193), ("write", 192)], several), "", "a reader that was late before");
    for [reads, writes] in [[190, 190], [194, 194]] {
        let failed = total(&expected, &[("read", reads), ("write", writes)], several);
        assert_eq!(failed, "a batch's read, a batch's write");
    }
    let half = Expectation::nothing().call("futex:wait", Bound::Exactly(0.5));
    assert_eq!(total(&half, &[("futex:wait", 96)], several), "");
    assert_eq!(total(&half, &[("futex:wait", 95)], several), "a batch's futex:wait", "its only call");
    let spared = Expectation::nothing().call("read", Bound::Between(1.0, 2.0));
    assert_eq!(total(&spared, &[("read", 384)], several), "");
    assert_eq!(total(&spared, &[("read", 190)], several), "a batch's read");
}

#[test]
fn what_a_batch_calls_once_must_be_stated_and_spares_no_operation() {
    let silent = [("read", 192), ("write", 192), ("close", 1)];
    assert_eq!(total(&one_read_one_write(), &silent, Tasks::OneThread), "a batch's other calls");
    let stated = one_read_one_write().per_batch(Expectation::OTHER_CALLS, 1.0).per_batch("read", 2.0);
    assert_eq!(total(&stated, &silent, Tasks::OneThread), "");
    assert_eq!(total(&stated, &[("read", 194), ("write", 192)], Tasks::OneThread), "");
    assert_eq!(total(&stated, &[("read", 190), ("write", 192)], Tasks::OneThread), "a batch's read");
    assert_eq!(total(&stated, &[("read", 192), ("write", 192), ("close", 3)], Tasks::Several), "a batch's other calls");
}

#[test]
fn an_audit_expects_what_its_own_placement_does() {
    let choice = crate::harness::Choice::default();
    let planned = crate::harness::plan(&choice, |id| id.starts_with("handoff/futex/")).unwrap();
    let mut shown = Vec::new();
    for planned in planned {
        let crate::harness::PlannedBenchmark::Ready(benchmark) = planned else { continue };
        let (mut record, expected) = (AuditRecord::default(), expected(&benchmark));
        let seen = SwitchCounts { voluntary: 0.5, involuntary: 0.5, wakeups: Ok(0.5) };
        judge_switches(&expected, seen, 1000, &mut record);
        let switches = record.checks.iter().find(|check| check.what == "switches").unwrap();
        shown.push((benchmark.setting.placement, switches.expected.clone()));
    }
    let of = |wanted| &shown.iter().find(|(placement, _)| *placement == wanted).unwrap().1;
    let (one, any) = (of(crate::terms::Placement::SameCpu), of(crate::terms::Placement::Unpinned));
    assert_eq!((one.as_str(), any.as_str()), ("exactly 1", "depends on the scheduler"));
}

#[test]
fn a_rate_between_two_bounds_varies_in_the_difference_of_batches() {
    let wait = Expectation::nothing().call("io_uring_enter", Bound::Between(1.0, 2.0));
    assert_eq!(judged(&wait, &calls(&[("io_uring_enter", 0.9922)], &[])).verdict(), "ok");
    assert_eq!(differences(&judged(&wait, &calls(&[("io_uring_enter", 0.5)], &[]))), ["io_uring_enter"]);
}

#[test]
fn set_up_is_judged_by_its_total() {
    let edge = Expectation::nothing().set_up("epoll_ctl:edge", Bound::Exactly(8.0));
    assert_eq!(judged(&edge, &calls(&[], &[("epoll_ctl:edge", 8), ("mmap", 3)])).verdict(), "ok");
    let level = Expectation::nothing().set_up("epoll_ctl:level", Bound::Exactly(8.0));
    assert_eq!(differences(&judged(&level, &calls(&[], &[("epoll_ctl:edge", 8)]))), ["set-up epoll_ctl:level"]);
}

#[test]
fn switches_are_judged_within_the_schedulers_slack() {
    let expected =
        Expectation::nothing().voluntary(Bound::Exactly(1.0)).switches(Bound::AtMost(1.5)).wakeups(Bound::Depends);
    let judged = |voluntary, involuntary, ops| {
        let mut record = AuditRecord::default();
        judge_switches(&expected, SwitchCounts { voluntary, involuntary, wakeups: Ok(9.0) }, ops, &mut record);
        differences(&record).join(", ")
    };
    assert_eq!(judged(0.99, 0.1, 10_000), "");
    assert_eq!(judged(0.5, 0.5, 10_000), "voluntary switches");
    assert_eq!(judged(1.0, 0.6, 10_000), "switches");
    assert_eq!(judged(0.5, 0.5, 8), "", "the edges of a batch of eight are half of it");
}

#[test]
fn what_could_not_be_watched_is_no_verdict() {
    let unchecked = Shortfall { what: "wakeups".into(), why: "no tracefs".into(), remedy: "mount it".into() };
    let seen = SwitchCounts { voluntary: 0.0, involuntary: 0.0, wakeups: Err(unchecked.clone()) };
    let mut record = AuditRecord::default();
    judge_switches(&Expectation::nothing(), seen, 1000, &mut record);
    assert_eq!((record.verdict(), record.unchecked), ("ok", vec![unchecked]));
    assert_eq!((AuditRecord::default().verdict(), AuditRecord::default().calls_per_op()), ("none", None));
}

#[test]
fn an_audited_process_tells_whose_fault_it_is() {
    let seen = SwitchCounts { voluntary: 1.0, involuntary: 0.0, wakeups: Ok(1.0) };
    let written = serde_json::to_vec(&AuditAnswer::Ok(Some(seen.clone()))).unwrap();
    assert_eq!(read_answer(&written, "exit status 0"), Ok(Some(seen)));
    let miscounted = Failure::Miscounted { asked: 8, done: 7 };
    let written = serde_json::to_vec(&AuditAnswer::Err(miscounted.into())).unwrap();
    let trouble = read_answer(&written, "exit status 1").unwrap_err();
    assert_eq!(trouble, AuditFailure::Failed("asked for 8 operations, 7 were done".into()));
    let unsupported = crate::terms::Unsupported::new("a ring", "none", "a newer kernel");
    assert!(matches!(AuditFailure::from(Failure::from(unsupported)), AuditFailure::Unsupported(_)));
    let trouble = read_answer(b"", "by a signal").unwrap_err();
    assert!(matches!(&trouble, AuditFailure::Failed(reason) if reason.contains("by a signal")), "{trouble:?}");
    assert!(!failed("because").holds);
}

#[test]
fn a_program_that_does_not_answer_fails_the_audit_and_one_that_is_not_there_leaves_it_unchecked() {
    let choice = crate::harness::Choice::default();
    let planned = crate::harness::plan(&choice, |id| id == "brigade/one_thread/same-cpu").unwrap();
    let [crate::harness::PlannedBenchmark::Ready(benchmark)] = &planned[..] else { panic!("{planned:?}") };
    let silent = Auditor::with_program("/bin/true").audit(benchmark);
    assert_eq!(silent.verdict(), "DIFFERS");
    let absent = Auditor::with_program("/nonexistent/program").audit(benchmark);
    assert_eq!((absent.verdict(), absent.unchecked.len()), ("none", 2));
}
