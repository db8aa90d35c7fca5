//! Every rule over made-up runs: the sentence, the opposite sentence from the opposite figures, "not told apart" where
//! the data do not say, and no sentence without its data.

use super::*;
use crate::record::{AuditCheck, AuditRecord, BenchmarkLine, CountedSamples, Measured, Noise, Outcome, Sample};
use crate::terms::{
    Idle, Metric, Moment, Parameters, Policy, ResourceUsage, Scalar, Setting, Unit, Unsupported, ValueHistogram,
};
use crate::units::{Nanos, Ops, Quantity};

/// Rounds of a made-up benchmark, which differ by a thousandth from one to the next.
const ROUNDS: u32 = 6;

/// A benchmark `id` that takes so many nanoseconds, in all rounds.
fn taking(id: &str, nanos: u64) -> Vec<BenchmarkLine> {
    scattered(id, nanos, 0.001)
}

/// The same, with rounds that scatter by this share to either side.
fn scattered(id: &str, nanos: u64, share: f64) -> Vec<BenchmarkLine> {
    (0..ROUNDS).map(|round| line(id, round, nanos, share)).collect()
}

fn line(id: &str, round: u32, nanos: u64, share: f64) -> BenchmarkLine {
    let parts: Vec<&str> = id.split('/').collect();
    let moment = Moment::default();
    let side = f64::from(round) / f64::from(ROUNDS - 1) * 2.0 - 1.0;
    // A thousand operations each, so that scatter shows in figures of a few nanoseconds.
    let amount = Nanos((nanos as f64 * 1000.0 * (1.0 + share * side)) as u64);
    BenchmarkLine {
        id: id.into(),
        mechanism: format!("{}/{}", parts[0], parts[1]),
        unit: Unit::Hop,
        measures: Quantity::Nanoseconds,
        baseline: "brigade/one_thread".into(),
        setting: Setting {
            placement: parts[2].parse().unwrap(),
            cpus: Vec::new(),
            idle: Idle::Default,
            policy: Policy::default(),
            parameters: serde_json::from_str::<Parameters>("{}").unwrap(),
        },
        round,
        host_id: "m".into(),
        started_ms: 0,
        outcome: Outcome::Measured(Box::new(Measured {
            samples: vec![Sample::new(Ops(1000), amount); 10],
            usage: ResourceUsage { user: Nanos(amount.0 * 10), ..ResourceUsage::default() },
            counted: CountedSamples::default(),
            metrics: Vec::new(),
            audit: AuditRecord::default(),
            noise: Noise { start: moment.clone(), end: moment, own_cpu: None, lasted: None },
        })),
        conditions: None,
    }
}

fn with_metric(mut lines: Vec<BenchmarkLine>, metric: &Metric) -> Vec<BenchmarkLine> {
    for line in &mut lines {
        if let Outcome::Measured(measured) = &mut line.outcome {
            measured.metrics.push(metric.clone());
        }
    }
    lines
}

/// Every round found this value, with this interval of its own.
fn number(key: MetricKey, quantity: Quantity, value: f64, interval: Option<(f64, f64)>) -> Metric {
    Metric::Scalar(Scalar { of: key, quantity, value, interval })
}

fn times(key: MetricKey, median: u64, most: u64) -> Metric {
    let mut values = ValueHistogram::new();
    values.record_many(median, 90);
    values.record_many(most, 10);
    Metric::latencies(key, values)
}

fn asked(lines: Vec<Vec<BenchmarkLine>>) -> Answers {
    answers(&Run { benchmarks: lines.concat(), ..Run::default() })
}

/// The sentence to `question`; empty where there is none.
fn sentence(answers: &Answers, question: &str) -> String {
    answers.said.iter().find(|answer| answer.question == question).map_or(String::new(), |a| a.sentence.clone())
}

fn why(answers: &Answers, question: &str) -> String {
    let unsaid = answers.unsaid.iter().find(|unsaid| unsaid.question == question);
    unsaid.map_or(String::new(), |unsaid| format!("{}: {}", unsaid.id, unsaid.why))
}

#[track_caller]
fn holds(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "no \u{201c}{part}\u{201d} in \u{201c}{sentence}\u{201d}");
    }
}

#[test]
fn a_run_without_benchmarks_says_nothing() {
    let answers = asked(Vec::new());
    assert_eq!((answers.said, answers.unsaid), (Vec::new(), Vec::new()));
    assert_eq!(answers.not_asked.len(), RULES.len());
    assert_eq!(answers_text(&Answers { not_asked: vec!["a"], ..Answers::default() }, 120), "");
}

#[test]
fn a_system_call_and_a_handoff() {
    let answers = asked(vec![taking("syscall/getppid/same-cpu", 165), taking("handoff/futex/same-cpu", 2310)]);
    holds(&sentence(&answers, "a system call"), &["costs 165 ns (±0.1 %)"]);
    holds(
        &sentence(&answers, "another task on the same CPU"),
        &["costs 2.31 µs (±0.1 %)", "as much time as 14.0 system calls"],
    );
    assert_eq!(answers.said[1].from, ["handoff/futex/same-cpu", "syscall/getppid/same-cpu"]);
    let alone = asked(vec![taking("handoff/futex/same-cpu", 2310)]);
    let alone = sentence(&alone, "another task on the same CPU");
    assert!(alone.ends_with("costs 2.31 µs (±0.1 %).") && !alone.contains("system calls"), "{alone}");
    // A call that costs more than the handoff is not counted in handoffs.
    let dear = asked(vec![taking("syscall/getppid/same-cpu", 9000), taking("handoff/futex/same-cpu", 2310)]);
    assert!(!sentence(&dear, "another task on the same CPU").contains("system calls"));
}

#[test]
fn another_cpu_costs_more_or_less_or_it_is_not_told_apart() {
    let question = "another task on another CPU";
    let at = |nanos| {
        let answers =
            asked(vec![taking("handoff/futex/same-cpu", 2000), scattered("handoff/futex/same-llc", nanos, 0.02)]);
        sentence(&answers, question)
    };
    holds(&at(24_000), &["(same-llc)", "costs 24.0 µs", "12.0 times as much", "as on the same CPU"]);
    holds(&at(1000), &["costs 1.00 µs", "0.500 times as much", "as on the same CPU"]);
    holds(&at(2001), &["from one on the same CPU it is not told apart"]);
    // The nearest pair of CPUs that the run has.
    let far = asked(vec![taking("handoff/futex/cross-node", 9000), taking("handoff/futex/one-per-cpu", 8000)]);
    holds(&sentence(&far, question), &["(cross-node)", "9.00 µs"]);
    assert!(!sentence(&far, question).contains("same CPU"), "nothing to compare with");
}

#[test]
fn what_a_sleeping_cpu_costs_is_the_difference_to_one_that_is_awake() {
    let question = "waking a CPU that sleeps";
    let at = |awake, idle: &str| {
        let awake = scattered(&format!("handoff/futex/same-llc/idle={idle}"), awake, 0.02);
        sentence(&asked(vec![scattered("handoff/futex/same-llc", 20_000, 0.02), awake]), question)
    };
    holds(
        &at(5000, "poll"),
        &["Of the 20.0 µs of a handoff", "15.0 µs (75 %) goes into waking that CPU from sleep", "costs 5.00 µs"],
    );
    holds(&at(5000, "spinner"), &["15.0 µs (75 %)"]);
    // An interrupt to the same other CPU, and to none that lies elsewhere.
    let beside = |interrupt: &str| {
        sentence(
            &asked(vec![
                taking("handoff/futex/same-llc", 20_000),
                taking("handoff/futex/same-llc/idle=spinner", 5000),
                taking(interrupt, 4000),
            ]),
            question,
        )
    };
    holds(&beside("syscall/membarrier/same-llc"), &["(membarrier) costs 4.00 µs (±"]);
    assert!(!beside("syscall/membarrier/cross-llc").contains("membarrier"));
    holds(&at(30_000, "poll"), &["does not help here", "30.0 µs", "more than to one that sleeps"]);
    holds(
        &at(20_010, "poll"),
        &["cannot be said", "kept awake the handoff costs 20.0 µs", "the two are not told apart"],
    );
    let without = asked(vec![taking("handoff/futex/same-llc", 20_000)]);
    assert_eq!(sentence(&without, question), "");
    holds(&why(&without, question), &["handoff/futex/same-llc/idle=spinner: this run did not measure it"]);
}

#[test]
fn threads_against_async_says_which_is_dearer_and_what_it_means_at_a_rate() {
    for (placement, question) in [
        ("unpinned", "threads against async, placed by the kernel"),
        ("same-cpu", "threads against async, pinned to one CPU"),
    ] {
        let at = |threads, tasks| {
            let of = |name: &str, nanos| scattered(&format!("brigade/{name}/{placement}"), nanos, 0.02);
            sentence(&asked(vec![of("thread", threads), of("tokio_current_thread", tasks)]), question)
        };
        holds(
            &at(16_000, 2000),
            &[
                "16.0 µs (±",
                "between threads",
                "2.00 µs (±",
                "threads take 8.00 times as much",
                "With threads, 10,000 hops a second use 0.140 of a CPU more",
            ],
        );
        holds(
            &at(1000, 2000),
            &["threads take 0.500 times as much", "With async tasks, 10,000 hops a second use 0.010 of a CPU more"],
        );
        holds(&at(2001, 2000), &["the two are not told apart"]);
    }
}

#[test]
fn the_difference_is_split_into_other_cpus_switches_and_calls() {
    let question = "what a hop between threads is made of";
    let at = |unpinned, pinned, calls| {
        sentence(
            &asked(vec![
                scattered("brigade/thread/unpinned", unpinned, 0.02),
                scattered("brigade/thread/same-cpu", pinned, 0.02),
                scattered("brigade/one_thread/same-cpu", calls, 0.02),
            ]),
            question,
        )
    };
    holds(
        &at(10_000, 4000, 1000),
        &[
            "Of the 10.0 µs",
            "6.00 µs (60 %) disappears when all of them share one CPU",
            "3.00 µs (30 %) is switching",
            "1.00 µs (10 %) the read and the write",
        ],
    );
    holds(&at(3000, 4000, 1000), &["costs less than on one CPU", "pinning does not help here"]);
    holds(&at(4001, 4000, 1000), &["are not told apart", "is switching between them"]);
    holds(&at(10_000, 4000, 5000), &["4.00 µs (40 %) is what they cost on one CPU"]);
}

#[test]
fn io_uring_beside_epoll() {
    let question = "epoll against io_uring";
    let at = |ring, batch: Option<u64>| {
        let mut lines =
            vec![scattered("brigade/epoll/same-cpu", 1500, 0.02), scattered("brigade/uring/same-cpu", ring, 0.02)];
        lines.extend(batch.map(|batch| scattered("brigade/uring_chain/same-cpu", batch, 0.02)));
        sentence(&asked(lines), question)
    };
    holds(
        &at(3000, Some(750)),
        &[
            "costs 3.00 µs (±1.7 %) with io_uring",
            "1.50 µs (±1.7 %) with epoll",
            "2.00 times as much",
            "costs less than epoll, 750 ns",
        ],
    );
    holds(&at(750, Some(3000)), &["0.500 times as much", "in one call, io_uring costs more than epoll, 3.00 µs"]);
    holds(&at(1501, Some(1501)), &["not told apart", "beside epoll not told apart"]);
    assert!(!at(3000, None).contains("in one call"), "no sentence without its data");
}

#[test]
fn edge_beside_level() {
    let question = "edge against level";
    let at = |edge| {
        let lines = vec![
            scattered("brigade/epoll/same-cpu", 2000, 0.01),
            scattered("brigade/epoll/same-cpu/trigger=edge", edge, 0.01),
        ];
        sentence(&asked(lines), question)
    };
    holds(&at(1600), &["is cheaper than level", "1.60 µs", "a hop against 2.00 µs", "20 % less"]);
    holds(&at(4000), &["costs more than level", "2.00 times as much"]);
    holds(&at(2001), &["are not told apart"]);
}

#[test]
fn making_and_keeping_tasks() {
    let bytes = |id: &str, amount| {
        let mut lines = taking(id, amount);
        lines.iter_mut().for_each(|line| line.measures = Quantity::Bytes);
        lines
    };
    let answers = asked(vec![
        taking("creation/thread/same-cpu", 28_000),
        taking("creation/fork/same-cpu", 185_000),
        taking("creation/tokio_task/same-cpu", 463),
        bytes("footprint/thread/unpinned", 36_864),
        bytes("footprint/tokio_task/unpinned", 320),
    ]);
    holds(
        &sentence(&answers, "making a task"),
        &["thread costs 28.0 µs", "measuring process (fork) 185 µs", "task (tokio) 463 ns"],
    );
    let keeping = sentence(&answers, "keeping a task");
    holds(&keeping, &["thread holds 36.0 KiB", "task (tokio) 320 B"]);
    assert!(!keeping.contains("process"), "{keeping}");
}

#[test]
fn a_loss_after_a_call_is_one_only_beyond_what_the_control_shows() {
    let question = "after a call has returned";
    let at = |control: f64, call: f64, handoff: f64| {
        let of = |name: &str, lost: f64| {
            let lost = number(MetricKey::LostAfterCall, Quantity::Nanoseconds, lost, Some((lost - 20.0, lost + 20.0)));
            with_metric(line_of(name), &lost)
        };
        fn line_of(name: &str) -> Vec<BenchmarkLine> {
            vec![line(&format!("after_syscall/{name}/same-cpu"), 0, 3000, 0.0)]
        }
        sentence(&asked(vec![of("nothing", control), of("getppid", call), of("handoff", handoff)]), question)
    };
    holds(&at(5.0, 300.0, 1100.0), &["loses 300 ns (280 ns to 320 ns) after a system call", "and 1.10 µs (1.08"]);
    holds(&at(500.0, 300.0, 1100.0), &["loses no time that stands out from noise after a system", "and 1.10 µs"]);
    holds(&at(-500.0, 300.0, 1100.0), &["loses no time that stands out from noise after a system"]);
    holds(&at(5.0, -300.0, 10.0), &["and no time that stands out from noise after a handoff"]);
}

#[test]
fn files_and_timers() {
    let file = |name: &str, metrics: &[Metric]| {
        metrics.iter().fold(taking(&format!("file/{name}/same-cpu"), 60_000), with_metric)
    };
    let ready = number(MetricKey::ReadyAtOnce, Quantity::Share, 1.0, None);
    let timer = |name: &str, median, most| {
        with_metric(taking(&format!("wakeup/{name}/same-cpu"), median), &times(MetricKey::Lateness, median, most))
    };
    let answers = asked(vec![
        file("poll", &[ready]),
        file("inline", &[times(MetricKey::Submission, 57_000, 90_000)]),
        file("uring", &[times(MetricKey::Submission, 3000, 9000)]),
        timer("timer_nanosleep", 75_000, 200_000),
        timer("timer_timerfd", 26_000, 30_000),
    ]);
    holds(
        &sentence(&answers, "regular files in an event loop"),
        &["ready 100 % of the time", "blocks the event loop for 57.0 µs", "io_uring blocks it for 3.00 µs"],
    );
    holds(
        &sentence(&answers, "how late a timer is"),
        &[
            "a median of 75.0 µs late",
            "in a hundred 200 µs",
            "a timerfd, to which the kernel adds no slack, is 26.0 µs late",
        ],
    );
}

#[test]
fn one_process_of_each_tells_apart_what_processes_do_not_differ_by() {
    let one = |id: &str, nanos| {
        let mut line = line(id, 0, nanos, 0.0);
        if let Outcome::Measured(measured) = &mut line.outcome {
            measured.samples = (0..30).map(|i| Sample::new(Ops(1000), Nanos(nanos * 1000 + i * nanos / 10))).collect();
        }
        vec![line]
    };
    let at = |edge| {
        let lines = vec![one("brigade/epoll/same-cpu", 2000), one("brigade/epoll/same-cpu/trigger=edge", edge)];
        sentence(&asked(lines), "edge against level")
    };
    holds(&at(1700), &["not told apart"]);
    // What a busy neighbour and the kernel's placement of tasks may do together.
    holds(&at(1400), &["not told apart while a figure is of one process", "times as much there"]);
    holds(&at(1250), &["is cheaper"]);
}

#[test]
fn what_cannot_be_used_is_not_said_and_the_reason_is() {
    let question = "a system call";
    let id = "syscall/getppid/same-cpu";
    let mut refused = taking(id, 165);
    let reason = Unsupported::new("getppid", "ENOSYS", "a kernel that has it");
    refused.iter_mut().for_each(|line| line.outcome = Outcome::Unsupported(reason.clone()));
    let answers = asked(vec![refused]);
    assert_eq!(sentence(&answers, question), "");
    assert_eq!(why(&answers, question), format!("{id}: it needs getppid; here: ENOSYS; a kernel that has it"));

    let mut failed = taking(id, 165);
    failed.iter_mut().for_each(|line| line.outcome = Outcome::Failed("no answer within 60 s".into()));
    holds(&why(&asked(vec![failed]), question), &["it failed: no answer within 60 s"]);

    let mut differs = taking(id, 165);
    if let Outcome::Measured(measured) = &mut differs[0].outcome {
        let check = AuditCheck { what: "getppid".into(), observed: 2.0, expected: "exactly 1".into(), holds: false };
        measured.audit.checks.push(check);
    }
    holds(&why(&asked(vec![differs]), question), &["by its audit, it did not do what its name says"]);
}

#[test]
fn a_long_sentence_is_wrapped_and_what_was_not_asked_stands_in_one_line() {
    let answers = asked(vec![taking("syscall/getppid/same-cpu", 165), taking("brigade/thread/same-cpu", 165)]);
    let text = answers_text(&answers, 60);
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    assert!(text.starts_with("- A system call: Entering the kernel"), "{text}");
    holds(&text, &["No answer about threads against async", "Not measured in this run:"]);
}

#[test]
fn pages_begin_with_what_the_machine_says() {
    let run = Run {
        benchmarks: [taking("syscall/getppid/same-cpu", 165), taking("brigade/thread/same-cpu", 6000)].concat(),
        ..Run::default()
    };
    let sentence = sentence(&answers(&run), "a system call");
    let files = crate::report::files(&[run], &crate::report::Catalogue::default());
    let text = |path: &str| files.iter().find(|file| file.path == path).unwrap().text.replace('\u{a0}', " ");
    let (page, markdown) = (text("index.html"), text("report.md"));
    for (text, group) in [(&page, "id=\"syscall\""), (&markdown, "## syscall")] {
        let (said, table) = (text.find(&sentence).unwrap(), text.find(group).unwrap());
        assert!(said < table, "figures stand before the answer");
        holds(text, &["No answer about threads against async, pinned to one CPU ("]);
    }
}

/// A server or a client with so many requests in flight, and with so many events per wake.
fn serving(id: &str, nanos: u64) -> Vec<BenchmarkLine> {
    let with = |lines, key, value| with_metric(lines, &number(key, Quantity::Number, value, None));
    let lines = with(scattered(id, nanos, 0.01), MetricKey::RequestsInFlight, 31.4);
    with(lines, MetricKey::EventsPerWake, 7.2)
}

#[test]
fn a_request_to_a_server_says_which_way_to_wait_is_dearer_and_at_what_load() {
    let question = "what a request costs the server";
    let at = |threads, tasks| {
        let lines = vec![
            serving("server/threaded/same-llc", threads),
            serving("server/epoll/same-llc", 10_000),
            serving("server/tokio_current_thread/same-llc", tasks),
        ];
        sentence(&asked(lines), question)
    };
    let load = ["On average 31.4 requests were in flight", "returned 7.20 of them"];
    holds(&at(30_000, 12_000), &["30.0 µs", "threads take 3.00 times as much", "(tokio) 12.0 µs", "1.20 times"]);
    holds(&at(5_000, 12_000), &["threads take 0.500 times as much"]);
    holds(&at(10_001, 9_999), &["threads and the event loop are not told apart"]);
    holds(&at(30_000, 12_000), &load);
    assert!(!at(30_000, 12_000).contains("io_uring"), "it was not measured");
    let unpinned = vec![serving("server/threaded/unpinned", 9_000), serving("server/epoll/unpinned", 3_000)];
    holds(&sentence(&asked(unpinned), question), &["threads take 3.00 times as much"]);
    let without = vec![taking("server/threaded/same-llc", 9_000), taking("server/epoll/same-llc", 9_000)];
    holds(&why(&asked(without), question), &["its record has no requests in flight"]);
}

#[test]
fn a_request_to_its_client_says_which_way_to_wait_is_dearer() {
    let question = "what a request costs the client";
    let at = |threads, events| {
        sentence(
            &asked(vec![serving("client/threads/same-llc", threads), serving("client/epoll/same-llc", events)]),
            question,
        )
    };
    holds(&at(20_000, 5_000), &["With 31.4 requests in flight", "20.0 µs", "threads take 4.00 times as much"]);
    holds(&at(5_000, 20_000), &["threads take 0.250 times as much"]);
    holds(&at(5_000, 5_001), &["threads and the event loop are not told apart"]);
}
