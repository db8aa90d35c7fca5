//! What regular files do to an event loop: who is kept in submission and who is not, and what poll, select and epoll say.
//!
//! Times are compared with each other and never with a clock's: medians of the two parts of one read.
#![allow(clippy::unwrap_used)]

use switchcost::crew::{Failure, Finding, Values};
use switchcost::harness::{Benchmark, Choice, Planned, plan};

/// The benchmark of that id.
fn benchmark(id: &str, set: &[(&str, &str)]) -> Benchmark {
    let parameters = set.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect();
    let choice = Choice { parameters, ..Choice::default() };
    let mut planned = plan(&choice, |planned| planned.starts_with(&format!("{id}/unpinned"))).unwrap();
    let Some(Planned::Ready(benchmark)) = planned.pop() else { panic!("{id} is not planned") };
    benchmark
}

/// What a few hundred reads find out, and nothing where this machine has no disk for them.
fn found(id: &str, set: &[(&str, &str)]) -> Option<Vec<Finding>> {
    let mut driver = match benchmark(id, set).start(|| Ok(())) {
        Err(Failure::Unsupported(reason)) => {
            println!("{id}: unsupported: {reason}");
            return None;
        }
        started => started.unwrap(),
    };
    driver.run(8).unwrap();
    driver.findings().unwrap();
    driver.run(400).unwrap();
    let findings = driver.findings().unwrap();
    driver.stop().unwrap();
    Some(findings)
}

fn number(findings: &[Finding], of: &str) -> f64 {
    match findings.iter().find(|finding| finding.of() == of) {
        Some(Finding::Figure(figure)) => figure.value,
        other => panic!("{of}: {other:?} in {findings:?}"),
    }
}

fn values<'a>(findings: &'a [Finding], of: &str) -> &'a Values {
    match findings.iter().find(|finding| finding.of() == of) {
        Some(Finding::Distribution(distribution)) => &distribution.values,
        other => panic!("{of}: {other:?} in {findings:?}"),
    }
}

const COLD: &str = "file in the page cache before the reads";
const UNASKED: &str = "pages that came unasked";

/// Medians of submission and completion.
fn parts(findings: &[Finding]) -> (u64, u64) {
    let median = |of| {
        let values = values(findings, of);
        assert_eq!(values.count(), 400, "{of}: one value a read");
        values.quantile(0.5)
    };
    (median("submission"), median("completion"))
}

#[test]
fn a_cold_read_through_the_page_cache_blocks_io_submit_and_nobody_else() {
    let Some(aio) = found("file/aio", &[]) else { return };
    assert!(number(&aio, COLD) < 0.01, "{aio:?}");
    assert_eq!(number(&aio, UNASKED), 0.0);
    let (submission, completion) = parts(&aio);
    assert!(submission > completion, "io_submit: {submission} ns in it, {completion} ns after it");
    let others: [(&str, &[(&str, &str)]); 7] = [
        ("aio", &[("io", "direct")]),
        ("uring", &[]),
        ("uring", &[("io", "direct")]),
        ("uring", &[("ring", "sqpoll")]),
        ("pool", &[]),
        ("pool", &[("workers", "0")]),
        ("tokio_fs", &[]),
    ];
    for (name, set) in others {
        let Some(findings) = found(&format!("file/{name}"), set) else { continue };
        assert!(number(&findings, COLD) < 0.01, "{name} {set:?}: {findings:?}");
        assert_eq!(number(&findings, UNASKED), 0.0, "{name} {set:?}");
        let (submission, completion) = parts(&findings);
        assert!(submission < completion, "{name} {set:?}: {submission} ns in submission, {completion} ns after it");
    }
}

#[test]
fn of_a_deep_wave_submission_is_told_once_and_completion_of_every_read() {
    for name in ["aio", "uring", "pool", "tokio_fs"] {
        let Some(findings) = found(&format!("file/{name}"), &[("depth", "4")]) else { continue };
        let (submission, completion) = (values(&findings, "submission"), values(&findings, "completion"));
        assert_eq!((submission.count(), completion.count()), (100, 400), "{name}");
        // Where all are taken at the wave's end, the last one's time is everybody's.
        assert!(completion.max() > 0 && completion.quantile(0.5) <= completion.max(), "{name}");
    }
}

#[test]
fn whoever_blocks_has_no_completion_to_wait_for() {
    let Some(inline) = found("file/inline", &[]) else { return };
    assert_eq!(values(&inline, "submission").count(), 400);
    assert!(!inline.iter().any(|finding| finding.of() == "completion"), "{inline:?}");
    assert!(number(&inline, "time blocked in submission") > 0.9);
}

#[test]
fn cached_reads_find_the_whole_file_in_the_cache() {
    for name in ["file/inline", "file/tokio_fs"] {
        let Some(findings) = found(name, &[("cache", "cached")]) else { continue };
        assert_eq!(number(&findings, COLD), 1.0, "{name}");
    }
}

#[test]
fn poll_and_select_call_a_file_ready_of_which_nothing_is_in_memory_and_the_read_blocks() {
    for ask in ["poll", "select"] {
        let Some(findings) = found("file/poll", &[("ask", ask)]) else { return };
        assert!(number(&findings, COLD) < 0.01, "{ask}: {findings:?}");
        assert_eq!(number(&findings, "called ready at once"), 1.0, "{ask}");
        let asking = values(&findings, "asking whether it is ready").quantile(0.5);
        let read = values(&findings, "submission").quantile(0.5);
        assert!(asking < read, "{ask}: {asking} ns to be told that it is ready, {read} ns to have it");
    }
}

#[test]
fn epoll_refuses_a_file_with_eperm_and_the_refusal_is_a_result() {
    match benchmark("file/epoll", &[]).start(|| Ok(())) {
        Err(Failure::Unsupported(reason)) if reason.requirement.starts_with("epoll") => {
            assert!(reason.observed.contains("EPERM"), "{reason}");
        }
        Err(Failure::Unsupported(reason)) => println!("no file to show to epoll: {reason}"),
        other => panic!("epoll watches a regular file: {other:?}"),
    }
}
